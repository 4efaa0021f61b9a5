"""Compiles expressions once, then computes them batch by batch.

* Equal sub-expressions are computed once a batch.
* What may raise on a row (division, casts) or runs Python a row is computed, below CASE, COALESCE,
  AND and OR, only on the rows for which SQL asks for it.
* A result is an array of exactly the Arrow type of the expression.

>>> import pyarrow as pa
>>> from lesto.sql import types as t
>>> from lesto.sql.builder import call, literal
>>> from lesto.sql.expressions import InputRef
>>> a = InputRef(0, t.INT(), "a")
>>> program = compile_expressions([call("+", [a, literal(1)]), call(">", [a, literal(1)])])
>>> [c.to_pylist() for c in program.evaluate(pa.record_batch({"a": pa.array([1, None, 2**31 - 1], pa.int32())}))]
[[2, None, -2147483648], [False, None, True]]
"""  # noqa: E501

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lesto.common.errors import InternalError, LestoError
from lesto.sql.casts.compile import can_fail, compile_cast
from lesto.sql.errors import NotComputableError
from lesto.sql.expressions import (
    Call,
    Case,
    Cast,
    Expression,
    InputRef,
    Literal,
    children,
    walk,
)
from lesto.sql.functions import table
from lesto.sql.types import TypeRoot
from lesto.sql.values import (
    Evaluation,
    EvaluationContext,
    Kernel,
    Value,
    as_type,
    broadcast,
    from_physical,
    is_scalar,
    physical,
    truth,
)

Step = Callable[["Frame"], Value]


class Frame:
    """The rows an expression is computed on: all of a batch, or some rows of another frame."""

    __slots__ = ("_columns", "_memo", "_parent", "_rows_of_parent", "ev")

    def __init__(
        self,
        ev: Evaluation,
        columns: Sequence[pa.Array] | None = None,
        parent: Frame | None = None,
        rows_of_parent: pa.Array | None = None,
    ) -> None:
        self.ev = ev
        self._columns: dict[int, pa.Array] = dict(enumerate(columns or ()))
        self._memo: dict[int, Value] = {}
        self._parent = parent
        self._rows_of_parent = rows_of_parent

    def column(self, index: int) -> pa.Array:
        """An input column's values for these rows."""
        found = self._columns.get(index)
        if found is None:
            if self._parent is None:
                msg = f"an expression refers to column {index} of {len(self._columns)}"
                raise InternalError(msg)
            found = self._parent.column(index).take(self._rows_of_parent)
            self._columns[index] = found
        return found

    def recall(self, key: int) -> Value:
        """What was remembered under the key, here or for a frame of more rows; or None."""
        found = self._memo.get(key)
        if found is None and self._parent is not None:
            found = self._parent.recall(key)
            if isinstance(found, pa.Array):
                found = found.take(self._rows_of_parent)
        return found

    def remember(self, key: int, value: Value) -> None:
        """Keep a shared sub-expression's value."""
        self._memo[key] = value

    def narrow(self, rows: pa.Array) -> Frame:
        """Only some of the rows, by number."""
        return Frame(Evaluation(self.ev.context, len(rows)), parent=self, rows_of_parent=rows)


class CompiledExpressions:
    """Expressions ready to be computed; not to be pickled: compile anew where they run."""

    def __init__(self, expressions: Sequence[Expression]) -> None:
        compiler = _Compiler(expressions)
        self._expressions = tuple(expressions)
        self.types = [e.type for e in expressions]
        self._targets = [kind.to_arrow() for kind in self.types]
        self._steps = [compiler.step(e) for e in expressions]

    def evaluate(
        self, batch: pa.RecordBatch, context: EvaluationContext | None = None
    ) -> list[pa.Array]:
        """A column an expression.

        Args:
            batch: columns in the order of the input references, of their exact Arrow types.
            context: the session's time zone and the time.

        Raises:
            SqlEvaluationError: a row divides by zero, fails a cast, and so on.
        """
        rows = batch.num_rows
        frame = Frame(Evaluation(context or EvaluationContext(), rows), batch.columns)
        found = []
        for at, step in enumerate(self._steps):
            try:
                found.append(as_type(broadcast(step(frame), rows), self._targets[at]))
            except LestoError:
                raise
            except (pa.ArrowException, ArithmeticError, ValueError, MemoryError) as error:
                # Without a code it would pass for a fault of the engine, and be tried for ever.
                msg = f"{self._expressions[at]} cannot be computed: {error}"
                raise NotComputableError(
                    msg, remedy="look for values that are too large, or filter them out before"
                ) from error
        return found

    def mask(
        self, batch: pa.RecordBatch, context: EvaluationContext | None = None
    ) -> pa.BooleanArray:
        """Of a single condition: where it is TRUE; NULL counts as FALSE."""
        return truth(self.evaluate(batch, context)[0], batch.num_rows)


