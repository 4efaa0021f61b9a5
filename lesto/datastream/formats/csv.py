"""CSV. As in ``pyflink.datastream.formats.csv``."""

from lesto.connectors.formats.csv import (
    CsvMessageFormat,
    CsvRowDeserializationSchema,
    CsvRowSerializationSchema,
)

__all__ = [
    "CsvMessageFormat",
    "CsvRowDeserializationSchema",
    "CsvRowSerializationSchema",
]
