"""The Table API gives the plans that SQL gives; errors show the user's line."""

# ruff: noqa: DTZ001, E501 - a TIMESTAMP has no zone; a statement reads better on one line

import datetime as dt
import decimal
import inspect

import pytest

from lesto.client.table.data_types import DataTypes
from lesto.client.table.environment import TableEnvironment
from lesto.client.table.errors import (
    InvalidUserFunctionError,
    SqlError,
    TableProgramError,
    UnknownColumnError,
    UnsupportedSqlError,
)
from lesto.client.table.expressions import (
    CURRENT_ROW,
    UNBOUNDED_RANGE,
    and_,
    call,
    call_sql,
    coalesce,
    col,
    concat,
    if_then_else,
    lag,
    lit,
    null_of,
    range_,
    row,
    row_interval,
    with_columns,
    without_columns,
)
from lesto.client.table.settings import EnvironmentSettings
from lesto.client.table.udf import udf, udtf
from lesto.client.table.window import Over, Session, Slide, Tumble

T = "CREATE TABLE t (a BIGINT, b STRING, c DOUBLE, ts TIMESTAMP(3), p AS PROCTIME(), WATERMARK FOR ts AS ts) WITH ('connector' = 'datagen')"
U = "CREATE TABLE u (k BIGINT, v STRING) WITH ('connector' = 'datagen')"


@udtf
def letters(text: str) -> list[tuple[str, int]]:
    return [(c, i) for i, c in enumerate(text)]


@udf
def twice(n: int) -> int:
    return n * 2


@pytest.fixture(scope="module")
def t_env():
    made = TableEnvironment.create(EnvironmentSettings.in_streaming_mode())
    made.execute_sql(T)
    made.execute_sql(U)
    made.create_temporary_function("letters", letters)
    made.create_temporary_function("twice", twice)
    return made


def physical(text):
    return text.partition("== Optimized Physical Plan ==")[2]


