"""What is wrong is told by name, with what to write instead."""

import pyarrow as pa
import pytest
from sql_text import parse

from lesto.common.errors import Domain, LestoError
from lesto.sql import errors
from lesto.sql import types as t
from lesto.sql.builder import call, literal
from lesto.sql.evaluator import compile_expressions, evaluate_constant
from lesto.sql.expressions import InputRef


@pytest.mark.parametrize(
    ("sql", "code", "message"),
    [
        ("UPER('x')", "LESTO-2121", r"no function UPER \(did you mean 'UPPER'\?\)"),
        (
            "ABS('x')",
            "LESTO-2122",
            r"ABS does not take \(CHAR\(1\) NOT NULL\); it is ABS\(NUMERIC\)",
        ),
        ("ABS()", "LESTO-2122", r"ABS does not take \(\)"),
        (
            "SUBSTRING(1, 2)",
            "LESTO-2122",
            r"SUBSTRING\(STRING, INT\); SUBSTRING\(STRING, INT, INT\)",
        ),
        ("1 + 'x'", "LESTO-2122", r"\+ does not take \(INT NOT NULL, CHAR\(1\) NOT NULL\)"),
        ("1 AND TRUE", "LESTO-2122", "AND does not take"),
        ("ARRAY[1] < ARRAY[2]", "LESTO-2122", "< does not take"),
        ("DATE '2020-01-01' = 1", "LESTO-2122", "= does not take"),
        ("1 = '1'", "LESTO-2122", r"= does not take \(INT NOT NULL, CHAR\(1\) NOT NULL\)"),
        (
            "CASE WHEN 1 THEN 2 END",
            "LESTO-2122",
            "a condition must be BOOLEAN, but 1 is INT NOT NULL",
        ),
        ("CASE WHEN TRUE THEN 1 ELSE 'x' END", "LESTO-2124", "no type in common of INT"),
        ("CAST(1 AS DATE)", "LESTO-2125", "INT cannot be cast to DATE"),
        ("CAST(1 AS INTT)", "LESTO-2123", "INTT is no data type"),
        ("EXTRACT(DAYY FROM DATE '2020-01-01')", "LESTO-2122", "no unit DAYY.*did you mean 'DAY'"),
        ("DATE '2020-02-30'", "LESTO-2126", "'2020-02-30' is no date"),
        ("TIMESTAMP '2020-01-01'", "LESTO-2126", "is no timestamp"),
        ("INTERVAL '1:2' DAY", "LESTO-2126", "no interval of DAY"),
        ("REGEXP('a', '[a&&b]')", "LESTO-2126", "a class within a class, or an intersection"),
        ("'a' LIKE 'a' ESCAPE 'xy'", "LESTO-2126", "an escape is one character"),
        (
            "DATE_FORMAT(TIMESTAMP '2020-01-01 00:00:00', 'yyyy B')",
            "LESTO-2126",
            "has the letter 'B'",
        ),
        ("JSON_VALUE('{}', 'a')", "LESTO-2126", r"does not begin with \$"),
        ("JSON_VALUE('{}', '$[?(@.a)]')", "LESTO-2126", "has a filter"),
        ("JSON_VALUE('{}', '$.a' RETURNING DATE)", "LESTO-2122", "JSON_VALUE cannot return DATE"),
        ("1 / 0", "LESTO-6211", "divided by zero"),
        ("MOD(1, 0)", "LESTO-6211", "divided by zero"),
        ("1.5 / 0", "LESTO-6211", "divided by zero"),
        ("CAST('abc' AS INT)", "LESTO-6212", "'abc' cannot be cast to INT"),
        ("CAST('128' AS TINYINT)", "LESTO-6212", "'128' cannot be cast to TINYINT"),
        ("CAST(ARRAY['1', 'x'] AS ARRAY<INT>)", "LESTO-6212", "'x' cannot be cast to INT"),
        ("CONVERT_TZ('2020-01-01 00:00:00', 'UTC', 'Nowhere/At')", "LESTO-6213", "no time zone"),
        ("JSON_VALUE('{}', 'lax $.a' ERROR ON EMPTY)", "LESTO-6214", "finds nothing"),
        ("JSON_VALUE('x', '$.a' ERROR ON ERROR)", "LESTO-6214", "is no JSON"),
        ("FROM_BASE64('!')", "LESTO-6210", "is no base64"),
        ("ELEMENT(ARRAY[1, 2])", "LESTO-6210", "at most one element, not of 2"),
    ],
)
def test_an_error_has_a_code_a_reason_and_a_remedy(sql, code, message):
    with pytest.raises(LestoError, match=message) as caught:
        evaluate_constant(parse(sql))
    assert caught.value.code == code
    assert caught.value.remedy
    assert caught.value.domain is Domain.USER
    assert caught.value.retryable is False


def test_a_pattern_in_a_column_fails_on_its_row():
    column = InputRef(0, t.STRING(), "p")
    program = compile_expressions([call("LIKE", [literal("a"), column, literal("!")])])
    assert program.evaluate(pa.record_batch({"p": ["a", "!%"]}))[0].to_pylist() == [True, False]
    with pytest.raises(errors.InvalidPatternError, match="stands before no"):
        program.evaluate(pa.record_batch({"p": ["a", "a!x"]}))


def test_no_two_errors_of_the_room_share_a_code():
    found = {}
    pending = [errors.SqlExpressionError, errors.SqlEvaluationError]
    while pending:
        kind = pending.pop()
        assert found.setdefault(kind.code, kind) is kind
        pending += kind.__subclasses__()
