"""The state of a group aggregation: the table of groups, and what belongs to its rows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from lesto.kernels.arrow import validity_bytes
from lesto.sql.evaluator import compile_expressions
from lesto.sql.values import EvaluationContext
from lesto.state.accumulators import AccumulatorSpec, Slots
from lesto.state.backend import KeyedStateBackend
from lesto.state.table import TableDescriptor
from lesto.taskmanager.operators.sql.base import Signs
from lesto.taskmanager.operators.sql.group_collected import Collected, UserAggregate
from lesto.taskmanager.operators.sql.group_counts import GroupCounts
from lesto.taskmanager.operators.sql.group_plan import Distinct, Fold, GroupPlan
from lesto.taskmanager.operators.sql.group_sets import GroupValues, Moved, Movement
from lesto.taskmanager.operators.sql.group_values import (
    Values,
    both,
    differ,
    fold,
    read,
    rows_of,
)


class GroupState:
    """Groups, their accumulators, and the values and rows kept beside them.

    Args:
        plan: the calls.
        key_types: Arrow types of the keys.
        backend: has the state.
        extra: accumulators of the operator's own.

    Attributes:
        table: of the groups.
    """

    def __init__(
        self,
        plan: GroupPlan,
        key_types: Sequence[pa.DataType],
        backend: KeyedStateBackend,
        extra: Sequence[AccumulatorSpec] = (),
    ) -> None:
        self._plan = plan
        schema = pa.schema([pa.field(f"key{i}", kind) for i, kind in enumerate(key_types)])
        descriptor = TableDescriptor("groups", schema, (*plan.table_accumulators(), *extra))
        self.table = backend.table(descriptor)
        self.counts = GroupCounts(plan, self.table)
        self.values = [GroupValues(i, plan, descriptor, backend) for i in range(len(plan.sets))]
        self.collected = [
            Collected(
                i, c, plan, self.table, None if c.values is None else self.values[c.values.values],
                backend,
            )
            for i, c in enumerate(plan.collections)
        ]  # fmt: skip
        self.users = [UserAggregate(call, plan, self.table) for call in plan.users]
        self._program = compile_expressions(plan.inputs)

    # ------------------------------------------------------------------ folding

    def update(
        self,
        data: pa.RecordBatch,
        slots: Slots,
        signs: Signs | None,
        context: EvaluationContext,
        which: npt.NDArray[np.int32] | None = None,
    ) -> None:
        """Take the rows of a batch in.

        Args:
            data: n rows of the operator's input.
            slots: int64[n], the rows' groups; negative ones are skipped.
            signs: int8[n], or None where all rows are added.
            context: for the inputs.
            which: int32[n], where each row comes once for each set of values: the set it is for.
                All but distinct values takes the rows for the first.
        """
        plan = self._plan
        values = Values(self._program.evaluate(data, context), data.num_rows)
        moved = [
            s.update(values, slots if which is None else np.where(which == i, slots, -1), signs)
            for i, s in enumerate(self.values)
        ]
        self.counts.update_distinct(slots, moved)
        if which is not None:
            slots, whole = np.where(which == 0, slots, -1), slots
        else:
            whole = slots
        self.counts.update(values, slots, signs)
        for f in plan.folds:
            if f.extreme is not None:
                self._extreme(f, values, slots, moved[f.extreme.values].of(f.extreme.counter))
            elif f.distinct is not None:
                self._fold_some(f, values, whole, moved[f.distinct.values].of(f.distinct.counter))
            else:
                self._fold(f, values, slots, signs)
        if not self.collected and not self.users:
            return
        rows = np.flatnonzero(slots >= 0)
        every = Moved(rows, None if signs is None else signs[rows])
        for collection, collected in zip(plan.collections, self.collected, strict=True):
            part = _moved(moved, collection.distinct, every)
            collected.update(values, slots, part.rows, part.signs)
        for call, user in zip(plan.users, self.users, strict=True):
            part = _moved(moved, call.distinct, every)
            user.update(values, slots, part.rows, part.signs)

    def merge(self, data: pa.RecordBatch, slots: Slots, keys: int) -> None:
        """Fold on what the first of two phases has made: keys, counts, accumulators."""
        table = self.table
        self.counts.merge(data, slots, keys)
        first = keys + self.counts.width
        for f in self._plan.folds:
            column = data.column(first + f.acc)
            acc = table.accumulator(self._plan.accumulators[f.acc].name)
            valid = validity_bytes(column)
            fold(acc, f.op, slots, column, None, valid, None, table.dirty)

    def _fold(self, f: Fold, values: Values, slots: Slots, signs: Signs | None) -> None:
        table = self.table
        acc = table.accumulator(self._plan.accumulators[f.acc].name)
        active = None if f.condition is None else values.true(f.condition)
        valid = both(active, values.valid(f.input))
        column = values.column(f.input)
        numbers = None if acc.spec.dtype == "text" else values.numbers(f.input)
        fold(acc, f.op, slots, column, numbers, valid, signs, table.dirty)

    def _fold_some(self, f: Fold, values: Values, slots: Slots, moved: Moved) -> None:
        """Fold the rows that bring a value, or take its last."""
        if not len(moved.rows):
            return
        table = self.table
        acc = table.accumulator(self._plan.accumulators[f.acc].name)
        valid = values.valid(f.input)
        valid = None if valid is None else valid[moved.rows]
        mine = slots[moved.rows]
        column = rows_of(values.column(f.input), moved.rows)
        fold(acc, f.op, mine, column, None, valid, moved.signs, table.dirty)

    def _extreme(self, f: Fold, values: Values, slots: Slots, moved: Moved) -> None:
        """Fold values that come; where the extreme goes, find the next one."""
        if not len(moved.rows):
            return
        assert f.extreme is not None
        assert moved.signs is not None
        table = self.table
        spec = self._plan.accumulators[f.acc]
        acc = table.accumulator(spec.name)
        column = rows_of(values.column(f.input), moved.rows)
        mine = slots[moved.rows]
        come = (moved.signs > 0).view(np.uint8)
        fold(acc, f.op, mine, column, None, come, None, table.dirty)
        gone = np.flatnonzero(come == 0)
        if not len(gone):
            return
        kind = self._plan.types[f.acc].to_arrow()
        left = mine[gone]
        lost = ~differ(rows_of(column, gone).cast(kind), read(acc, left, kind))
        stale = np.unique(left[lost])
        if not len(stale):
            return
        acc.reset(stale)
        table.dirty[stale] = 1
        held = self.values[f.extreme.values]
        numbers, found = held.of(stale, f.extreme.counter)
        if len(found):
            fold(acc, f.op, stale[numbers], held.columns(found)[0], None, None, None, table.dirty)

    # ------------------------------------------------------------------ ends

    def start(self, slots: Slots) -> None:
        """Give new groups what they have without rows."""
        for user in self.users:
            user.fill(slots)
        for collected in self.collected:
            collected.fill(slots)

    def forget(self, slots: Slots) -> None:
        """Drop groups and what belongs to them."""
        for values in self.values:
            values.forget(slots)
        for collected in self.collected:
            collected.forget(slots)
        for user in self.users:
            user.forget(slots)
        self.table.remove(slots)

    def flush(self) -> None:
        """Bring what lies in Python objects into the table."""
        for user in self.users:
            user.flush()


def _moved(movements: Sequence[Movement], once: Distinct | None, every: Moved) -> Moved:
    """The rows that a call takes: all, or those that bring or take a distinct value."""
    return every if once is None else movements[once.values].of(once.counter)
