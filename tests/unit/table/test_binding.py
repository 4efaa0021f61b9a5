"""What queries mean: types and names of columns, and messages where they mean nothing."""

# ruff: noqa: E501 - a statement reads better on one line

import pytest

from lesto.client.table.errors import SqlError


@pytest.mark.parametrize(
    ("sql", "schema"),
    [
        (
            "SELECT 1, 'a' AS x, 1.50",
            "EXPR$0 INT NOT NULL, x CHAR(1) NOT NULL, EXPR$2 DECIMAL(3, 2) NOT NULL",
        ),
        ("SELECT * FROM plain", "a INT, b STRING, ts TIMESTAMP(3)"),
        ("SELECT b.* FROM plain AS b", "a INT, b STRING, ts TIMESTAMP(3)"),
        (
            "SELECT auction, ts, p FROM bid",
            "auction BIGINT, ts TIMESTAMP(3) *ROWTIME*, p TIMESTAMP_LTZ(3) NOT NULL *PROCTIME*",
        ),
        (
            "SELECT id, item.name, item.weight AS w, tags[1] AS t, props['a'] AS m FROM auction",
            "id BIGINT NOT NULL, name STRING, w DOUBLE, t STRING, m INT",
        ),
        ("SELECT auction.item.name FROM auction", "name STRING"),
        ("SELECT a AS x, a AS x FROM plain", "x INT, x0 INT"),
        ("SELECT COUNT(*) AS n, SUM(a) AS s FROM plain", "n BIGINT NOT NULL, s INT"),
        ("SELECT b, COUNT(*) AS n FROM plain GROUP BY b", "b STRING, n BIGINT NOT NULL"),
        ("SELECT UPPER(b) AS u, MAX(a) + 1 AS m FROM plain GROUP BY UPPER(b)", "u STRING, m INT"),
        ("SELECT DISTINCT b FROM plain", "b STRING"),
        ("SELECT a FROM plain UNION ALL SELECT price FROM bid", "a BIGINT"),
        (
            "SELECT x.a, y.id FROM plain AS x LEFT JOIN auction AS y ON x.a = y.id",
            "a INT, id BIGINT",
        ),
        ("SELECT u.t FROM auction CROSS JOIN UNNEST(tags) AS u (t)", "t STRING"),
        ("SELECT u.k, u.v FROM auction CROSS JOIN UNNEST(props) AS u (k, v)", "k STRING, v INT"),
        ("SELECT v.x FROM (VALUES (1, 'a'), (2, 'bcd')) AS v (x, y)", "x INT NOT NULL"),
        ("WITH w AS (SELECT a AS z FROM plain) SELECT z FROM w", "z INT"),
        ("SELECT (SELECT MAX(price) FROM bid) AS m FROM plain", "m BIGINT"),
        (
            "SELECT window_start, window_end, window_time FROM TABLE(TUMBLE(TABLE bid, DESCRIPTOR(ts), INTERVAL '1' MINUTE))",
            "window_start TIMESTAMP(3) NOT NULL, window_end TIMESTAMP(3) NOT NULL, window_time TIMESTAMP(3) NOT NULL *ROWTIME*",
        ),
        (
            "SELECT ROW_NUMBER() OVER (PARTITION BY auction ORDER BY ts) AS n FROM bid",
            "n BIGINT NOT NULL",
        ),
        (
            "SELECT SUM(price) OVER (PARTITION BY auction ORDER BY ts RANGE BETWEEN INTERVAL '1' HOUR PRECEDING AND CURRENT ROW) AS s, ts FROM bid",
            "s BIGINT, ts TIMESTAMP(3) *ROWTIME*",
        ),
        ("SELECT a, b, SUM(a) AS s FROM plain GROUP BY ROLLUP (a, b)", "a INT, b STRING, s INT"),
        (
            "SELECT TUMBLE_ROWTIME(ts, INTERVAL '1' HOUR) AS r, COUNT(*) AS n FROM bid GROUP BY TUMBLE(ts, INTERVAL '1' HOUR)",
            "r TIMESTAMP(3) NOT NULL *ROWTIME*, n BIGINT NOT NULL",
        ),
        ("SELECT b.ts FROM bid AS b JOIN auction AS a ON b.auction = a.id", "ts TIMESTAMP(3)"),
        (
            "SELECT id, name FROM dim NATURAL JOIN (SELECT id FROM auction)",
            "id BIGINT NOT NULL, name STRING",
        ),
        (
            "SELECT a.*, b.price FROM auction a JOIN bid b ON a.id = b.auction AND b.ts = a.ts WHERE a.seller = 1",
            "id BIGINT NOT NULL, seller BIGINT, category BIGINT, tags ARRAY<STRING>, item ROW<`name` STRING, `weight` DOUBLE>, props MAP<STRING, INT>, ts TIMESTAMP(3) *ROWTIME*, price BIGINT",
        ),
    ],
)
def test_schema(planner, sql, schema):
    plan = planner.query(sql)
    assert str(plan.syntax.schema) == schema
    assert plan.root.schema.types == plan.syntax.schema.types


