"""One column whose values are the messages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import pyarrow as pa

from lesto.common.elements import Batch, ColumnarBatch, Form
from lesto.connectors.formats.base import (
    BadMessage,
    Decoded,
    DeserializationSchema,
    Payload,
    SerializationSchema,
    decode_each,
)
from lesto.sql.types import BINARY_STRING, CHARACTER, SqlType, TypeRoot

NUMBERS: Final = {
    TypeRoot.TINYINT: "i1",
    TypeRoot.SMALLINT: "i2",
    TypeRoot.INTEGER: "i4",
    TypeRoot.BIGINT: "i8",
    TypeRoot.FLOAT: "f4",
    TypeRoot.DOUBLE: "f8",
}


class SqlRawFormat(DeserializationSchema, SerializationSchema):
    """A value is a message: text, bytes, a Boolean of a byte, or a number of fixed size.

    Args:
        name: of the column.
        kind: its type.
        charset: of texts.
        big_endian: order of a number's bytes.
    """

    input_form = Form.COLUMNAR

    def __init__(
        self, name: str, kind: SqlType, charset: str = "UTF-8", *, big_endian: bool = True
    ) -> None:
        self.name = name
        self.kind = kind
        self.charset = charset
        self.big_endian = big_endian
        self.schema: pa.Schema = pa.schema([(name, kind.to_arrow())])

    def __reduce__(self) -> tuple[Any, ...]:
        return (_made, (self.name, self.kind, self.charset, self.big_endian))

    @staticmethod
    def takes(kind: SqlType) -> bool:
        """Whether a type can be a message."""
        others = {TypeRoot.BOOLEAN, *NUMBERS}
        return kind.is_in(CHARACTER | BINARY_STRING) or kind.root in others

    def _number(self) -> np.dtype[Any]:
        return np.dtype((">" if self.big_endian else "<") + NUMBERS[self.kind.root])

    def decode(self, messages: Sequence[Payload]) -> Decoded:
        """One column; a message that is null is NULL."""
        values: list[Any]
        bad: list[BadMessage] = []
        if self.kind.is_in(BINARY_STRING):
            values = list(messages)
        else:
            there = [b"" if m is None else m for m in messages]
            found, bad = decode_each(there, self._value)
            left_out = {b.index for b in bad}
            kept = [m for i, m in enumerate(messages) if i not in left_out]
            values = [None if m is None else v for m, v in zip(kept, found, strict=True)]
        column = pa.array(values, self.schema.field(0).type)
        data = pa.RecordBatch.from_arrays([column], schema=self.schema)
        return Decoded(ColumnarBatch(data), bad)

    def _value(self, message: bytes) -> Any:
        if self.kind.is_in(CHARACTER):
            return message.decode(self.charset)
        if not message:
            return None
        if self.kind.root is TypeRoot.BOOLEAN:
            return message != b"\0"
        number = self._number()
        if len(message) != number.itemsize:
            msg = f"{len(message)} bytes are no {self.kind.with_nullable(True)}"
            raise ValueError(msg)
        return np.frombuffer(message, number)[0].item()

    def encode(self, batch: Batch) -> list[Payload]:
        """A message a row; NULL is a null message."""
        assert isinstance(batch, ColumnarBatch)
        values: list[Any] = batch.data.column(0).to_pylist()
        if self.kind.is_in(BINARY_STRING):
            return values
        if self.kind.is_in(CHARACTER):
            return [None if v is None else v.encode(self.charset) for v in values]
        if self.kind.root is TypeRoot.BOOLEAN:
            return [None if v is None else b"\1" if v else b"\0" for v in values]
        number = self._number()
        return [None if v is None else np.array(v, number).tobytes() for v in values]


def _made(name: str, kind: SqlType, charset: str, big_endian: bool) -> SqlRawFormat:
    return SqlRawFormat(name, kind, charset, big_endian=big_endian)
