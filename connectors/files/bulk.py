"""Flink's bulk writers: encoders that know the columns they write, and the builders of them."""

from __future__ import annotations

from typing import Any, Final

import pyarrow as pa
import pyarrow.csv as pacsv

from lesto.common.convert import conform, to_columnar
from lesto.common.elements import Batch, ColumnarBatch, Form
from lesto.common.types import TypeInformation
from lesto.connectors.errors import ConnectorConfigError, MissingExtraError
from lesto.connectors.files.encoders import EncoderFactory, FileEncoder

#: Size of a block of an Avro file.
AVRO_BLOCK_BYTES: Final = 64 << 10


def row_schema(row_type: Any) -> pa.Schema:
    """Columns of a row type: an Arrow schema, a struct, or type information of named fields.

    Raises:
        ConnectorConfigError: it has none.
    """
    if isinstance(row_type, pa.Schema):
        return row_type
    if isinstance(row_type, pa.StructType):
        return pa.schema(list(row_type))
    if isinstance(row_type, TypeInformation):
        schema = row_type.arrow_schema()
        if schema is not None:
            return schema
    to_arrow = getattr(row_type, "to_arrow", None)
    struct = to_arrow() if callable(to_arrow) else None
    if isinstance(struct, pa.StructType):
        return pa.schema(list(struct))
    msg = f"a row type names columns; {row_type!r} does not"
    raise ConnectorConfigError(
        msg, remedy="use Types.ROW_NAMED([names], [types]) or pa.schema([...])"
    )


def _fitting(batch: Batch, schema: pa.Schema) -> ColumnarBatch:
    return (
        conform(batch, schema) if isinstance(batch, ColumnarBatch) else to_columnar(batch, schema)
    )


class BulkWriterFactory(EncoderFactory):
    """Makes encoders of a bulk format, as Parquet."""


class RowDataBulkWriterFactory(BulkWriterFactory):
    """Makes encoders that know their columns, so that rows of any stream can be written.

    Args:
        row_type: the columns.
        inner: writes them.
    """

    input_form = Form.ANY

    def __init__(self, row_type: Any, inner: EncoderFactory) -> None:
        self._inner = inner
        self._row_type = row_type
        self.schema = row_schema(row_type)
        self.suffix = inner.suffix

    def get_row_type(self) -> Any:
        """The columns, as they were given."""
        return self._row_type

    def create(self, stream: Any, schema: pa.Schema | None) -> FileEncoder:
        """An encoder of these columns."""
        return _ColumnsEncoder(self._inner.create(stream, self.schema), self.schema)


class _ColumnsEncoder(FileEncoder):
    def __init__(self, inner: FileEncoder, schema: pa.Schema) -> None:
        self._inner = inner
        self._schema = schema

    def write(self, batch: Batch) -> None:
        self._inner.write(_fitting(batch, self._schema))

    def finish(self) -> None:
        self._inner.finish()


class CsvLinesEncoderFactory(BulkWriterFactory):
    """CSV, with or without a header line.

    Args:
        header: write the names first.
        delimiter: one character.
    """

    suffix = ".csv"
    input_form = Form.COLUMNAR

    def __init__(self, *, header: bool = False, delimiter: str = ",") -> None:
        self.header = header
        self.delimiter = delimiter

    def create(self, stream: Any, schema: pa.Schema | None) -> FileEncoder:
        """An encoder."""
        return _CsvLinesEncoder(stream, header=self.header, delimiter=self.delimiter)


class _CsvLinesEncoder(FileEncoder):
    def __init__(self, stream: Any, *, header: bool, delimiter: str) -> None:
        self._stream = stream
        self._header = header
        self._delimiter = delimiter

    def write(self, batch: Batch) -> None:
        assert isinstance(batch, ColumnarBatch)
        options = pacsv.WriteOptions(
            include_header=self._header, delimiter=self._delimiter, quoting_style="needed"
        )
        pacsv.write_csv(batch.data, self._stream, options)
        self._header = False

    def finish(self) -> None:
        pass


class OrcEncoderFactory(BulkWriterFactory):
    """ORC, zstd-compressed."""

    suffix = ".orc"
    input_form = Form.COLUMNAR

    def create(self, stream: Any, schema: pa.Schema | None) -> FileEncoder:
        """An encoder."""
        return _OrcEncoder(stream)


class _OrcEncoder(FileEncoder):
    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._writer: Any = None

    def write(self, batch: Batch) -> None:
        assert isinstance(batch, ColumnarBatch)
        if self._writer is None:
            from pyarrow import orc

            self._writer = orc.ORCWriter(self._stream, compression="zstd")
        self._writer.write(pa.Table.from_batches([batch.data]))

    def finish(self) -> None:
        if self._writer is not None:
            self._writer.close()


class AvroEncoderFactory(BulkWriterFactory):
    """Avro container files.

    Args:
        schema: Avro schema as JSON has it.
        columns: its columns.
    """

    suffix = ".avro"
    input_form = Form.ANY

    def __init__(self, schema: dict[str, Any], columns: pa.Schema) -> None:
        self.schema = schema
        self.columns = columns

    def create(self, stream: Any, schema: pa.Schema | None) -> FileEncoder:
        """An encoder."""
        return _AvroEncoder(stream, self.schema, self.columns)


class _AvroEncoder(FileEncoder):
    def __init__(self, stream: Any, schema: dict[str, Any], columns: pa.Schema) -> None:
        try:
            from fastavro.write import Writer
        except ImportError as error:
            msg = "Avro files need the package fastavro, which is not installed"
            raise MissingExtraError(msg, remedy="pip install 'lesto[avro]'") from error
        self._writer = Writer(stream, schema, codec="deflate", sync_interval=AVRO_BLOCK_BYTES)
        self._columns = columns

    def write(self, batch: Batch) -> None:
        write = self._writer.write
        for record in _fitting(batch, self._columns).data.to_pylist():
            write(record)

    def finish(self) -> None:
        self._writer.flush()
