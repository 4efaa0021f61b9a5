"""Files. As in ``pyflink.datastream.connectors.file_system``."""

from lesto.connectors.files import (
    CsvFormat,
    Encoder,
    FileSink,
    FileSource,
    JsonLinesFormat,
    OutputFileConfig,
    ParquetFormat,
    StreamFormat,
    TextFormat,
)

__all__ = [
    "CsvFormat",
    "Encoder",
    "FileSink",
    "FileSource",
    "JsonLinesFormat",
    "OutputFileConfig",
    "ParquetFormat",
    "StreamFormat",
    "TextFormat",
]
