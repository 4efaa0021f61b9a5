"""Messages on a data channel.

Every message is the ``app_metadata`` of a Flight message: msgpack of ``(type, sequence, ...)``.
Columns travel as the Arrow body beside it; everything else is in the metadata. Sequence numbers
count every message of a channel from 0; a gap or a repetition fails the receiving task.

Each message carries a checksum of itself and of its body (``integrity``), compared before
anything of it is used.

Opaque rows are pickled. Pickles are only loaded from a channel that has shown the job's data token.
"""

from __future__ import annotations

import pickle
from typing import Any, Final

import cloudpickle
import msgspec
import numpy as np
import pyarrow as pa

from lesto.common.elements import (
    Barrier,
    CheckpointKind,
    ColumnarBatch,
    EndOfData,
    LatencyMarker,
    RowBatch,
    StreamElement,
    StreamStatus,
    Watermark,
)
from lesto.taskmanager.runtime.errors import ChannelProtocolError, UnserializableRecordError
from lesto.taskmanager.runtime.exchange.integrity import body_checksum, damaged, seal, unseal

TS_COLUMN: Final = "__lesto_ts"
_TS_FIELD: Final = pa.field(TS_COLUMN, pa.int64(), nullable=False)

COLUMNS, ROWS, WATERMARK, STATUS, BARRIER, END, LATENCY, CLOSE, ABORT = range(9)

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder().decode


class ChannelClosed:
    """The producer has finished and closed the channel in good order."""


class ChannelAborted:
    """The producer was cancelled or has failed. The JobManager knows why: the consumer says
    nothing.
    """


CHANNEL_CLOSED: Final = ChannelClosed()
CHANNEL_ABORTED: Final = ChannelAborted()

Element = StreamElement | ChannelClosed | ChannelAborted


def _seal(head: tuple[Any, ...]) -> bytes:
    return seal(_encode(head))


def wire_schema(schema: pa.Schema) -> pa.Schema:
    """The user's columns and the hidden event-time column."""
    return schema.append(_TS_FIELD)


class ChannelEncoder:
    """Turns elements into (metadata, body); one per channel, it numbers the messages.

    ``freeze`` runs on the mailbox thread before the element is queued: rows may be changed by
    their owner afterwards. ``encode`` runs on the channel's I/O thread.
    """

    def __init__(self, schema: pa.Schema | None) -> None:
        self.schema = None if schema is None else wire_schema(schema)
        self._sequence = 0
        self._dumps: Any = pickle.dumps

    @property
    def encoded(self) -> int:
        """Messages so far."""
        return self._sequence

    def freeze(self, element: Element) -> tuple[Any, int]:
        """The element in a form nobody changes, and its size in bytes (0 for control elements)."""
        if isinstance(element, ColumnarBatch):
            return element, max(1, element.nbytes)
        if isinstance(element, RowBatch):
            payload = self._pickle(element.values)
            return (payload, len(element), element.timestamps, element.kinds), max(1, len(payload))
        return element, 0

    def encode(self, element: Any, nbytes: int) -> tuple[bytes, pa.RecordBatch | None]:
        """Metadata and Arrow body (None: metadata only)."""
        sequence = self._sequence
        self._sequence += 1
        match element:
            case ColumnarBatch():
                kinds = None if element.kinds is None else element.kinds.tobytes()
                timed = element.timestamps is not None
                body = self._body(element)
                head = (COLUMNS, sequence, nbytes, timed, kinds, body_checksum(body))
                return _seal(head), body
            case tuple():
                payload, rows, ts, kinds = element
                ts_bytes = None if ts is None else ts.tobytes()
                kind_bytes = None if kinds is None else kinds.tobytes()
                return _seal((ROWS, sequence, nbytes, rows, ts_bytes, kind_bytes, payload)), None
            case Watermark():
                return _seal((WATERMARK, sequence, element.timestamp)), None
            case StreamStatus():
                return _seal((STATUS, sequence, element.idle)), None
            case Barrier():
                b = element
                kind = b.kind.value
                rest = (b.drain, b.stop, b.target, b.unaligned, b.full)
                head2 = (b.checkpoint_id, b.timestamp_ms, kind, *rest)
                return _seal((BARRIER, sequence, head2)), None
            case EndOfData():
                return _seal((END, sequence)), None
            case LatencyMarker():
                m = element
                mark = (m.marked_at_ns, m.source_uid, m.subtask, m.hops)
                return _seal((LATENCY, sequence, mark)), None
            case ChannelClosed():
                return _seal((CLOSE, sequence)), None
            case ChannelAborted():
                return _seal((ABORT, sequence)), None
        msg = f"cannot send a {type(element).__name__}"
        raise ChannelProtocolError(msg)

    def _body(self, batch: ColumnarBatch) -> pa.RecordBatch:
        assert self.schema is not None, "columns on a channel of rows"
        ts = batch.timestamps
        if ts is None:
            ts = np.zeros(len(batch), np.int64)
        return pa.RecordBatch.from_arrays([*batch.data.columns, pa.array(ts)], schema=self.schema)

    def _pickle(self, values: list[Any]) -> bytes:
        try:
            return bytes(self._dumps(values, protocol=5))
        except Exception as error:  # pickling runs user code: anything may come
            if self._dumps is cloudpickle.dumps:
                odd = next((v for v in values if not _can_pickle(v)), values[0])
                msg = f"a record of type {type(odd).__name__} cannot be pickled: {error}"
                raise UnserializableRecordError(
                    msg, remedy="emit plain values, Rows or picklable objects"
                ) from error
        # Classes of the user's script exist in the slots by value only, which pickle does not know.
        self._dumps = cloudpickle.dumps
        return self._pickle(values)


