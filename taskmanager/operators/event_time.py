"""Event time by a watermark strategy: timestamps a batch at a time, and watermarks."""

from __future__ import annotations

import datetime as dt
import operator
from collections.abc import Callable, Sequence
from itertools import repeat
from typing import Any, Final, get_type_hints

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lesto.common.convert import to_rows
from lesto.common.elements import (
    MIN_TIMESTAMP,
    Batch,
    ColumnarBatch,
    RowBatch,
    Timestamps,
    Watermark,
)
from lesto.common.errors import did_you_mean
from lesto.common.logs import get_logger
from lesto.common.watermarks import WatermarkOutput, WatermarkStrategy
from lesto.kernels.timestamps import millis
from lesto.taskmanager.operators.errors import InvalidResultError, MissingTimestampError
from lesto.taskmanager.operators.field_access import column
from lesto.taskmanager.operators.user_functions import function_error, function_name, row_error

_DAY_MS: Final = 86_400_000
_EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_MILLISECOND: Final = dt.timedelta(milliseconds=1)
#: Union list state: (subtask, event time in ms) of each subtask that makes watermarks.
EVENT_TIME_STATE: Final = "event-time"
#: Splits that warnings of idleness name at most, an operator.
WARNINGS_MAX: Final = 32
_encode_time = msgspec.msgpack.Encoder().encode
_decode_time = msgspec.msgpack.Decoder(tuple[int, int]).decode
_log = get_logger("lesto.event_time")


def stored_event_time(subtask: int, event_time: int) -> dict[str, list[bytes]]:
    """Union list state that holds the event time (ms) a subtask has reached."""
    return {EVENT_TIME_STATE: [_encode_time((subtask, event_time))]}


def restored_event_time(stored: Sequence[bytes], subtask: int, parallelism: int) -> int:
    """Event time (ms) at which a subtask goes on; MIN_TIMESTAMP when nothing was stored.

    Would it begin anew, records that were late before a failure were not late behind it, and
    windows that have fired would fire again. With another parallelism input has moved, so the
    slowest subtask decides.
    """
    times = dict(map(_decode_time, stored))
    if not times:
        return MIN_TIMESTAMP
    return times[subtask] if len(times) == parallelism else min(times.values())


class IdleWarnings:
    """Says once of each split that it is idle, so that nobody wonders why windows close early."""

    def __init__(self, operator_name: str) -> None:
        self._operator = operator_name
        self._told: set[str] = set()

    def tell(self, split: str, timeout_ms: int) -> None:
        """A split has become idle by the timeout."""
        if split in self._told or len(self._told) >= WARNINGS_MAX:
            return
        self._told.add(split)
        _log.warning(
            "split.idle",
            operator=self._operator,
            split=split,
            idle_timeout_ms=timeout_ms,
            remedy="event time goes on without it, and what it brings later may be late: "
            "WatermarkStrategy.with_idleness(...) or pipeline.watermark.idle-timeout (0: never)",
        )


