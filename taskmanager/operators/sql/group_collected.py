"""Results that Python functions make: of collected values, and of users' accumulators."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from lesto.common.elements import RowKind
from lesto.sql.values import from_physical, physical, to_physical
from lesto.state import codec
from lesto.state.accumulators import Accumulator, Slots, TextAccumulator
from lesto.state.backend import KeyedStateBackend
from lesto.state.row_table import RowTableDescriptor
from lesto.state.table import StateTable
from lesto.taskmanager.operators.sql.base import Signs
from lesto.taskmanager.operators.sql.group_plan import Collection, GroupPlan, UserCall
from lesto.taskmanager.operators.sql.group_sets import GroupValues
from lesto.taskmanager.operators.sql.group_values import Values, rows_of, store


class Collected:
    """One call whose result is made of the values of a group.

    Args:
        number: of the collection, part of the state's name.
        collection: what it is.
        plan: of the operator.
        table: of the groups.
        values: of a multiset, the set it looks at.
        backend: has the state of a list.
    """

    def __init__(
        self,
        number: int,
        collection: Collection,
        plan: GroupPlan,
        table: StateTable,
        values: GroupValues | None,
        backend: KeyedStateBackend,
    ) -> None:
        self._collection = collection
        self._table = table
        self._acc = table.accumulator(plan.accumulators[collection.acc].name)
        self._kind = plan.types[collection.acc].to_arrow()
        self._values = values
        if values is None:
            keys = table.descriptor.key_schema
            fields = [pa.field(f"key{i}", f.type) for i, f in enumerate(keys)]
            kinds = [plan.inputs[i].type.to_arrow() for i in collection.inputs]
            fields += [pa.field(f"value{i}", kind) for i, kind in enumerate(kinds)]
            self._width = len(keys)
            self._schema = pa.schema(fields)
            self._rows = backend.row_table(
                RowTableDescriptor(f"rows_{number}", self._schema, tuple(range(self._width)))
            )

    def update(self, values: Values, slots: Slots, rows: Slots, signs: Signs | None) -> None:
        """Take rows in and make the results of their groups anew.

        Args:
            values: the inputs of n rows.
            slots: int64[n], the groups'.
            rows: those that count.
            signs: of these, or None.
        """
        counts = values.active(
            self._collection.counter.condition, self._collection.counter.required
        )
        if counts is not None:
            kept = np.flatnonzero(counts[rows])
            rows, signs = rows[kept], None if signs is None else signs[kept]
        if not len(rows):
            return
        changed = np.unique(slots[rows])
        if self._values is None:
            self._keep(values, slots[rows], rows, signs)
        self._refresh(changed)

    def _keep(self, values: Values, slots: Slots, rows: Slots, signs: Signs | None) -> None:
        columns = [rows_of(values.column(i), rows) for i in self._collection.inputs]
        whole = pa.RecordBatch.from_arrays(
            [*self._table.keys(slots), *columns], schema=self._schema
        )
        hashes = self._table.hash_of(slots)
        if signs is None:
            self._rows.add(whole, hashes)
            return
        for sign in (1, -1):
            mine = np.flatnonzero(signs == sign)
            if not len(mine):
                continue
            part = whole if len(mine) == len(signs) else whole.take(pa.array(mine))
            if sign > 0:
                self._rows.add(part, hashes[mine])
            else:
                ids = self._rows.find(part, hashes[mine])
                self._rows.remove(ids[ids >= 0])

    def fill(self, slots: Slots) -> None:
        """Give new groups the result of no rows."""
        empty = self._collection.finish([])
        if empty is not None and len(slots):
            one = pa.array([empty] * len(slots), physical(self._kind))
            store(self._acc, slots, from_physical(one, self._kind), self._table.dirty)

    def _refresh(self, changed: Slots) -> None:
        if self._collection.pick is not None and self._values is None:
            self._pick(changed, self._collection.pick)
            return
        found = self._contents(changed)
        made = [self._collection.finish(group) for group in found]
        column = from_physical(pa.array(made, physical(self._kind)), self._kind)
        store(self._acc, changed, column, self._table.dirty)

    def _contents(self, changed: Slots) -> list[list[Any]]:
        found: list[list[Any]] = [[] for _ in range(len(changed))]
        if self._values is not None:
            wanted = self._collection.values
            assert wanted is not None
            numbers, slots = self._values.of(changed, wanted.counter)
            counts = self._values.counts(slots, wanted.counter).tolist()
            if self._collection.distinct is not None:
                counts = [1] * len(slots)
            rows = _tuples(self._values.columns(slots))
            for number, row, count in zip(numbers.tolist(), rows, counts, strict=True):
                found[number].append((row, count))
            return found
        numbers, ids = self._rows.matches(self._table.keys(changed), self._table.hash_of(changed))
        data = self._rows.take(ids, list(range(self._width, len(self._schema))))
        for number, row in zip(numbers.tolist(), _tuples(data.columns), strict=True):
            found[number].append(row)
        return found

    def _pick(self, changed: Slots, which: int) -> None:
        """The first or last value of each group."""
        numbers, ids = self._rows.matches(self._table.keys(changed), self._table.hash_of(changed))
        ends = np.searchsorted(numbers, np.arange(len(changed) + 1))
        at = ends[:-1] if which == 0 else ends[1:] - 1
        there = ends[1:] > ends[:-1]
        column = self._rows.take(ids[at[there]], [self._width]).column(0)
        self._acc.reset(changed)
        store(self._acc, changed[there], column, self._table.dirty)
        self._table.dirty[changed] = 1

    def forget(self, slots: Slots) -> None:
        """Drop the rows of groups that go."""
        if self._values is None:
            _, ids = self._rows.matches(self._table.keys(slots), self._table.hash_of(slots))
            self._rows.remove(ids)


class UserAggregate:
    """One call of a user's function; accumulators are Python values, encoded at checkpoints.

    Args:
        call: what it is.
        plan: of the operator.
        table: of the groups.
    """

    def __init__(self, call: UserCall, plan: GroupPlan, table: StateTable) -> None:
        self._call = call
        self._table = table
        self._acc: Accumulator = table.accumulator(plan.accumulators[call.acc].name)
        stored = table.accumulator(plan.accumulators[call.store].name)
        assert isinstance(stored, TextAccumulator)
        self._stored = stored
        self._live: dict[int, Any] = {}
        self._changed: set[int] = set()

    def update(self, values: Values, slots: Slots, rows: Slots, signs: Signs | None) -> None:
        """Fold rows and make the results of their groups anew."""
        if self._call.condition is not None:
            kept = np.flatnonzero(values.true(self._call.condition)[rows])
            rows, signs = rows[kept], None if signs is None else signs[kept]
        if not len(rows):
            return
        changed, positions = np.unique(slots[rows], return_inverse=True)
        accumulators = [self._accumulator(s) for s in changed.tolist()]
        columns = [rows_of(values.column(i), rows) for i in self._call.inputs]
        kinds = None
        if signs is not None:
            kinds = np.where(signs > 0, int(RowKind.INSERT), int(RowKind.DELETE)).astype(np.int8)
        user = self._call.user
        user.fold(accumulators, positions.astype(np.int64), columns, kinds)
        self._changed.update(changed.tolist())
        store(self._acc, changed, user.results(accumulators), self._table.dirty)

    def fill(self, slots: Slots) -> None:
        """Give new groups the result of no rows."""
        if len(slots):
            accumulators = [self._accumulator(s) for s in slots.tolist()]
            store(self._acc, slots, self._call.user.results(accumulators), self._table.dirty)

    def _accumulator(self, slot: int) -> Any:
        found = self._live.get(slot)
        if found is None:
            if self._stored.seen[slot]:
                offsets, data, _ = self._stored.texts(np.array([slot]))
                found = codec.decode(data[int(offsets[0]) : int(offsets[1])].tobytes())
            else:
                found = self._call.user.create()
            self._live[slot] = found
        return found

    def flush(self) -> None:
        """Encode what has changed, for a snapshot."""
        slots = np.array(sorted(self._changed), np.int64)
        if len(slots):
            data = [codec.encode(self._live[s]) for s in slots.tolist()]
            self._stored.put(slots, pa.array(data, pa.large_binary()))
            self._table.dirty[slots] = 1
        self._changed.clear()

    def forget(self, slots: Slots) -> None:
        """Drop groups."""
        for slot in slots.tolist():
            self._live.pop(slot, None)
            self._changed.discard(slot)


def _tuples(columns: Sequence[pa.Array]) -> list[tuple[Any, ...]]:
    return list(zip(*(to_physical(c).to_pylist() for c in columns), strict=True))