def _can_pickle(value: Any) -> bool:
    try:
        cloudpickle.dumps(value, protocol=5)
    except Exception:  # noqa: BLE001 - the question is whether it raises
        return False
    return True


class ChannelDecoder:
    """Turns messages back into elements; one per channel, it checks the numbering."""

    def __init__(self, schema: pa.Schema | None, name: str) -> None:
        self._schema = schema
        self._name = name
        self._next = 0

    @property
    def decoded(self) -> int:
        """Messages so far."""
        return self._next

    def decode(self, metadata: bytes, body: pa.RecordBatch | None) -> tuple[Element, int]:
        """The element and its size in bytes.

        Raises:
            ChannelProtocolError: damage, gap, repetition, unknown type, or columns of another
                schema.
        """
        try:
            head = _decode(unseal(metadata, self._name))
            kind, sequence = head[0], head[1]
        except (msgspec.DecodeError, IndexError, TypeError, KeyError) as error:
            msg = f"channel {self._name}: malformed message: {error}"
            raise ChannelProtocolError(msg) from error
        if sequence != self._next:
            msg = f"channel {self._name}: message {sequence} came, {self._next} was due"
            raise ChannelProtocolError(msg)
        self._next += 1
        if kind == COLUMNS:
            return self._columns(head, body), head[2]
        if kind == ROWS:
            return self._rows(head), head[2]
        return self._control(kind, head), 0

    def _columns(self, head: list[Any], body: pa.RecordBatch | None) -> ColumnarBatch:
        _, _, _, timed, kinds, checksum = head
        if body is None or self._schema is None or body.num_columns != len(self._schema) + 1:
            msg = f"channel {self._name}: columns do not match the channel's schema"
            raise ChannelProtocolError(msg)
        if body_checksum(body) != checksum:
            raise damaged(self._name)
        data = pa.RecordBatch.from_arrays(body.columns[:-1], schema=self._schema)
        ts = body.column(body.num_columns - 1).to_numpy() if timed else None
        return ColumnarBatch(data, ts, None if kinds is None else np.frombuffer(kinds, np.int8))

    def _rows(self, head: list[Any]) -> RowBatch:
        _, _, _, rows, ts, kinds, payload = head
        values = pickle.loads(payload)
        if len(values) != rows:
            msg = f"channel {self._name}: {len(values)} rows came, {rows} were announced"
            raise ChannelProtocolError(msg)
        return RowBatch(
            values,
            None if ts is None else np.frombuffer(ts, np.int64),
            None if kinds is None else np.frombuffer(kinds, np.int8),
        )

    def _control(self, kind: int, head: list[Any]) -> Element:
        match kind:
            case 2:  # WATERMARK
                return Watermark(head[2])
            case 3:  # STATUS
                return StreamStatus(head[2])
            case 4:  # BARRIER
                checkpoint_id, timestamp_ms, cause, *rest = head[2]
                return Barrier(checkpoint_id, timestamp_ms, CheckpointKind(cause), *rest)
            case 5:  # END
                return EndOfData()
            case 6:  # LATENCY
                at, uid, subtask, hops = head[2]
                return LatencyMarker(at, uid, subtask, tuple(hops))
            case 7:  # CLOSE
                return CHANNEL_CLOSED
            case 8:  # ABORT
                return CHANNEL_ABORTED
        msg = f"channel {self._name}: unknown message type {kind}"
        raise ChannelProtocolError(msg)
