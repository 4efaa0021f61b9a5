"""JSON objects as rows of SQL types, by Flink's rules."""

from __future__ import annotations

import decimal
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import pyarrow as pa

from lesto.common.elements import Batch, ColumnarBatch, Form
from lesto.connectors.formats.base import (
    BadMessage,
    Decoded,
    DeserializationSchema,
    Payload,
    SerializationSchema,
)
from lesto.connectors.formats.json import JsonFormat
from lesto.connectors.formats.sql_values import batch_of, json_values, reader
from lesto.sql.casts.parse import from_text
from lesto.sql.types import ROW, SqlType, TypeRoot


@dataclass(frozen=True, slots=True)
class JsonOptions:
    """Flink's options of the format.

    Attributes:
        fail_on_missing_field: an object without one of the columns is bad.
        ignore_parse_errors: fields that cannot be read are NULL, objects that cannot left out.
        iso_timestamps: a T between date and time when writing.
        plain_decimals: no exponents when writing.
        ignore_null_fields: fields that are NULL are not written.
    """

    fail_on_missing_field: bool = False
    ignore_parse_errors: bool = False
    iso_timestamps: bool = False
    plain_decimals: bool = False
    ignore_null_fields: bool = False


class SqlJsonFormat(DeserializationSchema, SerializationSchema):
    """One object a message.

    Args:
        names: of the columns; fields of the objects.
        types: of the columns.
        options: Flink's.
    """

    input_form = Form.COLUMNAR

    def __init__(
        self, names: Sequence[str], types: Sequence[SqlType], options: JsonOptions | None = None
    ) -> None:
        self.names = tuple(names)
        self.types = tuple(types)
        self.options = options or JsonOptions()
        self.skips_bad_messages = self.options.ignore_parse_errors
        arrow = [(n, k.to_arrow()) for n, k in zip(self.names, self.types, strict=True)]
        self.schema: pa.Schema = pa.schema(arrow)
        # A column that Arrow cannot read from JSON is read as text, or not by Arrow at all.
        plain = [_plain(k) for k in self.types]
        self._quick: JsonFormat | None = None
        if None not in plain and not self.options.fail_on_missing_field and arrow:
            self._quick = JsonFormat(pa.schema(list(zip(self.names, plain, strict=True))))
        self._read = reader(
            ROW(zip(self.names, self.types, strict=True)),
            lenient=self.options.ignore_parse_errors,
            complete=self.options.fail_on_missing_field,
        )
        exact = any(_has_decimals(k) for k in self.types)
        self._parse = _exactly if exact else msgspec.json.Decoder().decode
        self._encoder = msgspec.json.Encoder(decimal_format="number")

    def __reduce__(self) -> tuple[Any, ...]:
        return (type(self), (self.names, self.types, self.options))

    def decode(self, messages: Sequence[Payload]) -> Decoded:
        """Columns."""
        if self._quick is not None and messages:
            batch = self._quick._together(messages)
            if batch is not None and (found := self._cast(batch)) is not None:
                return Decoded(ColumnarBatch(found))
        return self._apart(messages)

    def _cast(self, batch: pa.RecordBatch) -> pa.RecordBatch | None:
        """Texts as the types they stand for; None if one is no value of its type."""
        columns = []
        for column, kind, field in zip(batch.columns, self.types, self.schema, strict=True):
            made = column
            if column.type != field.type:
                made, bad = from_text(column, kind)
                if bad is not None:
                    return None
            columns.append(made)
        return pa.RecordBatch.from_arrays(columns, schema=self.schema)

    def _apart(self, messages: Sequence[Payload]) -> Decoded:
        values: list[Any] = []
        bad: list[BadMessage] = []
        for index, message in enumerate(messages):
            if message is None:
                bad.append(BadMessage(index, "the message is null"))
                continue
            try:
                value = self._parse(message)
                if not isinstance(value, dict):
                    bad.append(BadMessage(index, "not a JSON object"))
                    continue
                values.append(self._read(value))
            except (ValueError, ArithmeticError) as error:  # DecodeError is one
                bad.append(BadMessage(index, str(error).split("\n", 1)[0]))
        return Decoded(ColumnarBatch(batch_of(values, self.schema)), bad)

    def encode(self, batch: Batch) -> list[Payload]:
        """One object a row."""
        assert isinstance(batch, ColumnarBatch)
        return self.encoded(self.objects(batch.data))

    def objects(self, data: pa.RecordBatch) -> list[dict[str, Any]]:
        """The rows as values that a JSON encoder takes."""
        iso = self.options.iso_timestamps
        columns = [
            json_values(c, k, iso=iso) for c, k in zip(data.columns, self.types, strict=True)
        ]
        names = self.names
        if not columns:
            return [{} for _ in range(data.num_rows)]
        rows = [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]
        return [_without_nulls(r) for r in rows] if self.options.ignore_null_fields else rows

    def encoded(self, values: Sequence[Any]) -> list[Payload]:
        """Values as JSON."""
        encode = self._encoder.encode
        if self.options.plain_decimals:
            return [encode(_plain_decimals(v)) for v in values]
        return [encode(v) for v in values]


def _exactly(message: bytes) -> Any:
    return json.loads(message, parse_float=decimal.Decimal)


def _plain(kind: SqlType) -> pa.DataType | None:
    """The type that Arrow reads a column as; None: it does not read it."""
    match kind.root:
        case TypeRoot.MAP | TypeRoot.MULTISET | TypeRoot.BINARY | TypeRoot.VARBINARY:
            return None
        case TypeRoot.DATE | TypeRoot.TIME:
            return pa.string()
        case TypeRoot.ROW | TypeRoot.ARRAY:
            return kind.to_arrow() if all(map(_is_plain, kind.children)) else None
        case TypeRoot.NULL:
            return None
    return kind.to_arrow()


def _is_plain(kind: SqlType) -> bool:
    return bool(_plain(kind) == kind.to_arrow())


def _has_decimals(kind: SqlType) -> bool:
    return kind.root is TypeRoot.DECIMAL or any(map(_has_decimals, kind.children))


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _without_nulls(v) for k, v in value.items() if v is not None}
    if isinstance(value, list):
        return [_without_nulls(v) for v in value]
    return value


def _plain_decimals(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _plain_decimals(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_plain_decimals(v) for v in value]
    if isinstance(value, decimal.Decimal):
        return msgspec.Raw(format(value, "f").encode())
    return value
