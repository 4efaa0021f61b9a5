"""Write batches to an open file in a format."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, Final

import msgspec
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from lesto.common.elements import Batch, ColumnarBatch, Form, RowBatch
from lesto.common.row import Row
from lesto.connectors.errors import ConnectorConfigError

#: Rows of one Parquet row group at the most.
ROW_GROUP_ROWS: Final = 1 << 17


class FileEncoder(ABC):
    """Writes one file."""

    @abstractmethod
    def write(self, batch: Batch) -> None:
        """Append a batch."""

    @abstractmethod
    def finish(self) -> None:
        """Write what is buffered and the footer; the stream itself stays open."""


class EncoderFactory(ABC):
    """Makes encoders of one format.

    Attributes:
        suffix: of the file names, with the dot.
        input_form: the form of batch the encoders take.
    """

    suffix: str
    input_form: Form

    @abstractmethod
    def create(self, stream: Any, schema: pa.Schema | None) -> FileEncoder:
        """An encoder that writes to an open output stream."""


def _columns(batch: Batch, what: str) -> pa.RecordBatch:
    if isinstance(batch, ColumnarBatch):
        return batch.data
    msg = f"{what} files need columns, but the stream carries Python values"
    raise ConnectorConfigError(
        msg, remedy="give the stream a type, as in .map(f, output_type=Types.ROW_NAMED(...))"
    )


class ParquetEncoderFactory(EncoderFactory):
    """Parquet, zstd-compressed."""

    suffix = ".parquet"
    input_form = Form.COLUMNAR

    def create(self, stream: Any, schema: pa.Schema | None) -> FileEncoder:
        """An encoder that collects row groups of a fair size."""
        return _ParquetEncoder(stream)


class _ParquetEncoder(FileEncoder):
    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._writer: pq.ParquetWriter | None = None
        self._pending: list[pa.RecordBatch] = []
        self._rows = 0

    def write(self, batch: Batch) -> None:
        self._pending.append(_columns(batch, "Parquet"))
        self._rows += len(batch)
        if self._rows >= ROW_GROUP_ROWS:
            self._flush()

    def _flush(self) -> None:
        if not self._pending:
            return
        table = pa.Table.from_batches(self._pending)
        if self._writer is None:
            self._writer = pq.ParquetWriter(self._stream, table.schema, compression="zstd")
        self._writer.write_table(table, row_group_size=ROW_GROUP_ROWS)
        self._pending.clear()
        self._rows = 0

    def finish(self) -> None:
        self._flush()
        if self._writer is not None:
            self._writer.close()


class CsvEncoderFactory(EncoderFactory):
    """CSV with a header line."""

    suffix = ".csv"
    input_form = Form.COLUMNAR

    def create(self, stream: Any, schema: pa.Schema | None) -> FileEncoder:
        """An encoder."""
        return _CsvEncoder(stream)


class _CsvEncoder(FileEncoder):
    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._first = True

    def write(self, batch: Batch) -> None:
        options = pacsv.WriteOptions(include_header=self._first)
        pacsv.write_csv(_columns(batch, "CSV"), self._stream, options)
        self._first = False

    def finish(self) -> None:
        pass


class JsonLinesEncoderFactory(EncoderFactory):
    """One JSON value a line; takes columns, dicts, rows, dataclasses and plain values."""

    suffix = ".jsonl"
    input_form = Form.ANY

    def create(self, stream: Any, schema: pa.Schema | None) -> FileEncoder:
        """An encoder."""
        return _JsonLinesEncoder(stream)


def _json_default(value: Any) -> Any:
    as_dict = getattr(value, "as_dict", None)
    if as_dict is not None:
        return as_dict()
    if hasattr(value, "item"):  # numpy scalars
        return value.item()
    msg = f"a value of type {type(value).__name__} cannot be written as JSON"
    raise ConnectorConfigError(msg, remedy="map it to a dict, a tuple, a Row or a plain value")


def _json_value(value: Any) -> Any:
    """A row with field names as an object; other values as they are."""
    if isinstance(value, Row) and value.get_field_names() is not None:
        return value.as_dict()
    return value


class _JsonLinesEncoder(FileEncoder):
    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._encoder = msgspec.json.Encoder(enc_hook=_json_default)

    def write(self, batch: Batch) -> None:
        if isinstance(batch, ColumnarBatch):
            values = batch.data.to_pylist()
        else:
            values = [_json_value(v) for v in batch.values]
        self._stream.write(self._encoder.encode_lines(values))

    def finish(self) -> None:
        pass


class LineEncoderFactory(EncoderFactory):
    """One line per record, by a function from the record to its text.

    Args:
        encode: record to ``str`` without the line end.
        charset: encoding of the file.
    """

    suffix = ".txt"
    input_form = Form.ROWS

    def __init__(self, encode: Callable[[Any], str] = str, charset: str = "utf-8") -> None:
        self.encode = encode
        self.charset = charset

    def create(self, stream: Any, schema: pa.Schema | None) -> FileEncoder:
        """An encoder."""
        return _LineEncoder(stream, self.encode, self.charset)


class Encoder:
    """Flink's row encoders."""

    @staticmethod
    def simple_string_encoder(charset_name: str = "UTF-8") -> LineEncoderFactory:
        """``str(record)`` and a line end."""
        return LineEncoderFactory(str, charset_name)


class _LineEncoder(FileEncoder):
    def __init__(self, stream: Any, encode: Callable[[Any], str], charset: str) -> None:
        self._stream = stream
        self._encode = encode
        self._charset = charset

    def write(self, batch: Batch) -> None:
        assert isinstance(batch, RowBatch)
        encode = self._encode
        lines = [encode(v) for v in batch.values]
        lines.append("")
        self._stream.write("\n".join(lines).encode(self._charset))

    def finish(self) -> None:
        pass


_BY_NAME: Final[dict[str, Callable[[], EncoderFactory]]] = {
    "parquet": ParquetEncoderFactory,
    "csv": CsvEncoderFactory,
    "jsonl": JsonLinesEncoderFactory,
    "json": JsonLinesEncoderFactory,
    "text": LineEncoderFactory,
}


def encoder_factory(format_: EncoderFactory | str) -> EncoderFactory:
    """The factory of a format name.

    Raises:
        ConnectorConfigError: unknown name.
    """
    if isinstance(format_, EncoderFactory):
        return format_
    if format_ not in _BY_NAME:
        msg = f"the format '{format_}' is not known"
        raise ConnectorConfigError(msg, remedy=f"use one of {', '.join(sorted(_BY_NAME))}")
    return _BY_NAME[format_]()
