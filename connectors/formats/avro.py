"""Avro messages with ``fastavro`` (extra ``avro``): bare, or with a schema registry."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from typing import Any, Final

import pyarrow as pa

from lesto.common.elements import Batch, Form
from lesto.connectors.errors import (
    ConnectorConfigError,
    MissingExtraError,
    SchemaMismatchError,
    SchemaRegistryError,
)
from lesto.connectors.formats.base import (
    DECODE_ERRORS,
    Decoded,
    DeserializationSchema,
    Payload,
    SerializationSchema,
    batch_of_dicts,
    decode_each,
    dicts_of,
)
from lesto.connectors.formats.registry import SchemaRegistry, header, split_message

_PRIMITIVES: Final = {
    "null": pa.null(),
    "boolean": pa.bool_(),
    "int": pa.int32(),
    "long": pa.int64(),
    "float": pa.float32(),
    "double": pa.float64(),
    "bytes": pa.binary(),
    "string": pa.string(),
}
_LOGICAL: Final = {
    "date": pa.date32(),
    "time-millis": pa.time32("ms"),
    "time-micros": pa.time64("us"),
    "timestamp-millis": pa.timestamp("ms", "UTC"),
    "timestamp-micros": pa.timestamp("us", "UTC"),
    "local-timestamp-millis": pa.timestamp("ms"),
    "local-timestamp-micros": pa.timestamp("us"),
    "uuid": pa.string(),
}


def _library() -> Any:
    try:
        import fastavro
    except ImportError as error:
        msg = "Avro needs the package fastavro, which is not installed"
        raise MissingExtraError(msg, remedy="pip install 'lesto[avro]'") from error
    return fastavro


class AvroFormat(DeserializationSchema, SerializationSchema):
    """Avro records as columns.

    Args:
        schema: the reader's schema (JSON text): its fields are the columns. Messages written with
            another schema are resolved to it, which needs a registry to know theirs.
        registry: messages begin with the id of their schema. When writing, ``schema`` is registered
            under ``<topic>-value`` (or ``-key``) and must be compatible.

    Raises:
        ConnectorConfigError: not a schema of a record, or of types that have no column.
    """

    input_form = Form.ANY

    def __init__(self, schema: str, registry: SchemaRegistry | None = None) -> None:
        self.text = schema
        self.registry = registry
        try:
            self._parsed: Any = _library().parse_schema(json.loads(schema))
        except (ValueError, KeyError, TypeError, _library().schema.SchemaParseException) as error:
            msg = f"not an Avro schema: {error}"
            raise ConnectorConfigError(msg) from error
        if not isinstance(self._parsed, dict) or self._parsed.get("type") != "record":
            msg = "the Avro schema of messages must be a record"
            raise ConnectorConfigError(msg)
        arrow = _arrow_type(self._parsed, {})
        self.schema = pa.schema(list(arrow))
        self._writers: dict[int, Any] = {}
        self._id: int | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        return (_rebuild, (self.text, self.registry, self.skips_bad_messages))

    def decode(self, messages: Sequence[Payload]) -> Decoded:
        """Columns."""
        read = _library().schemaless_reader
        if self.registry is None:
            parsed = self._parsed
            values, bad = decode_each(
                messages, lambda m: _whole(read, m, parsed, None), DECODE_ERRORS
            )
        else:
            values, bad = decode_each(messages, lambda m: self._registered(read, m))
        assert self.schema is not None
        return Decoded(batch_of_dicts(values, self.schema), bad)

    def _registered(self, read: Any, message: bytes) -> Any:
        schema_id, data = split_message(message)
        return _whole(read, data, self._writer(schema_id), self._parsed)

    def _writer(self, schema_id: int) -> Any:
        found = self._writers.get(schema_id)
        if found is None:
            assert self.registry is not None
            registered = self.registry.by_id(schema_id)
            if registered.kind != "AVRO":
                msg = f"schema {schema_id} of the registry is {registered.kind}, not Avro"
                raise SchemaMismatchError(msg)
            named: dict[str, Any] = {}
            self._load(registered.references, named)
            found = _library().parse_schema(json.loads(registered.text), named_schemas=named)
            self._writers[schema_id] = found
        return found

    def _load(self, references: Sequence[tuple[str, str, int]], named: dict[str, Any]) -> None:
        assert self.registry is not None
        for _, subject, version in references:
            used = self.registry.version(subject, version)
            self._load(used.references, named)
            _library().parse_schema(json.loads(used.text), named_schemas=named)

    def open(self, subject: str) -> None:
        """Register the schema."""
        if self.registry is not None:
            self._id = self.registry.register(subject, self.text, "AVRO")

    def encode(self, batch: Batch) -> list[Payload]:
        """One message a record.

        Raises:
            SchemaMismatchError: a record does not fit the schema.
        """
        start = b""
        if self.registry is not None:
            if self._id is None:
                msg = "an Avro format with a registry was not opened"
                raise SchemaRegistryError(msg)
            start = header(self._id)
        write, parsed = _library().schemaless_writer, self._parsed
        messages: list[Payload] = []
        for value in dicts_of(batch, "Avro"):
            out = io.BytesIO()
            out.write(start)
            try:
                write(out, parsed, value)
            except (ValueError, TypeError, KeyError, AttributeError, OverflowError) as error:
                msg = f"a record does not fit the Avro schema: {error}: {value!r}"
                raise SchemaMismatchError(msg, remedy="map it to the schema's fields") from error
            messages.append(out.getvalue())
        return messages


def _whole(read: Any, data: bytes, writer: Any, reader: Any) -> Any:
    stream = io.BytesIO(data)
    value = read(stream, writer, reader)
    if left := len(data) - stream.tell():
        msg = f"{left} bytes are left behind the record"
        raise ValueError(msg)
    return value


def _rebuild(text: str, registry: SchemaRegistry | None, skips: bool) -> AvroFormat:
    made = AvroFormat(text, registry)
    made.skips_bad_messages = skips
    return made


def _arrow_type(schema: Any, seen: dict[str, pa.DataType]) -> pa.DataType:
    """The Arrow type of a parsed Avro schema.

    Raises:
        ConnectorConfigError: a type without one.
    """
    if isinstance(schema, list):
        kinds = [s for s in schema if s != "null"]
        if len(kinds) != 1:
            msg = f"a union of {len(kinds)} types has no column"
            raise ConnectorConfigError(msg, remedy="use a union of null and one type")
        return _arrow_type(kinds[0], seen)
    if isinstance(schema, str):
        if schema in _PRIMITIVES:
            return _PRIMITIVES[schema]
        if schema in seen:
            return seen[schema]
        msg = f"the Avro type '{schema}' has no column (a record inside itself?)"
        raise ConnectorConfigError(msg)
    kind, logical = schema["type"], schema.get("logicalType")
    if logical == "decimal":
        return pa.decimal128(schema["precision"], schema.get("scale", 0))
    if logical in _LOGICAL:
        return _LOGICAL[logical]
    made: pa.DataType
    match kind:
        case "record":
            made = pa.struct([(f["name"], _arrow_type(f["type"], seen)) for f in schema["fields"]])
        case "array":
            return pa.list_(_arrow_type(schema["items"], seen))
        case "map":
            return pa.map_(pa.string(), _arrow_type(schema["values"], seen))
        case "enum":
            made = pa.string()
        case "fixed":
            made = pa.binary(schema["size"])
        case _:
            return _arrow_type(kind, seen)
    seen[schema["name"]] = made
    return made


class AvroRowDeserializationSchema(AvroFormat):
    """Flink's name: messages of a known schema.

    Args:
        record_class: a generated Java class; not here.
        avro_schema_string: the schema.
    """

    def __init__(
        self, record_class: str | None = None, avro_schema_string: str | None = None
    ) -> None:
        super().__init__(_needed(record_class, avro_schema_string))

    def __reduce__(self) -> tuple[Any, ...]:
        return (_rebuild, (self.text, None, self.skips_bad_messages))


class AvroRowSerializationSchema(AvroFormat):
    """Flink's name: messages of a known schema.

    Args:
        record_class: a generated Java class; not here.
        avro_schema_string: the schema.
    """

    def __init__(
        self, record_class: str | None = None, avro_schema_string: str | None = None
    ) -> None:
        super().__init__(_needed(record_class, avro_schema_string))

    def __reduce__(self) -> tuple[Any, ...]:
        return (_rebuild, (self.text, None, self.skips_bad_messages))


def _needed(record_class: str | None, text: str | None) -> str:
    if text is None:
        what = "a Java class" if record_class else "nothing"
        msg = f"an Avro format needs avro_schema_string, it was given {what}"
        raise ConnectorConfigError(msg)
    return text
