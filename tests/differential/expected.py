"""Kept answers: the rows that each query must leave, by real Flink where it was asked.

``python -m tests.differential.expected`` (scripts/make-sql-expected) makes them anew:

    --flink       ask real Flink all queries (build/peers/pyflink), ten minutes
    --missing     ask it those alone that have no answer of it, or were changed
    --compare     write nothing, only say where the oracles differ
"""

from __future__ import annotations

import decimal
import hashlib
import json
import re
import subprocess
import sys
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

from lesto.sql.type_parser import parse_type
from lesto.sql.types import SqlType, TypeRoot
from tests.differential.corpus import VIEWS, Query, queries
from tests.differential.data import fingerprint
from tests.differential.rows import counted, difference

ROOT = Path(__file__).resolve().parents[2]
FOLDER = Path(__file__).parent / "expected"
PYTHON = ROOT / "build/peers/pyflink/bin/python"
ANSWERS = ROOT / "build/sql-flink-answers.json"
FLINK_TIMEOUT_S = 3600


@cache
def group(name: str) -> dict[str, Any]:
    """What is kept of a file of queries."""
    path = FOLDER / f"{name}.json"
    return json.loads(path.read_text("utf-8")) if path.exists() else {"queries": {}}


def entry(query: Query) -> dict[str, Any]:
    """What is kept of a query: columns, kinds, rows, oracles."""
    return group(query.group)["queries"].get(query.name, {})


def signature(query: Query) -> str:
    """Changes when a query or what it reads does."""
    views = [VIEWS[v] for v in sorted(VIEWS) if v in query.text]
    said = "\n".join(
        (" ".join(query.text.split()), *views, query.zone, fingerprint(frozenset(query.tables)))
    )
    return hashlib.sha256(said.encode()).hexdigest()[:12]


def typed(value: Any, kind: SqlType) -> Any:
    """A value of DuckDB as Flink's type has it."""
    if value is None:
        return None
    match kind.root:
        case TypeRoot.DECIMAL:
            unit = decimal.Decimal(1).scaleb(-kind.scale)
            with decimal.localcontext(decimal.Context(prec=60)):
                return decimal.Decimal(str(value)).quantize(unit, decimal.ROUND_HALF_UP)
        case TypeRoot.DOUBLE | TypeRoot.FLOAT:
            return float(value)
        case TypeRoot.TINYINT | TypeRoot.SMALLINT | TypeRoot.INTEGER | TypeRoot.BIGINT:
            assert int(value) == value, f"{value} for {kind}"
            return int(value)
        case TypeRoot.ARRAY:
            return [typed(v, kind.children[0]) for v in value]
        case TypeRoot.ROW:
            return [typed(v, k) for v, k in zip(value, kind.children, strict=True)]
        case _:
            return value


def typed_rows(rows: Iterable[Any], columns: list[list[str]]) -> list[list[Any]]:
    """Rows of DuckDB as Flink's types have them."""
    kinds = [parse_type(plain_type(kind)) for _, kind in columns]
    return [[typed(v, k) for v, k in zip(row, kinds, strict=True)] for row in rows]


def plain_type(text: str) -> str:
    """A type's text without what does not matter here.

    Flink marks what it computes of time attributes as such, and types constant texts by length.
    """
    text = re.sub(r" \*\w+\*", "", text).removesuffix(" NOT NULL")
    return re.sub(r"\b(VAR)?CHAR\(\d+\)", "STRING", text)


def planned_columns(query: Query) -> list[list[str]]:
    """Names and types as Lesto plans them."""
    from tests.differential.running import planner

    schema = planner().query(query.text).root.schema
    return [[c.name, str(c.type)] for c in schema]


def made(flink: dict[str, Any]) -> tuple[dict[str, dict[str, Any]], dict[str, str]]:
    """Entries of all queries, and what is wrong, by query."""
    from tests.differential import duck

    db = duck.connection()
    entries, wrong = {}, {}
    for query in queries():
        by_flink = flink.get(query.name, {})
        if query.not_flink:
            by_flink = {}
        elif "rows" not in by_flink:
            wrong[query.name] = f"Flink: {by_flink.get('error', 'not asked')}"
            continue
        columns = by_flink.get("columns") or planned_columns(query)
        rows = counted(typed_rows(duck.answer(db, query), columns))
        if by_flink:
            from collections import Counter

            said = difference(Counter(by_flink["rows"]), rows)
            if said and not query.differs:
                wrong[query.name] = f"DuckDB differs from Flink: {said}"
            kept = by_flink["rows"]
        else:
            kept = sorted(rows.elements())
        entries[query.name] = {
            "signature": signature(query),
            "oracles": ["flink"] * bool(by_flink) + ["duckdb"] * (not query.differs),
            "columns": columns,
            "kinds": by_flink.get("kinds", []),
            "rows": kept,
        }
    return entries, wrong


def write(entries: dict[str, dict[str, Any]]) -> None:
    """A file for each file of queries, a line for each row."""
    for name in sorted({q.group for q in queries()}):
        parts = []
        for query in queries():
            if query.group != name or query.name not in entries:
                continue
            found = dict(entries[query.name])
            rows = ",\n".join(found.pop("rows"))
            head = json.dumps(found, ensure_ascii=False)[:-1]
            parts.append(f'"{query.name}": {head}, "rows": [\n{rows}\n]}}')
        body = ",\n".join(parts)
        text = f'{{"flink": "2.3.0", "queries": {{\n{body}\n}}}}\n'
        json.loads(text)
        (FOLDER / f"{name}.json").write_text(text, "utf-8")


def ask_flink(names: list[str]) -> dict[str, Any]:
    """Real Flink's answers."""
    asked = ROOT / "build/sql-flink-asked.json"
    asked.write_text(json.dumps(names))
    subprocess.run(
        [PYTHON, "-P", Path(__file__).with_name("flink.py"), asked, ANSWERS],
        check=True, timeout=FLINK_TIMEOUT_S,
    )  # fmt: skip
    return json.loads(ANSWERS.read_text("utf-8"))


def kept_answers() -> dict[str, Any]:
    """Answers of Flink that are kept and still of today's queries."""
    found = {}
    for query in queries():
        old = entry(query)
        if old.get("signature") == signature(query) and "flink" in old["oracles"]:
            rows = [json.dumps(r, ensure_ascii=False, separators=(",", ":")) for r in old["rows"]]
            found[query.name] = {**old, "rows": rows}
    return found


def main() -> int:
    answers = {} if "--flink" in sys.argv else kept_answers()
    if "--flink" in sys.argv or "--missing" in sys.argv:
        if not PYTHON.exists():
            print("no PyFlink in build/peers/pyflink: run benchmarks/peers/setup")
            return 2
        names = [q.name for q in queries() if not q.not_flink and q.name not in answers]
        answers |= ask_flink(names) if names else {}
    entries, wrong = made(answers)
    for name, said in wrong.items():
        print(f"{name}: {said}")
    if "--compare" not in sys.argv:
        write(entries)
    print(f"{len(entries)} of {len(queries())} queries have rows, {len(wrong)} are open")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
