"""Ranks, OVER, sorting and table functions from the query's text to its rows."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from lesto.client.datastream.environment import StreamExecutionEnvironment
from lesto.client.table.errors import ChangelogError, InvalidQueryError, UnsupportedSqlError
from lesto.client.table.plan.physical.translator import Translator
from lesto.sql.settings import SqlSettings
from tests.support.sql_runner import ChangelogTable, final, planner_over, run_sql


def at(second: int) -> datetime:
    return datetime(2024, 1, 1, 0, 0, second)  # noqa: DTZ001 - a TIMESTAMP without zone


BIDS = ChangelogTable(
    "a INT, b STRING, price BIGINT, tags ARRAY<STRING>, ts TIMESTAMP(3), p AS PROCTIME(),"
    " WATERMARK FOR ts AS ts - INTERVAL '2' SECOND",
    pa.table(
        {
            "a": [1, 1, 2, 1, 2, 1],
            "b": ["x", "y", "x", "z", "y", "x"],
            "price": [5, 7, 3, 6, 9, 7],
            "tags": [["k", "l"], [], None, ["m"], ["k"], ["n"]],
            "ts": [at(1), at(2), at(3), at(3), at(5), at(4)],
        }
    ),
    steps=[2, 4],
)
#: Scores by name, with updates.
SCORES = ChangelogTable(
    "name STRING, score INT, PRIMARY KEY (name) NOT ENFORCED",
    pa.table(
        {
            "name": ["x", "y", "z", "x", "y", "z", "w"],
            "score": [1, 2, 3, 5, 0, 3, 4],
        }
    ),
    kinds=np.array([0, 0, 0, 2, 2, 3, 0], np.int8),
    steps=[2, 4, 6],
)
TABLES = {"bids": BIDS, "scores": SCORES}


def rows(query: str, **how: Any) -> list[Any]:
    """What remains, sorted."""
    return sorted((eval(r) for r in final(run_sql(TABLES, query, **how)).elements()), key=repr)


@pytest.mark.parametrize("batch", [False, True])
def test_ranks(batch: bool) -> None:
    query = (
        "SELECT a, b, price, n FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY a ORDER BY"
        " price DESC, ts) AS n FROM bids) WHERE n <= 2"
    )
    found = rows(query, batch=batch, parallelism=1 if batch else 2)
    assert found == [(1, "x", 7, 2), (1, "y", 7, 1), (2, "x", 3, 2), (2, "y", 9, 1)]
    first = (
        "SELECT a, b FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY a ORDER BY ts DESC) AS n"
        " FROM bids) WHERE n = 1"
    )
    assert rows(first, batch=batch) == [(1, "x"), (2, "y")]


def test_upserts_are_completed_for_a_top_n() -> None:
    query = "SELECT name, score FROM scores ORDER BY score DESC LIMIT 2"
    assert rows(query) == [("w", 4), ("x", 5)]
    over = (
        "SELECT name, SUM(score) OVER (ORDER BY score ROWS BETWEEN 1 PRECEDING AND CURRENT ROW)"
        " FROM scores"
    )
    assert rows(over) == [("w", 4), ("x", 9), ("y", 0)]


def test_rank_of_each_change_of_a_group() -> None:
    query = (
        "SELECT b, n, r FROM (SELECT b, n, RANK() OVER (ORDER BY n DESC) AS r FROM"
        " (SELECT b, COUNT(*) AS n FROM bids GROUP BY b)) WHERE r <= 2"
    )
    assert rows(query) == [("x", 3, 1), ("y", 2, 2)]


@pytest.mark.parametrize("batch", [False, True])
def test_over_and_sort(batch: bool) -> None:
    query = (
        "SELECT a, price, SUM(price) OVER w, LAG(price) OVER w FROM bids"
        " WINDOW w AS (PARTITION BY a ORDER BY ts) ORDER BY a, price"
    )
    if not batch:
        query = query.replace(" ORDER BY a, price", "")
    found = run_sql(TABLES, query, batch=batch)
    expected = [(1, 5, 5, None), (1, 6, 18, 7), (1, 7, 12, 5), (1, 7, 25, 6), (2, 3, 3, None)]
    assert sorted(r for _, r in found if r[:2] != (2, 9))[:5] == expected
    if batch:
        assert [r[1] for _, r in found] == [5, 6, 7, 7, 3, 9]
    sorted_ = run_sql(TABLES, "SELECT a, price FROM bids ORDER BY ts, price DESC", batch=batch)
    assert [r[1] for _, r in sorted_] == [5, 7, 6, 3, 7, 9]
    some = run_sql(TABLES, "SELECT a, price FROM bids ORDER BY ts LIMIT 2 OFFSET 1", batch=batch)
    assert len(some) == 2


def test_unnest() -> None:
    query = "SELECT a, t FROM bids CROSS JOIN UNNEST(tags) AS u (t)"
    assert rows(query) == [(1, "k"), (1, "l"), (1, "m"), (1, "n"), (2, "k")]
    left = "SELECT a, t FROM bids LEFT JOIN UNNEST(tags) AS u (t) ON TRUE WHERE price < 4"
    assert rows(left) == [(2, None)]


def translated(query: str) -> None:
    planner = planner_over(TABLES)
    plan = planner.query(query)
    env = StreamExecutionEnvironment.get_execution_environment()
    Translator(env, SqlSettings()).add_plan(plan)


@pytest.mark.parametrize(
    ("query", "error", "text"),
    [
        (
            "SELECT LEAD(price) OVER (ORDER BY ts) FROM bids",
            UnsupportedSqlError,
            "LEAD needs rows that follow",
        ),
        (
            "SELECT NTILE(2) OVER (ORDER BY ts) FROM bids",
            UnsupportedSqlError,
            "NTILE needs rows that follow",
        ),
        (
            "SELECT SUM(price) OVER (ORDER BY ts DESC) FROM bids",
            InvalidQueryError,
            "descending time",
        ),
        (
            "SELECT * FROM (SELECT a, ROW_NUMBER() OVER (ORDER BY tags) AS n FROM bids)"
            " WHERE n < 3",
            UnsupportedSqlError,
            "tags is ARRAY<STRING>, which has no order",
        ),
        (
            "SELECT COUNT(*) OVER (PARTITION BY tags ORDER BY ts) FROM bids",
            UnsupportedSqlError,
            "tags is ARRAY<STRING>, which cannot be a key",
        ),
        (
            "SELECT COUNT(DISTINCT tags) OVER (ORDER BY ts) FROM bids",
            UnsupportedSqlError,
            "which cannot be a key",
        ),
    ],
)
def test_what_cannot_be_is_named(query: str, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        translated(query)


def test_a_sort_by_time_takes_inserts_alone() -> None:
    query = (
        "SELECT b, ts FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY a ORDER BY ts DESC) AS n"
        " FROM bids) WHERE n = 1 ORDER BY ts"
    )
    with pytest.raises(ChangelogError, match="takes inserts alone"):
        translated(query)
