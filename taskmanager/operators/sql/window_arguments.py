"""Aggregates whose rows wait: the arguments that are kept, and the results of groups of rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from lesto.kernels import aggregate as kernel
from lesto.kernels import hashing
from lesto.kernels.arrow import validity_bytes
from lesto.kernels.index import HashIndex
from lesto.sql.aggregates.table import Accumulator, BoundAggregate, Collected, bind_aggregate
from lesto.sql.evaluator import CompiledExpressions, compile_expressions
from lesto.sql.expressions import Expression, InputRef, Literal
from lesto.sql.functions.collections import frozen
from lesto.sql.types import SqlType
from lesto.sql.users.aggregates import AggregateFunctionCall
from lesto.sql.values import EvaluationContext, from_physical, physical, to_physical
from lesto.taskmanager.operators.columnar.numbers import from_numbers, stored_dtype, to_numbers
from lesto.taskmanager.operators.sql.base import DELETE, INSERT, Signs

Numbers = npt.NDArray[np.int64]

#: Functions to which a value that they have had is nothing new.
_ONCE: Final = frozenset({"MIN", "MAX", "APPROX_COUNT_DISTINCT"})


@dataclass(frozen=True, slots=True)
class CallSpec:
    """An aggregate call as operators are told of it; bound where it runs.

    Attributes:
        function: name in the table of aggregates.
        args: over the operator's input.
        type: of the result.
        distinct: DISTINCT.
        condition: FILTER, over the operator's input.
        user: a user's aggregate function.
    """

    function: str
    args: tuple[Expression, ...]
    type: SqlType
    distinct: bool = False
    condition: Expression | None = None
    user: Any = None


class Arguments:
    """The calls that wait.

    Args:
        specs: the calls.
        grouped: whether there are keys.
        retracting: whether input takes rows back.

    Attributes:
        types: Arrow types of the columns that are kept of a row; the sign last, if retracting.
        once: whether a row that is equal to another one changes nothing.
    """

    def __init__(self, specs: Sequence[CallSpec], *, grouped: bool, retracting: bool) -> None:
        self._retracting = retracting
        kept: list[Expression] = []

        def place(e: Expression) -> Expression:
            if isinstance(e, Literal):
                return e
            if e not in kept:
                kept.append(e)
            return InputRef(kept.index(e), e.type)

        self._groups: list[_Group | _UserGroup] = []
        for spec in specs:
            args = tuple(map(place, spec.args))
            condition = None if spec.condition is None else place(spec.condition)
            if spec.user is not None:
                self._groups.append(_UserGroup(spec.user, args, condition))
                continue
            bound = bind_aggregate(
                spec.function,
                args,
                distinct=spec.distinct,
                condition=condition,
                grouped=grouped,
                retracting=retracting,
            )
            self._groups.append(_Group(bound, retracting))
        self.once = not retracting and all(map(_counts_once, specs))
        self._program = compile_expressions(kept)
        self.types = [e.type.to_arrow() for e in kept]
        if retracting:
            self.types.append(pa.int8())

    def columns(
        self, data: pa.RecordBatch, signs: Signs | None, context: EvaluationContext
    ) -> list[pa.Array]:
        """What is kept of a batch's rows."""
        found = self._program.evaluate(data, context)
        if self._retracting:
            signs = np.ones(data.num_rows, np.int8) if signs is None else signs
            found.append(pa.array(signs))
        return found

    def results(
        self,
        columns: Sequence[pa.Array],
        groups: Numbers,
        count: int,
        context: EvaluationContext,
    ) -> list[pa.Array]:
        """Each call's results.

        Args:
            columns: what was kept of n rows, in order of arrival.
            groups: int64[n], the group of each, in 0..count-1.
            count: number of groups.
            context: of the evaluation.
        """
        signs = None
        if self._retracting:
            *columns, last = columns
            signs = last.to_numpy(zero_copy_only=False)
            if (signs > 0).all():
                signs = None
        names = [f"a{i}" for i in range(len(columns))]
        data = pa.RecordBatch.from_arrays([*columns, pa.array(groups)], [*names, "group"])
        return [g.results(data, groups, signs, count, context) for g in self._groups]


