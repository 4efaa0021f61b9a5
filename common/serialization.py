"""Encoders and plain schemas, under PyFlink's module name. They live with the connectors, above."""

from importlib import import_module
from typing import Any

_HOMES = {
    "Encoder": "lesto.connectors.files",
    "SimpleStringSchema": "lesto.connectors.formats.raw",
    "ByteArraySchema": "lesto.connectors.formats.raw",
    "SerializationSchema": "lesto.connectors.formats",
    "DeserializationSchema": "lesto.connectors.formats",
    "BulkWriterFactory": "lesto.connectors.files.bulk",
    "RowDataBulkWriterFactory": "lesto.connectors.files.bulk",
    "RowFieldExtractorSchema": "lesto.connectors.formats.raw",
}
__all__ = [  # noqa: F822 - defined by __getattr__
    "BulkWriterFactory",
    "ByteArraySchema",
    "DeserializationSchema",
    "Encoder",
    "RowDataBulkWriterFactory",
    "RowFieldExtractorSchema",
    "SerializationSchema",
    "SimpleStringSchema",
]


def __getattr__(name: str) -> Any:
    """Find the class on first use."""
    if name not in _HOMES:
        missing = import_module("lesto.client.datastream.missing").missing_names
        return missing(__name__)(name)
    return getattr(import_module(_HOMES[name]), name)
