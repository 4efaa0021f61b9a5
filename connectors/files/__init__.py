"""Files: CSV, JSON Lines, Parquet and text, on any file system that pyarrow knows."""

from lesto.connectors.files.encoders import Encoder
from lesto.connectors.files.formats import CsvFormat, JsonLinesFormat, TextFormat
from lesto.connectors.files.sink import FileSink, OutputFileConfig
from lesto.connectors.files.source import FileSource, ParquetFormat, StreamFormat

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
