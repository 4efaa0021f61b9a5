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
