"""Statements that need no job: definitions, SHOW, DESCRIBE, SET, EXPLAIN; their errors."""

# ruff: noqa: E501 - a statement reads better on one line

import pytest

from lesto.client.table.environment import TableEnvironment
from lesto.client.table.errors import (
    AlreadyExistsError,
    SqlSyntaxError,
    UnknownColumnError,
    UnknownSqlFunctionError,
    UnknownTableError,
    UnsupportedSqlError,
)
from lesto.client.table.kinds import ResultKind
from lesto.client.table.settings import EnvironmentSettings
from lesto.client.table.udf import udf
from lesto.common.config import UnknownOptionError
from lesto.common.errors import LestoError

TABLE = "CREATE TABLE t (id BIGINT, name STRING COMMENT 'who', twice AS id * 2, ts TIMESTAMP(3), WATERMARK FOR ts AS ts - INTERVAL '5' SECOND, PRIMARY KEY (id) NOT ENFORCED) COMMENT 'people' WITH ('connector' = 'datagen')"


@udf
def shout(text: str) -> str:
    return text.upper()


@pytest.fixture
def t_env():
    made = TableEnvironment.create(EnvironmentSettings.in_streaming_mode())
    made.execute_sql(TABLE)
    return made


def rows(t_env, sql):
    return [list(row) for row in t_env.execute_sql(sql).collect()]


def column(t_env, sql):
    return [row[0] for row in rows(t_env, sql)]


def test_definitions_say_ok_and_show(t_env):
    result = t_env.execute_sql("CREATE VIEW v AS SELECT id, name FROM t")
    assert result.get_result_kind() == ResultKind.SUCCESS
    assert column(t_env, "SHOW TABLES") == ["t", "v"]
    assert column(t_env, "SHOW TABLES LIKE 'v%'") == ["v"]
    assert column(t_env, "SHOW TABLES NOT LIKE 'v%'") == ["t"]
    assert column(t_env, "SHOW VIEWS") == ["v"]
    assert t_env.list_tables() == ["t", "v"]
    assert t_env.list_views() == ["v"]
    t_env.execute_sql("DROP VIEW v")
    assert t_env.list_views() == []


def test_describe_shows_types_keys_and_watermarks(t_env):
    assert rows(t_env, "DESCRIBE t") == [
        ["id", "BIGINT", False, "PRI(id)", None, None, ""],
        ["name", "STRING", True, None, None, None, "who"],
        ["twice", "BIGINT", False, None, "AS id * 2", None, ""],
        ["ts", "TIMESTAMP(3) *ROWTIME*", True, None, None, "ts - INTERVAL '5' SECOND", ""],
    ]
    assert column(t_env, "SHOW COLUMNS FROM t LIKE 't%'") == ["twice", "ts"]


def test_show_create_makes_the_same_table_again(t_env, capsys):
    result = t_env.execute_sql("SHOW CREATE TABLE t")
    result.print()
    text = capsys.readouterr().out
    assert text.startswith(
        "CREATE TABLE `default_catalog`.`default_database`.`t` (\n  `id` BIGINT NOT NULL,"
    )
    t_env.execute_sql("DROP TABLE t")
    t_env.execute_sql(text)
    t_env.execute_sql("SHOW CREATE TABLE t").print()
    assert capsys.readouterr().out == text


def test_databases_and_catalogs(t_env, tmp_path):
    t_env.execute_sql("CREATE DATABASE sales COMMENT 'money'")
    t_env.execute_sql("USE sales")
    assert column(t_env, "SHOW CURRENT DATABASE") == ["sales"]
    assert column(t_env, "SHOW TABLES") == []
    assert column(t_env, "SHOW DATABASES") == ["default_database", "sales"]
    t_env.execute_sql(f"CREATE CATALOG files WITH ('type' = 'file', 'path' = '{tmp_path}')")
    t_env.execute_sql("USE CATALOG files")
    assert (t_env.get_current_catalog(), t_env.get_current_database()) == ("files", "default")
    t_env.execute_sql("CREATE TABLE kept (a INT) WITH ('connector' = 'print')")
    other = TableEnvironment.create(EnvironmentSettings.in_streaming_mode())
    other.execute_sql(f"CREATE CATALOG files WITH ('type' = 'file', 'path' = '{tmp_path}')")
    assert column(other, "SHOW DATABASES IN files") == ["default"]
    assert column(other, "SHOW TABLES FROM files.`default`") == ["kept"]
    with pytest.raises(UnsupportedSqlError, match="is in use"):
        t_env.execute_sql("DROP DATABASE `default`")


