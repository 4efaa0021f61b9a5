"""Interval join of rows: each record meets those of the other stream that are near in time.

Records are kept by key in buckets of time, one map entry of state a bucket, sorted. So a record
looks at a few buckets, one timer clears a whole bucket, and a checkpoint writes the buckets that
have changed, not all that a key has.

What a record joins with is Flink's to the millisecond: one that Flink has cleared already is not
looked at, although its bucket may still be there.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator
from itertools import repeat
from typing import Any, Final, Protocol

import numpy as np

from lesto.common.elements import MIN_TIMESTAMP, NO_TIMESTAMP, Batch, RowBatch
from lesto.common.keys import KeySpec
from lesto.state import codec
from lesto.state.backend import KeyedStateBackend
from lesto.state.descriptors import MapState, MapStateDescriptor
from lesto.state.errors import StateMismatchError
from lesto.taskmanager.operators.base import OperatorSnapshot
from lesto.taskmanager.operators.errors import MissingTimestampError
from lesto.taskmanager.operators.field_access import key_function
from lesto.taskmanager.operators.results import RESULT_ROWS_MAX, emit_results
from lesto.taskmanager.operators.runtime_context import OperatorRuntimeContext
from lesto.taskmanager.operators.stateless import UserFunctionOperator
from lesto.taskmanager.operators.timer_service import InternalTimers
from lesto.taskmanager.operators.user_functions import function_name, row_error, user_errors

LEFT_BUFFER: Final = "left-buffer"
RIGHT_BUFFER: Final = "right-buffer"
#: Union list state: lower and upper bound of what is in the buffers.
BOUNDS_STATE: Final = "bounds"
#: Namespaces of the timers that clear buckets.
_NAMESPACES: Final = ("left", "right")
#: Shortest bucket, ms: records so near in time share a map entry and a timer.
BUCKET_MS_MIN: Final = 64

#: Times, ascending, and the records of these times.
Bucket = tuple[list[int], list[Any]]


class IntervalJoinOperator(UserFunctionOperator):
    """Joins left and right records of a key where ``lower <= right - left <= upper`` (ms).

    Args:
        function: a ProcessJoinFunction, a callable of two records (or an object with ``join``), or
            None for the pairs themselves.
        left_key: how the left stream is keyed (input 0).
        right_key: how the right stream is keyed (input 1).
        lower: lower bound, ms, inclusive.
        upper: upper bound, ms, inclusive.
        event_time: times are event time; else those of arrival.
        late_tags: ids of the side outputs for late records of the left and the right stream; None:
            they are counted and dropped.
    """

    iterates = True

    _backend: KeyedStateBackend

    def __init__(
        self,
        function: Any,
        left_key: KeySpec,
        right_key: KeySpec,
        lower: int,
        upper: int,
        event_time: bool = True,
        late_tags: tuple[str | None, str | None] = (None, None),
    ) -> None:
        super().__init__(function)
        self._keys_of = (key_function(left_key), key_function(right_key))
        self._sides = (_Side(lower, upper), _Side(-upper, -lower))
        self._bounds = (lower, upper)
        self._width = max(upper - lower, BUCKET_MS_MIN)
        self._event_time = event_time
        self._late_tags = late_tags

    def open(self) -> None:
        """Get the restored buckets, open the function, set the alarm for restored timers."""
        self._check_bounds()
        self._backend = backend = self.context.keyed_backend()
        self._timers = InternalTimers(self.context, backend, self._on_clear, lambda: None)
        self._buffers: tuple[MapState[int, Bucket], ...] = tuple(
            backend.get_state(MapStateDescriptor(name))  # type: ignore[misc]
            for name in (LEFT_BUFFER, RIGHT_BUFFER)
        )
        self._late = self.context.metrics.counter("num_late_records_dropped")
        self._join: _Join = _join_of(self._function)
        super().open()
        self._timers.open()

    def _check_bounds(self) -> None:
        """Buckets and their timers are found by the bounds they were made for."""
        for stored in map(codec.decode, self.context.restored_list(BOUNDS_STATE)):
            if stored != self._bounds:
                before, now = ("{} to {} ms".format(*bounds) for bounds in (stored, self._bounds))
                msg = f"the bounds of '{self.context.operator_name}' were {before} and are {now}"
                raise StateMismatchError(
                    msg, remedy="restore with the bounds of the snapshot, or change the uid"
                )

    def _runtime_context(self) -> OperatorRuntimeContext:
        return OperatorRuntimeContext(self.context, self._backend)

    # ------------------------------------------------------------------------------------- records

    def process_batch(self, batch: Batch, input_index: int = 0) -> None:
        """Keep each record, and join it with those of the other side that are there."""
        assert isinstance(batch, RowBatch)
        values = batch.values
        times = self._times(batch)
        with user_errors(self.context.operator_name, "the key selector"):
            keys = self._keys_of[input_index](values)
        watermark = self._timers.current_watermark
        if self._event_time and min(times) < watermark:
            keys, values, times = self._without_late(keys, values, times, watermark, input_index)
        self._match(keys, values, times, input_index)

    def _times(self, batch: RowBatch) -> list[int]:
        if not self._event_time:
            return [self._timers.now_ms()] * len(batch.values)
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
        found: list[int] = times.tolist()
        return found

    def _without_late(
        self, keys: list[Any], values: list[Any], times: list[int], watermark: int, side: int
    ) -> tuple[list[Any], list[Any], list[int]]:
        """Drop late records, or emit them on the side's output."""
        late = [i for i, time in enumerate(times) if time < watermark]
        tag = self._late_tags[side]
        if tag is None:
            self._late.inc(len(late))
        else:
            of_late = np.array([times[i] for i in late], dtype=np.int64)
            self.output.emit_side(tag, RowBatch([values[i] for i in late], of_late))
        kept = [i for i, time in enumerate(times) if time >= watermark]
        return [keys[i] for i in kept], [values[i] for i in kept], [times[i] for i in kept]

    def _match(self, keys: list[Any], values: list[Any], times: list[int], index: int) -> None:
        backend, width = self._backend, self._width
        side, other = self._sides[index], self._sides[1 - index]
        mine, theirs = self._buffers[index], self._buffers[1 - index]
        lower, upper = side.lower, side.upper
        # Of the other side's records, Flink has cleared those before.
        horizon = other.first_alive(self._timers.current_watermark)
        found: list[tuple[Any, Any]] = []
        found_keys: list[Any] = []
        own_times: list[int] = []
        other_times: list[int] = []
        get, seen = theirs.get, mine.get
        for key, value, time in zip(keys, values, times, strict=True):
            backend.current_key = key
            at = time // width
            bucket = seen(at)
            if bucket is None:
                self._arm(index, at)
                mine.put(at, ([time], [value]))
            else:
                _insert(bucket, time, value)
                mine.put(at, bucket)
            low, high = time + lower, time + upper
            low = max(low, horizon)
            for near in range(low // width, high // width + 1):
                bucket = get(near)
                if bucket is None:
                    continue
                bucket_times, bucket_values = bucket
                begin = bisect_left(bucket_times, low)
                end = bisect_right(bucket_times, high)
                if begin < end:
                    pairs = bucket_values[begin:end]
                    found += zip(pairs, repeat(value)) if index else zip(repeat(value), pairs)
                    other_times += bucket_times[begin:end]
                    own_times += repeat(time, end - begin)
                    found_keys += repeat(key, end - begin)
            if len(found) >= RESULT_ROWS_MAX:
                self._emit(found, found_keys, own_times, other_times, index)
                found, found_keys, own_times, other_times = [], [], [], []
        if found:
            self._emit(found, found_keys, own_times, other_times, index)

    def _emit(
        self,
        pairs: list[tuple[Any, Any]],
        keys: list[Any],
        own: list[int],
        others: list[int],
        index: int,
    ) -> None:
        left, right = (others, own) if index else (own, others)
        rows = iter(pairs)
        results: list[Any] = []
        try:
            ends = self._join(self._backend, rows, keys, results, left, right)
        except Exception as error:
            name = function_name(self._function)
            raise row_error(
                self.context.operator_name, name, error, rows, len(pairs), iterates=True
            ) from error
        times = None
        if self._event_time:
            times = np.maximum(np.array(left, dtype=np.int64), np.array(right, dtype=np.int64))
        emit_results(self.output, results, times, None if times is None else ends)

    # -------------------------------------------------------------------------------------- timers

    def _arm(self, index: int, bucket: int) -> None:
        """Clear a new bucket when its last record can join nothing more."""
        at = (bucket + 1) * self._width - 1 + self._sides[index].keep_ms
        key = self._backend.current_key
        if self._event_time:
            self._timers.event.register(at, key, _NAMESPACES[index])
        else:
            # Records of a time may come until its millisecond is over.
            self._timers.register_processing(at + 1, key, _NAMESPACES[index])

    def _on_clear(self, timestamp: int, key: Any, namespace: Any) -> None:
        index = _NAMESPACES.index(namespace)
        last = timestamp - self._sides[index].keep_ms - (0 if self._event_time else 1)
        self._buffers[index].remove(last // self._width)

    def process_watermark(self, timestamp: int) -> None:
        """Clear what can join nothing more, then pass the watermark on."""
        self._timers.fire_event_timers(timestamp, self._on_clear)
        self.output.emit_watermark(timestamp)

    def snapshot(self, checkpoint_id: int, canonical: bool) -> OperatorSnapshot:
        """Buckets and timers, by the keyed backend."""
        keyed = self._backend.snapshot(checkpoint_id, canonical=canonical)
        return OperatorSnapshot(keyed, union_lists={BOUNDS_STATE: [codec.encode(self._bounds)]})

    def close(self) -> None:
        """Take the alarm back and close the function."""
        if self._opened:
            self._timers.close()
        super().close()


class _Side:
    """One stream's view of the interval.

    Attributes:
        lower: of the other stream's times relative to this one's, ms.
        upper: of the other stream's times relative to this one's, ms.
        keep_ms: how long a record is kept after its time.
    """

    __slots__ = ("keep_ms", "lower", "upper")

    def __init__(self, lower: int, upper: int) -> None:
        self.lower = lower
        self.upper = upper
        self.keep_ms = max(upper, 0)

    def first_alive(self, watermark: int) -> int:
        """Earliest time of records that are not cleared at a watermark."""
        return MIN_TIMESTAMP if watermark == MIN_TIMESTAMP else watermark - self.keep_ms + 1


def _insert(bucket: Bucket, time: int, value: Any) -> None:
    times, values = bucket
    if time >= times[-1]:
        times.append(time)
        values.append(value)
    else:
        at = bisect_right(times, time)
        times.insert(at, time)
        values.insert(at, value)


# -------------------------------------------------------------------------------------------- joins


class _Join(Protocol):
    """Fills ``results`` of pairs; gives where each pair's end, or None when there is one a pair."""

    def __call__(
        self,
        backend: KeyedStateBackend,
        pairs: Iterator[tuple[Any, Any]],
        keys: list[Any],
        results: list[Any],
        left: list[int],
        right: list[int],
    ) -> list[int] | None: ...


def _join_of(function: Any) -> _Join:
    if function is None:
        return _pairs
    process = getattr(function, "process_element", None)
    if callable(process):
        return _Process(process)
    join = getattr(function, "join", None)
    return _Plain(join if callable(join) else function)


def _pairs(
    backend: KeyedStateBackend,
    pairs: Iterator[tuple[Any, Any]],
    keys: list[Any],
    results: list[Any],
    left: list[int],
    right: list[int],
) -> None:
    results.extend(pairs)


class _Plain:
    """One result a pair."""

    def __init__(self, function: Callable[[Any, Any], Any]) -> None:
        self._function = function

    def __call__(
        self,
        backend: KeyedStateBackend,
        pairs: Iterator[tuple[Any, Any]],
        keys: list[Any],
        results: list[Any],
        left: list[int],
        right: list[int],
    ) -> None:
        fn = self._function
        append = results.append
        for backend.current_key, (a, b) in zip(keys, pairs, strict=False):
            append(fn(a, b))


class JoinContext:
    """The ``ctx`` of a ProcessJoinFunction: times of the current pair, ms."""

    __slots__ = ("_left", "_right")

    def __init__(self) -> None:
        self._left = self._right = 0

    def get_left_timestamp(self) -> int:
        """Time of the left record."""
        return self._left

    def get_right_timestamp(self) -> int:
        """Time of the right record."""
        return self._right

    def get_timestamp(self) -> int:
        """Time of the results."""
        return max(self._left, self._right)

    timestamp = get_timestamp


class _Process:
    """Any number of results a pair."""

    def __init__(self, process: Callable[..., Any]) -> None:
        self._process = process
        self._ctx = JoinContext()

    def __call__(
        self,
        backend: KeyedStateBackend,
        pairs: Iterator[tuple[Any, Any]],
        keys: list[Any],
        results: list[Any],
        left: list[int],
        right: list[int],
    ) -> list[int]:
        process, ctx = self._process, self._ctx
        extend = results.extend
        ends: list[int] = []
        mark = ends.append
        every = zip(keys, pairs, left, right, strict=False)
        for backend.current_key, (a, b), ctx._left, ctx._right in every:
            found = process(a, b, ctx)
            if found is not None:
                extend(found)
            mark(len(results))
        return ends
