"""Flink's SQL is read: a corpus of statements, what scripts are made of, messages of errors."""

from pathlib import Path

import pytest
import sqlglot

from lesto.client.table.errors import SqlSyntaxError
from lesto.client.table.sql import statements as s
from lesto.client.table.sql.dialect import (
    Flink,
    parse_expression,
    parse_script,
    parse_statement,
    split_script,
)

TEXT = (Path(__file__).parent / "corpus.sql").read_text()
CORPUS = [TEXT[a:b] for a, b in split_script(TEXT)]


def test_corpus_is_large():
    assert len(CORPUS) >= 120
    assert len(parse_script(TEXT)) == len(CORPUS)


@pytest.mark.parametrize("sql", CORPUS)
def test_corpus(sql):
    parsed = parse_statement(sql)
    assert parsed.sql == sql
    assert type(parsed.statement) is not s.Statement


@pytest.mark.parametrize(
    "sql", [q for q in CORPUS if q.startswith(("SELECT", "WITH", "VALUES", "(")) and "/*+" not in q]
)
def test_what_is_written_back_is_read_the_same(sql):
    tree = parse_statement(sql).statement.query
    if any(
        word in sql for word in ("SYMMETRIC", "JSON_", "OVERLAY", "IS JSON", "SUBSTRING(s FROM")
    ):
        return  # the generator writes these as plain calls
    once = tree.sql(Flink)
    assert parse_statement(once).statement.query.sql(Flink) == once


def test_it_is_a_dialect_of_sqlglot():
    tree = sqlglot.parse_one("SELECT `a` FROM t WHERE b > 1", dialect="flink")
    assert tree.sql(dialect="duckdb") == 'SELECT "a" FROM t WHERE b > 1'


def test_parts_of_a_table():
    parsed = parse_statement(
        "CREATE TABLE t (a INT NOT NULL, b AS a + 1, m TIMESTAMP(3) METADATA FROM 'ts' VIRTUAL,\n"
        " WATERMARK FOR m AS m - INTERVAL '5' SECOND, PRIMARY KEY (a) NOT ENFORCED)\n"
        " PARTITIONED BY (a) WITH ('k' = 'v') LIKE u (EXCLUDING OPTIONS)"
    )
    table = parsed.statement
    assert isinstance(table, s.CreateTable)
    assert [c.name for c in table.columns] == ["a", "b", "m"]
    assert table.columns[0].type_text == "INT NOT NULL"
    assert table.columns[1].expression_text == "a + 1"
    assert (table.columns[2].metadata, table.columns[2].virtual) == ("ts", True)
    assert table.watermark.expression_text == "m - INTERVAL '5' SECOND"
    assert (table.primary_key, table.partitioned_by) == (("a",), ("a",))
    assert table.options == (("k", "v"),)
    assert table.like.options == (("EXCLUDING", "OPTIONS"),)


def test_unicode_strings():
    assert parse_expression(r"U&'\0041b\\'").this == "Ab\\"


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        ("SELEC 1", "found 'SELEC' (did you mean 'SELECT'?), at line 1, column 1"),
        (
            "SELECT a\nFRM t x",
            "expected ; or the end of the statement, found 't', at line 2, column 5",
        ),
        ("CREATE TABEL t (a INT)", "found 'TABEL' (did you mean 'TABLE'?)"),
        ("SELECT 'a", "a quote or comment is not closed"),
        ("SELECT a FROM t WHERE", "expected an expression, found the end of the statement"),
        ("SELECT FROM t", "FROM is a word of SQL, and an expression is expected"),
        ("SELECT a FROM t JOIN u", "expected ON or USING"),
        ("CREATE TABLE t (a INT PRIMARY KEY)", "expected NOT ENFORCED"),
        ("CREATE TABLE t (a INT) WITH (k = 'v')", "expected an option's key in single quotes"),
        ("SELECT INTERVAL '1' DAYZ", "expected a unit: YEAR"),
        ("DELETE FROM t", "the statement DELETE is not supported"),
        ("CREATE MODEL m", "CREATE MODEL is not supported"),
        ("SELECT a FROM t GROUP a", "expected ; or the end of the statement, found 'GROUP'"),
        ("SELECT (1", "expected ), found the end"),
        ("", "there is no statement in the text"),
        ("SELECT 1; SELECT 2", "there are 2 statements in the text"),
        ('SELECT "a" FROM t', "expected an expression, found '\"'"),
    ],
)
def test_messages(sql, message):
    with pytest.raises(SqlSyntaxError) as caught:
        parse_statement(sql)
    assert message in str(caught.value)
    assert caught.value.line >= 1


def test_the_place_is_shown():
    with pytest.raises(SqlSyntaxError) as caught:
        parse_statement("SELECT a,\n       b c d\nFROM t")
    assert "\n           b c d\n               ^" in str(caught.value)


def test_half_a_character_is_no_text():
    with pytest.raises(SqlSyntaxError, match=r"U\+D800 is half of a character.*column 12") as found:
        parse_statement("SELECT 'ab \ud800'")
    str(found.value).encode()  # can be printed


def test_deep_nesting_is_an_error_of_the_statement():
    deep = "(" * 20_000 + "1" + ")" * 20_000
    with pytest.raises(SqlSyntaxError, match="nested too deeply"):
        parse_statement(f"SELECT {deep}")
