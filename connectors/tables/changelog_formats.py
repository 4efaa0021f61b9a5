"""The formats ``debezium-json``, ``canal-json``, ``maxwell-json`` and ``ogg-json``."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from lesto.common.option_types import ConfigOption
from lesto.connectors.formats.changelogs import (
    CanalJsonFormat,
    ChangelogFormat,
    DebeziumJsonFormat,
    DebeziumJsonWithSchemaFormat,
    MaxwellJsonFormat,
    OggJsonFormat,
)
from lesto.connectors.tables.formats import TableFormat
from lesto.connectors.tables.message_formats import (
    IGNORE,
    NO_NULLS,
    NULL_KEY,
    NULL_KEY_LITERAL,
    PLAIN_DECIMALS,
    STANDARD,
    json_options,
)
from lesto.connectors.tables.options import Described, TableOptions
from lesto.connectors.tables.requests import TableField

SCHEMA: Final = ConfigOption(
    "schema-include", bool, False, "Messages have a schema beside their payload; only for reading."
)
DATABASE: Final = ConfigOption(
    "database.include", str, "", "Changes of databases whose whole name matches (re's syntax)."
)
TABLE: Final = ConfigOption(
    "table.include", str, "", "Changes of tables whose whole name matches (re's syntax)."
)
_COMMON: Final = (IGNORE, STANDARD, NULL_KEY, NULL_KEY_LITERAL, PLAIN_DECIMALS, NO_NULLS)


def _debezium(options: TableOptions, columns: Sequence[TableField], _zone: str) -> ChangelogFormat:
    of = DebeziumJsonWithSchemaFormat if options.of(SCHEMA) else DebeziumJsonFormat
    return of([c.name for c in columns], [c.type for c in columns], json_options(options))


def _debezium_writer(
    options: TableOptions, columns: Sequence[TableField], zone: str
) -> ChangelogFormat:
    if options.of(SCHEMA):
        raise options.refuse(SCHEMA, "messages are written without a schema", "leave it out")
    return _debezium(options, columns, zone)


def _canal(options: TableOptions, columns: Sequence[TableField], _zone: str) -> ChangelogFormat:
    return CanalJsonFormat(
        [c.name for c in columns],
        [c.type for c in columns],
        json_options(options),
        options.of(DATABASE),
        options.of(TABLE),
    )


def _maxwell(options: TableOptions, columns: Sequence[TableField], _zone: str) -> ChangelogFormat:
    return MaxwellJsonFormat(
        [c.name for c in columns], [c.type for c in columns], json_options(options)
    )


def _ogg(options: TableOptions, columns: Sequence[TableField], _zone: str) -> ChangelogFormat:
    return OggJsonFormat(
        [c.name for c in columns], [c.type for c in columns], json_options(options)
    )


def _check_canal(options: TableOptions, _columns: Sequence[TableField]) -> None:
    for option in (DATABASE, TABLE):
        try:
            re.compile(options.of(option))
        except re.error as error:
            raise options.refuse(option, str(error), "give a regular expression") from None


FORMATS: Final[dict[str, TableFormat]] = {
    "debezium-json": TableFormat(
        Described("debezium-json", "Changes as Debezium has them.", optional=(SCHEMA, *_COMMON)),
        _debezium,
        _debezium_writer,
        changelog=True,
        lines=True,
    ),
    "canal-json": TableFormat(
        Described("canal-json", "Changes as Canal has them.", optional=(DATABASE, TABLE, *_COMMON)),
        _canal,
        _canal,
        changelog=True,
        lines=True,
        check=_check_canal,
    ),
    "maxwell-json": TableFormat(
        Described("maxwell-json", "Changes as Maxwell has them.", optional=_COMMON),
        _maxwell,
        _maxwell,
        changelog=True,
        lines=True,
    ),
    "ogg-json": TableFormat(
        Described("ogg-json", "Changes as Oracle GoldenGate has them.", optional=_COMMON),
        _ogg,
        _ogg,
        changelog=True,
        lines=True,
    ),
}