def compile_expressions(expressions: Sequence[Expression]) -> CompiledExpressions:
    """Prepare expressions over one input; once an operator."""
    return CompiledExpressions(expressions)


def evaluate_constant(expression: Expression, context: EvaluationContext | None = None) -> pa.Array:
    """The one value, as an array, of an expression without input references."""
    batch = pa.RecordBatch.from_struct_array(pa.array([{}], pa.struct([])))
    return compile_expressions([expression]).evaluate(batch, context)[0]


def is_deterministic(expression: Expression) -> bool:
    """Whether equal rows give equal values, whenever it is computed."""
    return all(
        not isinstance(e, Call)
        or (
            e.user.deterministic if e.user is not None else table.function(e.function).deterministic
        )
        for e in walk(expression)
    )


def needs_guard(expression: Expression) -> bool:
    """Whether it may raise on a row, or is too dear to compute where nobody asks."""
    for e in walk(expression):
        if isinstance(e, Cast) and can_fail(e.operand.type, e.type) and not e.attempt:
            return True
        if isinstance(e, Call):
            if e.user is not None:
                return True
            entry = table.function(e.function)
            if entry.costly or entry.may_fail(e):
                return True
    return False


class _Compiler:
    def __init__(self, expressions: Sequence[Expression]) -> None:
        self._uses: Counter[Expression] = Counter()
        seen: set[Expression] = set()
        pending = list(expressions)
        while pending:
            e = pending.pop()
            self._uses[e] += 1
            if e not in seen:
                seen.add(e)
                pending.extend(children(e))
        self._known: dict[Expression, Step] = {}
        self._keys = 0

    def step(self, e: Expression) -> Step:
        """How to compute an expression on a frame."""
        if isinstance(e, InputRef):
            index = e.index
            return lambda frame: frame.column(index)
        if isinstance(e, Literal):
            value = literal_scalar(e)
            return lambda _frame: value
        known = self._known.get(e)
        if known is not None:
            return known
        made = self._make(e)
        if self._uses[e] > 1 and is_deterministic(e):
            self._keys += 1
            made = _shared(made, self._keys)
            self._known[e] = made
        return made

    def _make(self, e: Expression) -> Step:
        match e:
            case Cast(operand=operand, type=kind, attempt=attempt):
                return _applied(compile_cast(operand.type, kind, attempt), [self.step(operand)])
            case Case(branches=branches, otherwise=otherwise):
                return self._case(branches, otherwise, e.type.to_arrow())
            case Call(function="AND", user=None):
                return self._junction(e, stops_at=False)
            case Call(function="OR", user=None):
                return self._junction(e, stops_at=True)
            case Call(function="COALESCE", user=None) if any(map(needs_guard, e.args[1:])):
                return self._coalesce(e)
            case Call():
                return self._call(e)
        msg = f"no step for {e!r}"
        raise InternalError(msg)

    def _call(self, e: Call) -> Step:
        target = e.type.to_arrow()
        steps = [_nothing if a.type.root is TypeRoot.SYMBOL else self.step(a) for a in e.args]
        if e.user is not None:
            return _applied(_user_kernel(e), steps, target)
        prepare = table.function(e.function).prepare
        if prepare is None:
            msg = f"{e.function} is only syntax: it has no kernel"
            raise InternalError(msg)
        return _applied(prepare(e), steps, target)

    def _junction(self, e: Call, *, stops_at: bool) -> Step:
        """AND (stops at FALSE) or OR (stops at TRUE), in three-valued logic."""
        join = pc.or_kleene if stops_at else pc.and_kleene
        steps = [(self.step(a), needs_guard(a)) for a in e.args]

        def run(frame: Frame) -> Value:
            found = steps[0][0](frame)
            for step, guarded in steps[1:]:
                if is_scalar(found) and found.as_py() is stops_at:
                    return found
                if not guarded or is_scalar(found):
                    found = join(found, step(frame))
                    continue
                # Undecided rows only: those that are not yet what the junction stops at.
                undecided = pc.fill_null(pc.invert(found) if stops_at else found, True)
                rows = pc.indices_nonzero(undecided)
                if len(rows) == 0:
                    return found
                if len(rows) == len(found):
                    found = join(found, step(frame))
                    continue
                part = frame.narrow(rows)
                joined = join(found.take(rows), broadcast(step(part), len(rows)))
                found = pc.replace_with_mask(found, undecided, joined)
            return found

        return run

    def _coalesce(self, e: Call) -> Step:
        target = e.type.to_arrow()
        steps = [self.step(a) for a in e.args]

        def run(frame: Frame) -> Value:
            found = steps[0](frame)
            for step in steps[1:]:
                if is_scalar(found):
                    if found.is_valid:
                        return found
                    found = step(frame)
                    continue
                if found.null_count == 0:
                    return found
                missing = pc.is_null(found)
                rows = pc.indices_nonzero(missing)
                more = as_type(broadcast(step(frame.narrow(rows)), len(rows)), target)
                found = _scattered([(None, as_type(found, target)), (rows, more)], len(found))
            return found

        return run

    def _case(
        self,
        branches: Sequence[tuple[Expression, Expression]],
        otherwise: Expression,
        target: pa.DataType,
    ) -> Step:
        conditions = [self.step(c) for c, _ in branches]
        values = [self.step(v) for _, v in branches]
        last = self.step(otherwise)
        parts = [c for c, _ in branches[1:]] + [v for _, v in branches] + [otherwise]
        if any(map(needs_guard, parts)):
            return _guarded_case(conditions, values, last, target)
        return _plain_case(conditions, values, last, target)


