"""Evaluates a SQL expression as a constant, folded, and with its literals in columns."""

import pyarrow as pa

from lesto.sql import types as t
from lesto.sql.builder import cast
from lesto.sql.evaluator import compile_expressions
from lesto.sql.expressions import Call, InputRef, Literal, walk
from lesto.sql.functions import table
from lesto.sql.rewrite import fold, transform
from lesto.sql.types import TypeRoot
from lesto.sql.values import EvaluationContext

CONTEXT = EvaluationContext("UTC", now_ms=1_700_000_000_123, watermark_ms=None)


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
