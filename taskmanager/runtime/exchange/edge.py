"""An output edge of a task: converts, partitions, gathers small pieces, and writes to the channels.

Under load pieces are gathered per channel until a batch is full; when the task's input is idle
everything goes at once; nothing waits longer than the buffer timeout.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from lesto.common.convert import conform, to_columnar, to_rows
from lesto.common.elements import (
    Barrier,
    Batch,
    ColumnarBatch,
    RowBatch,
    StreamElement,
    Watermark,
    concat_timestamps,
)
from lesto.taskmanager.runtime.exchange.channels import Frozen, OutputChannel
from lesto.taskmanager.runtime.exchange.partition import Partitioner


@dataclass(frozen=True, slots=True)
class FlushPolicy:
    """When a gathered batch is sent.

    Attributes:
        rows: a batch of so many rows is full.
        nbytes: a batch of so many bytes is full; a piece of half as many is not joined to others.
        timeout_ns: nothing is held back for longer.
    """

    rows: int
    nbytes: int
    timeout_ns: int


class _Buffer:
    """Pieces waiting for one channel."""

    __slots__ = ("nbytes", "parts", "rows")

    def __init__(self) -> None:
        self.parts: list[Batch] = []
        self.rows = 0
        self.nbytes = 0


class EdgeWriter:
    """Writes a task's output to the consumers of one edge; mailbox thread only.

    Args:
        channels: one a consumer.
        partitioner: which channel a record goes to.
        schema: the user's columns, or None for rows.
        policy: when gathered pieces are sent.
        edge_id: the edge.
        consumers: subtask at the other end of each channel.
        overtakable: whether barriers may overtake data here.

    Attributes:
        records_out: records written so far (a broadcast record counts once).
        bytes_out: bytes given to channels.
        emitted_bytes: by channel.
    """

    def __init__(
        self,
        channels: Sequence[OutputChannel],
        partitioner: Partitioner,
        schema: pa.Schema | None,
        policy: FlushPolicy,
        *,
        edge_id: str = "",
        consumers: Sequence[int] = (),
        overtakable: bool = False,
    ) -> None:
        self.edge_id = edge_id
        self.schema = schema
        self.overtakable = overtakable
        self._consumers = tuple(consumers)
        self._channels = tuple(channels)
        self._partitioner = partitioner
        self._schema = schema
        self._policy = policy
        self._buffers = [_Buffer() for _ in channels]
        self._oldest_ns: int | None = None  # when the oldest of what is held back came
        self._watermark: int | None = None  # held back behind gathered pieces
        self.records_out = 0
        self.bytes_out = 0
        self.emitted_bytes = [0] * len(self._channels)

    @property
    def writable(self) -> bool:
        """Whether every channel has room."""
        return all(channel.writable for channel in self._channels)

    @property
    def rooms(self) -> list[int | None]:
        """Bytes that each channel takes beside what is gathered for it; None: not narrowed."""
        return [
            None if (room := channel.room) is None else room - buffer.nbytes
            for channel, buffer in zip(self._channels, self._buffers, strict=True)
        ]

    def emit(self, batch: Batch) -> None:
        """Take a non-empty batch."""
        self.records_out += len(batch)
        for index, piece in self._partitioner.split(self._in_form(batch)):
            self.emitted_bytes[index] += self._append(index, piece)

    def control(self, element: StreamElement) -> None:
        """Send a control element to every channel, behind everything emitted."""
        self.flush()
        self._to_all(element)

    @property
    def held_bytes(self) -> int:
        """Bytes that a barrier would overtake, gathered pieces apart."""
        return sum(channel.held_bytes for channel in self._channels)

    @property
    def queued_bytes(self) -> int:
        """Bytes emitted that have not left: gathered pieces too."""
        return self.held_bytes + sum(buffer.nbytes for buffer in self._buffers)

    def overtake(self, barrier: Barrier) -> list[tuple[int, list[Frozen]]]:
        """Send a barrier in front of all that has not left; what it overtook, by consumer."""
        self.flush()
        return self._overtaken(barrier, self._channels)

    def let_overtake(self, barrier: Barrier) -> list[tuple[int, list[Frozen]]]:
        """A barrier that was sent goes in front where it has not left yet."""
        held = [c for c in self._channels if c.holds(barrier.checkpoint_id)]
        return self._overtaken(barrier, held)

    def holds(self, checkpoint_id: int) -> bool:
        """Whether a checkpoint's barrier was sent and has not left on some channel."""
        return any(channel.holds(checkpoint_id) for channel in self._channels)

    def _overtaken(
        self, barrier: Barrier, channels: Sequence[OutputChannel]
    ) -> list[tuple[int, list[Frozen]]]:
        found = []
        for consumer, channel in zip(self._consumers, self._channels, strict=True):
            if channel in channels:
                found.append((consumer, channel.overtake(barrier)))
        return [(consumer, entries) for consumer, entries in found if entries]

    def watermark(self, timestamp: int) -> None:
        """Event time has advanced.

        A watermark may always come later than it could: behind gathered pieces it waits with them,
        and only the newest is sent. So sources that mark every batch do not break up the batches
        of a hash edge.
        """
        if self._oldest_ns is None:
            self._to_all(Watermark(timestamp))
        else:
            self._watermark = timestamp

    def flush(self) -> None:
        """Send what is gathered."""
        if self._oldest_ns is None:
            return
        self._oldest_ns = None
        for index, buffer in enumerate(self._buffers):
            if buffer.parts:
                self._send(index, buffer)
        if self._watermark is not None:
            timestamp, self._watermark = self._watermark, None
            self._to_all(Watermark(timestamp))

    def flush_due(self, now_ns: int) -> None:
        """Send what is gathered when the oldest has waited for the buffer timeout."""
        if self._oldest_ns is not None and now_ns - self._oldest_ns >= self._policy.timeout_ns:
            self.flush()

    def close(self, *, graceful: bool) -> None:
        """Close the channels."""
        if graceful:
            self.flush()
        for channel in self._channels:
            channel.close(graceful=graceful)

    def _to_all(self, element: StreamElement) -> None:
        for channel in self._channels:
            channel.send(element)

    def _in_form(self, batch: Batch) -> Batch:
        if self._schema is None:
            return to_rows(batch) if isinstance(batch, ColumnarBatch) else batch
        if isinstance(batch, RowBatch):
            return to_columnar(batch, self._schema)
        return conform(batch, self._schema)

    def _append(self, index: int, piece: Batch) -> int:
        buffer, policy = self._buffers[index], self._policy
        rows, nbytes = len(piece), piece.nbytes
        # Joining pieces copies them: worth it for small ones only.
        large = 2 * nbytes >= policy.nbytes
        if large and buffer.parts:
            self._send(index, buffer)
        buffer.parts.append(piece)
        buffer.rows += rows
        buffer.nbytes += nbytes
        # No batch much larger than what the consumer lets wait.
        room = self._channels[index].room
        large = large or (room is not None and 2 * buffer.nbytes >= room)
        if large or buffer.rows >= policy.rows or buffer.nbytes >= policy.nbytes:
            self._send(index, buffer)
        elif self._oldest_ns is None:
            self._oldest_ns = time.monotonic_ns()
        return nbytes

    def _send(self, index: int, buffer: _Buffer) -> None:
        parts = buffer.parts
        buffer.parts, buffer.rows, buffer.nbytes = [], 0, 0
        batch = parts[0] if len(parts) == 1 else concat(parts)
        self.bytes_out += self._channels[index].send(batch)


def concat(parts: Sequence[Batch]) -> Batch:
    """Batches of one form and schema as one.

    >>> concat([RowBatch([1]), RowBatch([2, 3])]).values
    [1, 2, 3]
    """
    lengths = [len(p) for p in parts]
    ts = concat_timestamps([p.timestamps for p in parts], lengths)
    kinds = None
    if any(p.kinds is not None for p in parts):
        kinds = np.concatenate(
            [np.zeros(len(p), np.int8) if p.kinds is None else p.kinds for p in parts]
        )
    if isinstance(parts[0], ColumnarBatch):
        data = pa.concat_batches([p.data for p in parts if isinstance(p, ColumnarBatch)])
        return ColumnarBatch(data, ts, kinds)
    values = []
    for part in parts:
        assert isinstance(part, RowBatch), "rows and columns on one edge"
        values += part.values
    return RowBatch(values, ts, kinds)
