"""Formats of line-based files: bytes of whole lines in, a batch out."""

from __future__ import annotations

import io
import re
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, Final

import msgspec
import pyarrow as pa
import pyarrow.csv as pacsv

from lesto.common.elements import Batch, ColumnarBatch, RowBatch
from lesto.connectors.errors import ConnectorConfigError, SchemaMismatchError
from lesto.connectors.files.damaged import readable
from lesto.connectors.files.listing import list_files, resolve
from lesto.connectors.files.malformed import BadRecord
from lesto.connectors.json_columns import inferred_schema, json_columns

#: How much of a file is looked at to infer a schema, in bytes.
INFERENCE_BYTES: Final = 1 << 20

Parsed = tuple[Batch, Sequence[BadRecord]]


class LineFormat(ABC):
    """Turns a chunk of whole lines into a batch.

    Attributes:
        schema: columns, or None when records are Python values.
        has_header: the first line of each file is not a record.
    """

    schema: pa.Schema | None = None
    has_header: bool = False

    def bind(self, uris: Sequence[str]) -> LineFormat:
        """The format with its schema known (inferred from the first file if not given)."""
        return self

    def check_header(self, line: bytes, path: str) -> None:  # noqa: B027 - optional hook
        """Verify the header of a file against the schema."""

    @abstractmethod
    def parse(self, chunk: bytes, offset: int) -> Parsed:
        """Parse whole lines that start at byte ``offset``; bad ones are returned, not raised."""


def lines_of(chunk: bytes, offset: int) -> list[tuple[int, bytes]]:
    """(byte offset, line) of the non-empty lines of a chunk."""
    lines = []
    at = offset
    for line in chunk.splitlines(keepends=True):
        text = line.rstrip(b"\r\n")
        if text:
            lines.append((at, text))
        at += len(line)
    return lines


class TextFormat(LineFormat):
    """Each line is a ``str``."""

    def __init__(self, charset: str = "utf-8") -> None:
        self.charset = charset

    def parse(self, chunk: bytes, offset: int) -> Parsed:
        """Lines as strings; empty lines are records too."""
        try:
            text = chunk.decode(self.charset)
        except UnicodeDecodeError:
            return self._parse_each(chunk, offset)
        lines = text.split("\n")
        if lines and not lines[-1]:
            lines.pop()
        return RowBatch([line[:-1] if line.endswith("\r") else line for line in lines]), ()

    def _parse_each(self, chunk: bytes, offset: int) -> Parsed:
        values: list[Any] = []
        bad: list[BadRecord] = []
        at = offset
        for line in chunk.split(b"\n"):
            try:
                values.append(line.rstrip(b"\r").decode(self.charset))
            except UnicodeDecodeError as e:
                bad.append(BadRecord(at, line, f"not {self.charset}: {e.reason}"))
            at += len(line) + 1
        if chunk.endswith(b"\n"):
            values.pop()
        return RowBatch(values), bad


class JsonLinesFormat(LineFormat):
    """One JSON object a line.

    Args:
        schema: columns (fields that are missing become null, others are ignored); None: infer it
        from
            the first file.
        rows: give each record as a Python value (dict) instead of columns.
    """

    def __init__(self, schema: pa.Schema | None = None, *, rows: bool = False) -> None:
        if rows and schema is not None:
            msg = "rows=True gives Python values, which have no schema"
            raise ConnectorConfigError(msg)
        self.schema = schema
        self.rows = rows
        self._decoder = msgspec.json.Decoder()

    def __reduce__(self) -> tuple[Any, ...]:
        return (_json_format, (self.schema, self.rows))

    def bind(self, uris: Sequence[str]) -> LineFormat:
        """Infer the schema if it was not given."""
        if self.rows or self.schema is not None:
            return self
        path, sample = _sample(uris)
        with readable(path, "JSON Lines to infer a schema"):
            found = inferred_schema(sample)
        return JsonLinesFormat(found)

    def parse(self, chunk: bytes, offset: int) -> Parsed:
        """Objects as columns, or as dicts."""
        if self.schema is None:
            return self._parse_rows(chunk, offset)
        try:
            return ColumnarBatch(self._parse_columns(chunk)), ()
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            return self._parse_each(chunk, offset)

    def _parse_columns(self, data: bytes) -> pa.RecordBatch:
        assert self.schema is not None
        if not data.strip():
            return _empty(self.schema)
        return json_columns(data, self.schema)

    def _parse_each(self, chunk: bytes, offset: int) -> Parsed:
        good: list[bytes] = []
        bad: list[BadRecord] = []
        for at, line in lines_of(chunk, offset):
            try:
                if not isinstance(self._decoder.decode(line), dict):
                    bad.append(BadRecord(at, line, "not a JSON object"))
                    continue
                self._parse_columns(line)
                good.append(line)
            except (pa.ArrowInvalid, pa.ArrowNotImplementedError, msgspec.DecodeError) as e:
                bad.append(BadRecord(at, line, str(e).split("\n")[0]))
        return ColumnarBatch(self._parse_columns(b"\n".join(good))), bad

    def _parse_rows(self, chunk: bytes, offset: int) -> Parsed:
        try:
            return RowBatch(self._decoder.decode_lines(chunk)), ()
        except msgspec.DecodeError:
            values: list[Any] = []
            bad: list[BadRecord] = []
            for at, line in lines_of(chunk, offset):
                try:
                    values.append(self._decoder.decode(line))
                except msgspec.DecodeError as e:
                    bad.append(BadRecord(at, line, str(e)))
            return RowBatch(values), bad


