"""The suite's own soundness: what it covers, and that its oracles still say what is kept."""

import pytest

from tests.differential import duck
from tests.differential.corpus import queries
from tests.differential.data import ALL_KINDS, UPSERT, I, tables
from tests.differential.expected import entry, plain_type, signature, typed_rows
from tests.differential.rows import counted, difference
from tests.differential.running import planner, wanted

QUERIES_LEAST = 300
BY_FLINK_LEAST = 300
#: Every feature, and what each must at least have of queries.
FEATURES = {
    "project": 5, "filter": 10, "cte": 3, "values": 3, "functions": 10, "nested": 5, "unicode": 2,
    "group": 50, "distinct": 10, "filter_clause": 4, "grouping_sets": 5, "having": 5, "minmax": 5,
    "join": 50, "outer": 20, "semi": 10, "anti": 6, "subquery": 20, "scalar": 6, "correlated": 6,
    "interval_join": 10, "temporal_join": 5, "lookup_join": 3, "setop": 15, "unnest": 8,
    "lateral": 3, "window": 40, "tumble": 15, "hop": 6, "cumulate": 4, "session": 5, "legacy": 4,
    "zone": 4, "over": 15, "top_n": 15, "dedup": 8, "sort": 5, "limit": 8, "retract": 60,
    "upsert": 10, "stacked": 50, "late": 6, "ties": 4, "nulls": 8, "streaming": 1,
}  # fmt: skip


def test_the_suite_covers_what_it_is_for():
    assert len(queries()) >= QUERIES_LEAST
    found = [tag for q in queries() for tag in q.tags]
    assert set(found) == set(FEATURES), set(found) ^ set(FEATURES)
    assert not {tag: found.count(tag) for tag, n in FEATURES.items() if found.count(tag) < n}
    deep = [q for q in queries() if q.name.startswith("deep_")]
    assert len(deep) >= 20
    assert sum("flink" in entry(q)["oracles"] for q in queries()) >= BY_FLINK_LEAST
    assert all(q.not_flink or "flink" in entry(q)["oracles"] for q in queries())
    assert all(q.differs or "duckdb" in entry(q)["oracles"] for q in queries())


def test_the_tables_have_what_the_suite_is_for():
    kinds = {t.kinds for t in tables().values()}
    assert kinds == {(I,), ALL_KINDS, UPSERT}
    for table in tables().values():
        rows = [row for step in table.steps for _, row in step]
        for i, (name, kind) in enumerate(table.columns):
            if not kind.endswith("NOT NULL"):
                assert any(row[i] is None for row in rows), f"no NULL in {table.name}.{name}"
        if table.watermark:
            at = table.names.index(table.watermark[0])
            times = [row[at] for row in rows]
            assert times != sorted(times), f"{table.name} is in order"


@pytest.mark.parametrize("group", sorted({q.group for q in queries()}))
def test_kept_rows_are_of_todays_queries_and_tables(group):
    stale = [
        q.name for q in queries() if q.group == group and entry(q)["signature"] != signature(q)
    ]
    assert not stale, f"run scripts/make-sql-expected --missing for {stale}"


def test_duckdb_says_what_is_kept():
    db, wrong = duck.connection(), {}
    for query in queries():
        if "duckdb" in entry(query)["oracles"]:
            rows = counted(typed_rows(duck.answer(db, query), entry(query)["columns"]))
            if said := difference(wanted(query), rows):
                wrong[query.name] = said
    assert not wrong


def test_lesto_plans_the_columns_that_flink_gives():
    made, wrong = planner(), {}
    for query in queries():
        if "flink" not in entry(query)["oracles"]:
            continue
        schema = made.query(query.text).root.schema
        planned = [[c.name, plain_type(str(c.type))] for c in schema]
        flink = [[name, plain_type(kind)] for name, kind in entry(query)["columns"]]
        if planned != flink:
            wrong[query.name] = [
                pair for pair in zip(planned, flink, strict=False) if pair[0] != pair[1]
            ]
    assert not wrong