def test_alter(t_env):
    t_env.execute_sql("ALTER TABLE t ADD extra INT AFTER id")
    t_env.execute_sql("ALTER TABLE t SET ('number-of-rows' = '3')")
    t_env.execute_sql("ALTER TABLE t RENAME TO people")
    assert t_env.from_path("people").get_schema().get_field_names()[:2] == ["id", "extra"]
    t_env.execute_sql("CREATE VIEW v AS SELECT id FROM people")
    t_env.execute_sql("ALTER VIEW v AS SELECT name FROM people")
    assert t_env.from_path("v").get_schema().get_field_names() == ["name"]
    t_env.execute_sql("CREATE DATABASE d")
    t_env.execute_sql("ALTER DATABASE d SET ('a' = 'b')")
    assert ["a", "b"] in rows(t_env, "DESCRIBE DATABASE EXTENDED d")


def test_functions(t_env):
    t_env.execute_sql(f"CREATE TEMPORARY FUNCTION shout AS '{__name__}.shout' LANGUAGE PYTHON")
    assert column(t_env, "SHOW USER FUNCTIONS") == ["shout"]
    assert {"upper", "shout", "sum"} <= set(column(t_env, "SHOW FUNCTIONS"))
    plan = t_env.explain_sql("SELECT shout(name) FROM t")
    assert "shout(name)" in plan
    t_env.execute_sql("DROP TEMPORARY FUNCTION shout")
    with pytest.raises(UnknownSqlFunctionError, match="there is no function SHOUT"):
        t_env.sql_query("SELECT shout(name) FROM t")


def test_options_are_set_listed_and_reset(t_env):
    t_env.execute_sql("SET 'table.exec.state.ttl' = '1 h'")
    assert ["table.exec.state.ttl", "1 h"] in rows(t_env, "SET")
    assert t_env.get_config().get("table.exec.state.ttl") == "1 h"
    t_env.execute_sql("RESET 'table.exec.state.ttl'")
    assert t_env.get_config().get("table.exec.state.ttl", "none") == "none"
    t_env.execute_sql("SET 'table.dml-sync' = 'true'")
    t_env.execute_sql("RESET")
    assert ["table.dml-sync", "true"] not in rows(t_env, "SET")


def test_explain_prints_the_plan_as_it_is(t_env, capsys):
    t_env.execute_sql("EXPLAIN SELECT id FROM t WHERE id > 1").print()
    assert capsys.readouterr().out.startswith("== Abstract Syntax Tree ==\nProject(select=[id])")


@pytest.mark.parametrize(
    ("sql", "kind", "told"),
    [
        ("SELEC 1", SqlSyntaxError, "SELECT"),
        ("SELECT nam FROM t", UnknownColumnError, r"did you mean 'name'.*line 1, column 8"),
        ("SELECT 1 FROM tt", UnknownTableError, "there is no table tt"),
        ("DROP TABLE nothing", UnknownTableError, "there is no table nothing"),
        ("DROP VIEW t", UnknownTableError, "t is a table"),
        ("SHOW CREATE VIEW t", UnknownTableError, "t is a table"),
        ("DESCRIBE nothing", UnknownTableError, "there is no table nothing"),
        (TABLE, AlreadyExistsError, "exists"),
        ("CREATE FUNCTION f AS 'a.B'", UnsupportedSqlError, "of language JAVA"),
        ("CREATE FUNCTION f AS 'nowhere.f' LANGUAGE PYTHON", UnknownSqlFunctionError, "cannot be imported"),
        ("CREATE FUNCTION f AS 'math.pi' LANGUAGE PYTHON", UnsupportedSqlError, "math.pi is a float"),
        ("DROP FUNCTION f", UnknownSqlFunctionError, "there is no function f"),
        ("ALTER FUNCTION f AS 'a.b' LANGUAGE PYTHON", UnknownSqlFunctionError, "there is no function f"),
        ("SET 'table.exec.state.tll' = '1 h'", UnknownOptionError, "table.exec.state.ttl"),
        ("SHOW JOBS", UnsupportedSqlError, "not supported"),
        ("ALTER CATALOG default_catalog SET ('a' = 'b')", UnsupportedSqlError, "ALTER CATALOG"),
    ],
)  # fmt: skip
def test_errors_name_what_is_wrong(t_env, sql, kind, told):
    with pytest.raises(kind, match=f"(?s){told}"):
        t_env.execute_sql(sql)


