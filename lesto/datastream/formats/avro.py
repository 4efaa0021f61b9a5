"""Avro. As in ``pyflink.datastream.formats.avro``."""

from lesto.client.datastream.absent import absent
from lesto.connectors.files.parquet_formats import (
    AvroBulkWriters,
    AvroSchema,
    GenericRecordAvroTypeInfo,
)
from lesto.connectors.formats.avro import (
    AvroFormat,
    AvroRowDeserializationSchema,
    AvroRowSerializationSchema,
)
from lesto.connectors.formats.registry import SchemaRegistry

AvroInputFormat = absent(
    "AvroInputFormat", "read Parquet, CSV or JSON Lines files, or Avro messages of Kafka"
)

__all__ = [
    "AvroBulkWriters",
    "AvroFormat",
    "AvroInputFormat",
    "AvroRowDeserializationSchema",
    "AvroRowSerializationSchema",
    "AvroSchema",
    "GenericRecordAvroTypeInfo",
    "SchemaRegistry",
]
