"""Inner join of two streams by key in event-time windows, on columns.

Records wait as they came, in batches by *slice*: the longest stretches of which every window is
made up (a tumbling window is one slice). When a window ends, the keys of both sides are numbered by
a hash index, and the pairs are gathered column by column. A record is kept once, however many
windows it belongs to.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from math import gcd
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from lesto.common.elements import MIN_TIMESTAMP, NO_TIMESTAMP, Batch, ColumnarBatch, Form
from lesto.common.windowing import SlidingEventTimeWindows, TumblingEventTimeWindows
from lesto.kernels import hashing, jit, windows
from lesto.kernels.index import HashIndex
from lesto.kernels.partition import take_batch
from lesto.taskmanager.operators.base import Operator, OperatorSnapshot
from lesto.taskmanager.operators.columnar.columns import input_schema, require_insertions
from lesto.taskmanager.operators.columnar.errors import UnsupportedWindowError
from lesto.taskmanager.operators.columnar.fired import FiredUntil
from lesto.taskmanager.operators.columnar.join_state import JoinState
from lesto.taskmanager.operators.errors import MissingTimestampError
from lesto.taskmanager.operators.window_firing import Firing

#: Rows of a result batch at most.
RESULT_ROWS_MAX: Final = 65_536
SIDES: Final = (0, 1)

Rows = npt.NDArray[np.int64]
Hashes = npt.NDArray[np.uint64]


@dataclass(slots=True)
class Part:
    """Records of one side and slice.

    Attributes:
        batches: in the order they came.
        fired_until: windows that ended up to this ms have fired for them already.
    """

    batches: list[pa.RecordBatch] = field(default_factory=list)
    fired_until: int = MIN_TIMESTAMP


def check_join_assigner(assigner: Any) -> None:
    """Refuse windows that do not work on columns.

    Raises:
        UnsupportedWindowError: they are neither tumbling nor sliding in event time.
    """
    if type(assigner) not in (TumblingEventTimeWindows, SlidingEventTimeWindows):
        msg = f"joins of columns do not work in {type(assigner).__name__}"
        raise UnsupportedWindowError(
            msg, remedy="use tumbling or sliding event-time windows, or .apply(...) on rows"
        )


def join_output_schema(
    first: pa.Schema, second: pa.Schema, keys: Sequence[tuple[str, str]], suffix: str
) -> tuple[pa.Schema, list[int]]:
    """Columns of a join, and which of the second side's are in it.

    The first side's columns, then the second's without its keys of the same names; other names
    that both have get the suffix on the second side.
    """
    same = {b for a, b in keys if a == b}
    chosen = [i for i, name in enumerate(second.names) if name not in same]
    fields = list(first)
    for i in chosen:
        column = second.field(i)
        taken = column.name in first.names
        fields.append(column.with_name(column.name + suffix) if taken else column)
    return pa.schema(fields), chosen


class WindowJoinOperator(Operator):
    """Gives each pair of records with equal keys of each window once the watermark passes its end.

    A result's event time is the last millisecond of its window; within a window results are in the
    order of the first side's records, then of the second's. Null keys are equal to each other.

    Args:
        keys: names of the key columns of both sides, in pairs of one type.
        assigner: tumbling or sliding event-time windows.
        suffix: for columns of the second side whose names the first has.
    """

    input_form = Form.COLUMNAR
    concurrent = True
    by_clock = False

    def __init__(self, keys: Sequence[tuple[str, str]], assigner: Any, suffix: str) -> None:
        check_join_assigner(assigner)
        self._keys = list(keys)
        self._size: int = assigner.size
        self._slide: int = getattr(assigner, "slide", assigner.size)
        self._offset: int = assigner.offset
        self._slice = gcd(self._size, self._slide)
        self._suffix = suffix
        self._watermark = MIN_TIMESTAMP
        self._joining = False  # one is, and a part of its results is out
        #: By slice and side.
        self._parts: dict[tuple[int, int], list[Part]] = {}

    def open(self) -> None:
        """Compile, load the kernels, and find the records that wait."""
        schemas = [input_schema(self.context, side) for side in SIDES]
        self._schema, self._chosen = join_output_schema(
            schemas[0], schemas[1], self._keys, self._suffix
        )
        self._key_columns = [
            [schema.get_field_index(pair[side]) for pair in self._keys]
            for side, schema in enumerate(schemas)
        ]
        self._key_types = [schemas[0].field(i).type for i in self._key_columns[0]]
        jit.warm()
        self._dropped = self.context.metrics.counter("num_late_records_dropped")
        self._state = JoinState(self.context, schemas)
        backend = self.context.keyed_backend()
        groups = (backend.key_group_start, backend.key_group_end, backend.max_parallelism)
        self._fired = FiredUntil(self._state.fired(), groups)
        for slice_start, side, batch, fired_until in self._state.restored():
            self._parts.setdefault((slice_start, side), []).append(Part([batch], fired_until))
        self._firing = Firing(self.context, self.output, self, self)

    # -- records

    def process_batch(self, batch: Batch, input_index: int = 0) -> None:
        """Keep the records until their windows end."""
        assert isinstance(batch, ColumnarBatch)
        name = self.context.operator_name
        require_insertions(batch, name)
        times = batch.timestamps
        if times is None or int(times.min()) == NO_TIMESTAMP:
            msg = f"'{name}' joins in event-time windows but got records without event time"
            raise MissingTimestampError(
                msg, remedy="give both streams a strategy: assign_timestamps_and_watermarks(...)"
            )
        slices = windows.tumble(times, self._slice, self._offset % self._slice)
        last = slices - (slices - self._offset) % self._slide  # start of the last window of each
        gone = last + (self._size - 1) <= self._watermark
        kept = ~gone & (slices < last + self._size)
        late = gone & (times <= self._watermark)
        self._dropped.inc(int(late.sum()))
        rows = np.flatnonzero(kept)
        if len(rows) == 0:
            return
        slices = slices[rows]
        order = np.argsort(slices, kind="stable")
        rows, slices = rows[order], slices[order]
        cuts = np.flatnonzero(np.diff(slices)) + 1
        firsts = [0, *cuts.tolist()]
        for first, part in zip(firsts, np.split(rows, cuts), strict=True):
            data = batch.data if len(part) == len(batch) else take_batch(batch.data, part)
            self._keep(int(slices[first]), input_index, data)

    def _keep(self, slice_start: int, side: int, data: pa.RecordBatch) -> None:
        if self._fired.apart:  # only behind a restore
            until = np.maximum(self._fired.of(self._hashes(data, side)), self._watermark)
            for time in np.unique(until).tolist():
                some = take_batch(data, np.flatnonzero(until == time))
                self._keep_fired(slice_start, side, some, time)
        else:
            self._keep_fired(slice_start, side, data, max(self._watermark, self._fired.done))
        keys = [data.column(i) for i in self._key_columns[side]]
        self._state.add(slice_start, side, data, keys)

    def _keep_fired(self, slice_start: int, side: int, data: pa.RecordBatch, until: int) -> None:
        parts = self._parts.setdefault((slice_start, side), [])
        if not parts or parts[-1].fired_until != until:
            parts.append(Part(fired_until=until))
        parts[-1].batches.append(data)

    # -- time

    def process_watermark(self, timestamp: int) -> None:
        """Join the windows that have ended, then pass the watermark on."""
        self._firing.watermark(timestamp)

    def process_status(self, idle: bool) -> None:
        """Pass it on, behind what fires."""
        self._firing.status(idle)

    def poll(self) -> object:
        """Go on joining."""
        return self._firing.poll()

    def room(self) -> int:
        """No records while windows are joined."""
        return 0 if self._firing.busy else super().room()

    def in_flight(self) -> bool:
        """Whether windows have yet to be joined."""
        return self._firing.busy

    def due_at(self) -> int | None:
        """Never by the wall clock."""
        return None

    def flush(self) -> None:
        """Nothing is collected."""

    def advance(self, time: int) -> Iterator[None]:
        """Join the windows that have ended, a batch of results at a step."""
        self._watermark = time
        for start in self._ended(time):
            self._joining = True
            yield from self._join(start)
            self._joining = False
            self._fired.advance(start + self._size - 1)
            yield
        self._fired.advance(time)
        over = [
            key
            for key in self._parts
            if key[0] - (key[0] - self._offset) % self._slide + self._size - 1 <= time
        ]
        for slice_start, side in over:
            del self._parts[slice_start, side]
            self._state.drop(slice_start, side)

    def _ended(self, time: int) -> list[int]:
        """Starts of the windows that have ended and may have records of both sides."""
        starts: set[int] = set()
        for slice_start, side in self._parts:
            if side == 0:
                last = slice_start - (slice_start - self._offset) % self._slide
                starts.update(range(last, slice_start - self._size, -self._slide))
        return sorted(start for start in starts if start + self._size - 1 <= time)

    def _join(self, start: int) -> Iterator[None]:
        last_ms = start + self._size - 1
        both = [self._records(start, side, last_ms) for side in SIDES]
        for key in self._slices(start):
            for side in SIDES:
                for part in self._parts.get((key, side), ()):
                    part.fired_until = max(part.fired_until, last_ms)
        first, second = both
        if first is None or second is None:
            return
        for a, b in self._pairs(first, second):
            left, right = take_batch(first, a), take_batch(second, b)
            columns = [*left.columns, *(right.column(i) for i in self._chosen)]
            data = pa.RecordBatch.from_arrays(columns, schema=self._schema)
            self.output.emit(ColumnarBatch(data, np.full(len(a), last_ms, np.int64)))
            yield

    def _slices(self, start: int) -> range:
        return range(start, start + self._size, self._slice)

    def _records(self, start: int, side: int, last_ms: int) -> pa.RecordBatch | None:
        """All records of a side in a window that has not fired for them."""
        found: list[pa.RecordBatch] = []
        for slice_start in self._slices(start):
            for part in self._parts.get((slice_start, side), ()):
                if part.fired_until < last_ms:
                    found.extend(part.batches)
        if not found:
            return None
        if len(found) == 1:
            return found[0]
        return pa.Table.from_batches(found).combine_chunks().to_batches()[0]

    def _pairs(self, first: pa.RecordBatch, second: pa.RecordBatch) -> Iterator[tuple[Rows, Rows]]:
        """Rows of both sides with equal keys, in bounded pieces."""
        index = HashIndex(self._key_types, capacity=len(first))
        numbers = [self._numbers(index, batch, side) for side, batch in enumerate((first, second))]
        bound = index.slot_bound
        order = np.argsort(numbers[1], kind="stable")
        counts = np.bincount(numbers[1], minlength=bound)
        offsets = np.concatenate(([0], np.cumsum(counts)[:-1]))
        matches = counts[numbers[0]]
        totals = np.cumsum(matches)
        at, rows = 0, len(matches)
        while at < rows:
            done = int(totals[at - 1]) if at else 0
            end = max(at + 1, int(np.searchsorted(totals, done + RESULT_ROWS_MAX, "right")))
            some = matches[at:end]
            total = int(some.sum())
            if total:
                a = np.repeat(np.arange(at, end), some)
                within = np.arange(total) - np.repeat(np.cumsum(some) - some, some)
                b = order[offsets[numbers[0][a]] + within]
                for piece in range(0, total, RESULT_ROWS_MAX):
                    upto = piece + RESULT_ROWS_MAX
                    yield a[piece:upto], b[piece:upto]
            at = end

    def _numbers(self, index: HashIndex, batch: pa.RecordBatch, side: int) -> Rows:
        keys = [batch.column(i) for i in self._key_columns[side]]
        return index.lookup_or_insert(keys, self._hashes(batch, side))[0]

    def _hashes(self, batch: pa.RecordBatch, side: int) -> Hashes:
        keys = [batch.column(i) for i in self._key_columns[side]]
        return hashing.hash_column(keys[0]) if len(keys) == 1 else hashing.hash_columns(keys)

    # -- state

    def prepare_snapshot(self, checkpoint_id: int) -> None:
        """End the window in hand: all of its results belong to one checkpoint, or none."""
        while self._joining:
            self._firing.poll()

    def snapshot(self, checkpoint_id: int, canonical: bool) -> OperatorSnapshot:
        """Records that have come since the last snapshot, and what has fired."""
        records = self._state.save(self._fired.ranges())
        backend = self.context.keyed_backend()
        return OperatorSnapshot(
            backend.snapshot(checkpoint_id, canonical=canonical), union_lists=records
        )