def _json_format(schema: pa.Schema | None, rows: bool) -> JsonLinesFormat:
    return JsonLinesFormat(schema, rows=rows)


class CsvFormat(LineFormat):
    r"""Comma-separated values, one record a line (a quoted value may not contain a line end).

    Args:
        schema: columns in the order of the file; None: infer it from the first file (needs a
        header).
        header: the first line of each file names the columns; it is checked against the schema.
        delimiter: one character.
        null_values: texts that mean null, unless they are quoted.
    """

    def __init__(
        self,
        schema: pa.Schema | None = None,
        *,
        header: bool = True,
        delimiter: str = ",",
        null_values: Sequence[str] = ("", "NA", "NULL", "null"),
    ) -> None:
        if schema is None and not header:
            msg = "a CSV file without header needs a schema"
            raise ConnectorConfigError(
                msg, remedy="CsvFormat(schema=pa.schema([...]), header=False)"
            )
        self.schema = schema
        self.has_header = header
        self.delimiter = delimiter
        self.null_values = tuple(null_values)

    def bind(self, uris: Sequence[str]) -> LineFormat:
        """Infer the schema if it was not given."""
        if self.schema is not None:
            return self
        path, sample = _sample(uris)
        with readable(path, "CSV to infer a schema"):
            table = pacsv.read_csv(
                io.BytesIO(sample),
                read_options=pacsv.ReadOptions(use_threads=False, block_size=INFERENCE_BYTES * 2),
                parse_options=pacsv.ParseOptions(delimiter=self.delimiter),
                convert_options=pacsv.ConvertOptions(
                    null_values=list(self.null_values),
                    strings_can_be_null=True,
                    quoted_strings_can_be_null=False,
                ),
            )
        return CsvFormat(
            table.schema, header=True, delimiter=self.delimiter, null_values=self.null_values
        )

    def check_header(self, line: bytes, path: str) -> None:
        """The header must name the schema's columns in order.

        Raises:
            SchemaMismatchError: it does not.
        """
        assert self.schema is not None
        names = [
            n.strip().strip('"') for n in line.decode("utf-8-sig").strip().split(self.delimiter)
        ]
        if names != self.schema.names:
            missing = [n for n in self.schema.names if n not in names]
            extra = [n for n in names if n not in self.schema.names]
            found = [f"missing: {', '.join(missing)}"] if missing else []
            found += [f"unexpected: {', '.join(extra)}"] if extra else []
            msg = f"the header does not fit the schema: {'; '.join(found) or 'another order'}"
            raise SchemaMismatchError(
                msg,
                location=f"{path}:1",
                remedy=f"the schema's columns are {', '.join(self.schema.names)}; if the first line"
                " is a record, say CsvFormat(..., header=False)",
            )

    def parse(self, chunk: bytes, offset: int) -> Parsed:
        """Lines as columns."""
        try:
            return ColumnarBatch(self._parse_columns(chunk)), ()
        except pa.ArrowInvalid:
            return self._parse_each(chunk, offset)

    def _parse_columns(self, data: bytes) -> pa.RecordBatch:
        assert self.schema is not None
        if not data.strip():
            return _empty(self.schema)
        table = pacsv.read_csv(
            io.BytesIO(data),
            read_options=pacsv.ReadOptions(
                use_threads=False, block_size=len(data) + 1, column_names=self.schema.names
            ),
            parse_options=pacsv.ParseOptions(delimiter=self.delimiter),
            convert_options=pacsv.ConvertOptions(
                column_types=self.schema,
                null_values=list(self.null_values),
                strings_can_be_null=True,
                quoted_strings_can_be_null=False,  # the sink writes "" for an empty text
            ),
        )
        return _one_batch(table)

    def _why(self, error: pa.ArrowInvalid) -> str:
        """Arrow's reason, with the column's name and without its count of rows in our chunk."""
        assert self.schema is not None
        text = str(error).split("\n")[0]
        if match := _CONVERSION.match(text):
            name = self.schema.names[int(match[1])]
            return f"column '{name}' is {match[2]}: {match[3]}"
        if match := _COLUMNS.match(text):
            return match[1].lower()
        return text

    def _parse_each(self, chunk: bytes, offset: int) -> Parsed:
        good: list[bytes] = []
        bad: list[BadRecord] = []
        for at, line in lines_of(chunk, offset):
            try:
                self._parse_columns(line)
                good.append(line)
            except pa.ArrowInvalid as e:
                bad.append(BadRecord(at, line, self._why(e)))
        return ColumnarBatch(self._parse_columns(b"\n".join(good))), bad


_CONVERSION = re.compile(
    r"In CSV column #(\d+): (?:Row #\d+: )?CSV conversion error to ([^:]+): (.*)"
)
_COLUMNS = re.compile(r"CSV parse error: (?:Row #\d+: )?(Expected \d+ columns, got \d+)")


def _empty(schema: pa.Schema) -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays([pa.array([], f.type) for f in schema], schema=schema)


def _one_batch(table: pa.Table) -> pa.RecordBatch:
    batches = table.combine_chunks().to_batches()
    return batches[0] if batches else _empty(table.schema)


def _sample(uris: Sequence[str]) -> tuple[str, bytes]:
    """The first file's path, and whole lines from its start."""
    uri, info = list_files(uris)[0]
    system, _ = resolve(uri)
    with system.open_input_file(info.path) as file:
        data: bytes = file.read(INFERENCE_BYTES)
    if info.size_bytes > len(data):
        data = data[: data.rfind(b"\n") + 1]
    return info.path, data
