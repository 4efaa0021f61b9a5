"""Flink's names for Parquet, ORC and Avro files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa

from lesto.common.types import TypeInformation
from lesto.connectors.files.bulk import (
    AvroEncoderFactory,
    BulkWriterFactory,
    OrcEncoderFactory,
    RowDataBulkWriterFactory,
    row_schema,
)
from lesto.connectors.files.encoders import ParquetEncoderFactory
from lesto.connectors.files.source import BulkFormat, ParquetFormat
from lesto.connectors.formats.avro import AvroFormat


class AvroSchema:
    """A schema of Avro records."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.columns: pa.Schema = AvroFormat(text).schema

    @staticmethod
    def parse_string(json_schema: str) -> AvroSchema:
        """From JSON text.

        Raises:
            ConnectorConfigError: not a schema of a record, or of types that have no column.
        """
        return AvroSchema(json_schema)

    @staticmethod
    def parse_file(file_path: str) -> AvroSchema:
        """From a file with JSON text."""
        return AvroSchema(Path(file_path).read_text("utf-8"))

    def as_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        made: dict[str, Any] = json.loads(self.text)
        return made

    def __str__(self) -> str:
        return self.text


class GenericRecordAvroTypeInfo(TypeInformation):
    """Records of an Avro schema: dicts, in columns."""

    #: The columns have names, as those of ``Types.ROW_NAMED``.
    named = True

    def __init__(self, schema: AvroSchema) -> None:
        self.schema = schema

    def to_arrow(self) -> pa.DataType:
        """A struct."""
        return pa.struct(list(self.schema.columns))

    def arrow_schema(self) -> pa.Schema:
        """The columns."""
        return self.schema.columns

    def _content(self) -> tuple[Any, ...]:
        return (self.schema.text,)

    def __repr__(self) -> str:
        return f"Avro({', '.join(self.schema.columns.names)})"


class AvroBulkWriters:
    """Writers of Avro files."""

    @staticmethod
    def for_generic_record(schema: AvroSchema) -> BulkWriterFactory:
        """A writer of dicts, or of columns, with the schema's fields."""
        return AvroEncoderFactory(schema.as_dict(), schema.columns)


class AvroParquetReaders:
    """Readers of Parquet files by an Avro schema."""

    @staticmethod
    def for_generic_record(schema: AvroSchema) -> ParquetFormat:
        """The schema's columns."""
        return ParquetFormat(schema.columns.names, schema.columns)


class AvroParquetWriters:
    """Writers of Parquet files by an Avro schema."""

    @staticmethod
    def for_generic_record(schema: AvroSchema) -> BulkWriterFactory:
        """A writer of dicts, or of columns, with the schema's fields."""
        return RowDataBulkWriterFactory(schema.columns, ParquetEncoderFactory())


class ParquetColumnarRowInputFormat(BulkFormat):
    """Reads columns of Parquet files.

    Args:
        row_type: the columns.
        hadoop_config: not looked at.
        batch_size: not looked at: batches are row groups, cut as the engine needs it.
        is_utc_timestamp: not looked at: times are as in the file.
        is_case_sensitive: not looked at: names are matched exactly.
    """

    def __init__(
        self,
        row_type: Any,
        hadoop_config: Any = None,
        batch_size: int = 2048,
        is_utc_timestamp: bool = False,
        is_case_sensitive: bool = True,
    ) -> None:
        schema = row_schema(row_type)
        super().__init__(ParquetFormat(schema.names, schema))


class ParquetBulkWriters:
    """Writers of Parquet files."""

    @staticmethod
    def for_row_type(
        row_type: Any, hadoop_config: Any = None, utc_timestamp: bool = False
    ) -> BulkWriterFactory:
        """A writer of rows with these columns.

        Args:
            row_type: the columns.
            hadoop_config: not looked at.
            utc_timestamp: not looked at: times are written as they are.
        """
        return RowDataBulkWriterFactory(row_type, ParquetEncoderFactory())


class OrcBulkWriters:
    """Writers of ORC files."""

    @staticmethod
    def for_row_type(
        row_type: Any, writer_properties: Any = None, hadoop_config: Any = None
    ) -> BulkWriterFactory:
        """A writer of rows with these columns.

        Args:
            row_type: the columns.
            writer_properties: not looked at.
            hadoop_config: not looked at.
        """
        return RowDataBulkWriterFactory(row_type, OrcEncoderFactory())