@pytest.mark.parametrize(
    "sql",
    [
        "DROP TABLE IF EXISTS nothing",
        "DROP VIEW IF EXISTS nothing",
        "DROP FUNCTION IF EXISTS nothing",
        "DROP DATABASE IF EXISTS nothing",
        "DROP CATALOG IF EXISTS nothing",
        "CREATE DATABASE IF NOT EXISTS default_database",
        TABLE.replace("TABLE t", "TABLE IF NOT EXISTS t"),
    ],
)
def test_if_exists_is_no_error(t_env, sql):
    assert t_env.execute_sql(sql).get_result_kind() == ResultKind.SUCCESS


@pytest.mark.parametrize(
    ("sql", "told"),
    [
        ("ALTER TABLE t RESET ('connector')", "RESET cannot take 'connector'"),
        ("ALTER TABLE t DROP CONSTRAINT pk", r"no constraint pk.*\n(.*\n)*.*called PK_id"),
        ("ALTER TABLE t MODIFY DISTRIBUTION INTO 3 BUCKETS", "has no distribution"),
        ("ALTER TABLE t ADD PARTITION (d = '1')", "partitions are directories"),
        ("REPLACE TABLE u WITH ('connector' = 'blackhole') AS SELECT 1 AS x", "no table u"),
        ("REPLACE TABLE t (x INT) WITH ('connector' = 'blackhole')", "expected AS and a query"),
        ("CREATE OR REPLACE FUNCTION f AS 'a.b' LANGUAGE PYTHON", "write ALTER FUNCTION"),
        ("CREATE MATERIALIZED TABLE m AS SELECT 1", "MATERIALIZED TABLE is not supported"),
        ("CREATE OR ALTER MATERIALIZED TABLE m AS SELECT 1", "the job keeps it up to date"),
        ("SHOW MATERIALIZED TABLES", "MATERIALIZED TABLES is not supported"),
        ("SHOW CREATE MODEL m", "call the model in a function"),
        ("DESCRIBE MODEL m", "DESCRIBE MODEL is not supported"),
        ("SHOW CONNECTIONS", "options in WITH"),
        ("SHOW PROCEDURES", "there are no procedures"),
        ("SELECT id FROM t TABLESAMPLE BERNOULLI (3)", r"WHERE RAND\(\)"),
        ("SELECT * FROM t PIVOT (SUM(id) FOR name IN ('a'))", "PIVOT is not supported(.*\n)*.*FILTER"),
        ("SELECT * FROM t UNPIVOT (v FOR k IN (id))", "UNION ALL"),
        ("SELECT id FROM t WHERE id > ANY (SELECT id FROM t)", r"> \(SELECT MIN\(...\)"),
        ("SELECT id FROM t WHERE id >= ALL (SELECT id FROM t)", r">= \(SELECT MAX\(...\)"),
        ("SELECT * FROM t FOR SYSTEM_TIME AS OF TIMESTAMP '2020-01-01 00:00:00'", "earlier states"),
        ("INSERT INTO t (id) SELECT id FROM t ON CONFLICT DO NOTHING", "ON CONFLICT DO NOTHING"),
    ],
)  # fmt: skip
def test_what_there_is_not_is_told_with_what_to_do(t_env, sql, told):
    with pytest.raises(LestoError, match=told):
        t_env.execute_sql(sql)


