"""Plans and their changelog modes, the refusals, the warnings."""

# ruff: noqa: E501 - a statement reads better on one line

import pytest
from sql_plans import TABLES, planner_of

from lesto.client.table.errors import ChangelogError, InvalidQueryError
from lesto.client.table.plan import logical as p
from lesto.client.table.plan.explain import tree


def nodes(plan, kind):
    return [n for n in p.walk(plan.root) if isinstance(n, kind)]


@pytest.mark.parametrize(
    ("sql", "kind", "mode"),
    [
        ("SELECT price FROM bid", p.Project, "[I]"),
        ("SELECT auction, COUNT(*) FROM bid GROUP BY auction", p.Aggregate, "[I,UB,UA]"),
        ("SELECT DISTINCT auction FROM bid", p.Aggregate, "[I]"),
        (
            "SELECT n, COUNT(*) FROM (SELECT auction, COUNT(*) AS n FROM bid GROUP BY auction) GROUP BY n",
            p.Aggregate,
            "[I,UB,UA,D]",
        ),
        ("SELECT * FROM bid b JOIN auction a ON b.auction = a.id", p.Join, "[I]"),
        ("SELECT * FROM bid b LEFT JOIN auction a ON b.auction = a.id", p.Join, "[I,UB,UA,D]"),
        ("SELECT * FROM bid WHERE auction IN (SELECT id FROM auction)", p.Join, "[I]"),
        ("SELECT * FROM bid WHERE auction NOT IN (SELECT id FROM auction)", p.Join, "[I,D]"),
        (
            "SELECT * FROM bid WHERE NOT EXISTS (SELECT 1 FROM auction a WHERE a.id = bid.auction)",
            p.Join,
            "[I,D]",
        ),
        (
            "SELECT * FROM bid b JOIN auction a ON b.auction = a.id AND b.ts BETWEEN a.ts - INTERVAL '5' MINUTE AND a.ts",
            p.IntervalJoin,
            "[I]",
        ),
        (
            "SELECT * FROM bid b JOIN rates FOR SYSTEM_TIME AS OF b.ts AS r ON b.channel = r.cur",
            p.TemporalJoin,
            "[I]",
        ),
        (
            "SELECT * FROM bid b LEFT JOIN dim FOR SYSTEM_TIME AS OF b.p AS d ON b.auction = d.id",
            p.LookupJoin,
            "[I]",
        ),
        (
            "SELECT * FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY auction ORDER BY price DESC) AS n FROM bid) WHERE n <= 3",
            p.Rank,
            "[I,UB,UA,D]",
        ),
        (
            "SELECT auction FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY auction ORDER BY p) AS n FROM bid) WHERE n = 1",
            p.Deduplicate,
            "[I]",
        ),
        (
            "SELECT auction FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY auction ORDER BY ts DESC) AS n FROM bid) WHERE n = 1",
            p.Deduplicate,
            "[I,UB,UA]",
        ),
        (
            "SELECT auction FROM bid QUALIFY ROW_NUMBER() OVER (PARTITION BY auction ORDER BY ts) < 2",
            p.Deduplicate,
            "[I,UB,UA]",
        ),
        ("SELECT SUM(price) OVER (PARTITION BY auction ORDER BY ts) FROM bid", p.Over, "[I]"),
        ("SELECT auction FROM bid UNION ALL SELECT id FROM auction", p.SetOp, "[I]"),
        ("SELECT auction FROM bid EXCEPT SELECT id FROM auction", p.SetOp, "[I,D]"),
        ("SELECT price FROM bid ORDER BY price DESC LIMIT 3", p.Limit, "[I,UB,UA,D]"),
        ("SELECT price FROM bid LIMIT 3", p.Limit, "[I]"),
        ("SELECT ts FROM bid ORDER BY ts", p.Sort, "[I]"),
        ("SELECT * FROM auction CROSS JOIN UNNEST(tags) AS u (t)", p.Correlate, "[I]"),
        ("SELECT cur, rate FROM rates", p.Scan, "[I,UA,D]"),
        ("VALUES (1), (2)", p.Values, "[I]"),
    ],
)
def test_modes(planner, sql, kind, mode):
    plan = planner.query(sql)
    found = nodes(plan, kind)
    assert found, tree(plan.root, plan.changes)
    expected = "[I,UB,UA,D]" if kind is p.Scan else mode
    assert plan.changes.text(found[0]) == expected


def test_interval_bounds(planner):
    plan = planner.query(
        "SELECT * FROM bid b, auction a WHERE b.auction = a.id"
        " AND b.ts > a.ts - INTERVAL '5' SECOND AND a.ts + INTERVAL '3' SECOND >= b.ts"
    )
    join = nodes(plan, p.IntervalJoin)[0]
    assert (join.lower_ms, join.upper_ms) == (-4999, 3000)


