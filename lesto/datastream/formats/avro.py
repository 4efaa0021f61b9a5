"""Avro. As in ``pyflink.datastream.formats.avro``."""

from lesto.connectors.formats.avro import (
    AvroFormat,
    AvroRowDeserializationSchema,
    AvroRowSerializationSchema,
)
from lesto.connectors.formats.registry import SchemaRegistry

__all__ = [
    "AvroFormat",
    "AvroRowDeserializationSchema",
    "AvroRowSerializationSchema",
    "SchemaRegistry",
]
