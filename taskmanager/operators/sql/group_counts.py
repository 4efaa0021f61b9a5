"""The counts of groups: side by side in the table, counted in one pass, given without detours."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from lesto.kernels import groups
from lesto.state.accumulators import Slots
from lesto.state.table import StateTable
from lesto.taskmanager.operators.sql.base import Signs
from lesto.taskmanager.operators.sql.group_plan import COUNTS, GroupPlan
from lesto.taskmanager.operators.sql.group_sets import Movement
from lesto.taskmanager.operators.sql.group_values import Values, numbers_of

#: int64[n, k]: the counts of n groups.
Block = npt.NDArray[np.int64]
_BITS = 62


class GroupCounts:
    """The counts of an operator's groups.

    Args:
        plan: the calls.
        table: of the groups.
    """

    def __init__(self, plan: GroupPlan, table: StateTable) -> None:
        self._table = table
        self.width = len(plan.counts)
        self._acc = table.accumulator(COUNTS) if self.width else None
        # The count of rows with retractions is kept by who admits them.
        first = 1 if plan.retracting else 0
        plain = [i for i in range(first, self.width) if plan.counts[i].distinct is None]
        self._plain = [
            (
                [(plan.counts[i].counter.condition, plan.counts[i].counter.required) for i in part],
                np.array(part, np.int64),
            )
            for part in (plain[at : at + _BITS] for at in range(0, len(plain), _BITS))
        ]
        #: For each set of values the counts of its counters, -1 for none.
        self._distinct: list[Slots] = []
        for number, values in enumerate(plan.sets):
            columns = np.full(len(values.counters), -1, np.int64)
            for i, count in enumerate(plan.counts):
                if count.distinct is not None and count.distinct.values == number:
                    columns[count.distinct.counter] = i
            self._distinct.append(columns)

    @property
    def values(self) -> Slots:
        """int64[m * width]."""
        assert self._acc is not None
        return self._acc.values

    def of_rows(self, slots: Slots) -> Slots:
        """The first count of some groups: with retractions that of their rows."""
        found: Slots = self.values.reshape(-1, self.width)[slots, 0]
        return found

    def update(self, values: Values, slots: Slots, signs: Signs | None) -> None:
        """Count the rows of a batch."""
        dirty = self._table.dirty
        for wanted, columns in self._plain:
            base, masks = values.masks(wanted)
            groups.count_masks(slots, masks, base, columns, signs, self.values, self.width, dirty)

    def update_distinct(self, slots: Slots, movements: Sequence[Movement]) -> None:
        """Count the rows of a batch that bring or take distinct values."""
        dirty = self._table.dirty
        for moved, columns in zip(movements, self._distinct, strict=True):
            if (columns < 0).all():
                continue
            if moved.rows is not None:
                mine = slots[moved.rows]
                groups.count_masks(
                    mine, moved.fresh, 0, columns, None, self.values, self.width, dirty
                )
                continue
            for counter in np.flatnonzero(columns >= 0).tolist():
                part = moved.of(counter)
                one = columns[counter : counter + 1]
                groups.count_masks(
                    slots[part.rows], None, 1, one, part.signs, self.values, self.width, dirty
                )

    def merge(self, data: pa.RecordBatch, slots: Slots, keys: int) -> None:
        """Add the counts of the first of two phases, in the columns behind the keys."""
        for i in range(self.width):
            numbers = numbers_of(data.column(keys + i))
            groups.add_counts(slots, numbers, self.values, self.width, i, self._table.dirty)

    def read(self, slots: Slots) -> Block:
        """The counts of some groups."""
        if self._acc is None:
            return np.zeros((len(slots), 0), np.int64)
        found: Block = self.values.reshape(-1, self.width)[slots]
        return found


def block_columns(block: Block, which: Sequence[int]) -> list[pa.Array]:
    """Some counts of n groups as columns, which share their memory."""
    if not which:
        return []
    rows = len(block)
    part: npt.NDArray[Any] = np.ascontiguousarray(block[:, list(which)].T)
    buffer = pa.py_buffer(part)
    return [
        pa.Array.from_buffers(pa.int64(), rows, [None, buffer], 0, i * rows)
        for i in range(len(which))
    ]
