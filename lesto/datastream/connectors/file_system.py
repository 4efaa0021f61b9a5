"""Files. As in ``pyflink.datastream.connectors.file_system``."""

from typing import TYPE_CHECKING

from lesto.client.datastream.absent import absent
from lesto.client.datastream.missing import missing_names
from lesto.connectors.files import (
    BucketAssigner,
    BulkFormat,
    CsvFormat,
    DefaultRollingPolicy,
    Encoder,
    FileEnumeratorProvider,
    FileSink,
    FileSinkBuilder,
    FileSource,
    FileSourceBuilder,
    FileSplitAssignerProvider,
    JsonLinesFormat,
    OnCheckpointRollingPolicy,
    OutputFileConfig,
    ParquetFormat,
    RollingPolicy,
    StreamFormat,
    TextFormat,
)

_COMPACT = "write fewer files: lengthen the checkpoint interval"
FileCompactor = absent("FileCompactor", _COMPACT)
FileCompactStrategy = absent("FileCompactStrategy", _COMPACT)
StreamingFileSink = absent("StreamingFileSink", "use FileSink, as in Flink 2")

__all__ = [
    "BucketAssigner",
    "BulkFormat",
    "CsvFormat",
    "DefaultRollingPolicy",
    "Encoder",
    "FileCompactStrategy",
    "FileCompactor",
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
    "StreamingFileSink",
    "TextFormat",
]

if not TYPE_CHECKING:
    __getattr__ = missing_names(__name__)
