"""Changes expressions: folds constants, splits conditions, renumbers input columns."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pyarrow as pa

from lesto.sql import types as t
from lesto.sql.builder import call
from lesto.sql.errors import SqlEvaluationError
from lesto.sql.evaluator import evaluate_constant, is_deterministic
from lesto.sql.expressions import (
    Call,
    Case,
    Expression,
    InputRef,
    Literal,
    children,
    walk,
    with_children,
)
from lesto.sql.functions import table
from lesto.sql.types import SqlType, TypeRoot
from lesto.sql.values import EvaluationContext, to_physical

_ZONED = TypeRoot.TIMESTAMP_LTZ


def transform(e: Expression, change: Callable[[Expression], Expression]) -> Expression:
    """Apply a change to every expression of a tree, from the leaves up."""
    below = children(e)
    if below:
        new = tuple(transform(child, change) for child in below)
        if any(a is not b for a, b in zip(below, new, strict=True)):
            e = with_children(e, new)
    return change(e)


def input_refs(e: Expression) -> set[int]:
    """Positions of the input columns it reads."""
    return {x.index for x in walk(e) if isinstance(x, InputRef)}


def shift_refs(e: Expression, by: int) -> Expression:
    """The same over an input with so many more columns in front."""
    return map_refs(e, lambda ref: InputRef(ref.index + by, ref.type, ref.name))


def remap_refs(e: Expression, positions: Mapping[int, int]) -> Expression:
    """The same over an input whose column ``i`` stands at ``positions[i]``."""
    return map_refs(e, lambda ref: InputRef(positions[ref.index], ref.type, ref.name))


def replace_refs(e: Expression, by: Sequence[Expression]) -> Expression:
    """The expression over what is below a projection: column ``i`` becomes ``by[i]``."""
    return map_refs(e, lambda ref: by[ref.index])


def map_refs(e: Expression, change: Callable[[InputRef], Expression]) -> Expression:
    """Replace each input reference."""
    return transform(e, lambda x: change(x) if isinstance(x, InputRef) else x)


def conjuncts(condition: Expression) -> list[Expression]:
    """The parts of a condition that must all be TRUE."""
    if isinstance(condition, Call) and condition.function == "AND" and condition.user is None:
        return [part for arg in condition.args for part in conjuncts(arg)]
    return [condition]


def conjunction(parts: Sequence[Expression]) -> Expression:
    """All parts joined by AND; TRUE if there are none."""
    if not parts:
        return Literal(True, t.BOOLEAN().not_null())
    return parts[0] if len(parts) == 1 else call("AND", parts)


def is_true(e: Expression) -> bool:
    """Whether it is the constant TRUE."""
    return isinstance(e, Literal) and e.value is True


def is_constant(e: Expression) -> bool:
    """Whether it has the same value in every row and at any time, in every session."""
    if not is_deterministic(e):
        return False
    for x in walk(e):
        if isinstance(x, InputRef):
            return False
        if isinstance(x, Call) and (x.user is not None or table.function(x.function).dynamic):
            return False
        # What is cast from or to an instant depends on the session's time zone.
        if x.type.root is _ZONED and not isinstance(x, Literal):
            return False
    return True


def fold(e: Expression, context: EvaluationContext | None = None) -> Expression:
    """Replace constant parts by their values.

    What would raise stays, to raise on the first row that reaches it. Nested values (arrays, maps,
    rows) stay as they are: a literal of them would be no shorter.
    """

    def change(x: Expression) -> Expression:
        if isinstance(x, Case):
            return _folded_case(x)
        below = children(x)
        if not below or not all(isinstance(c, Literal) for c in below) or x.type.children:
            return x
        if not is_constant(x):
            return x
        try:
            value = _python(evaluate_constant(x, context))
        except SqlEvaluationError:
            return x
        return Literal(value, x.type)

    return transform(e, change)


def _python(array: pa.Array) -> Any:
    return to_physical(array).to_pylist()[0]


def _folded_case(e: Case) -> Expression:
    branches: list[tuple[Expression, Expression]] = []
    otherwise = e.otherwise
    for condition, value in e.branches:
        if is_true(condition):
            otherwise = value
            break
        if not (isinstance(condition, Literal) and condition.value is not True):
            branches.append((condition, value))
    if not branches:
        return _typed(otherwise, e.type)
    return Case(tuple(branches), otherwise, e.type)


def _typed(e: Expression, kind: SqlType) -> Expression:
    """A branch in the place of its CASE, whose type it has but for NULL."""
    return Literal(e.value, kind) if isinstance(e, Literal) else e