def _nothing(_frame: Frame) -> None:
    return None


def _applied(kernel: Kernel, steps: Sequence[Step], target: pa.DataType | None = None) -> Step:
    if len(steps) == 1:
        only = steps[0]
        if target is None:
            return lambda frame: kernel(frame.ev, only(frame))
        return lambda frame: as_type(kernel(frame.ev, only(frame)), target)

    def run(frame: Frame) -> Value:
        found = kernel(frame.ev, *[step(frame) for step in steps])
        return found if target is None else as_type(found, target)

    return run


def _shared(step: Step, key: int) -> Step:
    def run(frame: Frame) -> Value:
        found = frame.recall(key)
        if found is None:
            found = step(frame)
        frame.remember(key, found)
        return found

    return run


def _user_kernel(e: Call) -> Kernel:
    user = e.user
    assert user is not None

    def run(ev: Evaluation, *values: Value) -> Value:
        return user.evaluate([broadcast(v, ev.rows) for v in values], ev.rows)

    return run


def _plain_case(
    conditions: Sequence[Step], values: Sequence[Step], last: Step, target: pa.DataType
) -> Step:
    def run(frame: Frame) -> Value:
        found = as_type(last(frame), target)
        for condition, value in zip(reversed(conditions), reversed(values), strict=True):
            chosen = condition(frame)
            if is_scalar(chosen):
                if chosen.as_py():
                    found = as_type(value(frame), target)
                continue
            # Nested values are not selected between a scalar and an array by every Arrow.
            found = pc.if_else(truth(chosen, frame.ev.rows), as_type(value(frame), target), found)
        return found

    return run


def _guarded_case(
    conditions: Sequence[Step], values: Sequence[Step], last: Step, target: pa.DataType
) -> Step:
    def run(frame: Frame) -> Value:
        total = frame.ev.rows
        pieces: list[tuple[pa.Array | None, pa.Array]] = []
        rest: pa.Array | None = None  # numbers of the rows not yet decided; None for all
        part = frame
        for condition, value in zip(conditions, values, strict=True):
            chosen = truth(condition(part), part.ev.rows)
            hits = pc.indices_nonzero(chosen)
            if len(hits) == part.ev.rows:
                pieces.append((rest, _piece(value, part, target)))
                return _scattered(pieces, total)
            if len(hits) == 0:
                continue
            rows = hits if rest is None else rest.take(hits)
            pieces.append((rows, _piece(value, frame.narrow(rows), target)))
            misses = pc.indices_nonzero(pc.invert(chosen))
            rest = misses if rest is None else rest.take(misses)
            part = frame.narrow(rest)
        pieces.append((rest, _piece(last, part, target)))
        return _scattered(pieces, total)

    return run


def _piece(step: Step, frame: Frame, target: pa.DataType) -> pa.Array:
    return as_type(broadcast(step(frame), frame.ev.rows), target)


def _scattered(pieces: Sequence[tuple[pa.Array | None, pa.Array]], total: int) -> pa.Array:
    """One array of values that were computed for some rows each; later pieces win."""
    if len(pieces) == 1 and pieces[0][0] is None:
        return pieces[0][1]
    where = np.zeros(total, np.int64)
    start = 0
    for rows, values in pieces:
        numbers = np.arange(start, start + len(values))
        if rows is None:
            where[:] = numbers
        else:
            where[np.asarray(rows)] = numbers
        start += len(values)
    return pa.concat_arrays([values for _, values in pieces]).take(pa.array(where))


def literal_scalar(e: Literal) -> pa.Scalar:
    """A constant as Arrow has it."""
    kind = e.type.to_arrow()
    value: Any = e.value
    if value is None:
        return pa.scalar(None, kind)
    return from_physical(pa.scalar(value, physical(kind)), kind)
