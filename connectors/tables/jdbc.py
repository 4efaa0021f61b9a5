"""``'connector' = 'jdbc'``: tables of SQLite and PostgreSQL, read, looked up, written."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Final

from lesto.common.option_types import ConfigOption
from lesto.connectors.errors import ConnectorConfigError, MissingTableOptionError
from lesto.connectors.jdbc.drivers import Driver, driver_of
from lesto.connectors.jdbc.lookup import JdbcLookup
from lesto.connectors.jdbc.options import JdbcConnectionOptions, JdbcExecutionOptions
from lesto.connectors.jdbc.rows import quoted, select, takes
from lesto.connectors.jdbc.source import JdbcSource
from lesto.connectors.jdbc.upsert_sink import TableJdbcSink
from lesto.connectors.tables.connector import TableConnector
from lesto.connectors.tables.options import (
    SCAN_PARALLELISM,
    SINK_PARALLELISM,
    Described,
    TableOptions,
)
from lesto.connectors.tables.requests import (
    LookupPlan,
    LookupRequest,
    ScanPlan,
    ScanRequest,
    SinkPlan,
    SinkRequest,
    TableField,
)
from lesto.sql.types import INTEGER


class LookupCache(enum.Enum):
    """What is kept of rows looked up."""

    NONE = "NONE"
    PARTIAL = "PARTIAL"


URL: Final = ConfigOption(
    "url", str, "", "jdbc:postgresql://host:port/database or jdbc:sqlite:path."
)
TABLE: Final = ConfigOption("table-name", str, "", "Table, perhaps with its schema: schema.table.")
DRIVER: Final = ConfigOption("driver", str, None, "Accepted: the URL tells the driver.")
USER: Final = ConfigOption("username", str, None, "Who logs in.")
PASSWORD: Final = ConfigOption("password", str, None, "The password.", secret=True)
RETRY_TIMEOUT: Final = ConfigOption(
    "connection.max-retry-timeout", timedelta, timedelta(minutes=1), "Accepted."
)
PARTITION: Final = ConfigOption(
    "scan.partition.column", str, None, "Integer column by which reading is divided."
)
PARTITIONS: Final = ConfigOption(
    "scan.partition.num", int, None, "Number of parts; needs the column and both bounds.", minimum=1
)
LOWER: Final = ConfigOption("scan.partition.lower-bound", int, None, "Smallest value that is read.")
UPPER: Final = ConfigOption("scan.partition.upper-bound", int, None, "Largest value that is read.")
FETCH: Final = ConfigOption(
    "scan.fetch-size", int, 0, "Rows fetched at a time; 0: as many as a batch has.", minimum=0
)
AUTO_COMMIT: Final = ConfigOption("scan.auto-commit", bool, True, "Accepted.")
CACHE: Final = ConfigOption(
    "lookup.cache", LookupCache, LookupCache.NONE, "Whether rows that were looked up are kept."
)
CACHE_ROWS: Final = ConfigOption(
    "lookup.partial-cache.max-rows",
    int,
    None,
    "Rows kept at the most.",
    aliases=("lookup.cache.max-rows",),
    minimum=1,
)
AFTER_WRITE: Final = ConfigOption(
    "lookup.partial-cache.expire-after-write",
    timedelta,
    None,
    "How long a row is kept.",
    aliases=("lookup.cache.ttl",),
)
AFTER_ACCESS: Final = ConfigOption(
    "lookup.partial-cache.expire-after-access",
    timedelta,
    None,
    "How long a row is kept that nobody asks for.",
)
MISSING_KEYS: Final = ConfigOption(
    "lookup.partial-cache.cache-missing-key",
    bool,
    True,
    "Whether it is kept that a key has no rows.",
    aliases=("lookup.partial-cache.caching-missing-key", "lookup.cache.caching-missing-key"),
)
LOOKUP_RETRIES: Final = ConfigOption(
    "lookup.max-retries", int, 3, "How often a query is tried again.", minimum=0
)
FLUSH_ROWS: Final = ConfigOption(
    "sink.buffer-flush.max-rows", int, 100, "Rows written together.", minimum=0
)
FLUSH_INTERVAL: Final = ConfigOption(
    "sink.buffer-flush.interval",
    timedelta,
    timedelta(seconds=1),
    "Age at which fewer are written too; 0: at checkpoints.",
)
SINK_RETRIES: Final = ConfigOption(
    "sink.max-retries", int, 3, "How often a write is tried again.", minimum=0
)
_OPTIONS: Final = (
    *(DRIVER, USER, PASSWORD, RETRY_TIMEOUT, PARTITION, PARTITIONS, LOWER, UPPER, FETCH),
    *(AUTO_COMMIT, CACHE, CACHE_ROWS, AFTER_WRITE, AFTER_ACCESS, MISSING_KEYS, LOOKUP_RETRIES),
    *(FLUSH_ROWS, FLUSH_INTERVAL, SINK_RETRIES, SCAN_PARALLELISM, SINK_PARALLELISM),
)


def _driver(options: TableOptions) -> Driver:
    if options.of(PASSWORD) is not None and options.of(USER) is None:
        raise options.refuse(PASSWORD, "there is no username", "give both, or none")
    return driver_of(
        JdbcConnectionOptions(
            options.needed(URL), options.of(DRIVER), options.of(USER), options.of(PASSWORD)
        )
    )


def _check(options: TableOptions, columns: tuple[TableField, ...]) -> None:
    _driver(options)
    given = [o for o in (PARTITION, PARTITIONS, LOWER, UPPER) if options.has(o)]
    if given and len(given) < 4:
        names = ", ".join(o.key for o in (PARTITION, PARTITIONS, LOWER, UPPER) if o not in given)
        msg = f"table {options.table or '?'}: {given[0].key} needs {names} too"
        raise MissingTableOptionError(msg, remedy="give all four scan.partition.* options, or none")
    if given and options.needed(UPPER) < options.needed(LOWER):
        raise options.refuse(UPPER, "it is below the lower bound", "exchange the two")
    for column in columns:
        if column.metadata or not takes(column.type):
            what = "metadata" if column.metadata else column.type.summary()
            msg = f"table {options.table or '?'}: '{column.name}': databases have no {what}"
            raise ConnectorConfigError(msg, remedy="remove the column, or read it as STRING")
    if options.has(PARTITION) and columns:
        kinds = {c.name: c.type for c in columns}
        name = options.needed(PARTITION)
        if name not in kinds or not kinds[name].is_in(INTEGER):
            raise options.refuse(PARTITION, "it is no integer column", "name an integer column")


def _scan(request: ScanRequest) -> ScanPlan:
    options = TableOptions(request.options, request.table)
    names = [c.name for c in request.read]
    # In an order, so that the rows read before a failure can be skipped.
    order = request.primary_key or names or [request.columns[0].name]
    base = select(options.needed(TABLE), names)
    behind = f" ORDER BY {', '.join(map(quoted, order))}"
    limited = request.limit is not None and not request.filters
    if limited:
        behind += f" LIMIT {request.limit}"
    parts = _parts(options)
    source = JdbcSource(
        _driver(options),
        [(f"{base}{where}{behind}", values) for where, values in parts],
        names,
        [c.type for c in request.read],
        options.of(FETCH),
    )
    return ScanPlan(
        source, limited=limited and len(parts) == 1, parallelism=options.of(SCAN_PARALLELISM)
    )


def _parts(options: TableOptions) -> Sequence[tuple[str, tuple[int, ...]]]:
    """Conditions that divide the table."""
    if not options.has(PARTITION):
        return [("", ())]
    low, high = options.needed(LOWER), options.needed(UPPER)
    count = min(options.needed(PARTITIONS), high - low + 1)
    bounds = [low + (high - low + 1) * i // count for i in range(count + 1)]
    where = f" WHERE {quoted(options.needed(PARTITION))} BETWEEN ? AND ?"
    return [(where, (bounds[i], bounds[i + 1] - 1)) for i in range(count)]


def _find(request: LookupRequest) -> LookupPlan:
    options = TableOptions(request.options, request.table)
    function = JdbcLookup(
        _driver(options),
        options.needed(TABLE),
        [c.name for c in request.columns],
        [c.type for c in request.columns],
        request.keys,
        request.projection,
        options.of(LOOKUP_RETRIES),
    )
    kept: dict[str, Any] = {}
    if options.of(CACHE) is LookupCache.PARTIAL or options.has(CACHE_ROWS):
        kept = {
            "lookup.cache": LookupCache.PARTIAL.value,
            **{o.key: options.of(o) for o in (CACHE_ROWS, MISSING_KEYS)},
            **{o.key: _ms(options.of(o)) for o in (AFTER_WRITE, AFTER_ACCESS)},
        }
    return LookupPlan(function, kept)


def _ms(duration: timedelta | None) -> int | None:
    return None if duration is None else int(duration / timedelta(milliseconds=1))


def _write(request: SinkRequest) -> SinkPlan:
    options = TableOptions(request.options, request.table)
    execution = JdbcExecutionOptions(
        max(1, options.of(FLUSH_ROWS)),
        _ms(options.of(FLUSH_INTERVAL)) or 0,
        options.of(SINK_RETRIES),
    )
    sink = TableJdbcSink(
        _driver(options),
        options.needed(TABLE),
        [c.name for c in request.columns],
        [c.type for c in request.columns],
        request.primary_key,
        execution,
    )
    return SinkPlan(sink, options.of(SINK_PARALLELISM))


CONNECTOR: Final = TableConnector(
    Described("jdbc", "Tables of databases, through Python's drivers.", (URL, TABLE), _OPTIONS),
    scan=_scan,
    write=_write,
    find=_find,
    check=_check,
)
