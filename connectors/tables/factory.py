"""From ``'connector' = '...'`` to sources, sinks and lookups.

A connector is a module of this package with a :class:`TableConnector` called ``CONNECTOR``; modules
are loaded when their connector is used.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any, Final

from lesto.common.errors import did_you_mean
from lesto.connectors.errors import (
    MissingTableOptionError,
    UnknownConnectorError,
    UnsupportedTableUseError,
)
from lesto.connectors.tables.connector import Formats, TableConnector
from lesto.connectors.tables.formats import check_formats, format_prefixes
from lesto.connectors.tables.options import (
    FORMAT,
    KEY_FORMAT,
    PLANNER,
    VALUE_FORMAT,
    TableOptions,
    check,
)
from lesto.connectors.tables.requests import (
    LookupFunction,
    LookupPlan,
    LookupRequest,
    ScanPlan,
    ScanRequest,
    SinkPlan,
    SinkRequest,
    TableField,
)

__all__ = [
    "CONNECTORS",
    "LookupFunction",
    "LookupPlan",
    "LookupRequest",
    "ScanPlan",
    "ScanRequest",
    "SinkPlan",
    "SinkRequest",
    "TableField",
    "check_options",
    "connector",
    "lookup",
    "table_sink",
    "table_source",
]

#: Modules of the connectors that there are.
CONNECTORS: Final[dict[str, str]] = {
    "blackhole": "lesto.connectors.tables.blackhole",
    "datagen": "lesto.connectors.tables.datagen",
    "filesystem": "lesto.connectors.tables.filesystem",
    "jdbc": "lesto.connectors.tables.jdbc",
    "kafka": "lesto.connectors.tables.kafka",
    "nexmark": "lesto.connectors.tables.nexmark",
    "print": "lesto.connectors.tables.print",
    "upsert-kafka": "lesto.connectors.tables.upsert_kafka",
    "values": "lesto.connectors.tables.values",
}


def connector(name: str, table: str = "") -> TableConnector:
    """The connector of this name.

    Raises:
        UnknownConnectorError: there is none.
    """
    if name not in CONNECTORS:
        near = did_you_mean(name, CONNECTORS)
        msg = f"table {table or '?'}: there is no connector '{name}'{near}"
        raise UnknownConnectorError(msg, remedy=f"there are: {', '.join(sorted(CONNECTORS))}")
    found: TableConnector = importlib.import_module(CONNECTORS[name]).CONNECTOR
    return found


def check_options(
    options: Mapping[str, str], *, table: str = "", columns: tuple[TableField, ...] = ()
) -> None:
    """Check what WITH (...) says, without connecting anywhere.

    Args:
        options: all of them.
        table: for messages.
        columns: of the table; empty to leave out what depends on them.

    Raises:
        UnknownConnectorError: no such connector, or no such format.
        UnknownTableOptionError: no such option.
        MissingTableOptionError: a required option is not there.
        InvalidTableOptionError: a value that cannot be read.
    """
    name = options.get("connector", "")
    if not name:
        msg = f"table {table or '?'} has no connector"
        raise MissingTableOptionError(
            msg, remedy=f"add 'connector' = '...': there are {', '.join(sorted(CONNECTORS))}"
        )
    found = connector(name, table)
    known: list[Any] = [*PLANNER]
    if found.formats is not Formats.NONE:
        known += [FORMAT]
    if found.formats is Formats.KEY_AND_VALUE:
        known += [VALUE_FORMAT, KEY_FORMAT]
    check(found.described, options, table, known, format_prefixes(found.formats, options))
    if found.formats is not Formats.NONE:
        check_formats(found.formats, TableOptions(options, table), columns)
    if found.check is not None:
        found.check(TableOptions(options, table), columns)


def table_source(connector_name: str, request: ScanRequest) -> ScanPlan:
    """A source of a table.

    Raises:
        UnsupportedTableUseError: the connector does not read.
        ConnectorConfigError: its options are wrong (see :func:`check_options`).
    """
    found = connector(connector_name, request.table)
    if found.scan is None:
        raise _cannot(found, request.table, "read from")
    check_options(request.options, table=request.table, columns=request.columns)
    return found.scan(request)


def table_sink(connector_name: str, request: SinkRequest) -> SinkPlan:
    """A sink of a table; see :func:`table_source`."""
    found = connector(connector_name, request.table)
    if found.write is None:
        raise _cannot(found, request.table, "written to")
    check_options(request.options, table=request.table, columns=request.columns)
    return found.write(request)


def lookup(connector_name: str, request: LookupRequest) -> LookupPlan:
    """What looks rows up; see :func:`table_source`."""
    found = connector(connector_name, request.table)
    if found.find is None:
        raise _cannot(found, request.table, "looked up by key")
    check_options(request.options, table=request.table, columns=request.columns)
    return found.find(request)


def _cannot(found: TableConnector, table: str, what: str) -> UnsupportedTableUseError:
    can = {
        "read from": found.scan,
        "written to": found.write,
        "looked up by key": found.find,
    }
    others = [text for text, use in can.items() if use is not None]
    msg = f"table {table or '?'} (connector {found.described.name}) cannot be {what}"
    return UnsupportedTableUseError(msg, remedy=f"it can be {', '.join(others)}")
