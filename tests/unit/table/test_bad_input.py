"""What is wrong in a statement is said with a code, the place and what to do; never a traceback."""

# ruff: noqa: E501 - a statement reads better on one line

import pyarrow as pa
import pytest

from lesto.client.table.environment import TableEnvironment
from lesto.client.table.settings import EnvironmentSettings
from lesto.common.errors import LestoError
from lesto.sql.values import broadcast

T = "CREATE TABLE t (a INT, b STRING, m MAP<STRING, INT>, xs ARRAY<INT>, ts TIMESTAMP(3), WATERMARK FOR ts AS ts) WITH ('connector' = 'datagen', 'number-of-rows' = '3')"
UPSERTS = "CREATE TABLE u (id INT, v STRING, ts TIMESTAMP(3), WATERMARK FOR ts AS ts, PRIMARY KEY (id) NOT ENFORCED) WITH ('connector' = 'upsert-kafka', 'topic' = 'x', 'properties.bootstrap.servers' = '127.0.0.1:1', 'key.format' = 'json', 'value.format' = 'json')"
FILES = "CREATE TABLE files (a INT, n BIGINT) WITH ('connector' = 'filesystem', 'path' = '/tmp/none', 'format' = 'csv')"


@pytest.fixture(scope="module")
def t_env():
    made = TableEnvironment.create(EnvironmentSettings.in_streaming_mode())
    for text in (T, UPSERTS, FILES):
        made.execute_sql(text)
    return made


def refused(t_env, sql):
    planned = sql.startswith(("SELECT", "WITH", "VALUES"))
    run = t_env.explain_sql if planned else t_env.execute_sql
    with pytest.raises(LestoError) as caught:
        run(sql)
    return caught.value


@pytest.mark.parametrize(
    ("sql", "code", "message", "column"),
    [
        # Syntax.
        ("SELEC a FROM t", 2131, "found 'SELEC' (did you mean 'SELECT'?)", 1),
        ("SELECT FROM t", 2131, "FROM is a word of SQL", 8),
        ("SELECT a FROM t WHERE", 2131, "found the end of the statement", 22),
        ("SELECT (a FROM t", 2131, "expected ), found 'FROM'", 11),
        ("SELECT 'abc FROM t", 2131, "a quote or comment is not closed", 8),
        ("SELECT a FROM t GROUP", 2131, "expected ; or the end of the statement, found 'GROUP', at", 17),
        ("SELECT 1; SELECT 2", 2131, "there are 2 statements in the text", 11),
        ("SELECT a FROM t LIMIT -1", 2131, "expected a number of rows", 23),
        ("SELECT INTERVAL '1' FORTNIGHT", 2131, "expected a unit", 21),
        (r"SELECT U&'\zzzz'", 2131, "an escape in U&'...' is no character", 8),
        (r"SELECT U&'\00'", 2131, "an escape in U&'...' is no character", 8),
        (r"SELECT U&'\d800'", 2131, "an escape in U&'...' is no character", 8),
        ("SELECT X'0G'", 2131, "a binary literal has hexadecimal digits alone", 8),
        ("UPDATE t SET a = 1", 2131, "the statement UPDATE is not supported", 1),
        # Columns, tables, functions.
        ("SELECT\n  aa FROM t", 2132, "there is no column aa (did you mean 'a'?), at line 2", 3),
        ("SELECT x.a FROM t", 2132, "there is no table or column x in scope", 8),
        ("SELECT a FROM tt", 2133, "there is no table tt (did you mean 't'?)", 15),
        ("SELECT t.a FROM t JOIN u ON a = id WHERE ts IS NULL", 2134, "column ts is ambiguous", 42),
        ("SELECT foo(a) FROM t", 2136, "there is no function FOO", 8),
        ("INSERT INTO files (a, zz) SELECT a, 1 FROM t", 2132, "the table has no column zz", 13),
        # Types.
        ("SELECT a + b FROM t", 2135, "+ does not take (INT, STRING)", 8),
        ("SELECT UPPER(a, b) FROM t", 2135, "UPPER does not take (INT, STRING)", 8),
        ("SELECT a FROM t WHERE a", 2135, "WHERE must be BOOLEAN, and this is INT", 23),
        ("SELECT CAST(m AS INT) FROM t", 2135, "MAP<STRING, INT> cannot be cast to INT", 8),
        ("SELECT xs['a'] FROM t", 2135, "ITEM does not take (ARRAY<INT>", 8),
        ("SELECT DATE '2023-02-30'", 2135, "'2023-02-30' is no date", 8),
        ("SELECT 1e400", 2135, "1e400 is beyond the range of DOUBLE", 8),
        ("SELECT X'0'", 2135, "X'0' is half a byte too short", 8),
        ("INSERT INTO files SELECT b, 1 FROM t", 2135, "column a is INT, and the query gives STRING", 13),
        # Time attributes.
        ("SELECT COUNT(*) FROM (SELECT MAX(ts) AS ts FROM t GROUP BY a) GROUP BY TUMBLE(ts, INTERVAL '1' HOUR)", 2137, "TUMBLE takes a time attribute", 79),
        ("SELECT * FROM u AS x JOIN u FOR SYSTEM_TIME AS OF x.v AS y ON x.id = y.id", 2137, "takes a time attribute", 51),
        # Aggregates.
        ("SELECT a, COUNT(*) FROM t", 2138, "column a is neither in GROUP BY nor in an aggregate", 8),
        ("SELECT a FROM t WHERE COUNT(*) > 1", 2138, "an aggregate function cannot stand in WHERE", 23),
        ("SELECT SUM(a) OVER (ORDER BY ts ROWS BETWEEN -1 PRECEDING AND CURRENT ROW) FROM t", 2144, "PRECEDING cannot be negative", 8),
        ("SELECT SUM(a) OVER (ORDER BY ts RANGE BETWEEN INTERVAL '-1' DAY PRECEDING AND CURRENT ROW) FROM t", 2144, "PRECEDING cannot be negative", 8),
    ],
)  # fmt: skip
def test_the_place_is_shown(t_env, sql, code, message, column):
    error = refused(t_env, sql)
    assert error.code == f"LESTO-{code}"
    assert message in str(error)
    assert f"column {column}\n" in str(error)
    assert error.line == 1 + sql.count("\n")


