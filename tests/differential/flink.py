"""Asks real Flink the suite's queries. Runs within PyFlink's own environment: no Lesto here.

``python flink.py asked.json answers.json``: ``asked`` lists names; see scripts/make-sql-expected.
"""

from __future__ import annotations

import datetime as dt
import decimal
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from tests.differential.corpus import VIEWS, Query, queries
from tests.differential.data import D, I, Table, tables
from tests.differential.rows import counted

SETTINGS = {
    "execution.runtime-mode": "streaming",
    "parallelism.default": "1",
    "table.exec.resource.default-parallelism": "1",
    "pipeline.auto-watermark-interval": "1 ms",
    "rest.port": "0",
}


def _json(value: Any, kind: str) -> Any:
    if isinstance(value, decimal.Decimal):
        return str(value)
    if isinstance(value, dt.datetime):
        text = value.replace(tzinfo=None).isoformat("T", "milliseconds")
        return text + ("Z" if "LTZ" in kind else "")
    if isinstance(value, dt.date):
        return value.isoformat()
    if isinstance(value, tuple):
        return {"x": value[0], "y": value[1]}
    return value


def write(table: Table, folder: Path) -> dict[str, str]:
    """The table's file; the options of its DDL."""
    lines, before = [], None
    changelog = table.kinds != (I,)
    last: dict[Any, Any] = {}
    keys = [table.names.index(k) for k in table.primary_key]
    for step in table.steps:
        for kind, row in step:
            given = {n: _json(v, t) for (n, t), v in zip(table.columns, row, strict=True)}
            key = tuple(row[i] for i in keys)
            if not changelog:
                lines.append(given)
            elif kind == I:
                lines.append({"before": None, "after": given, "op": "c"})
            elif kind == D:
                lines.append({"before": given, "after": None, "op": "d"})
            elif kind == "UB":
                before = given
            else:
                old = before if "UB" in table.kinds else last[key]
                lines.append({"before": old, "after": given, "op": "u"})
            last[key] = given
    path = folder / f"{table.name}.json"
    path.write_text("".join(json.dumps(x, ensure_ascii=False) + "\n" for x in lines))
    form = "debezium-json" if changelog else "json"
    return {
        "connector": "filesystem",
        "path": f"file://{path}",
        "format": form,
        f"{form}.timestamp-format.standard": "ISO-8601",
    }


def ask(env: Any, query: Query) -> dict[str, Any]:
    """Columns, kinds of changes and final rows of a query."""
    from pyflink.common import RowKind

    env.get_config().set("table.local-time-zone", query.zone)
    table = env.sql_query(query.text)
    columns = [
        [c.getName(), c.getDataType().getLogicalType().asSummaryString()]
        for c in table._j_table.getResolvedSchema().getColumns()
    ]
    signs = {RowKind.INSERT: 1, RowKind.UPDATE_AFTER: 1}
    rows = counted(())
    kinds: set[str] = set()
    with table.execute().collect() as results:
        for row in results:
            kind = row.get_row_kind()
            kinds.add(str(kind))
            for text, n in counted([list(row)]).items():
                rows[text] += n * signs.get(kind, -1)
    assert all(n >= 0 for n in rows.values()), [x for x in rows.items() if x[1] < 0][:3]
    return {
        "columns": columns,
        "kinds": sorted(kinds),
        "rows": sorted(text for text, n in rows.items() for _ in range(n)),
    }


def reason(error: Exception) -> str:
    """The innermost messages of a chain of Java exceptions."""
    lines = [x.strip() for x in str(error).splitlines()]
    causes = [x for x in lines if "Exception" in x]
    return (" | ".join(causes[-3:]) or f"{type(error).__name__}: {error}")[:700]


def main() -> None:
    from pyflink.table import EnvironmentSettings, TableEnvironment

    wanted = set(json.loads(Path(sys.argv[1]).read_text()))
    out = Path(sys.argv[2])
    env = TableEnvironment.create(EnvironmentSettings.in_streaming_mode())
    for key, value in SETTINGS.items():
        env.get_config().set(key, value)
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        for table in tables().values():
            env.execute_sql(table.ddl(write(table, Path(folder)), plain=True))
        for name, text in VIEWS.items():
            env.execute_sql(f"CREATE VIEW {name} AS {text}")
        began = time.monotonic()
        asked = [q for q in queries() if q.name in wanted and not q.not_flink]
        for i, query in enumerate(asked):
            try:
                found[query.name] = ask(env, query)
            except Exception as error:
                found[query.name] = {"error": reason(error)}
                print(query.name, found[query.name]["error"], flush=True)
            if i % 20 == 19:
                out.write_text(json.dumps(found))
                print(f"{i + 1} of {len(asked)}, {time.monotonic() - began:.0f} s", flush=True)
    out.write_text(json.dumps(found))


if __name__ == "__main__":
    main()
