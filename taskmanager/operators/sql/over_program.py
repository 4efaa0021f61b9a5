"""What OVER computes: results of rows sorted by partition and order, one a row and call.

Rows are *fresh*, those whose results are wanted, or *kept*, which frames of fresh rows reach back
to. What unbounded frames need of rows that are not kept is *carried*: an accumulator a partition.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.types as pat

from lesto.kernels import frames
from lesto.sql.aggregates.ranking import RANKING
from lesto.sql.aggregates.table import BoundAggregate, Collected, bind_aggregate
from lesto.sql.evaluator import CompiledExpressions, compile_expressions
from lesto.sql.expressions import Expression, Literal
from lesto.sql.rewrite import input_refs
from lesto.sql.types import SqlType
from lesto.sql.values import EvaluationContext, as_type
from lesto.taskmanager.operators.sql.over_folds import Carried, Frames, fold
from lesto.taskmanager.operators.sql.over_pairs import collected, distinct_folds, first_times, user
from lesto.taskmanager.operators.sql.over_ranking import Places, Ranked, ranking
from lesto.taskmanager.operators.sql.sort_order import Order, Words, changes_of

Flags = npt.NDArray[np.bool_]
#: Ranking functions that a number a partition carries on.
_COUNTED: Final = frozenset({"ROW_NUMBER", "RANK", "DENSE_RANK"})


@dataclass(frozen=True, slots=True)
class OverCall:
    """A function over the window: as ``AggregateCall`` has it, to be bound where it runs."""

    function: str
    args: tuple[Expression, ...]
    type: SqlType
    distinct: bool = False
    condition: Expression | None = None
    user: Any = None


@dataclass(frozen=True, slots=True)
class OverSpec:
    """An OVER window and its calls.

    Attributes:
        partition: positions.
        order: sort keys.
        rows: whether ``preceding`` counts rows, else milliseconds.
        preceding: how far frames reach back, None for all.
        calls: functions.
    """

    partition: tuple[int, ...]
    order: tuple[Order, ...]
    rows: bool
    preceding: int | None
    calls: tuple[OverCall, ...]


@dataclass(slots=True)
class Stretch:
    """Sorted rows of several partitions.

    Attributes:
        data: n rows: of each partition in its order.
        groups: int64[n], ascending: the partition of each.
        fresh: bool[n].
        words: of the order, of sorted rows.
        times: int64[n], for frames by time.
        carry: what is carried, a row a partition that has any.
        carry_at: int64[k], the place of each partition among them, -1 for none.
    """

    data: pa.RecordBatch
    groups: Places
    fresh: Flags
    words: Sequence[Words]
    times: Places | None = None
    carry: pa.RecordBatch | None = None
    carry_at: Places | None = None


@dataclass(slots=True)
class Results:
    """Of the fresh rows, in their order.

    Attributes:
        columns: one a call.
        carry: accumulators of each partition that has fresh rows, in order.
        firsts: bool[n] of all rows, those with values that no row before has; None if nobody asks.
    """

    columns: list[pa.Array]
    carry: list[pa.Array] = field(default_factory=list)
    firsts: Flags | None = None


@dataclass(slots=True)
class _Step:
    """How a call is computed.

    Attributes:
        call: it.
        inputs: columns of what is evaluated: accumulators' inputs, arguments.
        condition: column of FILTER, -1 for none.
        bound: an aggregate.
        result: over accumulators.
        carried: columns of what is carried.
    """

    call: OverCall
    inputs: list[int]
    condition: int = -1
    bound: BoundAggregate | None = None
    result: CompiledExpressions | None = None
    carried: list[int] = field(default_factory=list)


class OverProgram:
    """Computes the calls of one OVER window; made where it runs.

    Args:
        spec: the window.

    Attributes:
        columns: of the input that are read to compute the calls, ascending.
        carry_types: Arrow types of what is carried.
        keeps_all: whether a call needs all earlier rows.
        keeps_firsts: whether a call needs the first row of each value.
        keep_rows: how many earlier rows of a partition are needed.
    """

    def __init__(self, spec: OverSpec) -> None:
        self.spec = spec
        self.carry_types: list[pa.DataType] = []
        self.keeps_all = False
        self.keeps_firsts = False
        self.keep_rows = 0
        self._expressions: list[Expression] = []
        self._steps = [self._step(call) for call in spec.calls]
        self.columns = sorted(set().union(*map(input_refs, self._expressions)))
        self._compiled = compile_expressions(self._expressions)

    def _input(self, e: Expression) -> int:
        self._expressions.append(e)
        return len(self._expressions) - 1

    def _step(self, call: OverCall) -> _Step:
        condition = -1 if call.condition is None else self._input(call.condition)
        if call.function in RANKING:
            return self._ranking_step(call)
        unbounded = self.spec.preceding is None
        if self.spec.preceding is not None and self.spec.rows:
            self.keep_rows = max(self.keep_rows, self.spec.preceding)
        if call.user is not None:
            self.keeps_all |= unbounded
            return _Step(call, [self._input(a) for a in call.args], condition)
        bound = bind_aggregate(call.function, call.args, distinct=call.distinct, grouped=False)
        form = bound.insert
        if isinstance(form, Collected):
            self.keeps_all |= unbounded
            return _Step(call, [self._input(e) for e in form.inputs], condition, bound)
        step = _Step(call, [], condition, bound, compile_expressions([form.result]))
        for accumulator in form.accumulators:
            place = -1 if accumulator.input is None else self._input(accumulator.input)
            step.inputs.append(place)
            if unbounded:
                step.carried.append(len(self.carry_types))
                self.carry_types.append(accumulator.type.to_arrow())
        if bound.distinct:
            step.inputs += [self._input(a) for a in bound.args]
            self.keeps_firsts |= unbounded
        return step

    def _ranking_step(self, call: OverCall) -> _Step:
        step = _Step(call, [self._input(a) for a in call.args])
        if call.function in _COUNTED:
            step.carried.append(len(self.carry_types))
            self.carry_types.append(pa.int64())
        elif call.function == "LAG":
            offset = call.args[1] if len(call.args) > 1 else None
            if offset is None:
                self.keep_rows = max(self.keep_rows, 1)
            elif isinstance(offset, Literal) and offset.value is not None:
                self.keep_rows = max(self.keep_rows, int(offset.value))
            else:
                self.keeps_all = True
        return step

    # ------------------------------------------------------------------ a run

    def compute(self, rows: Stretch, context: EvaluationContext) -> Results:
        """Results of the fresh rows.

        Raises:
            SqlEvaluationError: an argument or result cannot be computed.
        """
        n = len(rows.groups)
        values = self._compiled.evaluate(rows.data, context) if self._expressions else []
        places = self._places(rows, n)
        columns, carry = [], [pa.nulls(0)] * len(self.carry_types)
        firsts = np.zeros(n, np.bool_) if self.keeps_firsts else None
        for step in self._steps:
            found, accumulators = self._run(step, values, rows, places, firsts, context)
            columns.append(as_type(found, step.call.type.to_arrow()))
            for at, accumulator in zip(step.carried, accumulators, strict=True):
                carry[at] = accumulator.take(pa.array(places.last))
        return Results(columns, carry, firsts)

    def _places(self, rows: Stretch, n: int) -> Ranked:
        starts = np.flatnonzero(changes_of([rows.groups], n))
        sizes = np.diff(np.append(starts, n))
        base = np.repeat(starts, sizes)
        end = np.repeat(starts + sizes, sizes)
        heads = changes_of([rows.groups, *rows.words], n)
        at = np.flatnonzero(heads)
        peers = np.diff(np.append(at, n))
        fresh = np.flatnonzero(rows.fresh)
        groups = rows.groups[fresh]
        last = np.flatnonzero(np.append(groups[1:] != groups[:-1], True)) if len(fresh) else fresh
        return Ranked(
            base, end, heads, np.repeat(at, peers), np.repeat(at + peers, peers), fresh, last
        )

    def _frame(self, rows: Stretch, places: Ranked) -> Frames:
        spec, fresh = self.spec, places.fresh
        number = np.arange(len(rows.groups))
        if spec.rows:
            hi = number + 1
            lo = places.base
            if spec.preceding is not None:
                lo = np.maximum(lo, number - spec.preceding)
        else:
            hi, lo = places.peers_end, places.base
            if spec.preceding is not None:
                assert rows.times is not None
                lo = frames.range_starts(places.base, rows.times, spec.preceding)
        return Frames(lo[fresh], hi[fresh])

    def _run(
        self,
        step: _Step,
        values: Sequence[pa.Array],
        rows: Stretch,
        places: Ranked,
        firsts: Flags | None,
        context: EvaluationContext,
    ) -> tuple[pa.Array, list[pa.Array]]:
        """The call's column, and its accumulators after each fresh row if they are carried."""
        inputs = [values[i] for i in step.inputs if i >= 0]
        call = step.call
        carried = self._carried(step, rows, places)
        if call.function in RANKING:
            found = ranking(
                call.function, inputs, rows.fresh, places, carried[0] if carried else None
            )
            if call.function not in _COUNTED:
                return found, []
            # What is carried on is the number of rows, or of different ones.
            total = found
            if call.function == "RANK":
                total = ranking("ROW_NUMBER", [], rows.fresh, places, carried[0])
            return found, [total]
        frame = self._frame(rows, places)
        chosen = np.ones(len(rows.groups), np.bool_)
        if step.condition >= 0:
            chosen = _true(values[step.condition])
        if call.user is not None:
            return user(call.user, inputs, chosen, frame), []
        bound = step.bound
        assert bound is not None
        form = bound.insert
        if isinstance(form, Collected):
            kind = call.type.to_arrow()
            return collected(form, inputs, chosen, frame, kind, distinct=bound.distinct), []
        inputs = [None if i < 0 else values[i] for i in step.inputs[: len(form.accumulators)]]
        assert step.result is not None
        if bound.distinct:
            args = [values[i] for i in step.inputs[len(form.accumulators) :]]
            before = first_times(rows.groups, args, chosen)
            if firsts is None:
                found = distinct_folds(form, inputs, chosen, before, frame)
                return _result(found, step.result, context), []
            chosen = chosen & (before < 0)
            np.logical_or(firsts, chosen, out=firsts)
        if step.carried:
            chosen = chosen & rows.fresh
        found = []
        for i, (accumulator, column) in enumerate(zip(form.accumulators, inputs, strict=True)):
            valid = chosen
            if column is not None and column.null_count:
                valid = chosen & np.asarray(column.is_valid())
            left = carried[i] if carried else None
            kind = accumulator.type.to_arrow()
            found.append(fold(accumulator.kind, column, valid, frame, left, kind))
        return _result(found, step.result, context), found if step.carried else []

    def _carried(self, step: _Step, rows: Stretch, places: Ranked) -> list[Carried]:
        if rows.carry is None or rows.carry_at is None:
            return [
                Carried(pa.nulls(0, self.carry_types[i]), np.full(len(places.fresh), -1, np.int64))
                for i in step.carried
            ]
        at = rows.carry_at[rows.groups[places.fresh]]
        return [Carried(rows.carry.column(i), at) for i in step.carried]


def _result(
    accumulators: Sequence[pa.Array], result: CompiledExpressions, context: EvaluationContext
) -> pa.Array:
    names = [f"a{i}" for i in range(len(accumulators))]
    batch = pa.RecordBatch.from_arrays(list(accumulators), names=names)
    return result.evaluate(batch, context)[0]


def _true(column: pa.Array) -> Flags:
    found = column.fill_null(False) if column.null_count else column
    return np.asarray(found.to_numpy(zero_copy_only=False), np.bool_)


def window_times(column: pa.Array, order: Order) -> Places:
    """Ms of a time column, ascending in its order."""
    from lesto.sql.values import ints

    times = ints(column)
    unit = {"s": 1000, "ms": 1}.get(getattr(column.type, "unit", "ms"))
    if unit is None:
        times = times // (1000 if column.type.unit == "us" else 1_000_000)
    elif pat.is_date(column.type):
        times = times * 86_400_000
    else:
        times = times * unit
    if column.null_count:
        times = np.where(np.asarray(column.is_null()), np.int64(-(1 << 62)), times)
    return -times if order.descending else times
