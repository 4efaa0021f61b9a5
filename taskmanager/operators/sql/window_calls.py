"""The aggregates of windows: which accumulators the table keeps, what is folded, what comes out.

Aggregates whose accumulators are numbers or decimals are *folded* into a state table as rows come,
a row once however many windows it is in. For the others (DISTINCT, collected values, texts, users'
functions) the rows' arguments wait, and are aggregated when their window ends.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from lesto.kernels import aggregate as kernel
from lesto.kernels.arrow import validity_bytes
from lesto.sql.aggregates.table import COUNT_TYPE, Folded, bind_aggregate
from lesto.sql.evaluator import compile_expressions
from lesto.sql.expressions import Expression, Literal
from lesto.sql.rewrite import remap_refs
from lesto.sql.types import SqlType
from lesto.sql.values import EvaluationContext
from lesto.state.table import AccumulatorSpec, Flags, Slots, StateTable
from lesto.taskmanager.operators.sql.base import Signs
from lesto.taskmanager.operators.sql.window_arguments import Arguments, CallSpec
from lesto.taskmanager.operators.sql.window_numbers import (
    Numbers,
    Values,
    column_of,
    fold,
    gathered,
    kept_as,
    numbers_of,
    signed,
)

_ROWS = AccumulatorSpec("rows", "count")


@dataclass(frozen=True, slots=True)
class Fold:
    """An accumulator of the table.

    Attributes:
        spec: name, kind and dtype.
        value: number of the input that is folded, -1 to count rows.
        condition: number of the input that is FILTER's condition, -1 for none.
        type: of the accumulator.
    """

    spec: AccumulatorSpec
    value: int
    condition: int
    type: SqlType


class WindowCalls:
    """The calls of one operator.

    Args:
        specs: the calls.
        grouped: whether there are keys.
        retracting: whether input takes rows back: then the rows of a group are counted, and a
            group without any has no result.
        sets: of GROUPING SETS, positions of the keys in each.

    Attributes:
        folds: the accumulators.
        arguments: of the calls that wait; None if all are folded.
    """

    def __init__(
        self,
        specs: Sequence[CallSpec],
        *,
        grouped: bool,
        retracting: bool,
        sets: Sequence[Sequence[int]] = (),
    ) -> None:
        self.retracting = retracting
        self._grouping: dict[int, npt.NDArray[np.int64]] = {}
        self.folds: list[Fold] = []
        self._inputs: list[Expression] = []
        self._known: dict[tuple[str, int, int, SqlType], int] = {}
        folded: list[tuple[int, Expression]] = []
        waiting: list[tuple[int, CallSpec]] = []
        for at, spec in enumerate(specs):
            if spec.function in {"GROUPING", "GROUPING_ID"}:
                self._grouping[at] = _grouping(spec, sets)
                continue
            result = self._foldable(spec, grouped)
            if result is None:
                waiting.append((at, spec))
            else:
                folded.append((at, result))
        if retracting or not self.folds:
            self.folds.append(Fold(_ROWS, -1, -1, COUNT_TYPE))
        self._count = len(self.folds) - 1 if self.folds[-1].spec is _ROWS else -1
        self._numeric = {f.value for f in self.folds if f.spec.kind != "count"}
        self._program = compile_expressions(self._inputs)
        self._results = compile_expressions([e for _, e in folded])
        self._order = [at for at, _ in folded] + [at for at, _ in waiting]
        self._schema = pa.schema([pa.field(f.spec.name, f.type.to_arrow()) for f in self.folds])
        self.arguments = (
            Arguments([s for _, s in waiting], grouped=grouped, retracting=retracting)
            if waiting
            else None
        )

    def accumulators(self) -> tuple[AccumulatorSpec, ...]:
        """For the table's descriptor."""
        return tuple(f.spec for f in self.folds)

    def _foldable(self, spec: CallSpec, grouped: bool) -> Expression | None:
        """The result over the accumulators, which are added; None if the call has to wait."""
        if spec.user is not None:
            return None
        bound = bind_aggregate(
            spec.function,
            spec.args,
            distinct=spec.distinct,
            condition=spec.condition,
            grouped=grouped,
            retracting=self.retracting,
        )
        form = bound.retract if self.retracting else bound.insert
        if not isinstance(form, Folded) or bound.distinct:
            return None
        if any(kept_as(a.type.to_arrow()) is None for a in form.accumulators):
            return None
        condition = -1 if bound.condition is None else self._input(bound.condition)
        places: dict[int, int] = {}
        for i, a in enumerate(form.accumulators):
            value = -1 if a.input is None else self._input(a.input)
            key = (a.kind, value, condition, a.type)
            if key not in self._known:
                self._known[key] = len(self.folds)
                dtype = kept_as(a.type.to_arrow())
                assert dtype is not None
                # Named by position: the snapshot must not depend on how a query is written.
                name = f"{a.kind}_{len(self.folds)}"
                self.folds.append(
                    Fold(AccumulatorSpec(name, a.kind, dtype), value, condition, a.type)
                )
            places[i] = self._known[key]
        return remap_refs(form.result, places)

    def _input(self, e: Expression) -> int:
        if e not in self._inputs:
            self._inputs.append(e)
        return self._inputs.index(e)

    # -- rows

    def values(
        self, data: pa.RecordBatch, signs: Signs | None, context: EvaluationContext
    ) -> list[Values]:
        """What each accumulator folds of a batch.

        Args:
            data: the operator's input, n rows.
            signs: int8[n], -1 for a row that is taken back; None if none is.
            context: of the evaluation.
        """
        columns = self._program.evaluate(data, context) if self._inputs else []
        numbers = {i: numbers_of(columns[i]) for i in self._numeric if i >= 0}
        found: list[Values] = []
        for f in self.folds:
            values: Numbers = _NONE
            valid: Flags | None = None
            if f.value in numbers and f.spec.kind != "count":
                values, valid = numbers[f.value]
            elif f.value >= 0:
                valid = validity_bytes(columns[f.value])
            if f.condition >= 0:
                met = _true(columns[f.condition])
                valid = met if valid is None else valid & met
            if signs is not None:
                values = signed(values, signs) if len(values) else signs.astype(np.int64)
            found.append((values, valid))
        return found

    def fold(self, table: StateTable, slots: Slots, values: Sequence[Values]) -> None:
        """Fold a batch into the table; a negative slot skips the row."""
        for f, (numbers, valid) in zip(self.folds, values, strict=True):
            acc = table.accumulator(f.spec.name)
            if f.spec.kind != "count":
                fold(f.spec.kind, slots, (numbers, valid), (acc.values, acc.seen), table.dirty)
            elif len(numbers):
                seen = np.ones(len(acc.values), np.uint8)
                kernel.accumulate("sum", slots, numbers, valid, acc.values, seen, table.dirty)
            else:
                kernel.accumulate_count(slots, valid, acc.values, table.dirty)

    def singles(self, values: Sequence[Values], rows: int) -> list[Values]:
        """What is folded of rows, as accumulators of one row each."""
        found: list[Values] = []
        for f, (numbers, valid) in zip(self.folds, values, strict=True):
            if f.spec.kind == "count":
                ones = np.ones(rows, np.int64) if valid is None else valid.astype(np.int64)
                found.append((ones, None))
            else:
                found.append((numbers, valid))
        return found

    # -- accumulators

    def read(self, table: StateTable, slots: Slots) -> list[Values]:
        """The accumulators of some slots."""
        return [gathered(table.accumulator(f.spec.name), slots) for f in self.folds]

    def merged(self, parts: Sequence[Values], targets: Slots, count: int) -> list[Values]:
        """Partial accumulators, n of each, merged at ``targets`` in 0..count-1."""
        found: list[Values] = []
        dirty = np.zeros(count, np.uint8)
        for f, (values, seen) in zip(self.folds, parts, strict=True):
            out = np.zeros((count, *values.shape[1:]), values.dtype)
            has = np.zeros(count, np.uint8)
            kind = "sum" if f.spec.kind == "count" else f.spec.kind
            fold(kind, targets, (values, seen), (out, has), dirty)
            found.append((out, None if f.spec.kind == "count" else has))
        return found

    def merge(self, table: StateTable, targets: Slots, sources: Slots) -> None:
        """Merge rows of the table into others, as if their rows had come after the others'."""
        self.add(table, targets, self.read(table, sources))

    def add(self, table: StateTable, targets: Slots, parts: Sequence[Values]) -> None:
        """Merge partial accumulators into rows of the table."""
        for f, (values, seen) in zip(self.folds, parts, strict=True):
            acc = table.accumulator(f.spec.name)
            if f.spec.kind == "count":
                has = np.ones(len(acc.values), np.uint8)
                kernel.accumulate("sum", targets, values, seen, acc.values, has, table.dirty)
            else:
                fold(f.spec.kind, targets, (values, seen), (acc.values, acc.seen), table.dirty)
        table.dirty[targets] = 1

    def alive(self, parts: Sequence[Values]) -> Slots | None:
        """Which groups have rows; None if all do."""
        if not self.retracting:
            return None
        counts = parts[self._count][0]
        return None if counts.all() else np.flatnonzero(counts)

    # -- results

    def results(
        self,
        parts: Sequence[Values],
        waiting: Sequence[pa.Array],
        context: EvaluationContext,
        chosen: pa.Array | None = None,
    ) -> list[pa.Array]:
        """A column a call.

        Args:
            parts: the accumulators, n groups.
            waiting: results of the calls that wait.
            context: of the evaluation.
            chosen: numbers of the groups' sets, of GROUPING SETS.
        """
        columns = [
            column_of(values, valid, kind)
            for (values, valid), kind in zip(parts, self._schema.types, strict=True)
        ]
        data = pa.RecordBatch.from_arrays(columns, schema=self._schema)
        found = [*self._results.evaluate(data, context), *waiting]
        out: list[pa.Array] = [None] * (len(found) + len(self._grouping))
        for at, column in zip(self._order, found, strict=True):
            out[at] = column
        for at, by_set in self._grouping.items():
            numbers = 0 if chosen is None else chosen.to_numpy()
            out[at] = pa.array(np.broadcast_to(by_set[numbers], len(parts[0][0])))
        return out


def _grouping(spec: CallSpec, sets: Sequence[Sequence[int]]) -> npt.NDArray[np.int64]:
    """The value of GROUPING for each set: a bit for each argument, 1 where it is not grouped by."""
    keys = [int(a.value) for a in spec.args if isinstance(a, Literal)]
    found = []
    for chosen in sets or [keys]:
        bits = 0
        for key in keys:
            bits = 2 * bits + (key >= 0 and key not in chosen)
        found.append(bits)
    return np.array(found, np.int64)


def _true(condition: pa.Array) -> Flags:
    """uint8[n], 1 where TRUE."""
    found = condition if not condition.null_count else condition.fill_null(False)
    return np.asarray(found.to_numpy(zero_copy_only=False)).view(np.uint8)


_NONE: Numbers = np.empty(0, np.int64)