PAIRS = [
    (lambda t, u: t.select(col("a") + 1, col("b").upper_case.alias("B")), "SELECT a + 1 AS _c0, UPPER(b) AS B FROM t"),
    (lambda t, u: t.filter((col("a") > 3) & col("b").like("x%")).select(t.a), "SELECT a FROM t WHERE a > 3 AND b LIKE 'x%'"),
    (lambda t, u: t.where(and_(col("a").between(1, 5), col("b").is_not_null)).select(col("a")), "SELECT a FROM t WHERE a BETWEEN 1 AND 5 AND b IS NOT NULL"),
    (lambda t, u: t.group_by(col("b")).select(col("b"), col("a").sum.alias("s"), col("a").count.distinct.alias("d")), "SELECT b, SUM(a) AS s, COUNT(DISTINCT a) AS d FROM t GROUP BY b"),
    (lambda t, u: t.select(col("a").max.alias("m")), "SELECT MAX(a) AS m FROM t"),
    (lambda t, u: t.select(col("a"), col("b")).distinct(), "SELECT DISTINCT a, b FROM t"),
    (lambda t, u: t.join(u, col("a") == col("k")).select(col("b"), col("v")), "SELECT b, v FROM t JOIN u ON a = k"),
    (lambda t, u: t.left_outer_join(u, col("a") == col("k")).select(col("b"), col("v")), "SELECT b, v FROM t LEFT JOIN u ON a = k"),
    (lambda t, u: t.full_outer_join(u, col("a") == col("k")).select(col("b"), col("v")), "SELECT b, v FROM t FULL JOIN u ON a = k"),
    (lambda t, u: t.join(u).where(col("a") == col("k")).select(col("b"), col("v")), "SELECT b, v FROM t JOIN u ON a = k"),
    (lambda t, u: t.select(col("a"), col("b")).union_all(u), "SELECT a, b FROM t UNION ALL SELECT k, v FROM u"),
    (lambda t, u: t.select(col("a"), col("b")).union(u), "SELECT a, b FROM t UNION SELECT k, v FROM u"),
    (lambda t, u: t.select(col("a"), col("b")).minus(u), "SELECT a, b FROM t EXCEPT SELECT k, v FROM u"),
    (lambda t, u: t.select(col("a"), col("b")).intersect_all(u), "SELECT a, b FROM t INTERSECT ALL SELECT k, v FROM u"),
    (lambda t, u: t.select(col("a"), col("ts")).order_by(col("ts"), col("a").desc), "SELECT a, ts FROM t ORDER BY ts, a DESC"),
    (lambda t, u: t.select(col("a")).order_by(col("a").desc).offset(2).fetch(5), "SELECT a FROM t ORDER BY a DESC LIMIT 5 OFFSET 2"),
    (lambda t, u: t.window(Tumble.over(lit(10).minutes).on(col("ts")).alias("w")).group_by(col("w"), col("b")).select(col("b"), col("w").start.alias("s"), col("w").end.alias("e"), col("w").rowtime.alias("r"), col("a").sum.alias("n")),
     "SELECT b, TUMBLE_START(ts, INTERVAL '10' MINUTE) AS s, TUMBLE_END(ts, INTERVAL '10' MINUTE) AS e, TUMBLE_ROWTIME(ts, INTERVAL '10' MINUTE) AS r, SUM(a) AS n FROM t GROUP BY b, TUMBLE(ts, INTERVAL '10' MINUTE)"),
    (lambda t, u: t.window(Slide.over(lit(1).hour).every(lit(10).minutes).on(col("ts")).alias("w")).group_by(col("w")).select(lit(1).count.alias("n")),
     "SELECT COUNT(1) AS n FROM t GROUP BY HOP(ts, INTERVAL '10' MINUTE, INTERVAL '1' HOUR)"),
    (lambda t, u: t.window(Session.with_gap(lit(30).seconds).on(col("p")).alias("w")).group_by(col("w"), col("b")).select(col("b"), col("w").end.alias("e")),
     "SELECT b, SESSION_END(p, INTERVAL '30' SECOND) AS e FROM t GROUP BY b, SESSION(p, INTERVAL '30' SECOND)"),
    (lambda t, u: t.over_window(Over.partition_by(col("b")).order_by(col("ts")).preceding(row_interval(10)).following(CURRENT_ROW).alias("w")).select(col("a"), col("a").sum.over(col("w")).alias("s"), col("a").max.over(col("w")).alias("m")),
     "SELECT a, SUM(a) OVER w AS s, MAX(a) OVER w AS m FROM t WINDOW w AS (PARTITION BY b ORDER BY ts ROWS BETWEEN 10 PRECEDING AND CURRENT ROW)"),
    (lambda t, u: t.over_window(Over.order_by(col("ts")).preceding(lit(5).minutes).alias("w")).select(col("a").avg.over(col("w")).alias("s")),
     "SELECT AVG(a) OVER (ORDER BY ts RANGE BETWEEN INTERVAL '5' MINUTE PRECEDING AND CURRENT ROW) AS s FROM t"),
    (lambda t, u: t.over_window(Over.order_by(col("ts")).preceding(UNBOUNDED_RANGE).alias("w")).select(lag(col("a"), 1).over(col("w")).alias("s")),
     "SELECT LAG(a, 1) OVER (ORDER BY ts) AS s FROM t"),
    (lambda t, u: t.join_lateral(letters(col("b")).alias("l", "i")).select(col("a"), col("l")), "SELECT a, l FROM t, LATERAL TABLE(letters(b)) AS x(l, i)"),
    (lambda t, u: t.left_outer_join_lateral(call("letters", col("b")).alias("l", "i")).select(col("a"), col("l")), "SELECT a, l FROM t LEFT JOIN LATERAL TABLE(letters(b)) AS x(l, i) ON TRUE"),
    (lambda t, u: t.select(twice(col("a")).alias("x")), "SELECT twice(a) AS x FROM t"),
    (lambda t, u: t.select(call_sql("CASE WHEN a > 1 THEN b ELSE 'no' END").alias("x")), "SELECT CASE WHEN a > 1 THEN b ELSE 'no' END AS x FROM t"),
    (lambda t, u: t.select(if_then_else(col("a") > 1, col("b"), lit("no")).alias("x")), "SELECT IF(a > 1, b, 'no') AS x FROM t"),
    (lambda t, u: t.select(coalesce(col("b"), concat("a", "b")).alias("x"), null_of(DataTypes.INT()).alias("n")), "SELECT COALESCE(b, CONCAT('a', 'b')) AS x, CAST(NULL AS INT) AS n FROM t"),
    (lambda t, u: t.select(col("b").substring(1, 2).alias("x"), col("b").trim_leading("x").alias("y"), col("a").cast(DataTypes.STRING()).alias("z")), "SELECT SUBSTRING(b, 1, 2) AS x, TRIM(LEADING 'x' FROM b) AS y, CAST(a AS STRING) AS z FROM t"),
    (lambda t, u: t.select(col("a").in_(1, 2, 3).alias("x"), (~(col("a") == 1)).alias("y"), (-col("a")).alias("z")), "SELECT a IN (1, 2, 3) AS x, NOT (a = 1) AS y, -a AS z FROM t"),
    (lambda t, u: t.where(col("a").in_(u.select(col("k")))).select(col("a")), "SELECT a FROM t WHERE a IN (SELECT k FROM u)"),
    (lambda t, u: t.select(range_("a", "c")), "SELECT a, b, c FROM t"),
    (lambda t, u: t.select(without_columns(range_(3, 5))), "SELECT a, b FROM t"),
    (lambda t, u: t.select(with_columns("b", col("a"))), "SELECT b, a FROM t"),
    (lambda t, u: u.add_columns((col("k") + 1).alias("n")), "SELECT k, v, k + 1 AS n FROM u"),
    (lambda t, u: u.add_or_replace_columns((col("k") + 1).alias("k")), "SELECT k + 1 AS k, v FROM u"),
    (lambda t, u: u.rename_columns(col("k").alias("kk")), "SELECT k AS kk, v FROM u"),
    (lambda t, u: u.drop_columns(col("k")), "SELECT v FROM u"),
    (lambda t, u: u.alias("x"), "SELECT k AS x, v FROM u"),
]  # fmt: skip


