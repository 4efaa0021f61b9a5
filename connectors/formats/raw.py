"""Messages as they are: bytes in a column, bytes as values, or text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import pyarrow as pa

from lesto.common.elements import Batch, ColumnarBatch, RowBatch
from lesto.connectors.errors import ConnectorConfigError
from lesto.connectors.formats.base import (
    Decoded,
    DeserializationSchema,
    Payload,
    SerializationSchema,
    decode_each,
)

_INT32_MAX: Final = 2**31 - 1


class RawFormat(DeserializationSchema, SerializationSchema):
    """The bytes of each message in one column; the other way, the one column of a stream.

    Args:
        column: name of the column.
        type: ``pa.binary()`` or ``pa.string()`` (UTF-8, checked).
    """

    def __init__(self, column: str = "value", type: pa.DataType | None = None) -> None:
        self.type = pa.binary() if type is None else type
        if self.type not in {pa.binary(), pa.string()}:
            msg = f"raw messages are binary or string, not {self.type}"
            raise ConnectorConfigError(msg)
        self.schema = pa.schema([(column, self.type)])

    def decode(self, messages: Sequence[Payload]) -> Decoded:
        """One column."""
        assert self.schema is not None
        column = binary_column(messages)
        if self.type == pa.string():
            try:
                column = column.cast(pa.string())
            except pa.ArrowInvalid:
                values, bad = decode_each(messages, bytes.decode)
                good = pa.RecordBatch.from_arrays([pa.array(values)], schema=self.schema)
                return Decoded(ColumnarBatch(good), bad)
        return Decoded(ColumnarBatch(pa.RecordBatch.from_arrays([column], schema=self.schema)))

    def encode(self, batch: Batch) -> list[Payload]:
        """Values of the one column, or bytes and strings as they are."""
        if isinstance(batch, RowBatch):
            return [_bytes_of(value) for value in batch.values]
        if batch.data.num_columns != 1:
            msg = f"raw messages are made of one column, the stream has {batch.data.schema.names}"
            raise ConnectorConfigError(msg, remedy="select the column, or use format='json'")
        column = batch.data.column(0)
        if not (pa.types.is_binary(column.type) or pa.types.is_large_binary(column.type)):
            column = column.cast(pa.string()).cast(pa.binary())
        payloads: list[Payload] = column.to_pylist()
        return payloads


def binary_column(messages: Sequence[Payload]) -> pa.Array:
    """Messages as a binary column; a third of the time of ``pa.array`` when none is null."""
    try:
        data = b"".join(messages)  # type: ignore[arg-type]
    except TypeError:  # a null among them
        return pa.array(messages, pa.binary())
    if len(data) > _INT32_MAX:
        return pa.array(messages, pa.binary())
    offsets = np.zeros(len(messages) + 1, np.int32)
    np.cumsum(np.fromiter(map(len, messages), np.int32, len(messages)), out=offsets[1:])  # type: ignore[arg-type]
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(data)]
    return pa.Array.from_buffers(pa.binary(), len(messages), buffers)


def _bytes_of(value: object) -> Payload:
    if value is None or isinstance(value, bytes):
        return value
    if isinstance(value, str):
        return value.encode()
    if isinstance(value, bytearray | memoryview):
        return bytes(value)
    msg = f"raw messages are made of bytes or str, not of a {type(value).__name__}"
    raise ConnectorConfigError(msg, remedy="map the records to bytes, or use format='json'")


class ByteArraySchema(DeserializationSchema, SerializationSchema):
    """Each message is a Python ``bytes``."""

    def decode(self, messages: Sequence[Payload]) -> Decoded:
        """The bytes."""
        return Decoded(RowBatch(list(messages)))

    def encode(self, batch: Batch) -> list[Payload]:
        """The bytes."""
        return RawFormat().encode(batch)


class SimpleStringSchema(DeserializationSchema, SerializationSchema):
    """Each message is a ``str``.

    Args:
        charset: of the messages.
    """

    def __init__(self, charset: str = "UTF-8") -> None:
        self.charset = charset

    def decode(self, messages: Sequence[Payload]) -> Decoded:
        """The texts."""
        charset = self.charset
        values, bad = decode_each(messages, lambda m: m.decode(charset))
        return Decoded(RowBatch(values), bad)

    def encode(self, batch: Batch) -> list[Payload]:
        """``str`` of each record; a stream of one column gives its values."""
        if isinstance(batch, ColumnarBatch):
            return RawFormat().encode(batch)
        charset = self.charset
        return [str(value).encode(charset) for value in batch.values]


class RowFieldExtractorSchema(SerializationSchema):
    """Each message is one field of the record, which holds bytes.

    Args:
        field_index: the field's position.
    """

    def __init__(self, field_index: int) -> None:
        if field_index < 0:
            msg = f"a field's position is not negative: {field_index}"
            raise ValueError(msg)
        self.field_index = field_index

    def encode(self, batch: Batch) -> list[Payload]:
        """The field's bytes."""
        if isinstance(batch, ColumnarBatch):
            values = batch.data.column(self.field_index).to_pylist()
        else:
            values = [record[self.field_index] for record in batch.values]
        return [_field_bytes(value, self.field_index) for value in values]


def _field_bytes(value: object, position: int) -> Payload:
    if value is None or isinstance(value, bytes):
        return value
    msg = f"field {position} of a record is to be bytes, it is a {type(value).__name__}"
    raise ConnectorConfigError(msg, remedy="encode it in a map before the sink")