def _counts_once(spec: CallSpec) -> bool:
    return spec.user is None and (spec.distinct or spec.function in _ONCE)


class _UserGroup:
    """A user's aggregate function over groups of rows."""

    def __init__(
        self,
        user: AggregateFunctionCall,
        args: tuple[Expression, ...],
        condition: Expression | None,
    ) -> None:
        self._user = user
        self._args = compile_expressions(args)
        self._condition = None if condition is None else compile_expressions([condition])

    def results(
        self,
        data: pa.RecordBatch,
        groups: Numbers,
        signs: Signs | None,
        count: int,
        context: EvaluationContext,
    ) -> pa.Array:
        """A value a group."""
        data, groups, signs = _met(self._condition, data, groups, signs, context)
        accumulators = [self._user.create() for _ in range(count)]
        kinds = None
        if signs is not None:
            kinds = np.where(signs > 0, INSERT, DELETE).astype(np.int8)
        if len(groups):
            columns = self._args.evaluate(data, context)
            self._user.fold(accumulators, groups, columns, kinds)
        return self._user.results(accumulators)


def _met(
    condition: CompiledExpressions | None,
    data: pa.RecordBatch,
    groups: Numbers,
    signs: Signs | None,
    context: EvaluationContext,
) -> tuple[pa.RecordBatch, Numbers, Signs | None]:
    """The rows of which FILTER's condition is TRUE."""
    if condition is None:
        return data, groups, signs
    met = np.flatnonzero(condition.mask(data, context).to_numpy(zero_copy_only=False))
    return data.take(pa.array(met)), groups[met], None if signs is None else signs[met]


class _Group:
    """One call over groups of rows."""

    def __init__(self, bound: BoundAggregate, retracting: bool) -> None:
        self._bound = bound
        form = bound.retract if retracting else bound.insert
        self._form = form
        self._type = bound.type.to_arrow()
        self._condition = (
            None if bound.condition is None else compile_expressions([bound.condition])
        )
        self._args = compile_expressions(bound.args) if bound.distinct else None
        self._inputs: CompiledExpressions
        if isinstance(form, Collected):
            self._inputs = compile_expressions(form.inputs)
            return
        self._accumulators = form.accumulators
        given = [a.input for a in form.accumulators if a.input is not None]
        self._inputs = compile_expressions(given)
        self._result = compile_expressions([form.result])

    def results(
        self,
        data: pa.RecordBatch,
        groups: Numbers,
        signs: Signs | None,
        count: int,
        context: EvaluationContext,
    ) -> pa.Array:
        """A value a group."""
        data, groups, signs = _met(self._condition, data, groups, signs, context)
        if self._args is not None:
            rows = _once(self._args.evaluate(data, context), groups, signs)
            data, groups, signs = data.take(pa.array(rows)), groups[rows], None
        if isinstance(self._form, Collected):
            return self._collect(self._form, data, groups, signs, count, context)
        given = iter(self._inputs.evaluate(data, context))
        columns = [
            folded(a, None if a.input is None else next(given), groups, signs, count)
            for a in self._accumulators
        ]
        names = [a.name for a in self._accumulators]
        return self._result.evaluate(pa.RecordBatch.from_arrays(columns, names), context)[0]

    def _collect(
        self,
        form: Collected,
        data: pa.RecordBatch,
        groups: Numbers,
        signs: Signs | None,
        count: int,
        context: EvaluationContext,
    ) -> pa.Array:
        columns = self._inputs.evaluate(data, context)
        values = list(zip(*(to_physical(c).to_pylist() for c in columns), strict=True))
        required = form.required
        found: list[list[Any]] = [[] for _ in range(count)]
        steps = [1] * len(values) if signs is None else signs.tolist()
        for group, value, sign in zip(groups.tolist(), values, steps, strict=True):
            if any(value[i] is None for i in required):
                continue
            if sign > 0:
                found[group].append(value)
            else:
                _take_back(found[group], value)
        if form.layout == "multiset":
            found = [_counted(rows) for rows in found]
        made = [form.finish(rows) for rows in found]
        return from_physical(pa.array(made, physical(self._type)), self._type)