def test_window_join_and_window_top_n(planner):
    window = "TABLE(TUMBLE(TABLE {}, DESCRIPTOR(ts), INTERVAL '1' MINUTE))"
    plan = planner.query(
        f"SELECT l.price FROM {window.format('bid')} l LEFT JOIN {window.format('auction')} r"
        " ON l.auction = r.id AND l.window_start = r.window_start AND l.window_end = r.window_end"
    )
    assert nodes(plan, p.WindowJoin)[0].kind is p.JoinKind.LEFT
    plan = planner.query(
        "SELECT * FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY window_start, window_end"
        f" ORDER BY price DESC) AS n FROM {window.format('bid')}) WHERE n <= 3"
    )
    rank = nodes(plan, p.Rank)[0]
    assert rank.window is not None
    assert plan.changes.text(rank) == "[I]"


@pytest.mark.parametrize("negation", ["", "NOT "])
def test_exists_over_windows_is_a_window_join(planner, negation):
    window = "SELECT * FROM TABLE(TUMBLE(TABLE {}, DESCRIPTOR(ts), INTERVAL '1' MINUTE))"
    plan = planner.query(
        f"SELECT a.price FROM ({window.format('bid')}) AS a WHERE {negation}EXISTS ("
        f"SELECT * FROM ({window.format('auction')}) AS b WHERE a.auction = b.id"
        " AND a.window_start = b.window_start AND a.window_end = b.window_end)"
    )
    join = nodes(plan, p.WindowJoin)[0]
    assert join.kind is (p.JoinKind.ANTI if negation else p.JoinKind.SEMI)
    assert plan.changes.text(join) == "[I]"


def test_grouping_in_windows_counts_its_own_keys(planner):
    plan = planner.query(
        "SELECT GROUPING(auction), GROUPING(bidder, window_end) FROM TABLE(TUMBLE(TABLE bid,"
        " DESCRIPTOR(ts), INTERVAL '1' MINUTE)) GROUP BY window_start, window_end, CUBE (auction,"
        " bidder)"
    )
    node = nodes(plan, p.WindowAggregate)[0]
    assert [[a.value for a in c.args] for c in node.calls] == [[0], [1, -1]]


def test_window_of_a_window(planner):
    plan = planner.query(
        "WITH w AS (SELECT window_time AS t, SUM(price) AS s FROM TABLE(TUMBLE(TABLE bid,"
        " DESCRIPTOR(ts), INTERVAL '1' MINUTE)) GROUP BY window_start, window_end, window_time)"
        " SELECT window_start, SUM(s) FROM TABLE(TUMBLE(TABLE w, DESCRIPTOR(t), INTERVAL '1' HOUR))"
        " GROUP BY window_start, window_end"
    )
    assert [n.window.size_ms for n in nodes(plan, p.WindowAggregate)] == [3_600_000, 60_000]


def test_grouping_sets(planner):
    plan = planner.query(
        "SELECT auction, bidder, COUNT(*) FROM bid GROUP BY GROUPING SETS ((auction, bidder), (auction), ())"
    )
    assert nodes(plan, p.Aggregate)[0].sets == ((0, 1), (0,), ())


def test_filters_go_into_scans_and_columns_are_pruned(planner):
    plan = planner.query("SELECT b FROM (SELECT *, a * 2 AS c FROM plain) WHERE a = 1 + 1")
    scan = nodes(plan, p.Scan)[0]
    assert scan.schema.names == ("a", "b")
    assert [str(f) for f in scan.filters] == ["=(a, 2)"]


def test_filters_do_not_go_below_watermarks(planner):
    assert nodes(planner.query("SELECT price FROM bid WHERE price > 1"), p.Scan)[0].filters == ()


def test_what_joins_equate_becomes_columns(planner):
    plan = planner.query("SELECT x.b FROM plain x JOIN auction y ON x.a = y.id")
    join = nodes(plan, p.Join)[0]
    pairs, rest = p.equi_keys(join.condition, len(join.left.schema))
    assert len(pairs) == 1
    assert rest == []


def test_correlated_count_is_zero_where_there_is_none(planner):
    plan = planner.query(
        "SELECT (SELECT COUNT(*) FROM bid b WHERE b.auction = a.id) AS n FROM auction a"
    )
    assert "COALESCE" in tree(plan.root)


def test_updates_without_before_where_keys_are_unique(planner):
    plan = planner.query(
        "SELECT * FROM (SELECT auction, MAX(price) AS m FROM bid GROUP BY auction) x"
        " JOIN (SELECT seller, COUNT(*) AS n FROM auction GROUP BY seller) y ON x.auction = y.seller"
    )
    assert {plan.changes.text(n) for n in nodes(plan, p.Aggregate)} == {"[I,UA]"}


def test_sinks(planner):
    query = "SELECT auction, COUNT(*) AS n FROM bid GROUP BY auction"
    plan = planner.query(f"INSERT INTO upserted {query}")
    assert plan.changes.text(plan.root) == "[I,UA]"
    assert not plan.changes.materialized
    plan = planner.query(f"INSERT INTO printed {query}")
    assert plan.changes.text(plan.root) == "[I,UB,UA]"
    other = "SELECT n, auction FROM (SELECT auction, COUNT(*) AS n FROM bid GROUP BY auction)"
    assert planner.query(f"INSERT INTO upserted {other}").changes.materialized
    with pytest.raises(ChangelogError) as caught:
        planner.query(f"INSERT INTO kafka_out {query}")
    text = str(caught.value)
    assert "kafka_out (connector kafka) takes inserts alone" in text
    assert "Aggregate(groupBy=[auction]" in text
    assert "aggregate by windows" in text


