"""Joins and set operations in SQL text, planned and run."""

from collections import Counter
from datetime import datetime, timedelta
from decimal import Decimal

import pyarrow as pa
import pytest
import sql_runner
from sql_runner import ChangelogTable, final, run_sql

from lesto.client.table.errors import UnsupportedSqlError
from lesto.client.table.sql.dialect import parse_statement

T0 = datetime(2024, 1, 1)  # noqa: DTZ001 - a TIMESTAMP without zone


def at(*seconds):
    return [T0 + timedelta(seconds=s) for s in seconds]


A = ChangelogTable(
    "id BIGINT, x STRING, d DECIMAL(10, 2)",
    pa.table(
        {
            "id": [1, 2, 2, 3, None, 3, 1, 1],
            "x": ["a", "b", "b", "c", "n", "c", "a", "a2"],
            "d": [Decimal(v) for v in ("1.50", "2", "2", "3", "9", "3", "1.50", "1.25")],
        }
    ),
    kinds=[0, 0, 0, 0, 0, 3, 1, 2],
)
B = ChangelogTable(
    "k BIGINT, y STRING, e DECIMAL(12, 4)",
    pa.table(
        {
            "k": [1, 1, 2, 4, None, 4, 4],
            "y": ["A", "a2", "B", "D", "N", "D", "E"],
            "e": [Decimal(v) for v in ("1.2500", "2", "2.0000", "4", "9", "4", "5")],
        }
    ),
    kinds=[0, 0, 0, 0, 0, 1, 2],
    steps=[3],
)
TABLES = {"a": A, "b": B}


def rows(found):
    final(found)  # nothing goes that is not there
    bag = Counter()
    for kind, row in found:
        bag[row] += 1 if kind in {"+I", "+U"} else -1
    return +bag


def ids(found):
    return sorted(rows(found).elements(), key=repr)


#: By name: two texts, a query of them, and its rows.
QUERIES = {
    "outer": (
        ("CAST(id AS STRING)", "y", "a FULL JOIN b ON a.id = b.k"),
        [("1", "A"), ("1", "a2"), ("2", "B"), ("2", "B"), (None, None), (None, "N"), (None, "E")],
    ),
    "decimals of several scales": (
        ("x", "y", "a JOIN b ON a.d = b.e"),
        [("a2", "A"), *[("b", "B"), ("b", "a2")] * 2, ("n", "N")],
    ),
    "decimals and another key": (
        ("x", "y", "a JOIN b ON a.d = b.e AND a.id = b.k"),
        [("a2", "A"), ("b", "B"), ("b", "B")],
    ),
    "one column twice": (
        ("x", "y", "a JOIN b ON a.x = b.y AND a.x = LOWER(b.y) AND a.id = b.k"),
        [("a2", "a2")],
    ),
    "no key": (
        ("CAST(id AS STRING)", "CAST(k AS STRING)", "a JOIN b ON a.id < b.k"),
        [("1", "2"), ("1", "4"), ("2", "4"), ("2", "4")],
    ),
    "no columns": (
        ("'n'", "CAST(n AS STRING)", "(SELECT COUNT(*) AS n FROM a CROSS JOIN (SELECT 1 FROM b))"),
        [("n", "20")],
    ),
    "rows as keys": (
        ("x", "y", "a JOIN b ON ROW(id, x) = ROW(k, y)"),
        [("a2", "a2")],
    ),
    "in": (("x", "''", "a WHERE id IN (SELECT k FROM b)"), [("a2", ""), ("b", ""), ("b", "")]),
    "exists": (
        ("x", "''", "a WHERE EXISTS (SELECT 1 FROM b WHERE b.k = a.id AND b.y >= a.x)"),
        [("a2", "")],
    ),
    "not exists": (
        ("x", "''", "a WHERE NOT EXISTS (SELECT 1 FROM b WHERE b.k = a.id)"),
        [("n", "")],
    ),
    "not in with NULL": (("x", "''", "a WHERE id NOT IN (SELECT k FROM b)"), []),
    "not in": (("x", "''", "a WHERE id NOT IN (SELECT k FROM b WHERE k > 1)"), [("a2", "")]),
    "not in nothing": (
        ("x", "''", "a WHERE id NOT IN (SELECT k FROM b WHERE k > 100)"),
        [("a2", ""), ("b", ""), ("b", ""), ("n", "")],
    ),
    # Each row has its own values: that of "b" is 2, that of "a2" 1, that of "n" NULL.
    "not in what another column chooses": (
        ("x", "''", "a WHERE id NOT IN (SELECT k FROM b WHERE LOWER(y) = a.x)"),
        [],
    ),
    "with itself": (
        ("l.x", "r.x", "a l JOIN a r ON l.id = r.id"),
        [("a2", "a2"), *[("b", "b")] * 4],
    ),
    "except all": (
        ("x", "y", "(SELECT x, x AS y FROM a EXCEPT ALL SELECT y, y FROM b)"),
        [("b", "b"), ("b", "b"), ("n", "n")],
    ),
}


