"""DuckDB as an oracle: the queries over what is left of the tables when all has arrived."""

from __future__ import annotations

import datetime as dt
import re
from typing import Any

import duckdb
import pyarrow as pa

from lesto.sql.type_parser import parse_type
from tests.differential.corpus import VIEWS, ZONE, Query
from tests.differential.data import D, tables

_FAR = dt.datetime.fromisoformat("9999-01-01")
_ARG = r"\s*(?:,\s*INTERVAL '(\d+)' (\w+))?"
_TVF = re.compile(
    r"TABLE\(\s*(TUMBLE|HOP|CUMULATE|SESSION)\(\s*TABLE (\w+)(?: PARTITION BY (\w+))?\s*,"
    r"\s*DESCRIPTOR\(`?(\w+)`?\)" + _ARG * 3 + r"\s*\)\s*\)"
)


def connection() -> Any:
    """A connection with all tables, ``_seq`` being a row's place of arrival."""
    db = duckdb.connect()
    for setting in (
        "TimeZone = 'UTC'",
        "default_null_order = 'nulls_first_on_asc_last_on_desc'",
        "integer_division = true",
        "threads = 1",
    ):
        db.execute(f"SET {setting}")
    for table in tables().values():
        rows = table.final()
        fields = [
            pa.field(n, _stored(parse_type(kind.removesuffix(" NOT NULL"))))
            for n, kind in table.columns
        ]
        arrays = [pa.array([_given(r[i]) for _, r in rows], f.type) for i, f in enumerate(fields)]
        fields.append(pa.field("_seq", pa.int64()))
        arrays.append(pa.array([n for n, _ in rows], pa.int64()))
        data = pa.table(arrays, schema=pa.schema(fields))
        db.register("given", data)
        db.execute(f"CREATE TABLE {table.name} AS SELECT * FROM given")
        db.unregister("given")
    _history(db)
    db.execute(
        f"CREATE TABLE visits_local AS SELECT who, v, timezone('{ZONE}', \"at\") AS t FROM visits"
    )
    db.execute("CREATE TABLE visits_utc AS SELECT who, v, timezone('UTC', \"at\") AS t FROM visits")
    for name in ("tumbled_orders", "order_payments"):
        db.execute(f"CREATE VIEW {name} AS {rewritten(VIEWS[name], ())}")
    db.execute("CREATE TABLE on_time_clicks AS SELECT * FROM late_clicks WHERE NOT late")
    return db


def _stored(kind: Any) -> pa.DataType:
    return kind.to_arrow()


def _given(value: Any) -> Any:
    return value if not isinstance(value, dict) else list(value.items())


def _history(db: Any) -> None:
    """The versions of rates, each with the times between which it holds."""
    found: dict[str, list[list[Any]]] = {}
    for step in tables()["rates"].steps:
        for kind, (name, rate, at) in step:
            versions = found.setdefault(name, [])
            if versions and versions[-1][3] == _FAR:
                versions[-1][3] = at
            if kind != D:
                versions.append([name, rate, at, _FAR])
    db.execute(
        "CREATE TABLE rates_history"
        " (currency VARCHAR, rate DECIMAL(10, 4), since TIMESTAMP, until TIMESTAMP)"
    )
    db.executemany(
        "INSERT INTO rates_history VALUES (?, ?, ?, ?)", [v for x in found.values() for v in x]
    )


def rewritten(text: str, tags: tuple[str, ...]) -> str:
    """Flink's text in DuckDB's dialect."""
    if "late" in tags and ("window" in tags or "over" in tags or "interval_join" in tags):
        text = re.sub(r"\blate_clicks\b", "on_time_clicks", text)
    text = _TVF.sub(_windowed, text)
    return text.replace("`", '"')


def _windowed(found: re.Match[str]) -> str:
    name, table, keys, time, *sizes = found.groups()
    parts = [f"INTERVAL '{n}' {u}" for n, u in zip(sizes[::2], sizes[1::2], strict=True) if n]
    origin = "TIMESTAMP '1970-01-01'"
    t = f'"{time}"'
    if name == "SESSION":
        return _sessions(table, keys, t, parts[0])
    lengths = {"TUMBLE": 1, "HOP": 2, "CUMULATE": 2}[name]
    if len(parts) > lengths:
        origin = f"{origin} + {parts[lengths]}"
    slide, size = parts[0], parts[lengths - 1]
    match name:
        case "TUMBLE":
            inner = f"SELECT *, time_bucket({size}, {t}, {origin}) AS window_start FROM {table}"
            inner = f"SELECT *, window_start + {size} AS window_end FROM ({inner})"
        case "HOP":
            inner = (
                f"SELECT x.*, time_bucket({slide}, {t}, {origin}) - k * {slide} AS window_start"
                f" FROM {table} AS x, range(100) AS r(k)"
            )
            inner = (
                f"SELECT * EXCLUDE (window_start), window_start, window_start + {size}"
                f" AS window_end FROM ({inner}) WHERE window_start + {size} > {t}"
            )
        case _:
            inner = (
                f"SELECT x.*, time_bucket({size}, {t}, {origin}) AS window_start, k"
                f" FROM {table} AS x, range(1, 100) AS r(k)"
            )
            inner = (
                f"SELECT * EXCLUDE (k, window_start), window_start, window_start + k * {slide}"
                f" AS window_end FROM ({inner}) WHERE window_start + k * {slide} > {t}"
                f" AND window_start + k * {slide} <= window_start + {size}"
            )
    return f"(SELECT *, window_end - INTERVAL '1' MILLISECOND AS window_time FROM ({inner}))"


def _sessions(table: str, keys: str | None, t: str, gap: str) -> str:
    by = f"PARTITION BY {keys} " if keys else ""
    more = f"PARTITION BY {keys}, s" if keys else "PARTITION BY s"
    first = (
        f"SELECT *, CASE WHEN {t} - LAG({t}) OVER ({by}ORDER BY {t}, _o) <= {gap} THEN 0 ELSE 1"
        f" END AS new FROM (SELECT *, row_number() OVER () AS _o FROM {table})"
    )
    second = f"SELECT *, SUM(new) OVER ({by}ORDER BY {t}, _o) AS s FROM ({first})"
    return (
        f"(SELECT * EXCLUDE (new, s, _o), MIN({t}) OVER ({more}) AS window_start,"
        f" MAX({t}) OVER ({more}) + {gap} AS window_end FROM ({second}))"
    )


def answer(db: Any, query: Query) -> list[tuple[Any, ...]]:
    """The rows of a query."""
    table = db.sql(rewritten(query.duckdb or query.text, query.tags)).to_arrow_table()
    columns = []
    for column in table.columns:
        if pa.types.is_map(column.type):
            columns.append([None if v is None else dict(v) for v in column.to_pylist()])
        elif pa.types.is_struct(column.type):
            columns.append([None if v is None else list(v.values()) for v in column.to_pylist()])
        else:
            columns.append(column.to_pylist())
    return list(zip(*columns, strict=True)) if columns else []
