"""Files: CSV, JSON Lines, Parquet and text, on any file system that pyarrow knows."""

from lesto.connectors.files.encoders import Encoder
from lesto.connectors.files.formats import CsvFormat, JsonLinesFormat, TextFormat
from lesto.connectors.files.sink import (
    BucketAssigner,
    FileSink,
    FileSinkBuilder,
    OutputFileConfig,
    RollingPolicy,
)
from lesto.connectors.files.source import (
    FileSource,
    FileSourceBuilder,
    ParquetFormat,
    StreamFormat,
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