def test_changes():
    texts = [
        f"SELECT '{name}' AS name, {x} AS c1, {y} AS c2 FROM {source}"
        for name, ((x, y, source), _) in QUERIES.items()
    ]
    found = run_sql(TABLES, " UNION ALL ".join(texts), parallelism=2)
    every = rows(found)
    for name, (_, wanted) in QUERIES.items():
        got = Counter({row[1:]: n for row, n in every.items() if row[0] == name})
        assert got == Counter(wanted), name


def test_upserts_meet_by_their_keys():
    users = ChangelogTable(
        "uid BIGINT, name STRING, PRIMARY KEY (uid) NOT ENFORCED",
        pa.table({"uid": [1, 2, 1, 2, 3], "name": ["a", "b", "a2", None, "c"]}),
        kinds=[0, 0, 2, 3, 0],
        steps=[2],
    )
    clicks = ChangelogTable("who BIGINT", pa.table({"who": [1, 1, 2, 3, 2]}), steps=[3])
    query = (
        "SELECT name, n FROM users LEFT JOIN"
        " (SELECT who, COUNT(*) AS n FROM clicks GROUP BY who) ON uid = who"
    )
    found = run_sql({"users": users, "clicks": clicks}, query, parallelism=2)
    assert ids(found) == [("a2", 2), ("c", 1)]


LEFT = ChangelogTable(
    "id BIGINT, ts TIMESTAMP(3), WATERMARK FOR ts AS ts",
    pa.table({"id": [1, 1, 2, 3, None, 1], "ts": at(1, 5, 10, 20, 30, 40)}),
)
RIGHT = ChangelogTable(
    "k BIGINT, v INT, t2 TIMESTAMP(3), WATERMARK FOR t2 AS t2",
    pa.table({"k": [1, 2, 2, 4, None], "v": [1, 2, 3, 4, 5], "t2": at(2, 9, 14, 20, 31)}),
)
BAND = "l.id = r.k AND l.ts BETWEEN r.t2 - INTERVAL '2' SECOND AND r.t2 + INTERVAL '1' SECOND"


def test_interval_joins():
    tables = {"l": LEFT, "r": RIGHT}
    queries = {
        "inner": (f"id, v FROM l JOIN r ON {BAND}", [(1, 1), (2, 2)]),
        "and more": (f"id, v FROM l JOIN r ON {BAND} AND id < v", []),
        "left": (
            f"id, v FROM l LEFT JOIN r ON {BAND}",
            [(1, 1), (1, None), (1, None), (2, 2), (3, None), (None, None)],
        ),
        "anti": (
            f"id, 0 FROM l WHERE NOT EXISTS (SELECT 1 FROM r WHERE {BAND})",
            [(1, 0), (1, 0), (3, 0), (None, 0)],
        ),
    }
    texts = [f"SELECT '{name}', {query}" for name, (query, _) in queries.items()]
    found = run_sql(tables, " UNION ALL ".join(texts), parallelism=2)
    assert {kind for kind, _ in found} == {"+I"}
    for name, (_, wanted) in queries.items():
        got = Counter(row[1:] for _, row in found if row[0] == name)
        assert got == Counter(wanted), name