class TimestampAssignment:
    """Gives each batch its event times, as the strategy says.

    Args:
        strategy: where timestamps come from.
        operator_name: for errors.
    """

    def __init__(self, strategy: WatermarkStrategy, operator_name: str) -> None:
        self._column = strategy.timestamp_column
        self._function = strategy.timestamp_function()
        self._vectorised = self._function is not None and takes_batches(self._function)
        self._name = function_name(strategy.timestamp_assigner)
        self._operator = operator_name

    def assign(self, batch: Batch) -> Batch:
        """The batch with the strategy's event times, or as it is when the source's are kept."""
        if self._column is not None:
            times = (
                self._of_column(batch.data, self._column)
                if isinstance(batch, ColumnarBatch)
                else self._of_fields(batch.values, self._column)
            )
        elif self._vectorised:
            times = self._of_batch(batch)
        elif self._function is not None:
            times = self._of_function(batch)
        else:
            return batch
        if isinstance(batch, ColumnarBatch):
            return ColumnarBatch(batch.data, times, batch.kinds)
        return RowBatch(batch.values, times, batch.kinds)

    def _of_function(self, batch: Batch) -> Timestamps:
        values = to_rows(batch).values if isinstance(batch, ColumnarBatch) else batch.values
        given = repeat(MIN_TIMESTAMP) if batch.timestamps is None else batch.timestamps.tolist()
        fn = self._function
        assert fn is not None
        rows = iter(values)
        try:
            found = [fn(value, time) for value, time in zip(rows, given, strict=False)]
        except Exception as error:
            raise row_error(self._operator, self._name, error, rows, len(values)) from error
        try:
            return np.array(found, dtype=np.int64)
        except (TypeError, ValueError, OverflowError) as error:
            wrong = next((t for t in found if type(t) is not int), found[0])
            msg = f"{self._name} must return the event time as int milliseconds, not {wrong!r}"
            raise InvalidResultError(msg) from error

    def _of_batch(self, batch: Batch) -> Timestamps:
        if not isinstance(batch, ColumnarBatch):
            msg = f"{self._name} takes an Arrow batch, but its input has no schema"
            raise MissingTimestampError(
                msg, remedy="declare the stream's type, or take (value, record_timestamp)"
            )
        fn: Any = self._function
        try:
            found = fn(batch.data)
        except Exception as error:
            raise function_error(self._operator, self._name, error) from error
        if isinstance(found, pa.ChunkedArray):
            found = found.combine_chunks()
        values = found if isinstance(found, pa.Array) else pa.array(found)
        if len(values) != len(batch):
            msg = f"{self._name} gave {len(values)} event times for {len(batch)} records"
            raise InvalidResultError(msg)
        if values.null_count:
            msg = f"{self._name} gave {values.null_count} nulls as event times"
            raise InvalidResultError(msg)
        return arrow_millis(values, self._name)

    def _of_column(self, data: pa.RecordBatch, name: str) -> Timestamps:
        index = data.schema.get_field_index(name)
        if index < 0:
            hint = did_you_mean(name, data.schema.names)
            msg = f"there is no column {name!r} to take event time from{hint}"
            raise MissingTimestampError(msg, remedy=f"columns: {', '.join(data.schema.names)}")
        values = data.column(index)
        if values.null_count:
            row = int(np.flatnonzero(values.is_null().to_numpy(zero_copy_only=False))[0])
            raise _null_time(name, row, values.null_count)
        return arrow_millis(values, name)

    def _of_fields(self, values: list[Any], name: str) -> Timestamps:
        times = column(values, name)
        if None in times:
            raise _null_time(name, times.index(None), times.count(None))
        try:
            return np.array([_millis(time) for time in times], dtype=np.int64)
        except (TypeError, ValueError, OverflowError) as error:
            raise _wrong_type(name, type(times[0]).__name__) from error


def takes_batches(function: Callable[..., Any]) -> bool:
    """Whether the first parameter of a function is hinted as a ``pyarrow.RecordBatch``."""
    if getattr(function, "takes_batches", False):
        return True
    try:
        hints = get_type_hints(function)
    except (TypeError, NameError):
        return False
    first = next((kind for name, kind in hints.items() if name != "return"), None)
    return first is pa.RecordBatch


def arrow_millis(values: pa.Array, name: str) -> Timestamps:
    """Event times in ms of a column without nulls: a timestamp, a date, or integer milliseconds."""
    kind = values.type
    if pa.types.is_timestamp(kind):
        # Floor, as integer division in Arrow truncates towards zero: before 1970 that is later.
        return millis(values)
    if pa.types.is_date32(kind):
        days: Timestamps = values.cast(pa.int32()).cast(pa.int64()).to_numpy(zero_copy_only=False)
        return days * np.int64(_DAY_MS)
    elif pa.types.is_date64(kind) or pa.types.is_integer(kind):
        values = pc.cast(values, pa.int64())
    else:
        raise _wrong_type(name, str(kind))
    times: Timestamps = values.to_numpy(zero_copy_only=False)
    return times


def _millis(time: Any) -> int:
    if type(time) is int:
        return time
    if isinstance(time, dt.datetime):
        aware = time if time.tzinfo is not None else time.replace(tzinfo=dt.UTC)
        return (aware - _EPOCH) // _MILLISECOND
    if isinstance(time, dt.date):
        return (time.toordinal() - 719_163) * _DAY_MS
    return operator.index(time)