def _take_back(rows: list[Any], value: Any) -> None:
    """The oldest equal row goes; what never came is passed over."""
    if value in rows:
        rows.remove(value)


def _counted(rows: list[Any]) -> list[Any]:
    counts: dict[Any, list[Any]] = {}
    for row in rows:
        entry = counts.setdefault(frozen(row), [row, 0])
        entry[1] += 1
    return [tuple(entry) for entry in counts.values()]


def _once(args: Sequence[pa.Array], groups: Numbers, signs: Signs | None) -> Numbers:
    """Row numbers at which a group has a value first, of the values it has in the end."""
    columns = [pa.array(groups), *args]
    index = HashIndex([c.type for c in columns], capacity=max(len(groups), 8))
    slots, _ = index.lookup_or_insert(columns, hashing.hash_columns(columns))
    first = index.new_rows
    if signs is None:
        return np.asarray(first)
    net = np.bincount(slots, weights=signs, minlength=index.slot_bound)
    return np.asarray(first[net[slots[first]] > 0])


def folded(
    a: Accumulator,
    column: pa.Array | None,
    groups: Numbers,
    signs: Signs | None,
    count: int,
) -> pa.Array:
    """One accumulator of groups of rows, of its Arrow type."""
    kind = a.type.to_arrow()
    valid = None if column is None else validity_bytes(column)
    if a.kind == "count":
        weights = np.ones(len(groups)) if signs is None else signs.astype(np.float64)
        if valid is not None:
            weights = weights * valid
        counts = np.bincount(groups, weights=weights, minlength=count)
        return pa.array(counts.astype(np.int64), kind)
    assert column is not None
    dtype = stored_dtype(kind)
    out = np.zeros(count, dtype or np.int64)
    seen, dirty = np.zeros(count, np.uint8), np.zeros(count, np.uint8)
    if dtype is not None:
        numbers, valid = to_numbers(column)
        if signs is not None:
            numbers = numbers * signs
        kernel.accumulate(a.kind, groups, numbers, valid, out, seen, dirty)
        return from_numbers(out, seen, kind)
    if a.kind == "sum":
        return _decimal_sum(column, groups, signs, count, kind)
    # Of anything that can be ordered, and of what comes first or last, the row is what is folded.
    order = np.arange(len(groups), dtype=np.int64)
    if a.kind in {"min", "max"}:
        by_value = pc.sort_indices(column).to_numpy()
        ranks = np.empty(len(groups), np.int64)
        ranks[by_value] = order
        kernel.accumulate(a.kind, groups, ranks, valid, out, seen, dirty)
        rows = by_value[out.astype(np.int64)] if len(groups) else out
    else:
        kernel.accumulate(a.kind, groups, order, valid, out, seen, dirty)
        rows = out
    picked = pa.array(rows, pa.int64(), mask=seen == 0)
    return column.take(picked)


def _decimal_sum(
    column: pa.Array, groups: Numbers, signs: Signs | None, count: int, kind: pa.DataType
) -> pa.Array:
    if signs is not None:
        column = pc.if_else(pa.array(signs < 0), pc.negate(column), column)
    table = pa.table({"g": groups, "v": column}).group_by("g").aggregate([("v", "sum")])
    at = np.full(count, -1, np.int64)
    at[table["g"].to_numpy()] = np.arange(table.num_rows)
    sums = table["v_sum"].combine_chunks()
    return sums.take(pa.array(at, mask=at < 0)).cast(kind)
