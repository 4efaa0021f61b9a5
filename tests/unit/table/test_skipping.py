"""What a source may leave out, and what is known of the rows that stay."""

import pytest
from sql_plans import NEXMARK, planner_of

from lesto.client.table.plan.logical import Filter, Project, Scan, Watermark, walk

ORDERS = """
CREATE TABLE orders (kind INT, amount BIGINT, at TIMESTAMP(3),
                     WATERMARK FOR at AS at - INTERVAL '1' SECOND)
WITH ('connector' = 'datagen')
"""


def nodes(planner, query, of):
    return [n for n in walk(planner.query(query).root) if isinstance(n, of)]


def test_conditions_on_kinds_of_events_go_below_the_watermarks(nexmark):
    (scan,) = nodes(nexmark, "SELECT price FROM bid WHERE price > 5", Scan)
    assert [str(e) for e in scan.filters] == ["=(event_type, 2)"]
    above = nodes(nexmark, "SELECT price FROM bid WHERE price > 5", Filter)
    assert ["price" in str(f.condition) for f in above] == [True, False]
    (marks,) = nodes(nexmark, "SELECT price FROM bid WHERE price > 5", Watermark)
    assert isinstance(marks.input, Project)
    assert isinstance(marks.input.input, Filter)


def test_other_sources_give_their_watermarks_of_all_rows():
    planner = planner_of(ORDERS)
    (scan,) = nodes(planner, "SELECT amount FROM orders WHERE kind = 1", Scan)
    assert scan.filters == ()
    (marks,) = nodes(planner, "SELECT amount FROM orders WHERE kind = 1", Watermark)
    assert isinstance(marks.input, Scan)


def test_readers_of_several_kinds_share_a_scan_of_these(nexmark):
    query = (NEXMARK / "q3.sql").read_text()
    scans = set(nodes(nexmark, query, Scan))
    assert len(scans) == 1
    assert [str(e) for e in scans.pop().filters] == ["OR(=(event_type, 1), =(event_type, 0))"]
    both = "SELECT auction FROM bid UNION ALL SELECT event_type FROM events"
    assert [s.filters for s in set(nodes(nexmark, both, Scan))] == [()]


def test_a_column_of_one_value_is_not_asked_for(nexmark):
    (scan,) = nodes(nexmark, "SELECT price, `dateTime` FROM bid", Scan)
    assert scan.schema.names == ("event_type", "bid")
    (first,) = [
        n for n in nodes(nexmark, "SELECT `dateTime` FROM bid", Project) if n.input is not scan
    ]
    assert "CASE" not in first.detail


@pytest.mark.parametrize(
    ("condition", "text"),
    [
        ("kind = 1", "'one'"),
        ("1 = kind AND amount > 3", "'one'"),
        ("kind = 1 OR amount = 1", "CASE"),
        ("kind <> 1", "CASE"),
        ("kind IS NULL", "CASE"),
    ],
)
def test_what_is_known_of_a_column(condition, text):
    planner = planner_of(ORDERS)
    query = (
        "SELECT kind, CASE kind WHEN 1 THEN 'one' WHEN 2 THEN 'two' END"
        f" FROM orders WHERE {condition}"
    )
    (project,) = nodes(planner, query, Project)
    assert text in project.detail
    assert project.detail.startswith("select=[kind")
