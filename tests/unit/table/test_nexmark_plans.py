"""The 23 queries of Nexmark are bound and explained, with Flink's changelog modes."""

import pytest
from sql_plans import NEXMARK

from lesto.client.table.plan.logical import walk

INSERTS = "I"
UPSERT = "I,UB,UA"
RETRACT = "I,UB,UA,D"
#: Query, what it gives, nodes that make it what it is.
QUERIES = {
    0: (INSERTS, ["Scan", "Watermark", "Filter", "Project"]),
    1: (INSERTS, ["Project"]),
    2: (INSERTS, ["Filter"]),
    3: (INSERTS, ["Join"]),
    4: (RETRACT, ["Join", "Aggregate"]),
    5: (INSERTS, ["WindowAggregate", "WindowJoin"]),
    6: (RETRACT, ["Join", "Rank", "Over"]),
    7: (INSERTS, ["WindowAggregate", "Join"]),
    8: (INSERTS, ["WindowAggregate", "WindowJoin"]),
    9: (RETRACT, ["Join", "Rank"]),
    10: (INSERTS, ["Project"]),
    11: (INSERTS, ["WindowAggregate"]),
    12: (INSERTS, ["WindowAggregate"]),
    13: (INSERTS, ["LookupJoin"]),
    14: (INSERTS, ["Filter"]),
    15: (UPSERT, ["Aggregate"]),
    16: (UPSERT, ["Aggregate"]),
    17: (UPSERT, ["Aggregate"]),
    18: (UPSERT, ["Deduplicate"]),
    19: (RETRACT, ["Rank"]),
    20: (INSERTS, ["Join"]),
    21: (INSERTS, ["Filter"]),
    22: (INSERTS, ["Project"]),
}


@pytest.mark.parametrize("number", QUERIES)
def test_query(nexmark, number):
    text = (NEXMARK / f"q{number}.sql").read_text()
    plan = nexmark.query(text)
    mode, nodes = QUERIES[number]
    assert plan.changes.text(plan.root) == f"[{mode}]"
    names = {type(n).__name__ for n in walk(plan.root)}
    assert set(nodes) <= names
    assert "WindowTvf" not in names
    assert (
        plan.root.schema == plan.syntax.schema or plan.root.schema.types == plan.syntax.schema.types
    )
    assert f"changelogMode=[{mode}]" in nexmark.explain(text)


def test_columns_of_the_scan_are_what_is_needed(nexmark):
    plan = nexmark.query("SELECT id FROM person")
    scan = next(n for n in walk(plan.root) if type(n).__name__ == "Scan")
    assert "event_type" in scan.schema.names
