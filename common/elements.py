"""What flows between operators: batches and the control elements that travel in order with them.

A :class:`Batch` has two physical forms. :class:`ColumnarBatch` is an Arrow record batch, used
wherever a
stream has a schema; :class:`RowBatch` is a list of opaque Python values. Operators say which form
they
take; the chain converts only where the form changes, once a batch, never once a record.

Event time is int64 milliseconds since the epoch. ``NO_TIMESTAMP`` marks a record without event
time.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

#: Smallest event time: "no watermark yet" and "record without a timestamp" (Flink's
#: Long.MIN_VALUE).
MIN_TIMESTAMP: Final = -(2**63)
#: Largest event time: the watermark that ends a bounded stream (Flink's Long.MAX_VALUE).
MAX_TIMESTAMP: Final = 2**63 - 1
NO_TIMESTAMP: Final = MIN_TIMESTAMP

Timestamps = npt.NDArray[np.int64]
RowKinds = npt.NDArray[np.int8]


class Form(enum.Enum):
    """The physical form of batch an operator takes or gives."""

    COLUMNAR = "columnar"
    ROWS = "rows"
    ANY = "any"


class RowKind(enum.IntEnum):
    """Kind of a change in a changelog stream; the values are Flink's."""

    INSERT = 0
    UPDATE_BEFORE = 1
    UPDATE_AFTER = 2
    DELETE = 3


_OFFSETS: Final[dict[pa.DataType, tuple[np.dtype[Any], int]]] = {
    pa.string(): (np.dtype(np.int32), 4),
    pa.binary(): (np.dtype(np.int32), 4),
    pa.large_string(): (np.dtype(np.int64), 8),
    pa.large_binary(): (np.dtype(np.int64), 8),
}


def _column_bytes(column: pa.Array) -> int:
    """Bytes of a column's values.

    ``Array.nbytes`` gives up the interpreter lock: on a mailbox thread with busy I/O threads a call
    then takes a quarter of a millisecond instead of microseconds, and it is made once a batch.
    """
    rows = len(column)
    offsets = _OFFSETS.get(column.type)
    if offsets is not None and rows:
        dtype, width = offsets
        view = np.frombuffer(column.buffers()[1], dtype, rows + 1, column.offset * width)
        return int(view[rows] - view[0]) + rows * width
    if pa.types.is_primitive(column.type):
        return (rows * int(column.type.bit_width) + 7) // 8
    return int(column.nbytes) if rows else 0


@dataclass(slots=True, eq=False)
class ColumnarBatch:
    """Records as Arrow columns.

    Attributes:
        data: the user's columns, n rows. Engine columns (time, kind) are not in it.
        timestamps: int64[n] event time in ms, or None when the stream has none.
        kinds: int8[n] of :class:`RowKind`, or None for an append-only stream.
    """

    data: pa.RecordBatch
    timestamps: Timestamps | None = None
    kinds: RowKinds | None = None

    def __len__(self) -> int:
        return int(self.data.num_rows)

    @property
    def nbytes(self) -> int:
        """Bytes of the values of the referenced rows; validity bitmaps are not counted."""
        n = sum(map(_column_bytes, self.data.columns))
        if self.timestamps is not None:
            n += self.timestamps.nbytes
        if self.kinds is not None:
            n += self.kinds.nbytes
        return n

    def slice(self, offset: int, length: int) -> ColumnarBatch:
        """Rows ``[offset, offset + length)`` without copying."""
        end = offset + length
        return ColumnarBatch(
            self.data.slice(offset, length),
            None if self.timestamps is None else self.timestamps[offset:end],
            None if self.kinds is None else self.kinds[offset:end],
        )


