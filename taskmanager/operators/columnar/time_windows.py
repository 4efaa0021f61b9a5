"""Tumbling and sliding windows over a state table whose namespace is the window's start.

Slots are listed by window as they are made, so that firing a window touches its own slots only. The
lists are not stored: after a restore they are made from the table.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np

from lesto.common.elements import MAX_TIMESTAMP, ColumnarBatch, Timestamps
from lesto.kernels import windows
from lesto.kernels.partition import take_array
from lesto.state.table import AccumulatorSpec, StateTable
from lesto.taskmanager.operators.columnar.aggregates import AggregatePlan, Folded, Slots
from lesto.taskmanager.operators.columnar.distinct import Distinct
from lesto.taskmanager.operators.columnar.window_results import (
    RESULT_ROWS_MAX,
    LateRows,
    WindowResults,
)

#: Accumulator that is 1 while the row's window has fired with its present content.
FIRED: Final = "fired"


class TimeWindows:
    """The windows of one operator.

    Args:
        shape: (size, slide, offset) in ms; slide equals size for tumbling windows.
        lateness_ms: how long a window stays after its end.
        plan: the aggregates.
        table: namespaced by window start.
        results: takes what fires.
        late: takes records that are too late.
    """

    def __init__(
        self,
        shape: tuple[int, int, int],
        lateness_ms: int,
        plan: AggregatePlan,
        table: StateTable,
        results: WindowResults,
        late: LateRows,
    ) -> None:
        self._size, self._slide, self._offset = shape
        self._lateness_ms = lateness_ms
        self._plan = plan
        self._table = table
        self._results = results
        self._late = late
        self._distinct = Distinct()
        self._open = Lists()  # windows by start, from their first record to their removal
        # With lateness: of these, those that have something to give when the watermark passes them.
        self._unfired: set[int] = set()
        live = table.live_slots()
        if len(live):
            starts = table.namespaces(live)
            self._open.add(starts, live)
            self._unfired.update(self._open.starts)

    @staticmethod
    def extra_accumulators(lateness_ms: int) -> tuple[AccumulatorSpec, ...]:
        """What the table needs beside the aggregates."""
        return (AccumulatorSpec(FIRED, "count"),) if lateness_ms else ()

    def add(self, batch: ColumnarBatch, times: Timestamps, watermark: int) -> None:
        """Fold records into their windows."""
        keys = self._plan.key_arrays(batch.data)
        hashes = self._table.hashes(keys)
        values = self._plan.values(batch.data)
        rows: Slots | None = None
        if self._slide == self._size:
            starts = windows.tumble(times, self._size, self._offset)
        else:
            some, starts = windows.hop(times, self._size, self._slide, self._offset)
            rows = some.astype(np.int64)
        rows, starts = self._drop_late(batch, times, watermark, rows, starts)
        if len(starts) == 0:
            return
        if rows is not None:
            keys = [take_array(k, rows) for k in keys]
            hashes = hashes[rows]
            values = [taken(v, rows) for v in values]
        slots, new_rows = self._table.upsert(keys, starts, hashes)
        if len(new_rows):
            self._open.add(starts[new_rows], slots[new_rows])
        self._plan.fold(self._table, slots, values)
        if self._lateness_ms:
            self._refire(slots, starts, watermark)

    def advance(self, watermark: int) -> Iterator[None]:
        """Fire the windows the watermark has passed, a batch of results at a step; drop those past
        their lateness.
        """
        ended = self._open.until(watermark - self._size + 1)
        if not self._lateness_ms:
            for some in self._batches(ended):
                self._fire(some)
                self._table.remove(np.concatenate([self._open.pop(s) for s in some]))
                yield
            return
        for some in self._batches([s for s in ended if s in self._unfired]):
            self._unfired.difference_update(some)
            self._fire(some)
            yield
        gone = [s for s in ended if self._cleanup_time(s) <= watermark]
        if gone:
            self._table.remove(np.concatenate([self._open.pop(s) for s in gone]))

    def _batches(self, due: Sequence[int]) -> Iterator[list[int]]:
        """Windows in turn, as many as fill a batch of results."""
        some: list[int] = []
        rows = 0
        for start in due:
            some.append(start)
            rows += len(self._open.slots(start))
            if rows >= RESULT_ROWS_MAX:
                yield some
                some, rows = [], 0
        if some:
            yield some

    def _fire(self, due: Sequence[int]) -> None:
        parts = [self._open.slots(s) for s in due]
        slots = np.concatenate(parts)
        starts = np.repeat(np.array(due, np.int64), [len(p) for p in parts])
        if self._lateness_ms:
            fired = self._table.accumulator(FIRED).values
            fresh = fired[slots] == 0  # after a restore some results may have been given before
            slots, starts = slots[fresh], starts[fresh]
            fired[slots] = 1
            self._table.dirty[slots] = 1
        self._results.emit(slots, starts, starts + self._size)

    def _refire(self, slots: Slots, starts: Timestamps, watermark: int) -> None:
        """Give updated results of windows that have fired; let the others fire in their time."""
        fired = self._table.accumulator(FIRED).values
        fired[slots] = 0
        ended = starts + (self._size - 1) <= watermark
        if not ended.any():
            self._unfired.update(np.unique(starts).tolist())
            return
        self._unfired.update(np.unique(starts[~ended]).tolist())
        first = self._distinct.first_rows(slots[ended])  # in the order of arrival
        again = slots[ended][first]
        fired[again] = 1
        from_ = starts[ended][first]
        self._results.emit(again, from_, from_ + self._size)

    def _cleanup_time(self, start: int) -> int:
        # An overflow means for ever, as in Flink.
        return min(start + self._size - 1 + self._lateness_ms, MAX_TIMESTAMP)

    def _drop_late(
        self,
        batch: ColumnarBatch,
        times: Timestamps,
        watermark: int,
        rows: Slots | None,
        starts: Timestamps,
    ) -> tuple[Slots | None, Timestamps]:
        """Without the windows that are gone; rows of which no window is left are late."""
        gaps = self._slide > self._size  # a record may belong to no window
        if not gaps and self._cleanup_time(int(starts.min())) > watermark:
            return rows, starts
        kept = np.flatnonzero(~windows.late_mask(starts, self._size, self._lateness_ms, watermark))
        rows = kept if rows is None else rows[kept]
        skipped = np.ones(len(batch), np.bool_)
        skipped[rows] = False
        if gaps:  # between two windows it is late only if it is behind the watermark
            skipped &= times <= watermark - self._lateness_ms
        self._late.take(batch, np.flatnonzero(skipped))
        return rows, starts[kept]


def taken(values: Folded, rows: Slots) -> Folded:
    """Some rows of an input."""
    numbers, valid = values
    return numbers[rows] if len(numbers) else numbers, None if valid is None else valid[rows]


class Lists:
    """Slots by window start; the starts in order."""

    def __init__(self) -> None:
        self.starts: list[int] = []
        self._parts: dict[int, list[Slots]] = {}

    def __contains__(self, start: int) -> bool:
        return start in self._parts

    def add(self, starts: Timestamps, slots: Slots) -> None:
        """Enter new slots of any windows."""
        low, high = int(starts.min()), int(starts.max())
        if low == high:
            self._append(low, slots)
            return
        order = np.argsort(starts, kind="stable")
        starts, slots = starts[order], slots[order]
        cuts = np.flatnonzero(np.diff(starts)) + 1
        firsts = starts[np.concatenate(([0], cuts))].tolist()
        for start, part in zip(firsts, np.split(slots, cuts), strict=True):
            self._append(start, part)

    def _append(self, start: int, slots: Slots) -> None:
        parts = self._parts.get(start)
        if parts is None:
            self._parts[start] = [slots]
            insort(self.starts, start)
        else:
            parts.append(slots)

    def until(self, start: int) -> list[int]:
        """Window starts up to and with this one, ascending."""
        return self.starts[: bisect_right(self.starts, start)]

    def slots(self, start: int) -> Slots:
        """All slots of a window."""
        parts = self._parts[start]
        if len(parts) > 1:
            parts[:] = [np.concatenate(parts)]
        return parts[0]

    def pop(self, start: int) -> Slots:
        """Forget a window; gives its slots."""
        slots = self.slots(start)
        del self._parts[start]
        self.starts.remove(start)
        return slots
