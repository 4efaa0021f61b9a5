"""What Flink says about SQL expressions (flink_checked.json), beside what Lesto says."""

import json
import re
from pathlib import Path

import pyarrow as pa
from sql_text import parse

from lesto.common.errors import LestoError
from lesto.sql import types as t
from lesto.sql.builder import cast
from lesto.sql.evaluator import compile_expressions
from lesto.sql.values import EvaluationContext

CHECKED = Path(__file__).resolve().parents[1] / "unit/sql/flink_checked.json"

_PLANNER = "Flink's planner refuses it; Lesto takes more"
_NOT_NULL = "Flink gives a NULL the type NOT NULL, and shows it as an empty text or fails"
_OLD = "Flink rounds times before 1970 towards zero"
_RETURNING = "Flink's RETURNING fails on a value of another type; Lesto converts it"

#: Texts for which Lesto differs from Flink, and why.
KNOWN: dict[str, str] = {
    "COUNT_CHAR('banana', 'a')": "not in Flink: a user function of Nexmark",
    "CURRENT_WATERMARK(TIMESTAMP '2020-01-01 00:00:00') IS NULL": _PLANNER,
    "CAST(12345 AS DECIMAL(4, 1))": _NOT_NULL,
    "LPAD('hi', -1, '?')": _NOT_NULL,
    "LPAD('hi', 5, '')": _NOT_NULL,
    "CAST('x' AS DECIMAL(5, 1))": _NOT_NULL,
    "CAST(CAST(123.456 AS DOUBLE) AS DECIMAL(5, 3))": _NOT_NULL,
    "CAST(CAST(123.456 AS DOUBLE) AS DECIMAL(4, 3))": _NOT_NULL,
    "CAST(123 AS DECIMAL(2, 0))": _NOT_NULL,
    "CAST(99999999999999999999 AS DECIMAL(38, 0)) * CAST(99999999999999999999 AS DECIMAL(38, 0))": (
        _PLANNER
    ),
    "5 % CAST(2 AS DOUBLE)": _PLANNER,
    "DATE '2020-01-01' < TIMESTAMP '2020-01-01 00:00:01'": _PLANNER,
    "CAST(CAST(0.1 AS FLOAT) AS DOUBLE)": "Flink's planner drops the inner cast of a constant",
    "CAST(TIMESTAMP '1969-12-31 23:59:59.999' AS DATE)": _OLD,
    "YEAR(TIMESTAMP '1969-12-31 23:59:59')": _OLD,
    "HOUR(TIMESTAMP '1969-12-31 23:59:59')": _OLD,
    "TO_DATE('', 'yyyy')": "Flink reads an empty text as a day of the year 5471",
    "ARRAY_CONTAINS(ARRAY[1, 2], 2.0)": _PLANNER,
    "ARRAY_APPEND(ARRAY[1, 2], 2.5)": _PLANNER,
    "MAP_FROM_ARRAYS(ARRAY[1, 1], ARRAY['a', 'b'])": "Flink's map keeps a key twice",
    """JSON_VALUE('{"a": 1.5}', '$.a' RETURNING INT)""": _RETURNING,
    """JSON_VALUE('{"a": "x"}', '$.a' RETURNING INT NULL ON ERROR)""": _RETURNING,
    """JSON_VALUE('{"a": "true"}', '$.a' RETURNING BOOLEAN)""": _RETURNING,
    """JSON_VALUE('{"a": 1}', '$.a' RETURNING DOUBLE)""": _RETURNING,
    "JSON_OBJECT('d' VALUE DATE '2020-01-01', 't' VALUE TIMESTAMP '2020-01-01 10:00:00.5')": (
        _PLANNER
    ),
    "JSON_ARRAY('a', 1, NULL)": _PLANNER,
    "JSON_ARRAY('a', NULL NULL ON NULL)": _PLANNER,
    "REGEXP_REPLACE('abc', '(', 'x')": _NOT_NULL,
    "CAST(CAST(1.0E15 AS FLOAT) AS STRING)": "Java before 19 does not find the shortest digits",
    "'1 2' IS JSON": "Flink reads the first value and leaves the rest",
}

#: Aggregates that Flink cannot be asked for, and why.
UNASKED = {
    "COLLECT(y)": "a multiset has no order",
    "SUM0(x)": "only its planner's name",
    "SUM0(x) FILTER (WHERE x > 100)": "only its planner's name",
}


def cases():
    return json.loads(CHECKED.read_text())["cases"]


def lesto_says(sql):
    """Value as text and type, or the error."""
    zone = "UTC"
    if sql.startswith("@"):
        zone, _, sql = sql[1:].partition(" ")
    try:
        expression = parse(sql)
        program = compile_expressions([cast(expression, t.STRING())])
        value = program.evaluate(pa.record_batch({"r": [0]}), EvaluationContext(zone))[0][0].as_py()
    except (LestoError, pa.ArrowException, AssertionError) as error:
        return {"error": f"{type(error).__name__}: {str(error).splitlines()[0]}"}
    return {"value": value, "type": expression.type.summary()}


def plain_type(text):
    """A type without its lengths of text, its nullability and the resolution of intervals."""
    text = re.sub(r" NOT NULL", "", text)
    text = re.sub(r"\b(VAR)?CHAR\(\d+\)", "STRING", text)
    text = re.sub(r"\b(VAR)?BINARY\(\d+\)", "BYTES", text)
    text = re.sub(r"INTERVAL (YEAR|MONTH|QUARTER)[^>,]*", "INTERVAL YEAR TO MONTH", text)
    return re.sub(r"INTERVAL (DAY|HOUR|MINUTE|SECOND|WEEK)[^>,]*", "INTERVAL DAY TO SECOND", text)


def difference(case):
    """How Lesto differs in a case; None if it does not."""
    found = lesto_says(case["sql"])
    if "error" in case or "error" in found:
        if "error" in case and "error" in found:
            return None
        return f"{found} but Flink: {case.get('error', case.get('value'))!r}"
    if found["value"] != case["value"]:
        return f"{found['value']!r} but Flink: {case['value']!r}"
    if plain_type(found["type"]) != plain_type(case["type"]):
        return f"{found['type']} but Flink: {case['type']}"
    return None


def differences(checked):
    """Every scalar case in which Lesto differs."""
    from lesto.sql.aggregates.table import aggregates

    folded = {sql for a in aggregates() for sql, _ in a.examples}
    found = {}
    for case in checked:
        if case["sql"] not in folded and (what := difference(case)):
            found[case["sql"]] = what
    return found
