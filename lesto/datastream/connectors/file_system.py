"""Files. As in ``pyflink.datastream.connectors.file_system``."""

from typing import TYPE_CHECKING

from lesto.client.datastream.missing import missing_names
from lesto.connectors.files import (
    BucketAssigner,
    CsvFormat,
    Encoder,
    FileSink,
    FileSinkBuilder,
    FileSource,
    FileSourceBuilder,
    JsonLinesFormat,
    OutputFileConfig,
    ParquetFormat,
    RollingPolicy,
    StreamFormat,
    TextFormat,
)

__all__ = [
    "BucketAssigner",
    "CsvFormat",
    "Encoder",
    "FileSink",
    "FileSinkBuilder",
    "FileSource",
    "FileSourceBuilder",
    "JsonLinesFormat",
    "OutputFileConfig",
    "ParquetFormat",
    "RollingPolicy",
    "StreamFormat",
    "TextFormat",
]

if not TYPE_CHECKING:
    __getattr__ = missing_names(__name__)
