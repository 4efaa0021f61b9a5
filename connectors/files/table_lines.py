"""Formats of messages as formats of files, a message a line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from lesto.common.elements import Batch, ColumnarBatch, Form
from lesto.connectors.errors import ConnectorConfigError, MalformedRecordError
from lesto.connectors.files.encoders import EncoderFactory, FileEncoder
from lesto.connectors.files.formats import LineFormat, Parsed, lines_of
from lesto.connectors.files.malformed import BadRecord
from lesto.connectors.formats.base import DeserializationSchema, SerializationSchema
from lesto.connectors.formats.sql_csv import SqlCsvFormat


class MessageLines(LineFormat):
    """Reads each line as a message.

    Args:
        format: of the messages.
    """

    def __init__(self, format: DeserializationSchema) -> None:
        if format.schema is None:
            msg = "lines of a table need a format with columns"
            raise ConnectorConfigError(msg)
        self.format = format
        self.schema: pa.Schema = format.schema

    def parse(self, chunk: bytes, offset: int) -> Parsed:
        """Lines as columns; with kinds if the format gives changes."""
        if isinstance(self.format, SqlCsvFormat):
            text = chunk.replace(b"\r\n", b"\n") if b"\r" in chunk else chunk
            if not (b"\r" in text or b"\n\n" in text or text.startswith(b"\n")):
                batch = self.format.decode_text(text)
                if batch is not None:
                    return ColumnarBatch(batch), ()
        lines = lines_of(chunk, offset)
        if isinstance(self.format, SqlCsvFormat):
            lines = [(at, line) for at, line in lines if not self.format.is_comment(line)]
        decoded = self.format.decode([line for _, line in lines])
        bad = [BadRecord(*lines[b.index], b.why) for b in decoded.bad]
        return decoded.batch, bad


class MessageLinesEncoderFactory(EncoderFactory):
    """Writes each message as a line.

    Args:
        format: of the messages.
        schema: of the rows: the names of the table's columns.
        suffix: of the file names.
    """

    input_form = Form.COLUMNAR

    def __init__(self, format: SerializationSchema, schema: pa.Schema, suffix: str = "") -> None:
        self.format = format
        self.schema = schema
        self.suffix = suffix

    def create(self, stream: Any, schema: pa.Schema | None) -> FileEncoder:
        """An encoder."""
        return _LinesEncoder(stream, self.format)


class _LinesEncoder(FileEncoder):
    def __init__(self, stream: Any, format: SerializationSchema) -> None:
        self._stream = stream
        self._format = format

    def write(self, batch: Batch) -> None:
        if not len(batch):
            return
        if isinstance(self._format, SqlCsvFormat):
            assert isinstance(batch, ColumnarBatch)
            self._stream.write(_joined(self._format.lines(batch.data)))
            return
        lines = self._format.encode(batch)
        if any(line is not None and b"\n" in line for line in lines):
            msg = "a record with a line end cannot be written as a line"
            raise MalformedRecordError(msg, remedy="use the format json or csv")
        self._stream.write(b"".join((line or b"") + b"\n" for line in lines))

    def finish(self) -> None:
        pass


def _joined(lines: pa.Array) -> bytes:
    """Texts with a line end behind each."""
    offsets = pa.array(np.array([0, len(lines)], np.int32))
    whole: Sequence[Any] = pa.compute.binary_join(
        pa.ListArray.from_arrays(offsets, lines), "\n"
    ).to_pylist()
    return f"{whole[0]}\n".encode()
