"""What a source task has read and not emitted yet.

A reader gives whole batches. Where the functions chained behind the source are slow, a batch is
emitted in pieces, and a barrier may come between two of them. The rest of the batch then travels in
the checkpoint, together with its split, which must not be read on before the rest is emitted.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import msgspec
import numpy as np
import pyarrow as pa

from lesto.common.clock import Clock
from lesto.common.elements import Batch, ColumnarBatch, RowBatch
from lesto.common.source import SourceBatch
from lesto.state import codec
from lesto.taskmanager.core.pacing import ALL_ROWS, Pacer


class _Stored(msgspec.Struct, array_like=True):
    """A rest in the checkpoint.

    Attributes:
        split: the split as its source wrote it; None when the reader has finished it.
        split_id: its name.
        columns: Arrow IPC stream of one batch; None for rows.
        values: rows, by the codec of state.
        timestamps: little-endian int64.
        kinds: int8.
    """

    split: bytes | None
    split_id: str
    columns: bytes | None
    values: list[bytes]
    timestamps: bytes | None
    kinds: bytes | None


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Stored).decode


class UnreadBatches:
    """The rest of a batch, and rests from the checkpoint: emitted before anything new is read.

    Args:
        clock: measures how long emitting takes.
        rows_min: what a piece has at least, where it is there, but for ``rows_max``.
    """

    def __init__(self, clock: Clock, rows_min: int = 1) -> None:
        self._clock = clock
        self._pacer = Pacer(rows_min)
        self._rests: deque[SourceBatch] = deque()
        #: Splits whose reader has ended: over once their rest is emitted.
        self._ending: set[str] = set()
        self._began_ms = 0

    def __bool__(self) -> bool:
        return bool(self._rests)

    def offer(self, batch: SourceBatch) -> None:
        """The reader has given a batch."""
        self._rests.append(batch)

    def take(self, rows_max: int = ALL_ROWS) -> SourceBatch:
        """As much of the oldest batch as a step should emit; ``emitted`` is called behind it.

        Args:
            rows_max: no more than these.
        """
        whole = self._rests.popleft()
        rows = min(self._pacer.rows, rows_max, len(whole.batch))
        self._began_ms = self._clock.monotonic_ms()
        if rows == len(whole.batch):
            return whole
        rest = whole.batch.slice(rows, len(whole.batch) - rows)
        self._rests.appendleft(SourceBatch(rest, whole.split_id))
        return SourceBatch(whole.batch.slice(0, rows), whole.split_id)

    def emitted(self, piece: SourceBatch) -> bool:
        """A piece is emitted; True when its split, which nobody reads any more, is over."""
        elapsed_ns = (self._clock.monotonic_ms() - self._began_ms) * 1_000_000
        self._pacer.observe(len(piece.batch), elapsed_ns)
        over = piece.split_id in self._ending and not any(
            rest.split_id == piece.split_id for rest in self._rests
        )
        if over:
            self._ending.discard(piece.split_id)
        return over

    def snapshot(self, splits: dict[str, bytes]) -> list[bytes]:
        """The rests for the checkpoint, oldest first.

        Args:
            splits: what the reader would read on, by split id; those that have a rest are taken
                out, for they travel with it.
        """
        stored = []
        for rest in self._rests:
            split = splits.pop(rest.split_id, None)
            stored.append(_encode(_store(rest, split)))
        return stored

    def restore(self, items: Sequence[bytes]) -> list[bytes]:
        """Take rests from the checkpoint; the splits that came with them, for the reader."""
        stored = [_decode(item) for item in items]
        self._rests.extend(SourceBatch(_load(rest), rest.split_id) for rest in stored)
        # A split with several rests travels with the first.
        read_on = {rest.split_id for rest in stored if rest.split is not None}
        self._ending.update(rest.split_id for rest in stored if rest.split_id not in read_on)
        return [rest.split for rest in stored if rest.split is not None]


def _store(rest: SourceBatch, split: bytes | None) -> _Stored:
    batch = rest.batch
    columns = None
    values: list[bytes] = []
    if isinstance(batch, ColumnarBatch):
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, batch.data.schema) as writer:
            writer.write_batch(batch.data)
        columns = sink.getvalue().to_pybytes()
    else:
        values = codec.encode_all(batch.values)
    return _Stored(
        split,
        rest.split_id,
        columns,
        values,
        None if batch.timestamps is None else batch.timestamps.astype("<i8").tobytes(),
        None if batch.kinds is None else batch.kinds.tobytes(),
    )


def _load(stored: _Stored) -> Batch:
    times = None if stored.timestamps is None else np.frombuffer(stored.timestamps, "<i8")
    kinds = None if stored.kinds is None else np.frombuffer(stored.kinds, np.int8)
    if stored.columns is None:
        return RowBatch([codec.decode(value) for value in stored.values], times, kinds)
    with pa.ipc.open_stream(stored.columns) as reader:
        return ColumnarBatch(reader.read_next_batch(), times, kinds)
