"""Flink's own answers (flink_checked.json, by scripts/check-sql-functions) are Lesto's answers."""

from sql_checked import KNOWN, UNASKED, cases, differences
from sql_columns import over_columns
from sql_text import parse

from lesto.sql.aggregates.table import aggregates
from lesto.sql.functions import table


def test_lesto_says_what_flink_says_but_for_what_is_known():
    found = differences(cases())
    unknown = {sql: what for sql, what in found.items() if sql not in KNOWN}
    assert not unknown, "\n" + "\n".join(f"{sql}: {what}" for sql, what in unknown.items())
    assert not [sql for sql in KNOWN if sql not in found], "these differ no longer"


def test_columns_give_what_flink_says_of_constants():
    """The same expressions, their literals in columns of several rows with NULL between."""
    skipped = {sql for a in aggregates() for sql, _ in a.examples} | set(KNOWN)
    wrong = []
    for case in cases():
        if case["sql"] in skipped or "value" not in case or case["sql"][0] == "@":
            continue
        found = over_columns(parse(case["sql"]), case["sql"])
        if found != [case["value"]]:
            wrong.append(f"{case['sql']}: {found}, but Flink: {case['value']!r}")
    assert not wrong, "\n" + "\n".join(wrong)


def test_the_examples_say_what_flink_says():
    answers = {case["sql"]: case for case in cases()}
    examples = [e for f in table.functions() for e in f.examples]
    examples += [e for a in aggregates() for e in a.examples]
    missing = [sql for sql, _ in examples if sql not in answers]
    assert not missing, "run scripts/check-sql-functions"
    wrong = [
        f"{sql}: {value!r}, but Flink: {answers[sql]}"
        for sql, value in examples
        if sql not in KNOWN | UNASKED and answers[sql].get("value", "error") != value
    ]
    assert not wrong, "\n" + "\n".join(wrong)
