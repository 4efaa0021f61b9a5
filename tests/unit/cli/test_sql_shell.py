"""The SQL shell: statements one by one, scripts up to the first error, completion."""

import io

import pytest

from lesto.client.cli.failures import format_error
from lesto.client.datastream.environment import StreamExecutionEnvironment
from lesto.client.table.errors import SqlError
from lesto.client.table.session import Session
from lesto.client.table.shell.prompt import completions, interact, is_complete
from lesto.client.table.shell.runner import HELP, Runner

TABLE = "CREATE TABLE people (id BIGINT, nickname STRING) WITH ('connector' = 'datagen');"


@pytest.fixture
def runner():
    return Runner(Session(StreamExecutionEnvironment()), io.StringIO())


def told(runner):
    return runner.out.getvalue()


def test_a_script_runs_statement_by_statement(runner):
    runner.script(f"-- two\n{TABLE}\nSHOW TABLES; SET 'table.dml-sync' = 'true';")
    assert told(runner) == (
        "[INFO] Statement done.\n"
        "+------------+\n| table name |\n+------------+\n|     people |\n+------------+\n"
        "1 row in set\n"
        "[INFO] Option set.\n"
    )


def test_a_script_ends_at_the_first_error_and_shows_its_place(runner):
    with pytest.raises(SqlError) as caught:
        runner.script(f"{TABLE}\n\nDESCRIBE people;\n  DROP TABLE persons;\nDROP TABLE people;")
    assert (caught.value.line, caught.value.column) == (4, 14)
    assert runner.session.catalogs.list_objects("default_catalog", "default_database") == ["people"]


def test_a_syntax_error_does_not_keep_earlier_statements_from_running(runner):
    with pytest.raises(SqlError, match="line 2, column 1"):
        runner.script(f"{TABLE}\nSELEC 1;")
    assert "people" in runner.session.catalogs.list_objects("default_catalog", "default_database")


def test_commands_of_the_shell(runner, tmp_path):
    script = tmp_path / "a.sql"
    script.write_text(TABLE)
    runner.script(f"HELP; CLEAR; SOURCE '{script}'; quit; SHOW TABLES;")
    assert told(runner) == f"{HELP}\n[INFO] Statement done.\n"
    assert runner.ended


def test_typing_goes_on_behind_an_error(runner, capsys):
    interact(runner, iter(["", "SHOW NOTHING;", "SHOW VIEWS;", "EXIT;", "SHOW TABLES;"]))
    assert told(runner) == "Empty set\n"
    assert "[ERROR] LESTO-2131" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "complete"),
    [
        ("SELECT 1", False),
        ("SELECT ';'", False),
        ("SELECT 'open;", False),
        ("SELECT 1; -- done", True),
        ("  quit  ", True),
        ("", True),
        ("-- a comment", True),
        ("EXECUTE STATEMENT SET BEGIN INSERT INTO a SELECT 1;", False),
        ("EXECUTE STATEMENT SET BEGIN INSERT INTO a SELECT 1; END;", True),
    ],
)
def test_enter_carries_out_what_is_complete(text, complete):
    assert is_complete(text) is complete


@pytest.mark.parametrize(
    ("before", "found"),
    [
        ("SEL", ("SELECT", 3)),
        ("SELECT nick", ("nickname", 4)),
        ("SELECT * FROM peo", ("people", 3)),
        ("SELECT upp", ("UPPER(", 3)),
        ("SET 'table.exec.state", ("table.exec.state.ttl", 16)),
    ],
)
def test_words_tables_columns_functions_and_options_are_completed(runner, before, found):
    runner.script(TABLE)
    assert found in completions(runner.session, before)


def test_names_in_double_quotes_are_told_how_to_be_written(runner):
    with pytest.raises(SqlError, match="quote names by `"):
        runner.script('SELECT "id" FROM people;')


def test_a_cause_that_says_the_same_is_not_shown_again(runner):
    with pytest.raises(SqlError) as caught:
        runner.script("SELECT 1 = 'a';")
    text = format_error(caught.value)
    assert text.count("what to do") == 1
    assert "why" not in text
