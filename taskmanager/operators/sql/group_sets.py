"""The values that the rows of a group have: for DISTINCT, multisets, MIN and MAX with retractions.

A set is a table of (group, value). Over input that only inserts it has a bit for each kind of rows
(each FILTER), else a count. All calls with the same arguments share a set.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from lesto.kernels import groups
from lesto.state.accumulators import AccumulatorSpec, Flags, Slots
from lesto.state.backend import KeyedStateBackend
from lesto.state.child_table import ChildTable
from lesto.state.table import TableDescriptor
from lesto.taskmanager.operators.sql.base import Signs
from lesto.taskmanager.operators.sql.group_plan import GroupPlan, ValueSet
from lesto.taskmanager.operators.sql.group_values import (
    Values,
    both,
    decoded,
    encoded,
    is_encoded,
    rows_of,
)

_BITS = "bits"


@dataclass(frozen=True, slots=True)
class Moved:
    """The rows of a batch that bring a value or take its last.

    Attributes:
        rows: int64[m], ascending.
        signs: int8[m], 1 or -1; None: all bring one.
    """

    rows: Slots
    signs: Signs | None


class Movement:
    """What a batch changes in a set of values.

    Attributes:
        rows: int64[m], the rows that bring a value; None where ``moved`` has all.
        fresh: int64[m], for each the bits of the counters whose rows it is the first of.
    """

    def __init__(
        self, rows: Slots | None, fresh: Slots | None, moved: Sequence[Moved] = ()
    ) -> None:
        self.rows = rows
        self.fresh = fresh
        self._moved = moved

    def of(self, counter: int) -> Moved:
        """The rows that bring or take a value, as one counter has it."""
        if self.rows is None or self.fresh is None:
            return self._moved[counter]
        return Moved(self.rows[(self.fresh >> counter) & 1 != 0], None)


class GroupValues:
    """One set of values.

    Args:
        number: of the set, part of the state's name.
        plan: of the operator.
        parent: descriptor of the groups' table.
        backend: has the state.
    """

    def __init__(
        self,
        number: int,
        plan: GroupPlan,
        parent: TableDescriptor,
        backend: KeyedStateBackend,
    ) -> None:
        self._set: ValueSet = plan.sets[number]
        self._kinds = [plan.inputs[i].type.to_arrow() for i in self._set.inputs]
        schema = pa.schema(
            [
                pa.field(f"value{i}", pa.large_binary() if is_encoded(kind) else kind)
                for i, kind in enumerate(self._kinds)
            ]
        )
        names = (
            [f"count_{i}" for i in range(len(self._set.counters))] if self._set.counted else [_BITS]
        )
        self._names = names
        specs = tuple(AccumulatorSpec(name, "count") for name in names)
        table = backend.table(TableDescriptor(f"values_{number}", schema, specs, parent=parent))
        assert isinstance(table, ChildTable)
        self.table = table
        if self._set.chained:
            table.chain()

    def update(self, values: Values, slots: Slots, signs: Signs | None) -> Movement:
        """Take the rows of a batch in.

        Args:
            values: the inputs of n rows.
            slots: int64[n], the groups'; negative ones are skipped.
            signs: int8[n] or None.

        Returns:
            The rows that bring or take a value.
        """
        active = [values.active(c.condition, c.required) for c in self._set.counters]
        rows = _any(active, slots)
        columns = [self._column(values, i, rows) for i in self._set.inputs]
        parents = slots if rows is None else slots[rows]
        found, _ = self.table.upsert(columns, parents)
        if not self._set.counted:
            return self._mark(values, rows, found)
        some_signs = signs if rows is None or signs is None else signs[rows]
        moved = []
        for name, flags in zip(self._names, active, strict=True):
            part = flags if rows is None or flags is None else flags[rows]
            counts = self.table.accumulator(name).values
            out, changed = groups.step(found, part, some_signs, counts, self.table.dirty)
            at = np.flatnonzero(out) if changed else np.zeros(0, np.int64)
            steps = None if some_signs is None else out[at]
            moved.append(Moved(at if rows is None else rows[at], steps))
        if some_signs is not None:
            self._drop_empty(found[some_signs < 0])
        return Movement(None, None, moved)

    def _column(self, values: Values, index: int, rows: Slots | None) -> pa.Array:
        column = rows_of(values.column(index), rows)
        return encoded(column) if is_encoded(column.type) else column

    def _mark(self, values: Values, rows: Slots | None, found: Slots) -> Movement:
        base, masks = values.masks([(c.condition, c.required) for c in self._set.counters])
        if masks is None:
            masks = np.full(len(found), base, np.int64)
        else:
            masks = masks if rows is None else masks[rows]
            masks = masks | base if base else masks
        bits = self.table.accumulator(_BITS).values
        fresh, count = groups.mark(found, masks, bits, self.table.dirty)
        at = np.flatnonzero(fresh) if count else np.zeros(0, np.int64)
        return Movement(at if rows is None else rows[at], fresh[at])

    def _drop_empty(self, taken: Slots) -> None:
        """Of the values taken back, those go that no row has any more, or ever had."""
        slots = np.unique(taken)
        empty = np.ones(len(slots), np.bool_)
        for name in self._names:
            empty &= self.table.accumulator(name).values[slots] == 0
        if empty.any():
            self.table.remove(slots[empty])

    # ------------------------------------------------------------------ what is there

    def of(self, parents: Slots, counter: int) -> tuple[Slots, Slots]:
        """The values of some groups.

        Returns:
            Numbers of the groups in ``parents``, ascending, and slots of the values; int64[m].
        """
        numbers, slots = self.table.children(parents)
        if self._set.counted:
            there = self.table.accumulator(self._names[counter]).values[slots] > 0
        else:
            there = (self.table.accumulator(_BITS).values[slots] >> counter) & 1 != 0
        return (numbers, slots) if there.all() else (numbers[there], slots[there])

    def columns(self, slots: Slots) -> list[pa.Array]:
        """The values of some slots, a column an input."""
        columns = self.table.keys(slots)
        return [
            decoded(column, kind) if is_encoded(kind) else column
            for column, kind in zip(columns, self._kinds, strict=True)
        ]

    def counts(self, slots: Slots, counter: int) -> npt.NDArray[np.int64]:
        """How often each is there; 1 where that is not counted."""
        if not self._set.counted:
            return np.ones(len(slots), np.int64)
        found: Any = self.table.accumulator(self._names[counter]).values[slots]
        return found  # type: ignore[no-any-return]

    def forget(self, parents: Slots) -> None:
        """Drop the values of groups that go."""
        if not self._set.chained:
            return
        _, slots = self.table.children(parents)
        if len(slots):
            self.table.remove(slots)


def _any(active: Sequence[Flags | None], slots: Slots) -> Slots | None:
    """Rows that count somewhere; None for all."""
    valid = None if len(slots) == 0 or int(slots.min()) >= 0 else (slots >= 0).view(np.uint8)
    if any(flags is None for flags in active):
        return None if valid is None else np.flatnonzero(valid)
    some: Flags | None = None
    for flags in active:
        assert flags is not None
        some = flags if some is None else some | flags
    some = both(some, valid)
    return None if some is None else np.flatnonzero(some)
