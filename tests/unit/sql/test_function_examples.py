"""Every example of the function table holds: as a constant, and over columns of several rows."""

import pyarrow as pa
import pytest
from sql_text import parse

from lesto.common.errors import LestoError
from lesto.sql import types as t
from lesto.sql.builder import cast
from lesto.sql.evaluator import compile_expressions
from lesto.sql.expressions import Call, InputRef, Literal, walk
from lesto.sql.functions import table
from lesto.sql.rewrite import fold, transform
from lesto.sql.types import TypeRoot
from lesto.sql.values import EvaluationContext

CONTEXT = EvaluationContext("UTC", now_ms=1_700_000_000_123, watermark_ms=None)
GROUPS = sorted({f.group for f in table.functions()})


def evaluated(expression, rows, columns=()):
    names = [f"c{i}" for i in range(len(columns))] + ["rows"]
    batch = pa.record_batch([*columns, pa.array([0] * rows)], names)
    program = compile_expressions([cast(expression, t.STRING())])
    return program.evaluate(batch, CONTEXT)[0].to_pylist()


def as_constant(expression, _sql):
    return evaluated(expression, 1)


def folded(expression, _sql):
    return evaluated(fold(expression, CONTEXT), 1)


def over_columns(expression, sql):
    """Literals that need not be constant become columns, with a NULL row between."""
    if "TYPEOF" in sql:
        return as_constant(expression, sql)  # a column's type is another: nullable
    columns, kept = [], fixed_literals(expression)

    def lift(e):
        if not isinstance(e, Literal) or e in kept or e.value is None:
            return e
        if e.type.root in {TypeRoot.SYMBOL, TypeRoot.NULL}:
            return e
        array = compile_expressions([e]).evaluate(pa.record_batch({"r": [0]}), CONTEXT)[0]
        # Arrow's maps have no NULL key.
        middle = array if "MAP" in sql else pa.nulls(1, array.type)
        columns.append(pa.concat_arrays([array, middle, array]))
        return InputRef(len(columns) - 1, e.type.with_nullable(True))

    found = evaluated(transform(expression, lift), 3, columns)
    return [found[0]] if found[0] == found[2] else found


def fixed_literals(expression):
    """Literals among the arguments of functions that take constants there."""
    kept = set()
    for e in walk(expression):
        if isinstance(e, Call) and e.user is None:
            entry = table.function(e.function)
            for signature in entry.signatures:
                for param, arg in zip(signature.params, e.args, strict=False):
                    if param.literal:
                        kept |= set(walk(arg))
            if not entry.signatures:
                kept |= {a for a in e.args[1:] if isinstance(a, Literal)}
    return kept


@pytest.mark.parametrize("form", [as_constant, folded, over_columns], ids=lambda f: f.__name__)
@pytest.mark.parametrize("group", GROUPS)
def test_the_examples_give_what_the_table_says(group, form):
    wrong = []
    for entry in table.functions():
        for sql, expected in entry.examples if entry.group == group else ():
            try:
                found = form(parse(sql), sql)
            except (LestoError, pa.ArrowException, AssertionError) as error:
                found = f"{type(error).__name__}: {error}"
            if found != [expected]:
                wrong.append(f"{entry.name}: {sql}: {found}, not {expected!r}")
    assert not wrong, "\n" + "\n".join(wrong)


def test_every_function_has_an_example():
    assert [f.name for f in table.functions() if not f.examples] == []
