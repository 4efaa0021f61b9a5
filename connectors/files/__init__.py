"""Files: CSV, JSON Lines, Parquet and text, on any file system that pyarrow knows."""

from lesto.connectors.files.encoders import Encoder
from lesto.connectors.files.formats import CsvFormat, JsonLinesFormat, TextFormat
from lesto.connectors.files.sink import FileSink, FileSinkBuilder
from lesto.connectors.files.sink_options import (
    BucketAssigner,
    DefaultRollingPolicy,
    OnCheckpointRollingPolicy,
    OutputFileConfig,
    RollingPolicy,
)
from lesto.connectors.files.source import (
    BulkFormat,
    FileEnumeratorProvider,
    FileSource,
    FileSourceBuilder,
    FileSplitAssignerProvider,
    ParquetFormat,
    StreamFormat,
)

__all__ = [
    "BucketAssigner",
    "BulkFormat",
    "CsvFormat",
    "DefaultRollingPolicy",
    "Encoder",
    "FileEnumeratorProvider",
    "FileSink",
    "FileSinkBuilder",
    "FileSource",
    "FileSourceBuilder",
    "FileSplitAssignerProvider",
    "JsonLinesFormat",
    "OnCheckpointRollingPolicy",
    "OutputFileConfig",
    "ParquetFormat",
    "RollingPolicy",
    "StreamFormat",
    "TextFormat",
]