@pytest.mark.parametrize(
    ("sql", "code", "message"),
    [
        (
            "SELECT auctio FROM bid",
            2132,
            "there is no column auctio (did you mean 'auction'?), at line 1, column 8",
        ),
        ("SELECT b.pric FROM bid b", 2132, "there is no column b.pric (did you mean 'b.price'?)"),
        ("SELECT x.price FROM bid b", 2132, "there is no table or column x in scope"),
        ("SELECT item.nam FROM auction", 2132, "item has no field nam (did you mean 'name'?)"),
        ("SELECT a.x FROM plain", 2135, "a is INT, which has no field x"),
        ("SELECT x.* FROM bid", 2132, "there is no table x in scope"),
        (
            "SELECT * FROM bids",
            2133,
            "there is no table bids (did you mean 'bid'?), at line 1, column 15",
        ),
        ("SELECT * FROM nope.bid", 2133, "there is no database nope in catalog default_catalog"),
        ("SELECT * FROM x.y.z", 2133, "there is no catalog x"),
        (
            "SELECT ts FROM bid b JOIN auction a ON b.auction = a.id",
            2134,
            "column ts is ambiguous: it may be b.ts or a.ts",
        ),
        ("SELECT UPER(b) FROM plain", 2136, "there is no function UPER (did you mean 'UPPER'?)"),
        ("SELECT a + b FROM plain", 2135, "+"),
        ("SELECT * FROM plain WHERE a", 2135, "WHERE must be BOOLEAN, and this is INT"),
        ("SELECT CAST(a AS INTT) FROM plain", 2135, "INTT is no data type (did you mean 'INT'?)"),
        (
            "SELECT a FROM plain WHERE COUNT(*) > 1",
            2138,
            "an aggregate function cannot stand in WHERE",
        ),
        (
            "SELECT a, COUNT(*) FROM plain GROUP BY b",
            2138,
            "column a is neither in GROUP BY nor in an aggregate",
        ),
        ("SELECT *, COUNT(*) FROM plain", 2138, "column a is neither in GROUP BY"),
        ("SELECT SUM(MAX(a)) FROM plain", 2138, "an aggregate stands within the aggregate SUM"),
        ("SELECT ROW_NUMBER() FROM plain", 2138, "ROW_NUMBER needs OVER"),
        (
            "SELECT a FROM plain WHERE ROW_NUMBER() OVER (ORDER BY a) = 1",
            2138,
            "a function with OVER cannot stand in WHERE",
        ),
        ("SELECT SUM(*) FROM plain", 2138, "* goes with COUNT, not with SUM"),
        (
            "SELECT TUMBLE_START(ts, INTERVAL '1' HOUR) FROM bid",
            2138,
            "TUMBLE_START goes with GROUP BY TUMBLE(...)",
        ),
        (
            "SELECT * FROM TABLE(TUMBLE(TABLE plain, DESCRIPTOR(ts), INTERVAL '1' HOUR))",
            2137,
            "TUMBLE takes a time attribute, and ts is a plain TIMESTAMP(3)",
        ),
        (
            "SELECT COUNT(*) FROM plain GROUP BY TUMBLE(ts, INTERVAL '1' HOUR)",
            2137,
            "TUMBLE takes a time attribute",
        ),
        (
            "SELECT * FROM plain AS x JOIN dim FOR SYSTEM_TIME AS OF x.ts AS d ON x.a = d.id",
            2137,
            "FOR SYSTEM_TIME AS OF takes a time attribute",
        ),
        (
            "SELECT * FROM bid AS x JOIN plain FOR SYSTEM_TIME AS OF x.ts AS d ON x.auction = d.a",
            2137,
            "plain has no time attribute",
        ),
        (
            "SELECT * FROM bid AS x JOIN rates FOR SYSTEM_TIME AS OF x.ts AS d ON x.price = d.rate",
            2144,
            "a temporal join needs the primary key of rates",
        ),
        (
            "SELECT * FROM TABLE(TUMBLE(TABLE bid, DESCRIPTOR(ts), 10))",
            2135,
            "SIZE must be a constant interval",
        ),
        (
            "SELECT * FROM TABLE(CUMULATE(TABLE bid, DESCRIPTOR(ts), INTERVAL '7' SECOND, INTERVAL '10' SECOND))",
            2144,
            "SIZE of CUMULATE must be a multiple of STEP",
        ),
        (
            "SELECT * FROM TABLE(HOP(TABLE bid, DESCRIPTOR(ts), INTERVAL '7' SECOND))",
            2144,
            "HOP lacks SIZE",
        ),
        ("SELECT * FROM TABLE(FOO(1))", 2136, "table function FOO is not known"),
        (
            "SELECT a FROM plain UNION SELECT a, b FROM plain",
            2135,
            "the queries of UNION have 1 and 2 columns",
        ),
        (
            "SELECT a FROM plain UNION ALL SELECT ts FROM plain",
            2135,
            "column a of UNION has types that do not go together",
        ),
        (
            "SELECT a FROM plain WHERE a IN (SELECT b, a FROM plain)",
            2135,
            "IN compares 1 values with a query of 2 columns",
        ),
        (
            "SELECT a FROM plain WHERE a = 1 OR a IN (SELECT auction FROM bid)",
            2143,
            "IN (query) can stand in WHERE",
        ),
        (
            "SELECT (SELECT a, b FROM plain) FROM plain",
            2135,
            "a query that stands for a value has one column",
        ),
        (
            "SELECT * FROM bid MATCH_RECOGNIZE (PATTERN (A) DEFINE A AS TRUE)",
            2143,
            "MATCH_RECOGNIZE is read, but not carried out yet",
        ),
        ("SELECT a FROM plain ORDER BY 3", 2144, "ORDER BY 3: there are 1 columns"),
        ("SELECT SUM(a) OVER (PARTITION BY b) FROM plain", 2144, "SUM OVER needs ORDER BY"),
        (
            "SELECT SUM(a) OVER (ORDER BY ts ROWS BETWEEN CURRENT ROW AND 1 FOLLOWING) FROM plain",
            2144,
            "an OVER window ends with CURRENT ROW",
        ),
        ("INSERT INTO nope SELECT 1", 2133, "there is no table nope"),
        ("INSERT INTO printed SELECT 1", 2135, "the query gives 1 columns"),
        (
            "INSERT INTO printed SELECT b, a FROM plain",
            2135,
            "column a is BIGINT, and the query gives STRING",
        ),
        (
            "INSERT INTO printed (a, m) SELECT a, a FROM plain",
            2132,
            "the table has no column m to write",
        ),
    ],
)
def test_errors(planner, sql, code, message):
    with pytest.raises(SqlError) as caught:
        planner.query(sql)
    assert message in str(caught.value)
    assert caught.value.code == f"LESTO-{code}"


def test_the_place_is_shown_with_a_caret(planner):
    with pytest.raises(SqlError) as caught:
        planner.query("SELECT price,\n       auctio\nFROM bid")
    assert (caught.value.line, caught.value.column) == (2, 8)
    assert "\n           auctio\n           ^" in str(caught.value)


def test_every_error_has_a_place(planner):
    with pytest.raises(SqlError) as caught:
        planner.query(
            "SELECT * FROM bid AS x JOIN plain FOR SYSTEM_TIME AS OF x.ts AS d ON x.auction = d.a"
        )
    assert caught.value.line == 1
