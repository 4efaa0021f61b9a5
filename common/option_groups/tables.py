"""SQL, the Table API and the SQL shell."""

from __future__ import annotations

from datetime import timedelta

from lesto.common.option_types import ConfigOption

# --------------------------------------------------------------------------------------------- SQL

TABLE_LOCAL_TIME_ZONE = ConfigOption(
    "table.local-time-zone",
    str,
    "default",
    "The session's time zone, such as Europe/Berlin or GMT+08:00; default is the machine's.",
)
TABLE_STATE_TTL = ConfigOption(
    "table.exec.state.ttl",
    timedelta,
    timedelta(0),
    "How long idle state of a query is kept; 0 keeps it for good.",
    minimum=timedelta(0),
)
TABLE_IDLE_TIMEOUT = ConfigOption(
    "table.exec.source.idle-timeout",
    timedelta,
    timedelta(0),
    "A source without rows for so long does not hold event time back; 0: as the runtime has it.",
    minimum=timedelta(0),
)
TABLE_MINI_BATCH = ConfigOption(
    "table.exec.mini-batch.enabled",
    bool,
    False,
    "Whether aggregations gather rows beyond a batch before they give results.",
)
TABLE_MINI_BATCH_LATENCY = ConfigOption(
    "table.exec.mini-batch.allow-latency",
    timedelta,
    timedelta(0),
    "The longest that rows are gathered.",
    minimum=timedelta(0),
)
TABLE_MINI_BATCH_SIZE = ConfigOption(
    "table.exec.mini-batch.size", int, -1, "The most rows that are gathered; -1: no bound."
)
TABLE_PHASES = ConfigOption(
    "table.optimizer.agg-phase-strategy",
    str,
    "AUTO",
    "Whether rows are aggregated before they are exchanged, too.",
    choices=("AUTO", "ONE_PHASE", "TWO_PHASE"),
)
TABLE_SPLIT_DISTINCT = ConfigOption(
    "table.optimizer.distinct-agg.split.enabled",
    bool,
    False,
    "Whether DISTINCT aggregates are spread over buckets first, against skew.",
)
TABLE_SPLIT_DISTINCT_BUCKETS = ConfigOption(
    "table.optimizer.distinct-agg.split.bucket-num",
    int,
    1024,
    "Number of these buckets.",
    minimum=1,
)
TABLE_PARALLELISM = ConfigOption(
    "table.exec.resource.default-parallelism",
    int,
    -1,
    "Parallelism of SQL's operators; -1: the job's.",
)
TABLE_NOT_NULL = ConfigOption(
    "table.exec.sink.not-null-enforcer",
    str,
    "ERROR",
    "What becomes of a NULL for a NOT NULL column of a sink.",
    choices=("ERROR", "DROP"),
)
TABLE_ASYNC_CALLS = ConfigOption(
    "table.exec.async-scalar.max-concurrent-operations",
    int,
    10,
    "Calls of an async def function under way in a subtask.",
    aliases=("table.exec.async-scalar.buffer-capacity",),
    minimum=1,
)
TABLE_ASYNC_TIMEOUT = ConfigOption(
    "table.exec.async-scalar.timeout",
    timedelta,
    timedelta(minutes=3),
    "The longest that an async def function may take for a row, with its attempts.",
)
TABLE_ASYNC_ATTEMPTS = ConfigOption(
    "table.exec.async-scalar.max-attempts",
    int,
    3,
    "Calls of an async def function for a row, when they fail.",
    minimum=1,
)
TABLE_ASYNC_DELAY = ConfigOption(
    "table.exec.async-scalar.retry-delay",
    timedelta,
    timedelta(milliseconds=100),
    "Time between two of these calls.",
)
TABLE_DML_SYNC = ConfigOption(
    "table.dml-sync",
    bool,
    False,
    "Whether INSERT waits for the end of its job, in programs and in the shell.",
)
TABLE_DIALECT = ConfigOption(
    "table.sql-dialect", str, "default", "The dialect of SQL.", choices=("default", "DEFAULT")
)
TABLE_CATALOG = ConfigOption(
    "table.builtin-catalog-name", str, "default_catalog", "Name of the catalog there is at first."
)
TABLE_DATABASE = ConfigOption(
    "table.builtin-database-name", str, "default_database", "Name of its database."
)
TABLE_DISPLAY_WIDTH = ConfigOption(
    "table.display.max-column-width",
    int,
    30,
    "Characters of a column when a result is printed; longer values are cut.",
    aliases=("sql-client.display.max-column-width",),
    minimum=1,
)
SQL_CLIENT_RESULT_MODE = ConfigOption(
    "sql-client.execution.result-mode",
    str,
    "TABLE",
    "How the shell shows a query: TABLE (rows as they are now), CHANGELOG, or TABLEAU (printed).",
    choices=("TABLE", "CHANGELOG", "TABLEAU", "table", "changelog", "tableau"),
)
SQL_CLIENT_MAX_ROWS = ConfigOption(
    "sql-client.execution.max-table-result.rows",
    int,
    1_000_000,
    "Rows that the shell keeps of a result; the oldest go.",
    minimum=1,
)
SQL_CLIENT_VERBOSE = ConfigOption(
    "sql-client.verbose", bool, False, "Whether the shell shows whole tracebacks."
)