def test_refused_changes(planner):
    with pytest.raises(ChangelogError) as caught:
        planner.query("SELECT r.rate FROM rates r JOIN auction a ON r.ts = a.ts")
    assert "IntervalJoin" in str(caught.value)
    assert "cannot take the updates and deletes that Scan(table=[" in str(caught.value)


def test_sort_of_a_stream(planner):
    with pytest.raises(InvalidQueryError, match="a stream: it has no last row"):
        planner.query("SELECT price FROM bid ORDER BY price")


def test_warnings(planner):
    plan = planner.query("SELECT * FROM bid b JOIN auction a ON b.auction = a.id")
    assert "keeps all rows of both sides" in plan.changes.warnings[0]
    assert planner.query("SELECT price FROM bid").changes.warnings == []


def test_explain(planner):
    text = planner.explain(
        "EXPLAIN CHANGELOG_MODE INSERT INTO upserted SELECT auction, COUNT(*) FROM bid GROUP BY auction"
    )
    assert "== Abstract Syntax Tree ==" in text
    assert "changelogMode=[I,UA])\n" in text
    assert "== Warnings ==" in text
    both = planner.explain(
        "EXPLAIN STATEMENT SET BEGIN INSERT INTO printed SELECT auction, price FROM bid;"
        " INSERT INTO kafka_out SELECT auction, price FROM bid; END"
    )
    assert both.count("Sink(") == 4


def test_upserts_are_completed_where_the_old_row_is_wanted(planner):
    text = planner.explain("SELECT cur FROM rates WHERE rate > 1")
    assert "changelogNormalize=[true]" in text
    plan = planner.query(
        "SELECT * FROM bid b JOIN rates FOR SYSTEM_TIME AS OF b.ts AS r ON b.channel = r.cur"
    )
    assert not plan.changes.normalized


def test_updates_come_with_before_where_a_row_may_change_its_subtask(planner):
    # (auction, bidder) is the key, and the join's columns are more, or fewer.
    for on in ("x.auction = a.seller AND x.m = a.id", "x.m = a.id"):
        plan = planner.query(
            "SELECT * FROM (SELECT auction, MAX(price) AS m FROM bid GROUP BY auction) x"
            f" JOIN auction a ON {on}"
        )
        assert {plan.changes.text(n) for n in nodes(plan, p.Aggregate)} == {"[I,UB,UA]"}
    # One row an auction, which meets one seller: by m rows of an auction move between subtasks.
    query = (
        "INSERT INTO upserted SELECT x.auction, y.n"
        " FROM (SELECT auction, MAX(price) AS m FROM bid GROUP BY auction) x"
        " JOIN (SELECT seller, COUNT(*) AS n FROM auction GROUP BY seller) y ON x.{} = y.seller"
    )
    assert planner.query(query.format("m")).changes.materialized
    assert not planner.query(query.format("auction")).changes.materialized


def test_a_sink_by_more_columns_than_the_unique_key_gets_what_was_before(planner):
    planner = planner_of(
        TABLES + "CREATE TABLE wide (a BIGINT, n BIGINT, PRIMARY KEY (a, n) NOT ENFORCED)"
        " WITH ('connector' = 'upsert-kafka');"
    )
    plan = planner.query("INSERT INTO wide SELECT auction, COUNT(*) FROM bid GROUP BY auction")
    assert plan.changes.materialized
    assert {plan.changes.text(n) for n in nodes(plan, p.Aggregate)} == {"[I,UB,UA]"}


def test_a_source_that_upserts_keeps_its_key_and_its_rows():
    planner = planner_of(
        "CREATE TABLE u (id INT, city STRING, score INT, PRIMARY KEY (id) NOT ENFORCED)"
        " WITH ('connector' = 'upsert-kafka');"
    )

    def scan(text):
        return next(x for x in p.walk(planner.query(text).root) if isinstance(x, p.Scan))

    assert scan("SELECT city FROM u").schema.names == ("id", "city")
    assert scan("SELECT city FROM u WHERE id > 3").filters
    assert not scan("SELECT city FROM u WHERE score > 3").filters


def test_a_join_with_a_global_aggregate_gets_what_was_before(planner):
    plan = planner.query("SELECT a FROM plain JOIN (SELECT MAX(a) AS m FROM plain) AS g ON a < m")
    aggregate = nodes(plan, p.Aggregate)[0]
    assert plan.changes.mode(aggregate) == frozenset({"I", "UB", "UA"})


def test_batch_mode_refuses_tables_of_changes(planner):
    planner.batch = True
    with pytest.raises(ChangelogError, match=r"rates gives updates and deletes.*inserts alone"):
        planner.query("SELECT cur FROM rates")
    assert planner.query("SELECT a FROM plain")
