"""JSON messages: columns through Arrow's reader when there is a schema, else Python values."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

import msgspec
import pyarrow as pa

from lesto.common.elements import Batch, ColumnarBatch, RowBatch
from lesto.common.row import Row
from lesto.common.types import TypeInformation
from lesto.connectors.errors import ConnectorConfigError
from lesto.connectors.formats.base import (
    BadMessage,
    Decoded,
    DeserializationSchema,
    Payload,
    SerializationSchema,
    decode_each,
)
from lesto.connectors.json_columns import json_columns

#: A blank line between two others: Arrow's reader would skip it and shift the records behind it.
_BLANK: Final = re.compile(rb"\n[ \t\r]*\n")


class JsonFormat(DeserializationSchema, SerializationSchema):
    """One JSON value a message.

    Args:
        schema: columns of the objects (fields that are missing become null, others are ignored);
            None: any JSON values as Python values.
    """

    def __init__(self, schema: pa.Schema | None = None) -> None:
        self.schema = schema
        self._decoder = msgspec.json.Decoder()
        self._encoder = msgspec.json.Encoder(enc_hook=_encode_other)

    def __reduce__(self) -> tuple[Any, ...]:
        return (_rebuilt, (self.schema, self.skips_bad_messages))

    def decode(self, messages: Sequence[Payload]) -> Decoded:
        """Columns, or Python values without a schema."""
        if self.schema is None:
            values, bad = decode_each(messages, self._decoder.decode, (msgspec.DecodeError,))
            return Decoded(RowBatch(values), bad)
        batch = self._together(messages)
        return self._apart(messages) if batch is None else Decoded(ColumnarBatch(batch))

    def _together(self, messages: Sequence[Payload]) -> pa.RecordBatch | None:
        """All messages as lines of one text; None where that does not give a record for each."""
        assert self.schema is not None
        try:
            text = b"\n".join(messages)  # type: ignore[arg-type]
        except TypeError:  # a null among them
            return None
        blank = not text or text[0] in b" \t\r\n" or text[-1] in b" \t\r\n"
        if blank or text.count(b"\n") != len(messages) - 1 or _BLANK.search(text):
            return None
        try:
            batch = json_columns(text, self.schema)
        except (ValueError, NotImplementedError):  # Arrow's errors are of these kinds
            return None
        return batch if batch.num_rows == len(messages) else None

    def _apart(self, messages: Sequence[Payload]) -> Decoded:
        """Message by message, to name those that are bad."""
        assert self.schema is not None
        good: list[pa.RecordBatch] = []
        bad: list[BadMessage] = []
        for index, message in enumerate(messages):
            try:
                if message is None:
                    bad.append(BadMessage(index, "the message is null"))
                    continue
                value = self._decoder.decode(message)
                if not isinstance(value, dict):
                    bad.append(BadMessage(index, "not a JSON object"))
                    continue
                # Written anew: on one line, whatever the message looked like.
                good.append(json_columns(self._encoder.encode(value), self.schema))
            except (ValueError, NotImplementedError, msgspec.DecodeError) as error:
                bad.append(BadMessage(index, str(error).split("\n", 1)[0]))
        table = pa.Table.from_batches(good, schema=self.schema).combine_chunks()
        empty = [pa.array([], f.type) for f in self.schema]
        batches = table.to_batches() or [pa.RecordBatch.from_arrays(empty, schema=self.schema)]
        return Decoded(ColumnarBatch(batches[0]), bad)

    def encode(self, batch: Batch) -> list[Payload]:
        """Objects of columns; Python values as they are."""
        values = batch.data.to_pylist() if isinstance(batch, ColumnarBatch) else batch.values
        encode = self._encoder.encode
        if isinstance(batch, RowBatch):
            return [encode(_named(value)) for value in values]
        text: bytes = self._encoder.encode_lines(values)
        lines: list[Payload] = text.split(b"\n")  # type: ignore[assignment]
        lines.pop()
        return lines


def _rebuilt(schema: pa.Schema | None, skips: bool) -> JsonFormat:
    made = JsonFormat(schema)
    made.skips_bad_messages = skips
    return made


def _named(value: Any) -> Any:
    if isinstance(value, Row) and value.get_field_names() is not None:
        return value.as_dict()
    return value


def _encode_other(value: Any) -> Any:
    as_dict = getattr(value, "as_dict", None)
    if as_dict is not None:
        return as_dict()
    if hasattr(value, "item"):  # numpy scalars
        return value.item()
    msg = f"a value of type {type(value).__name__} cannot be written as JSON"
    raise ConnectorConfigError(msg, remedy="map it to a dict, a tuple, a Row or a plain value")


def schema_of(type_info: TypeInformation) -> pa.Schema:
    """Columns of a row type.

    Raises:
        ConnectorConfigError: it has none.
    """
    schema = type_info.arrow_schema()
    if schema is None:
        msg = f"{type_info!r} has no columns"
        raise ConnectorConfigError(
            msg, remedy="use Types.ROW_NAMED([names], [types]) of types that Arrow has"
        )
    return schema


class JsonRowDeserializationSchemaBuilder:
    """Builds a reader of JSON objects."""

    def __init__(self) -> None:
        self._schema: pa.Schema | None = None
        self._ignore_errors = False
        self._fail_on_missing = False

    def type_info(self, type_info: TypeInformation) -> JsonRowDeserializationSchemaBuilder:
        """Names and types of the fields."""
        self._schema = schema_of(type_info)
        return self

    def json_schema(self, json_schema: str) -> JsonRowDeserializationSchemaBuilder:
        """Names and types of the fields, as a JSON Schema of one object.

        Raises:
            ConnectorConfigError: it is not one, or has what is no column.
        """
        from lesto.connectors.formats.json_schema import columns_of

        self._schema = columns_of(json_schema)
        return self

    def ignore_parse_errors(self) -> JsonRowDeserializationSchemaBuilder:
        """Leave out messages that cannot be read; they are counted."""
        self._ignore_errors = True
        return self

    def fail_on_missing_field(self) -> JsonRowDeserializationSchemaBuilder:
        """A message without one of the fields is bad."""
        self._fail_on_missing = True
        return self

    def build(self) -> JsonFormat:
        """The format.

        Raises:
            ConnectorConfigError: no type was given, or both choices about errors.
        """
        if self._schema is None:
            msg = "a JSON schema needs the type of its rows"
            raise ConnectorConfigError(msg, remedy="call type_info(Types.ROW_NAMED(...))")
        if self._fail_on_missing:
            if self._ignore_errors:
                msg = "ignore_parse_errors and fail_on_missing_field exclude each other"
                raise ConnectorConfigError(msg)
            self._schema = pa.schema([f.with_nullable(False) for f in self._schema])
        made = JsonFormat(self._schema)
        made.skips_bad_messages = self._ignore_errors
        return made


class JsonRowDeserializationSchema:
    """Flink's name; ``builder().type_info(...).build()`` gives a ``JsonFormat``."""

    Builder = JsonRowDeserializationSchemaBuilder

    @staticmethod
    def builder() -> JsonRowDeserializationSchemaBuilder:
        """A builder."""
        return JsonRowDeserializationSchemaBuilder()


class JsonRowSerializationSchemaBuilder:
    """Builds a writer of JSON objects."""

    def __init__(self) -> None:
        self._schema: pa.Schema | None = None

    def with_type_info(self, type_info: TypeInformation) -> JsonRowSerializationSchemaBuilder:
        """Names and types of the fields."""
        self._schema = schema_of(type_info)
        return self

    def build(self) -> JsonFormat:
        """The format."""
        return JsonFormat(self._schema)


class JsonRowSerializationSchema:
    """Flink's name; ``builder().with_type_info(...).build()`` gives a ``JsonFormat``."""

    Builder = JsonRowSerializationSchemaBuilder

    @staticmethod
    def builder() -> JsonRowSerializationSchemaBuilder:
        """A builder."""
        return JsonRowSerializationSchemaBuilder()