@dataclass(slots=True, eq=False)
class RowBatch:
    """Records as Python values.

    Attributes:
        values: n opaque values.
        timestamps: int64[n] event time in ms, or None when the stream has none.
        kinds: int8[n] of :class:`RowKind`, or None for an append-only stream.
    """

    values: list[Any]
    timestamps: Timestamps | None = None
    kinds: RowKinds | None = None

    #: Estimate used for flow control of opaque values, which have no cheap exact size.
    ROW_BYTES_ESTIMATE = 64

    def __len__(self) -> int:
        return len(self.values)

    @property
    def nbytes(self) -> int:
        """Estimated bytes: rows have no cheap exact size."""
        return len(self.values) * self.ROW_BYTES_ESTIMATE

    def slice(self, offset: int, length: int) -> RowBatch:
        """Rows ``[offset, offset + length)``."""
        end = offset + length
        return RowBatch(
            self.values[offset:end],
            None if self.timestamps is None else self.timestamps[offset:end],
            None if self.kinds is None else self.kinds[offset:end],
        )


Batch = ColumnarBatch | RowBatch


@dataclass(frozen=True, slots=True)
class Watermark:
    """No record with event time <= ``timestamp`` (ms) will follow."""

    timestamp: int


@dataclass(frozen=True, slots=True)
class StreamStatus:
    """Whether the channel is idle (it then does not hold back event time) or active."""

    idle: bool


class CheckpointKind(enum.Enum):
    """Why a barrier was injected."""

    CHECKPOINT = "checkpoint"
    SAVEPOINT = "savepoint"
    #: Taken once all sources have ended; its completion lets the job finish.
    FINAL = "final"


@dataclass(frozen=True, slots=True)
class Barrier:
    """Separates the records of checkpoint n from those of n + 1.

    Attributes:
        checkpoint_id: monotonously increasing in a job.
        timestamp_ms: wall clock at the trigger, for statistics only.
        kind: checkpoint, savepoint or final.
        drain: the job is stopping with drain: event time goes to MAX_TIMESTAMP before the barrier.
        stop: the sources stop reading after this barrier (stop-with-savepoint).
        target: directory URI of a savepoint; empty for checkpoints.
        unaligned: it overtakes data, which is in flight in the checkpoint then.
        full: state builds on no earlier checkpoint's files.
    """

    checkpoint_id: int
    timestamp_ms: int
    kind: CheckpointKind = CheckpointKind.CHECKPOINT
    drain: bool = False
    stop: bool = False
    target: str = ""
    unaligned: bool = False
    full: bool = False

    @property
    def may_overtake(self) -> bool:
        """Whether it ever may: savepoints and last checkpoints keep nothing that is in flight.

        >>> Barrier(1, 0).may_overtake, Barrier(1, 0, CheckpointKind.SAVEPOINT).may_overtake
        (True, False)
        """
        return self.kind is CheckpointKind.CHECKPOINT and not self.stop and not self.drain


@dataclass(frozen=True, slots=True)
class EndOfData:
    """The channel carries no more records. Barriers may still follow (the final checkpoint)."""


@dataclass(frozen=True, slots=True)
class LatencyMarker:
    """Travels with the records to measure source-to-sink latency."""

    marked_at_ns: int
    source_uid: str
    subtask: int
    hops: tuple[str, ...] = field(default=())


StreamElement = (
    ColumnarBatch | RowBatch | Watermark | StreamStatus | Barrier | EndOfData | LatencyMarker
)


def full_timestamps(n: int, timestamp: int) -> Timestamps:
    """An int64[n] array filled with one event time in ms."""
    return np.full(n, timestamp, dtype=np.int64)


def concat_timestamps(
    parts: Sequence[Timestamps | None], lengths: Sequence[int]
) -> Timestamps | None:
    """Join per-batch timestamps; None only when no part has any, else gaps become NO_TIMESTAMP."""
    if all(p is None for p in parts):
        return None
    return np.concatenate(
        [
            full_timestamps(n, NO_TIMESTAMP) if p is None else p
            for p, n in zip(parts, lengths, strict=True)
        ]
    )
