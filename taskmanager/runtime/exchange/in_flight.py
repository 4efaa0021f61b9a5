"""The form of in-flight data in a checkpoint: what a channel carried, as it travels on the wire.

One file a task and checkpoint, a part in it for each channel that carried something. A part is a
sequence of frames: length of the metadata, metadata, length of the body, body (lengths: 4 bytes,
big-endian). Metadata is that of the wire (``wire``), numbered from 0 in each part; the body of
columns is an Arrow IPC stream of one batch.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import Any, Final

import pyarrow as pa

from lesto.taskmanager.runtime.errors import InFlightFormatError
from lesto.taskmanager.runtime.exchange.channels import Frozen
from lesto.taskmanager.runtime.exchange.wire import (
    ChannelDecoder,
    ChannelEncoder,
    Element,
    wire_schema,
)

_LENGTH: Final = struct.Struct(">I")


def encode_part(entries: Iterable[Frozen], schema: pa.Schema | None) -> bytes:
    """The bytes of one channel's part; ``schema`` are the user's columns, None for rows."""
    encoder = ChannelEncoder(schema)
    out: list[bytes] = []
    for frozen, nbytes in entries:
        metadata, batch = encoder.encode(frozen, nbytes)
        body = b"" if batch is None else _ipc(batch)
        out += (_LENGTH.pack(len(metadata)), metadata, _LENGTH.pack(len(body)), body)
    return b"".join(out)


def decode_part(data: bytes, schema: pa.Schema | None, name: str) -> list[Element]:
    """The elements of a part.

    Args:
        data: the part.
        schema: the user's columns of the edge that reads it, None for rows.
        name: of the channel, for errors.

    Raises:
        InFlightFormatError: the part does not hold what it should, or columns of another schema.
    """
    expected = None if schema is None else wire_schema(schema)
    decoder = ChannelDecoder(schema, name)
    view = memoryview(data)
    at = 0
    elements: list[Element] = []
    while at < len(view):
        metadata, at = _field(view, at, name)
        body, at = _field(view, at, name)
        batch = _batch(body, expected, name) if len(body) else None
        elements.append(decoder.decode(bytes(metadata), batch)[0])
    return elements


def _ipc(batch: pa.RecordBatch) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    return bytes(sink.getvalue())


def _field(view: memoryview[int], at: int, name: str) -> tuple[memoryview[int], int]:
    start = at + _LENGTH.size
    if start > len(view):
        raise _torn(name)
    (length,) = _LENGTH.unpack_from(view, at)
    end = start + length
    if end > len(view):
        raise _torn(name)
    return view[start:end], end


def _batch(body: Any, expected: pa.Schema | None, name: str) -> pa.RecordBatch:
    try:
        with pa.ipc.open_stream(pa.py_buffer(bytes(body))) as reader:
            (batch,) = list(reader)
    except (pa.ArrowException, ValueError) as error:
        msg = f"in-flight data of channel {name} cannot be read: {error}"
        raise InFlightFormatError(msg) from error
    if expected is None or not batch.schema.equals(expected):
        have = "rows" if expected is None else str(expected).replace("\n", ", ")
        was = str(batch.schema).replace("\n", ", ")
        msg = f"in-flight data of channel {name} has columns ({was}), the job's edge has ({have})"
        raise InFlightFormatError(
            msg, remedy="restore from a savepoint, or with the job that took the checkpoint"
        )
    return batch


def _torn(name: str) -> InFlightFormatError:
    return InFlightFormatError(f"in-flight data of channel {name} ends in the middle")