def test_what_is_dropped_must_be_there(t_env):
    for what in ("PRIMARY KEY", "WATERMARK"):
        t_env.execute_sql(f"ALTER TABLE t DROP {what}")
        with pytest.raises(LestoError, match=f"has no {what.lower()}"):
            t_env.execute_sql(f"ALTER TABLE t DROP {what}")


def test_distributions_are_kept_and_shown(t_env):
    for change, shown in (
        ("ADD DISTRIBUTION BY HASH(id) INTO 3 BUCKETS", "DISTRIBUTED BY HASH(id) INTO 3 BUCKETS"),
        ("MODIFY DISTRIBUTION INTO 4 BUCKETS", "DISTRIBUTED INTO 4 BUCKETS"),
        ("DROP DISTRIBUTION", None),
    ):
        t_env.execute_sql(f"ALTER TABLE t {change}")
        [text] = column(t_env, "SHOW CREATE TABLE t")
        assert (shown in text) if shown else "DISTRIBUTED" not in text


def test_views_are_replaced(t_env):
    t_env.execute_sql("CREATE VIEW v AS SELECT id FROM t")
    t_env.execute_sql("CREATE OR REPLACE VIEW v AS SELECT name FROM t")
    assert [row[0] for row in rows(t_env, "DESCRIBE v")] == ["name"]


def test_catalogs_show_what_they_were_made_with(t_env):
    t_env.execute_sql(
        "CREATE CATALOG c COMMENT 'mine' WITH ('type' = 'generic_in_memory', 'default-database' = 'd')"
    )
    [text] = column(t_env, "SHOW CREATE CATALOG c")
    assert "COMMENT 'mine'" in text
    assert "'default-database' = 'd'" in text
    t_env.execute_sql("ALTER CATALOG c COMMENT 'yours'")
    assert rows(t_env, "DESCRIBE CATALOG EXTENDED c") == [
        ["name", "c"],
        ["type", "generic_in_memory"],
        ["comment", "yours"],
        ["option:default-database", "d"],
    ]


@pytest.mark.parametrize(
    ("sql", "same"),
    [
        (
            "SELECT id, ROW_NUMBER() OVER (PARTITION BY name ORDER BY ts) AS rn FROM t QUALIFY rn <= 3",
            "SELECT id, ROW_NUMBER() OVER (PARTITION BY name ORDER BY ts) AS rn FROM t"
            " QUALIFY ROW_NUMBER() OVER (PARTITION BY name ORDER BY ts) <= 3",
        ),
        ("SELECT id FROM t WHERE id = ANY (1, 2)", "SELECT id FROM t WHERE id IN (1, 2)"),
        (
            "SELECT id FROM t WHERE id <> ALL (SELECT id FROM t)",
            "SELECT id FROM t WHERE id NOT IN (SELECT id FROM t)",
        ),
        (
            "SELECT (ts, INTERVAL '1' HOUR) OVERLAPS (ts, ts) AS x FROM t",
            "SELECT (ts, ts + INTERVAL '1' HOUR) OVERLAPS (ts, ts) AS x FROM t",
        ),
        ("SELECT JSON_OBJECT('a': id) AS x FROM t", "SELECT JSON_OBJECT('a' VALUE id) AS x FROM t"),
    ],
)
def test_two_ways_to_write_one_thing(t_env, sql, same):
    assert t_env.explain_sql(sql) == t_env.explain_sql(same)


def test_explain_says_what_it_does_not_show(t_env):
    text = column(t_env, "EXPLAIN ESTIMATED_COST, JSON_EXECUTION_PLAN SELECT id FROM t")[0]
    assert "plans do not depend on costs" in text
    assert "lesto info" in text
    assert "Estimated Cost" not in column(t_env, "EXPLAIN SELECT id FROM t")[0]