def test_rows_of_an_interval_join_have_event_time():
    query = (
        f"WITH near AS (SELECT id, ts, v FROM l JOIN r ON {BAND})"
        " SELECT window_end, COUNT(*)"
        " FROM TABLE(TUMBLE(TABLE near, DESCRIPTOR(ts), INTERVAL '10' SECOND))"
        " GROUP BY window_start, window_end"
    )
    found = run_sql({"l": LEFT, "r": RIGHT}, query)
    assert [row for _, row in found] == [(at(10)[0], 1), (at(20)[0], 1)]


def test_temporal_join():
    versions = ChangelogTable(
        "k BIGINT, v INT, t2 TIMESTAMP(3), WATERMARK FOR t2 AS t2, PRIMARY KEY (k) NOT ENFORCED",
        pa.table(
            {
                "k": [1, 1, 2, 3, 3, 1],
                "v": [10, 11, 20, 30, 30, 12],
                "t2": at(2, 4, 9, 14, 20, 31),
            }
        ),
        kinds=[0, 2, 0, 0, 3, 2],
    )
    query = "SELECT id, v FROM l {} r FOR SYSTEM_TIME AS OF l.ts ON l.id = r.k"
    tables = {"l": LEFT, "r": versions}
    assert ids(run_sql(tables, query.format("JOIN"), parallelism=2)) == [(1, 11), (1, 12), (2, 20)]
    assert ids(run_sql(tables, query.format("LEFT JOIN"), parallelism=2)) == [
        (1, 11), (1, 12), (1, None), (2, 20), (3, None), (None, None),
    ]  # fmt: skip


def test_lookup_join_over_files(tmp_path, monkeypatch):
    (tmp_path / "side.csv").write_text("0,zero\n1,one\n2,two\n2,zwei\n")
    plain = sql_runner.planner_over

    def with_side(tables, **how):
        planner = plain(tables, **how)
        parsed = parse_statement(
            "CREATE TABLE side (k BIGINT, v STRING) WITH ('connector' = 'filesystem',"
            f" 'path' = '{tmp_path}', 'format' = 'csv')"
        )
        table = planner.table(parsed.statement, parsed.text)
        planner.catalogs.create(parsed.statement.name, table)
        return planner

    monkeypatch.setattr(sql_runner, "planner_over", with_side)
    tables = {
        "a": ChangelogTable("id BIGINT, p AS PROCTIME()", pa.table({"id": [1, 2, 6, None, 7]}))
    }
    query = "SELECT id, v FROM a {} side FOR SYSTEM_TIME AS OF a.p AS s ON MOD(a.id, 3) = s.k"
    found = run_sql(tables, query.format("JOIN"))
    assert [row for _, row in found] == [
        (1, "one"),
        (2, "two"),
        (2, "zwei"),
        (6, "zero"),
        (7, "one"),
    ]
    found = run_sql(tables, query.format("LEFT JOIN") + " AND v <> 'one'")
    assert ids(found) == [(1, None), (2, "two"), (2, "zwei"), (6, "zero"), (7, None), (None, None)]
    with pytest.raises(UnsupportedSqlError, match="equates none of its columns"):
        run_sql(tables, query.format("JOIN").replace("= s.k", "< s.k"))


def test_batch_mode_gives_inserts():
    tables = {
        "i": ChangelogTable("id BIGINT", pa.table({"id": [1, 2, None]})),
        "j": ChangelogTable("k BIGINT, y STRING", pa.table({"k": [1, None], "y": ["A", "N"]})),
    }
    query = (
        "SELECT id, y FROM i LEFT JOIN j ON i.id = j.k"
        " UNION ALL SELECT id, 'not in' FROM i"
        " WHERE id NOT IN (SELECT k FROM j WHERE k IS NOT NULL)"
        " UNION ALL SELECT id, 'except' FROM (SELECT id FROM i EXCEPT SELECT k FROM j)"
    )
    found = run_sql(tables, query, parallelism=2, batch=True)
    assert {kind for kind, _ in found} == {"+I"}
    wanted = [(1, "A"), (2, None), (None, None), (2, "not in"), (2, "except")]
    assert ids(found) == sorted(wanted, key=repr)
