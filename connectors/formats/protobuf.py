"""Protobuf messages: bare, or with a schema registry's header. Columns by the message's fields."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import pyarrow as pa
from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message_factory
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import DecodeError, Message

from lesto.common.elements import Batch
from lesto.connectors.errors import ConnectorConfigError, SchemaMismatchError, SchemaRegistryError
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

_TYPES: Final = {
    FieldDescriptor.CPPTYPE_INT32: pa.int32(),
    FieldDescriptor.CPPTYPE_INT64: pa.int64(),
    FieldDescriptor.CPPTYPE_UINT32: pa.uint32(),
    FieldDescriptor.CPPTYPE_UINT64: pa.uint64(),
    FieldDescriptor.CPPTYPE_DOUBLE: pa.float64(),
    FieldDescriptor.CPPTYPE_FLOAT: pa.float32(),
    FieldDescriptor.CPPTYPE_BOOL: pa.bool_(),
    FieldDescriptor.CPPTYPE_ENUM: pa.string(),
}
#: Messages inside messages, at the most.
DEPTH_MAX: Final = 20


class ProtobufFormat(DeserializationSchema, SerializationSchema):
    """Messages of one type; enums are their names, ``oneof`` and ``optional`` fields may be null.

    Args:
        message: a generated class. Its descriptor travels with the job, so workers need not have
            the module.
        registry: messages begin with a schema id and the path to the type. When writing, ``schema``
            must be registered already, or be given.
        schema: text of the ``.proto`` file to register when writing with a registry.

    Raises:
        ConnectorConfigError: a type that has no columns.
    """

    def __init__(
        self,
        message: type[Message],
        registry: SchemaRegistry | None = None,
        schema: str | None = None,
    ) -> None:
        descriptor = message.DESCRIPTOR
        self._set_up(_files(descriptor.file), descriptor.full_name, registry, schema)

    def _set_up(
        self, files: list[bytes], name: str, registry: SchemaRegistry | None, text: str | None
    ) -> None:
        self._files = files
        self._name = name
        self.registry = registry
        self.text = text
        pool = descriptor_pool.DescriptorPool()
        for data in files:
            pool.Add(descriptor_pb2.FileDescriptorProto.FromString(data))
        descriptor = pool.FindMessageTypeByName(name)
        self._class: Any = message_factory.GetMessageClass(descriptor)
        self.schema = pa.schema([(f.name, _arrow_type(f, 0)) for f in descriptor.fields])
        self._getters = [(f.name, _getter(f)) for f in descriptor.fields]
        self._index = _index(descriptor)
        self._id: int | None = None
        if registry is not None:
            self._check_known: set[int] = set()

    def __reduce__(self) -> tuple[Any, ...]:
        state = (self._files, self._name, self.registry, self.text, self.skips_bad_messages)
        return (_rebuild, state)

    def decode(self, messages: Sequence[Payload]) -> Decoded:
        """Columns."""
        errors = (*DECODE_ERRORS, DecodeError)
        values, bad = decode_each(messages, self._values, errors)
        assert self.schema is not None
        return Decoded(batch_of_dicts(values, self.schema), bad)

    def _values(self, data: bytes) -> dict[str, Any]:
        if self.registry is not None:
            schema_id, data = split_message(data)
            if schema_id not in self._check_known:
                kind = self.registry.by_id(schema_id).kind
                if kind != "PROTOBUF":
                    msg = f"schema {schema_id} of the registry is {kind}, not Protobuf"
                    raise SchemaMismatchError(msg)
                self._check_known.add(schema_id)
            data = _behind_index(data, self._index)
        parsed = self._class.FromString(data)
        return {name: get(parsed) for name, get in self._getters}

    def open(self, subject: str) -> None:
        """Register the schema.

        Raises:
            ConnectorConfigError: a registry without the text of the schema.
        """
        if self.registry is not None:
            if self.text is None:
                msg = "writing with a schema registry needs the text of the .proto file"
                raise ConnectorConfigError(msg, remedy="ProtobufFormat(M, registry, schema=text)")
            self._id = self.registry.register(subject, self.text, "PROTOBUF")

    def encode(self, batch: Batch) -> list[Payload]:
        """One message a record.

        Raises:
            SchemaMismatchError: a record does not fit the message.
        """
        start = b""
        if self.registry is not None:
            if self._id is None:
                msg = "a Protobuf format with a registry was not opened"
                raise SchemaRegistryError(msg)
            start = header(self._id) + _index_bytes(self._index)
        messages: list[Payload] = []
        for value in dicts_of(batch, "Protobuf"):
            made = self._class()
            try:
                _fill(made, value)
            except (ValueError, TypeError, KeyError, json_format.ParseError) as error:
                msg = f"a record does not fit the message {self._name}: {error}: {value!r}"
                raise SchemaMismatchError(msg, remedy="map it to the message's fields") from error
            messages.append(start + made.SerializeToString())
        return messages


def _rebuild(
    files: list[bytes], name: str, registry: SchemaRegistry | None, text: str | None, skips: bool
) -> ProtobufFormat:
    made = ProtobufFormat.__new__(ProtobufFormat)
    made._set_up(files, name, registry, text)
    made.skips_bad_messages = skips
    return made


def _files(file: Any) -> list[bytes]:
    """The file and those it needs, these first."""
    found: dict[str, bytes] = {}

    def add(f: Any) -> None:
        for needed in f.dependencies:
            add(needed)
        if f.name not in found:
            proto = descriptor_pb2.FileDescriptorProto()
            f.CopyToProto(proto)
            found[f.name] = proto.SerializeToString()

    add(file)
    return list(found.values())


def _is_map(field: Any) -> bool:
    of = field.message_type
    return of is not None and of.has_options and bool(of.GetOptions().map_entry)


def _single_type(field: Any, depth: int) -> pa.DataType:
    if field.type == FieldDescriptor.TYPE_BYTES:
        return pa.binary()
    if field.type == FieldDescriptor.TYPE_STRING:
        return pa.string()
    if field.message_type is not None:
        if depth >= DEPTH_MAX:
            msg = f"the message {field.message_type.full_name} contains itself: it has no columns"
            raise ConnectorConfigError(msg)
        fields = [(f.name, _arrow_type(f, depth + 1)) for f in field.message_type.fields]
        return pa.struct(fields)
    return _TYPES[field.cpp_type]


def _arrow_type(field: Any, depth: int) -> pa.DataType:
    if _is_map(field):
        key, value = (field.message_type.fields_by_name[n] for n in ("key", "value"))
        return pa.map_(_single_type(key, depth), _single_type(value, depth))
    single = _single_type(field, depth)
    return pa.list_(single) if field.is_repeated else single


def _single_getter(field: Any) -> Callable[[Any], Any]:
    if field.message_type is not None:
        getters = [(f.name, _getter(f)) for f in field.message_type.fields]
        return lambda value: {name: get(value) for name, get in getters}
    if field.enum_type is not None:
        names = {v.number: v.name for v in field.enum_type.values}
        return lambda value: names.get(value, str(value))
    return lambda value: value


def _getter(field: Any) -> Callable[[Any], Any]:
    """From a message to the value of one field."""
    name = field.name
    if _is_map(field):
        convert = _single_getter(field.message_type.fields_by_name["value"])
        return lambda m: [(k, convert(v)) for k, v in getattr(m, name).items()]
    convert = _single_getter(field)
    if field.is_repeated:
        return lambda m: [convert(v) for v in getattr(m, name)]
    if field.has_presence:
        return lambda m: convert(getattr(m, name)) if m.HasField(name) else None
    return lambda m: convert(getattr(m, name))


def _fill(message: Any, values: dict[str, Any]) -> None:
    """Set the fields of a message; None leaves a field unset."""
    fields = message.DESCRIPTOR.fields_by_name
    for name, value in values.items():
        if value is None:
            continue
        field = fields.get(name)
        if field is None:
            msg = f"the message has no field '{name}'"
            raise KeyError(msg)
        if _is_map(field):
            _fill_map(field, getattr(message, name), value)
        elif field.is_repeated:
            _fill_repeated(field, getattr(message, name), value)
        elif field.message_type is not None:
            getattr(message, name).SetInParent()
            _fill(getattr(message, name), value)
        else:
            setattr(message, name, _scalar(field, value))


def _fill_map(field: Any, target: Any, value: Any) -> None:
    of = field.message_type.fields_by_name["value"]
    for key, item in value.items() if isinstance(value, dict) else value:
        if of.message_type is not None:
            _fill(target[key], item)
        else:
            target[key] = _scalar(of, item)


def _fill_repeated(field: Any, target: Any, value: Any) -> None:
    for item in value:
        if field.message_type is not None:
            _fill(target.add(), item)
        else:
            target.append(_scalar(field, item))


def _scalar(field: Any, value: Any) -> Any:
    if field.enum_type is not None and isinstance(value, str):
        return field.enum_type.values_by_name[value].number
    return value


def _index(descriptor: Any) -> tuple[int, ...]:
    """Path to a type in its file: positions of the messages around it and its own."""
    path: list[int] = []
    at: Any = descriptor
    while at is not None:
        around = at.containing_type
        siblings = at.file.message_types_by_name if around is None else around.nested_types_by_name
        path.append(list(siblings).index(at.name))
        at = around
    return tuple(reversed(path))


def _zigzag(value: int) -> bytes:
    value = value << 1
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _index_bytes(index: tuple[int, ...]) -> bytes:
    """The path as the registry's header has it; the first type of a file is one zero."""
    if index == (0,):
        return b"\0"
    return _zigzag(len(index)) + b"".join(map(_zigzag, index))


def _behind_index(data: bytes, expected: tuple[int, ...]) -> bytes:
    start = _index_bytes(expected)
    long = _zigzag(1) + _zigzag(0)  # some writers spell the first type out
    for form in (start, long) if expected == (0,) else (start,):
        if data.startswith(form):
            return data[len(form) :]
    msg = "the message is of another type of its schema"
    raise ValueError(msg)
