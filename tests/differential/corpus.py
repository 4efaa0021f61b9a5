"""The queries of the differential suite: ``queries/*.sql``.

A query starts with ``--# name | tags`` and is Flink's SQL. What follows ``--= duckdb`` is asked of
DuckDB instead, where its dialect or its answer differs; ``--= flink none: reason`` says that real
Flink is not asked; ``--= differs: reason`` that DuckDB cannot be made to agree, and why Flink's
rows are the truth.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

QUERIES = Path(__file__).parent / "queries"
ZONE = "Europe/Berlin"

#: What several queries read, as in any engine but DuckDB.
VIEWS = {
    "tumbled_orders": """
        SELECT window_time AS t, COUNT(*) AS n
        FROM TABLE(TUMBLE(TABLE orders, DESCRIPTOR(ts), INTERVAL '10' MINUTE))
        GROUP BY window_start, window_end, window_time""",
    "order_payments": """
        SELECT o.id, o.amount, o.ts FROM orders AS o JOIN payments AS p
        ON o.id = p.order_id AND p.ts BETWEEN o.ts AND o.ts + INTERVAL '10' MINUTE""",
    "rated_deals": """
        SELECT d.id, d.amount, r.rate, d.ts FROM deals AS d
        JOIN rates FOR SYSTEM_TIME AS OF d.ts AS r ON d.currency = r.currency""",
}


@dataclass(frozen=True)
class Query:
    """A query.

    Attributes:
        text: Flink's SQL.
        duckdb: DuckDB's, empty if the same text does.
        not_flink: why real Flink is not asked; empty if it is.
        differs: why DuckDB's rows are not Flink's; empty if they are.
    """

    name: str
    group: str
    tags: tuple[str, ...]
    text: str
    duckdb: str = ""
    not_flink: str = ""
    differs: str = ""

    def __str__(self) -> str:
        return self.name

    @property
    def zone(self) -> str:
        """The session's time zone."""
        return ZONE if "zone" in self.tags else "UTC"

    @property
    def changing(self) -> bool:
        """Whether it reads a table of changes, which batch mode cannot."""
        from tests.differential.data import I, tables

        return any(tables()[t].kinds != (I,) for t in self.tables & set(tables()))

    @property
    def options(self) -> dict[str, str]:
        """Of the job: who is late is certain only where watermarks do not wait with rows."""
        return {"execution.buffer-timeout.interval": "0 ms"} if "late" in self.tags else {}

    @property
    def tables(self) -> set[str]:
        """Names of tables and views in the text."""
        from tests.differential.data import tables

        words = set(re.findall(r"\w+", self.text))
        known = {*tables(), *VIEWS, "looked"}
        found = words & known
        for view in found & VIEWS.keys():
            found |= set(re.findall(r"\w+", VIEWS[view])) & known
        return found


def _parsed(group: str, block: str) -> Query:
    head, _, body = block.partition("\n")
    name, _, tags = head.partition("|")
    parts = re.split(r"^--= (\w+)(.*)\n", body, flags=re.MULTILINE)
    text, duckdb, not_flink, differs = parts[0].strip(), "", "", ""
    for engine, said, more in zip(parts[1::3], parts[2::3], parts[3::3], strict=True):
        if engine == "duckdb":
            duckdb = more.strip()
        elif engine == "flink" and said.startswith(" none: "):
            not_flink = said.removeprefix(" none: ").strip()
        elif engine == "differs":
            differs = said.removeprefix(": ").strip()
        else:
            raise ValueError(f"{name}: --= {engine}{said}")
    return Query(name.strip(), group, tuple(tags.split()), text, duckdb, not_flink, differs)


@cache
def queries() -> tuple[Query, ...]:
    """All queries, by file."""
    found = []
    for path in sorted(QUERIES.glob("*.sql")):
        blocks = re.split(r"^--# ", path.read_text("utf-8"), flags=re.MULTILINE)[1:]
        found += [_parsed(path.stem, block) for block in blocks]
    names = [q.name for q in found]
    assert len(set(names)) == len(names), [n for n in names if names.count(n) > 1]
    return tuple(found)
