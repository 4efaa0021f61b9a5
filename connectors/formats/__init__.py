"""Formats of messages, by name or as objects; loaded on first use."""

from __future__ import annotations

from typing import Any, Final

import pyarrow as pa

from lesto.common.errors import did_you_mean
from lesto.connectors.errors import ConnectorConfigError
from lesto.connectors.formats.base import (
    BadMessage,
    Decoded,
    DeserializationSchema,
    Payload,
    SerializationSchema,
)

__all__ = [
    "BadMessage",
    "Decoded",
    "DeserializationSchema",
    "Payload",
    "SerializationSchema",
    "message_format",
]

FORMATS: Final = ("avro", "bytes", "csv", "json", "protobuf", "raw", "string")
#: Formats that are more than a name and columns: what to write instead.
_OBJECTS: Final = {
    "avro": "AvroFormat(schema_string), or AvroFormat(registry=...)",
    "protobuf": "ProtobufFormat(MessageClass)",
}


def message_format(name: str, schema: pa.Schema | None = None) -> Any:
    """A format that both reads and writes.

    Args:
        name: one of ``FORMATS``.
        schema: columns, for ``json`` and ``csv``.

    Raises:
        ConnectorConfigError: no such format, or it needs something else.
    """
    from lesto.connectors.formats import raw

    match name:
        case "json":
            from lesto.connectors.formats.json import JsonFormat

            return JsonFormat(schema)
        case "csv" if schema is not None:
            from lesto.connectors.formats.csv import CsvMessageFormat

            return CsvMessageFormat(schema)
        case "csv":
            msg = "CSV messages need a schema"
            raise ConnectorConfigError(msg, remedy="give schema=pa.schema([...])")
    if name in _OBJECTS:
        msg = f"the format '{name}' needs more than its name"
        raise ConnectorConfigError(msg, remedy=f"give format={_OBJECTS[name]}")
    plain = {"raw": raw.RawFormat, "string": raw.SimpleStringSchema, "bytes": raw.ByteArraySchema}
    if name not in plain:
        msg = f"the format '{name}' is not known{did_you_mean(name, FORMATS)}"
        raise ConnectorConfigError(msg, remedy=f"use one of {', '.join(FORMATS)}")
    if schema is not None:
        msg = f"the format '{name}' takes no schema"
        raise ConnectorConfigError(msg, remedy="leave schema= out, or use format='json'")
    return plain[name]()