def _null_time(name: str, row: int, nulls: int) -> MissingTimestampError:
    msg = f"column {name!r} gives the event time but is null in row {row} of a batch"
    return MissingTimestampError(
        msg, remedy="filter these records out, or take a column without nulls"
    )


def _wrong_type(name: str, kind: str) -> MissingTimestampError:
    msg = f"column {name!r} of type {kind} cannot be the event time"
    return MissingTimestampError(msg, remedy="use a timestamp, a date or integer milliseconds")


class WatermarkTracker(WatermarkOutput):
    """The watermark of one split, or of one stream behind an operator.

    Attributes:
        watermark: ms; never goes back.
        idle: no records for the idle timeout, or the custom generator says so.
    """

    def __init__(
        self,
        strategy: WatermarkStrategy,
        now_ms: int,
        operator_name: str,
        reached: int = MIN_TIMESTAMP,
    ) -> None:
        self.watermark = reached
        self.idle = False
        self._timed_out = False
        self._operator = operator_name
        self._delay = strategy.out_of_orderness_ms
        self._timeout_ms = strategy.idle_timeout_ms
        self._active_at_ms = now_ms
        make = strategy.generator_factory
        self._generator = None if make is None else make()
        self._generator_name = "" if make is None else function_name(make)

    @property
    def custom(self) -> bool:
        """Whether a user's generator decides."""
        return self._generator is not None

    @property
    def idle_at_ms(self) -> int | None:
        """Monotonic ms at which it becomes idle without a record; None: never, or it is already."""
        if not self._timeout_ms or self.idle:
            return None
        return self._active_at_ms + self._timeout_ms

    def on_batch(self, batch: Batch, now_ms: int) -> None:
        """Records have come (event times assigned)."""
        self.idle = self._timed_out = False
        self._active_at_ms = now_ms
        times = batch.timestamps
        if self._generator is not None:
            self._ask_generator(batch)
        elif self._delay is not None and times is not None and len(times):
            newest = int(times.max())
            if newest > self.watermark + self._delay + 1 and newest != MIN_TIMESTAMP:
                self.watermark = newest - self._delay - 1

    def _ask_generator(self, batch: Batch) -> None:
        generator = self._generator
        assert generator is not None
        values = to_rows(batch).values if isinstance(batch, ColumnarBatch) else batch.values
        times = repeat(MIN_TIMESTAMP) if batch.timestamps is None else batch.timestamps.tolist()
        on_event = generator.on_event
        rows = iter(values)
        try:
            for value, time in zip(rows, times, strict=False):
                on_event(value, time, self)
        except Exception as error:
            name = f"{self._generator_name}.on_event"
            raise row_error(self._operator, name, error, rows, len(values)) from error
        self.on_periodic()

    def held_up(self, ms: int) -> None:
        """Nobody asked for records for so long: that is no time without records."""
        self._active_at_ms += ms

    def resumed(self, now_ms: int) -> None:
        """It is read again: the time without records begins now."""
        self._active_at_ms = now_ms

    def on_periodic(self) -> None:
        """The interval has passed, or a batch has ended. One that timed out is not asked."""
        if self._generator is not None and not self._timed_out:
            try:
                self._generator.on_periodic_emit(self)
            except Exception as error:
                name = f"{self._generator_name}.on_periodic_emit"
                raise function_error(self._operator, name, error) from error

    def check_idle(self, now_ms: int) -> bool:
        """Become idle if the timeout has passed; True when it did now."""
        at = self.idle_at_ms
        if at is None or now_ms < at:
            return False
        self.idle = self._timed_out = True
        return True

    def emit_watermark(self, watermark: Watermark | int) -> None:
        """From the custom generator."""
        time = watermark.timestamp if isinstance(watermark, Watermark) else int(watermark)
        self.idle = False
        self.watermark = max(self.watermark, time)

    def mark_idle(self) -> None:
        """From the custom generator."""
        self.idle = True

    def mark_active(self) -> None:
        """From the custom generator."""
        self.idle = False