@pytest.mark.parametrize(
    ("sql", "messages"),
    [
        (
            "SELECT * FROM u JOIN t ON u.id = t.a AND u.ts BETWEEN t.ts AND t.ts + INTERVAL '1' MINUTE",
            ("IntervalJoin(", "cannot take the updates and deletes", "it keeps rows by their time", "drop the band"),
        ),
        (
            "INSERT INTO files SELECT a, COUNT(*) FROM t GROUP BY a",
            ("takes inserts alone, and Aggregate(", "gives updates", "aggregate by windows"),
        ),
    ],
)  # fmt: skip
def test_changes_that_an_operator_cannot_take(t_env, sql, messages):
    error = refused(t_env, sql)
    assert error.code == "LESTO-2145"
    assert not [m for m in messages if m not in str(error)], str(error)


def test_options(t_env):
    for sql, code, message in [
        ("SET 'table.local-time-zone' = 'Nowhere/Land'", "LESTO-6213", "'Nowhere/Land' is no time zone"),
        ("SET 'table.exec.state.tll' = '1 h'", "LESTO-1001", "unknown option 'table.exec.state.tll'"),
        ("SET 'table.exec.state.ttl' = 'abc'", "LESTO-1002", "cannot be 'abc'"),
    ]:  # fmt: skip
        error = refused(t_env, sql)
        assert (error.code, message in str(error)) == (code, True), str(error)
    with pytest.raises(LestoError, match=r"has no option 'number-of-row' \(did you mean"):
        t_env.execute_sql("SELECT * FROM t /*+ OPTIONS('number-of-row' = '1') */")
    with pytest.raises(LestoError, match="is no time zone"):
        t_env.get_config().set("table.local-time-zone", "Nowhere/Land")
    assert t_env.get_config().get_local_timezone() != "Nowhere/Land"


def test_instants_that_python_has_no_dates_for_are_computed():
    far = pa.scalar(2**62, pa.timestamp("ms", "UTC"))  # as_py() of it raises
    assert broadcast(far, 2).cast(pa.int64()).to_pylist() == [2**62] * 2
    assert broadcast(pa.scalar(None, far.type), 1).null_count == 1
