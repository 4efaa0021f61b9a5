"""Sliding windows in slices: a record is folded once, and slices are merged when a window fires.

A slice is the longest stretch of which every window is made up: the greatest common divisor of size
and slide. The state table's namespace is the slice's start. Works for aggregates whose parts can be
merged in any order: counts, sums, smallest and largest. (Fractions are summed slice by slice, which
rounds otherwise than record by record.)
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import gcd
from typing import Final

import msgspec
import numpy as np

from lesto.common.elements import ColumnarBatch, Timestamps
from lesto.kernels import aggregate as kernel
from lesto.kernels import windows
from lesto.kernels.index import HashIndex
from lesto.kernels.partition import take_array
from lesto.state.table import Hashes, StateTable
from lesto.taskmanager.operators.columnar.aggregates import AggregatePlan, Folded, Slots
from lesto.taskmanager.operators.columnar.distinct import Distinct
from lesto.taskmanager.operators.columnar.fired import FiredUntil
from lesto.taskmanager.operators.columnar.time_windows import Lists, taken
from lesto.taskmanager.operators.columnar.window_results import LateRows, WindowResults

#: Aggregates whose parts can be merged in any order.
MERGEABLE: Final = frozenset({"count", "sum", "min", "max"})
#: Union list state: until when the windows of a subtask's key groups had fired.
FIRED_STATE: Final = "fired"


class _Fired(msgspec.Struct, array_like=True):
    """Windows of key groups ``first`` to ``last`` that end up to ``until`` ms have fired."""

    first: int
    last: int
    until: int


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Fired).decode


def can_slice(shape: tuple[int, int, int], lateness_ms: int, plan: AggregatePlan) -> bool:
    """Whether windows of (size, slide, offset) may be made up of slices."""
    size, slide, _ = shape
    mergeable = all(fold.spec.kind in MERGEABLE for fold in plan.folds)
    return slide < size and not lateness_ms and mergeable


class SlicedWindows:
    """The sliding windows of one operator, without lateness.

    Args:
        shape: (size, slide, offset) in ms; the slide is shorter than the size.
        plan: the aggregates.
        table: namespaced by slice start.
        results: takes what fires.
        late: takes records that are too late.
        key_range: first and last key group of the subtask, and the number of all.
        saved: union list state.
    """

    def __init__(
        self,
        shape: tuple[int, int, int],
        plan: AggregatePlan,
        table: StateTable,
        results: WindowResults,
        late: LateRows,
        key_range: tuple[int, int, int],
        saved: Sequence[bytes],
    ) -> None:
        self._size, self._slide, self._offset = shape
        self._slice = gcd(self._size, self._slide)
        self._plan = plan
        self._table = table
        self._results = results
        self._late = late
        self._distinct = Distinct()
        self._open = Lists()  # slots by slice
        self._keys = HashIndex(plan.key_schema.types)  # numbers of keys, without their slices
        self._owner: Slots = np.zeros(1024, np.int64)  # by slot: number of its key
        self._held: Slots = np.zeros(1024, np.int64)  # by number: slots of the key
        self._place: Slots = np.zeros(1024, np.int64)  # by number: scratch
        ranges = [(item.first, item.last, item.until) for item in map(_decode, saved)]
        self._fired = FiredUntil(ranges, key_range)
        #: By slot while for some keys more has fired: windows that end up to this ms have.
        self._until: Slots = np.zeros(0, np.int64)
        self._restore(table.live_slots())

    def _restore(self, live: Slots) -> None:
        if len(live):
            keys = self._table.keys(live)
            hashes = self._table.hashes(keys)
            self._open.add(self._table.namespaces(live), live)
            self._enter(live, hashes, *self._keys.lookup_or_insert(keys, hashes))

    def save(self) -> dict[str, list[bytes]]:
        """Union list state."""
        return {FIRED_STATE: [_encode(_Fired(*fired)) for fired in self._fired.ranges()]}

    # -- records

    def add(self, batch: ColumnarBatch, times: Timestamps, watermark: int) -> None:
        """Fold records into their slices."""
        keys = self._plan.key_arrays(batch.data)
        hashes = self._table.hashes(keys)
        values = self._plan.values(batch.data)
        slices = windows.tumble(times, self._slice, self._offset % self._slice)
        gone = self._last_ms(slices) <= self._fired_for(hashes, watermark)
        if gone.any():
            self._late.take(batch, np.flatnonzero(gone))
            rows = np.flatnonzero(~gone)
            if len(rows) == 0:
                return
            keys = [take_array(k, rows) for k in keys]
            hashes, slices = hashes[rows], slices[rows]
            values = [taken(v, rows) for v in values]
        slots, new_rows = self._table.upsert(keys, slices, hashes)
        if len(new_rows):
            new = slots[new_rows]
            self._open.add(slices[new_rows], new)
            own = [take_array(k, new_rows) for k in keys]
            of_new = hashes[new_rows]
            self._enter(new, of_new, *self._keys.lookup_or_insert(own, of_new))
        self._plan.fold(self._table, slots, values)

    def _fired_for(self, hashes: Hashes, watermark: int) -> Slots | int:
        """Until when windows have fired for keys."""
        if self._fired.apart:
            return np.maximum(self._fired.of(hashes), watermark)
        return max(watermark, self._fired.done)

    def _enter(self, slots: Slots, hashes: Hashes, numbers: Slots, n_new: int) -> None:
        """Note whose the new slots are."""
        bound = int(slots.max()) + 1
        self._owner = _room(self._owner, bound)
        self._owner[slots] = numbers
        if self._fired.apart:
            self._until = _room(self._until, bound)
            self._until[slots] = self._fired.of(hashes)
        if n_new:
            bound = self._keys.slot_bound
            self._held, self._place = _room(self._held, bound), _room(self._place, bound)
            self._held[numbers[self._keys.new_rows]] = 0
        np.add.at(self._held, numbers, 1)

    def _last_ms(self, slices: Timestamps) -> Timestamps:
        """The last ms of the last window of slices."""
        return slices - (slices - self._offset) % self._slide + (self._size - 1)

    # -- time

    def advance(self, watermark: int) -> Iterator[None]:
        """Fire the windows the watermark has passed, one at a step; drop slices of no window."""
        for start in self._ended(watermark):
            self._fire(start)
            self._fired.advance(start + self._size - 1)
            yield
        self._fired.advance(watermark)
        starts = np.array(self._open.starts, np.int64)
        over = starts[self._last_ms(starts) <= watermark].tolist()
        if over:
            self._drop(np.concatenate([self._open.pop(s) for s in over]))

    def _ended(self, watermark: int) -> list[int]:
        """Starts of the windows that have ended, have records, and may not have fired."""
        found: set[int] = set()
        for at in self._open.until(watermark):
            last = at - (at - self._offset) % self._slide
            found.update(range(last, at - self._size, -self._slide))
        done = self._fired.done
        return sorted(s for s in found if done < s + self._size - 1 <= watermark)

    def _fire(self, start: int) -> None:
        slices = range(start, start + self._size, self._slice)
        parts = [self._open.slots(s) for s in slices if s in self._open]
        slots = np.concatenate(parts)
        last_ms = start + self._size - 1
        if self._fired.apart:
            slots = slots[self._until[slots] < last_ms]
            if len(slots) == 0:
                return
        numbers = self._owner[slots]
        keys = numbers[self._distinct.first_rows(numbers)]
        self._place[keys] = np.arange(len(keys))
        folded = self._merged(slots, self._place[numbers], len(keys))
        self._results.emit_folded(self._keys.keys(keys), folded, start, start + self._size)

    def _merged(self, slots: Slots, targets: Slots, count: int) -> list[Folded]:
        """Accumulators of some slots, merged at ``targets`` in 0..count-1."""
        found: list[Folded] = []
        dirty = np.zeros(count, np.uint8)
        for fold in self._plan.folds:
            acc = self._table.accumulator(fold.spec.name)
            values = acc.values[slots]
            out, seen = np.zeros(count, values.dtype), np.zeros(count, np.uint8)
            counts = fold.spec.kind == "count"
            valid = None if counts else acc.seen[slots]
            kind = "sum" if counts else fold.spec.kind
            kernel.accumulate(kind, targets, values, valid, out, seen, dirty)
            found.append((out, None if counts else seen))
        return found

    def _drop(self, slots: Slots) -> None:
        numbers = self._owner[slots]
        np.subtract.at(self._held, numbers, 1)
        keys = self._distinct.values(numbers)
        empty = keys[self._held[keys] == 0]
        if len(empty):
            self._keys.remove(empty)
        self._table.remove(slots)


def _room(array: Slots, size: int) -> Slots:
    if size <= len(array):
        return array
    out = np.zeros(max(size, 2 * len(array)), np.int64)
    out[: len(array)] = array
    return out