@pytest.mark.parametrize(("program", "sql"), PAIRS)
def test_the_plan_is_that_of_sql(t_env, program, sql):
    table = program(t_env.from_path("t"), t_env.from_path("u"))
    assert physical(table.explain()) == physical(t_env.explain_sql(sql))


def test_a_table_stands_in_sql_text(t_env):
    table = t_env.from_path("u").filter(col("k") > 1)
    assert "where=[>(k, 1)]" in t_env.explain_sql(f"SELECT v FROM {table}")


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (1, "INT"),
        (-(2**40), "BIGINT"),
        (1.5, "DOUBLE"),
        (float("nan"), "DOUBLE"),
        (decimal.Decimal("1.50"), "DECIMAL(3, 2)"),
        (True, "BOOLEAN"),
        ("é", "CHAR(1)"),
        (b"ab", "BINARY(2)"),
        (dt.date(2020, 1, 2), "DATE"),
        (dt.time(1, 2, 3), "TIME(0)"),
        (dt.datetime(2020, 1, 2, 3, 4, 5), "TIMESTAMP(0)"),
        (dt.datetime(2020, 1, 2, tzinfo=dt.UTC), "TIMESTAMP_LTZ(3)"),
        (dt.timedelta(hours=30, milliseconds=5), "INTERVAL DAY TO SECOND"),
        ([1, 2], "ARRAY<INT NOT NULL>"),
        ({"a": 1}, "MAP<CHAR(1) NOT NULL, INT NOT NULL>"),
    ],
)
def test_literals_have_the_types_of_sql(t_env, value, shown):
    schema = t_env.from_path("u").select(lit(value).alias("x")).get_schema()
    assert str(schema.get_field_data_type("x").nullable()) == shown


def test_values_of_expressions(t_env):
    table = t_env.from_elements([row(1, "a"), row(2, "b")], ["n", "s"])
    assert table.get_schema().get_field_names() == ["n", "s"]
    typed = DataTypes.ROW(
        [DataTypes.FIELD("n", DataTypes.BIGINT()), DataTypes.FIELD("s", DataTypes.STRING())]
    )
    assert t_env.from_elements([row(1, "a")], typed).get_schema().get_field_data_types() == [
        DataTypes.BIGINT().not_null(),
        DataTypes.STRING().not_null(),
    ]


def here():
    return f"{__file__}:{inspect.currentframe().f_back.f_lineno - 1}"


@pytest.mark.parametrize(
    ("program", "kind", "told"),
    [
        (lambda t, u: t.select(col("aa")), UnknownColumnError, "there is no column aa"),
        (lambda t, u: t.select("a"), TableProgramError, r"write col\('a'\)"),
        (lambda t, u: t.filter(col("a")), SqlError, "must be BOOLEAN"),
        (lambda t, u: t.select(col("b") + 1), SqlError, "does not take"),
        (lambda t, u: t.join(t, col("a") == col("a")), TableProgramError, "both sides"),
        (lambda t, u: t.union_all(u), SqlError, "columns"),
        (lambda t, u: t.group_by(col("b")).select(col("a")), SqlError, "neither in GROUP BY"),
        (lambda t, u: t.select(col("a") if col("a") > 1 else col("b")), TableProgramError, "no truth value"),
        (lambda t, u: t.window(Tumble.over(lit(1).hour).on(col("c")).alias("w")).group_by(col("w")).select(col("a").sum), SqlError, "time attribute"),
        (lambda t, u: t.window(Tumble.over(lit(1).hour).on(col("ts")).alias("w")).group_by(col("b")), TableProgramError, "not among"),
        (lambda t, u: Tumble.over(row_interval(5)), UnsupportedSqlError, "number of rows"),
        (lambda t, u: t.select(col("a").sum.over(col("w"))), TableProgramError, "no OVER window w"),
        (lambda t, u: t.select(twice(col("b"))), SqlError, "argument 1 of twice is BIGINT"),
        (lambda t, u: t.select(twice(col("a"), col("a"))), SqlError, "2 arguments are given"),
        (lambda t, u: t.rename_columns(col("aa").alias("x")), UnknownColumnError, "did you mean 'a'|no column aa"),
        (lambda t, u: t.limit(-1), TableProgramError, "a number of rows"),
        (lambda t, u: t.flat_aggregate(twice), TableProgramError, "takes a udtaf"),
        (lambda t, u: udf(lambda x: x), InvalidUserFunctionError, "result type"),
        (lambda t, u: u.insert_into("t"), SqlError, "columns"),
    ],
)  # fmt: skip
def test_errors_show_the_users_line(t_env, program, kind, told):
    t, u = t_env.from_path("t"), t_env.from_path("u")
    with pytest.raises(kind, match=f"(?s){told}") as caught:
        program(t, u)
    assert caught.value.location.startswith(f"{__file__}:")
