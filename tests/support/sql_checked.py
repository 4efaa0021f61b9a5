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

#: Texts for which Lesto differs from Flink, and why.
KNOWN: dict[str, str] = {}


def cases():
    return json.loads(CHECKED.read_text())["cases"]


def lesto_says(sql):
    """Value as text and type, or the error."""
    try:
        expression = parse(sql)
        program = compile_expressions([cast(expression, t.STRING())])
        value = program.evaluate(pa.record_batch({"r": [0]}), EvaluationContext("UTC"))[0][
            0
        ].as_py()
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
