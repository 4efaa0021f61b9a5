"""Interval join of columns: pairs of rows that are near in time become rows of both's columns.

A batch is sorted by key hash and time once. The other side's rows lie sorted likewise, so that a
compiled loop finds all pairs in one pass over both; then columns are gathered. Rows never become
Python objects, and state is written in chunks (:mod:`lesto.state.timed_rows`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from lesto.common.elements import (
    MIN_TIMESTAMP,
    NO_TIMESTAMP,
    Batch,
    ColumnarBatch,
    Form,
    Timestamps,
    full_timestamps,
)
from lesto.common.merged_columns import MergedColumns
from lesto.kernels import jit
from lesto.kernels.intervals import Matches, Rows
from lesto.kernels.partition import take_array, take_batch
from lesto.state.timed_rows import Run, TimedRows, TimedRowsDescriptor, key_hashes, sorted_run
from lesto.taskmanager.operators.base import Operator, OperatorSnapshot
from lesto.taskmanager.operators.columnar.columns import input_schema, require_insertions
from lesto.taskmanager.operators.columnar.window_results import RESULT_ROWS_MAX, LateRows
from lesto.taskmanager.operators.errors import MissingTimestampError

LEFT_ROWS: Final = "left-rows"
RIGHT_ROWS: Final = "right-rows"
#: Rows of arrival times are cleared this much later than they could be, ms: an alarm is dear.
CLEAR_EVERY_MS: Final = 1_000


class ColumnarIntervalJoinOperator(Operator):
    """Joins left and right rows of a key where ``lower <= right - left <= upper`` (ms).

    What is joined is what :class:`lesto.taskmanager.operators.interval_join.IntervalJoinOperator`
    joins; the results of one batch come in another order.

    Args:
        left_keys: key columns of the left stream (input 0).
        right_keys: key columns of the right stream (input 1).
        lower: lower bound, ms, inclusive.
        upper: upper bound, ms, inclusive.
        merged: columns of the results.
        event_time: times are event time; else those of arrival.
        late_tags: ids of the side outputs for late rows of the left and the right stream; None:
            they are counted and dropped.
    """

    input_form = Form.COLUMNAR

    def __init__(
        self,
        left_keys: Sequence[str],
        right_keys: Sequence[str],
        lower: int,
        upper: int,
        merged: MergedColumns,
        event_time: bool = True,
        late_tags: tuple[str | None, str | None] = (None, None),
    ) -> None:
        self._keys = (tuple(left_keys), tuple(right_keys))
        self._bounds = ((lower, upper), (-upper, -lower))
        self._keep_ms = (max(upper, 0), max(-lower, 0))
        self._merged = merged
        self._event_time = event_time
        self._late_tags = late_tags
        self._watermark = MIN_TIMESTAMP
        self._cancel_alarm: Callable[[], None] | None = None

    def open(self) -> None:
        """Load the kernels and get the restored rows."""
        jit.warm(("hashing", "rows", "intervals"))
        self._backend = backend = self.context.keyed_backend()
        schemas = [_plain_schema(input_schema(self.context, i)) for i in (0, 1)]
        self._schemas = schemas
        self._rows: list[TimedRows] = []
        for name, schema, keys in zip((LEFT_ROWS, RIGHT_ROWS), schemas, self._keys, strict=True):
            self._rows.append(backend.timed_rows(TimedRowsDescriptor(name, schema, keys)))
        self._output_schema = self._merged.schema(*schemas)
        dropped = self.context.metrics.counter("num_late_records_dropped")
        self._late = [LateRows(self.output, tag, dropped) for tag in self._late_tags]
        if not self._event_time:
            self._arm()

    # ---------------------------------------------------------------------------------------- rows

    def process_batch(self, batch: Batch, input_index: int = 0) -> None:
        """Join the rows with those of the other side that are there, and keep them."""
        assert isinstance(batch, ColumnarBatch)
        require_insertions(batch, self.context.operator_name)
        data, times = batch.data, self._times(batch)
        if self._event_time and self._watermark != MIN_TIMESTAMP:
            late = times < self._watermark
            if late.any():
                self._late[input_index].take(batch, np.flatnonzero(late))
                kept = np.flatnonzero(~late)
                if not len(kept):
                    return
                data, times = take_batch(data, kept), times[kept]
        data = _plain(data, self._schemas[input_index])
        run = sorted_run(data, key_hashes(data, self._keys[input_index]), times)
        self._join(run, input_index)
        self._rows[input_index].add(run)
        if not self._event_time:
            self._arm()

    def _times(self, batch: ColumnarBatch) -> Timestamps:
        if not self._event_time:
            return full_timestamps(len(batch), self.context.clock.now_ms())
        times = batch.timestamps
        if times is None or int(times.min()) == NO_TIMESTAMP:
            msg = (
                f"a record without event time reached the interval join"
                f" {self.context.operator_name!r}"
            )
            raise MissingTimestampError(
                msg,
                remedy="give from_source a watermark strategy, or call"
                " assign_timestamps_and_watermarks; or join in_processing_time()",
            )
        return times

    def _join(self, run: Run, index: int) -> None:
        lower, upper = self._bounds[index]
        for other in self._rows[1 - index].runs:
            first = self._rows[1 - index].first_alive
            found = Matches(other.hashes, other.times, run.hashes, run.times, lower, upper, first)
            for mine, theirs in self._equal(run, other, index, found):
                self._emit(run, mine, other, theirs, index)

    def _equal(
        self, run: Run, other: Run, index: int, found: Matches
    ) -> Iterator[tuple[Rows, Rows]]:
        """The pairs whose keys, not only their hashes, are equal."""
        if not found.total:
            return
        ours = [run.data.column(name) for name in self._keys[index]]
        others = [other.data.column(name) for name in self._keys[1 - index]]
        certain = len(ours) == 1 and _hash_tells(ours[0]) and _hash_tells(others[0])
        for mine, theirs in found.pairs(RESULT_ROWS_MAX):
            if certain:
                yield mine, theirs
                continue
            equal = _same(ours, mine, others, theirs)
            if equal.all():
                yield mine, theirs
            elif equal.any():
                yield mine[equal], theirs[equal]

    def _emit(self, run: Run, mine: Rows, other: Run, theirs: Rows, index: int) -> None:
        pairs = ((other, theirs), (run, mine)) if index else ((run, mine), (other, theirs))
        (left, left_rows), (right, right_rows) = pairs
        columns = [take_array(left.data.column(i), left_rows) for i in self._merged.left]
        columns += [take_array(right.data.column(i), right_rows) for i in self._merged.right]
        times = None
        if self._event_time:
            times = np.maximum(left.times[left_rows], right.times[right_rows])
        data = pa.RecordBatch.from_arrays(columns, schema=self._output_schema)
        self.output.emit(ColumnarBatch(data, times))

    # ---------------------------------------------------------------------------------------- time

    def process_watermark(self, timestamp: int) -> None:
        """Forget what can join nothing more, then pass the watermark on."""
        self._watermark = timestamp
        if self._event_time:
            self._expire(timestamp)
        self.output.emit_watermark(timestamp)

    def _expire(self, now: int) -> None:
        for rows, keep_ms in zip(self._rows, self._keep_ms, strict=True):
            rows.expire(now - keep_ms + 1)

    def _arm(self) -> None:
        """In processing time: look for what can go once in a while, as long as there is any."""
        if self._cancel_alarm is None and any(rows.runs for rows in self._rows):
            at = self.context.clock.now_ms() + max(*self._keep_ms, CLEAR_EVERY_MS)
            self._cancel_alarm = self.context.register_processing_timer(at, self._ring)

    def _ring(self, timestamp: int) -> None:
        self._cancel_alarm = None
        # Records of this very millisecond may still come.
        self._expire(self.context.clock.now_ms() - 1)
        self._arm()

    def snapshot(self, checkpoint_id: int, canonical: bool) -> OperatorSnapshot:
        """The rows, by the keyed backend."""
        return OperatorSnapshot(self._backend.snapshot(checkpoint_id, canonical=canonical))

    def close(self) -> None:
        """Take the alarm back."""
        if self._cancel_alarm is not None:
            self._cancel_alarm()
            self._cancel_alarm = None


def _plain_schema(schema: pa.Schema) -> pa.Schema:
    """Dictionaries become their values: chunks of state carry none."""
    return pa.schema(
        [
            field.with_type(field.type.value_type) if pa.types.is_dictionary(field.type) else field
            for field in schema
        ]
    )


def _plain(data: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    if data.schema.equals(schema):
        return data
    columns = [column.cast(field.type) for column, field in zip(data.columns, schema, strict=True)]
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def _hash_tells(keys: pa.Array) -> bool:
    """Whether different keys always have different hashes: those of int64 do."""
    kind = keys.type
    return keys.null_count == 0 and pa.types.is_integer(kind) and not pa.types.is_uint64(kind)


def _same(
    ours: Sequence[pa.Array], mine: Rows, others: Sequence[pa.Array], theirs: Rows
) -> npt.NDArray[np.bool_]:
    """Where keys are equal; a missing key equals a missing key, as everywhere in Lesto."""
    equal: npt.NDArray[np.bool_] = np.ones(len(mine), np.bool_)
    for a, b in zip(ours, others, strict=True):
        left, right = take_array(a, mine), take_array(b, theirs)
        same = pc.fill_null(pc.equal(left, right), False)
        if left.null_count and right.null_count:
            same = pc.or_(same, pc.and_(left.is_null(), right.is_null()))
        equal &= same.to_numpy(zero_copy_only=False)
    return equal
