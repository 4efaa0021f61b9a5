"""CSV messages: one record a message, without header."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import NoReturn

import pyarrow as pa
import pyarrow.csv as pacsv

from lesto.common.convert import to_columnar
from lesto.common.elements import Batch, ColumnarBatch, RowBatch
from lesto.common.types import TypeInformation
from lesto.connectors.errors import ConnectorConfigError
from lesto.connectors.formats.base import (
    BadMessage,
    Decoded,
    DeserializationSchema,
    Payload,
    SerializationSchema,
)
from lesto.connectors.formats.json import schema_of


class CsvMessageFormat(DeserializationSchema, SerializationSchema):
    """Comma-separated values; a value may not hold a line end.

    Args:
        schema: columns in their order.
        delimiter: one character.
        null_values: texts that mean null, unless they are quoted.
        quote: around values that hold a delimiter; None: nothing is quoted.
        escape: takes the meaning of the next character, when reading; None: none does.
    """

    def __init__(
        self,
        schema: pa.Schema,
        *,
        delimiter: str = ",",
        null_values: Sequence[str] = ("", "NA", "NULL", "null"),
        quote: str | None = '"',
        escape: str | None = None,
    ) -> None:
        if len(delimiter) != 1:
            msg = f"a delimiter is one character, not {delimiter!r}"
            raise ConnectorConfigError(msg)
        self.schema: pa.Schema = schema
        self.delimiter = delimiter
        self.null_values = tuple(null_values)
        self.quote = quote
        self.escape = escape

    def decode(self, messages: Sequence[Payload]) -> Decoded:
        """Columns."""
        try:
            text = b"\n".join(messages)  # type: ignore[arg-type]
            if text.count(b"\n") == len(messages) - 1:
                batch = self._parse(text)
                if batch.num_rows == len(messages):
                    return Decoded(ColumnarBatch(batch))
        except (TypeError, ValueError):
            pass  # a null or a bad message among them: found one by one
        return self._apart(messages)

    def _parse(self, text: bytes) -> pa.RecordBatch:
        table = pacsv.read_csv(
            io.BytesIO(text),
            read_options=pacsv.ReadOptions(
                use_threads=False, block_size=len(text) + 1, column_names=self.schema.names
            ),
            parse_options=pacsv.ParseOptions(
                delimiter=self.delimiter,
                ignore_empty_lines=False,
                quote_char=self.quote or False,
                escape_char=self.escape or False,
            ),
            convert_options=pacsv.ConvertOptions(
                column_types=self.schema,
                null_values=list(self.null_values),
                strings_can_be_null=True,
                quoted_strings_can_be_null=False,
            ),
        )
        return table.combine_chunks().to_batches()[0]

    def _apart(self, messages: Sequence[Payload]) -> Decoded:
        good: list[pa.RecordBatch] = []
        bad: list[BadMessage] = []
        for index, message in enumerate(messages):
            if message is None or b"\n" in message.rstrip(b"\r\n"):
                bad.append(BadMessage(index, "null, or more than one line"))
                continue
            try:
                good.append(self._parse(message.rstrip(b"\r\n") + b"\n"))
            except ValueError as error:
                bad.append(BadMessage(index, str(error).split("\n", 1)[0]))
        empty = [pa.array([], f.type) for f in self.schema]
        batches = pa.Table.from_batches(good, schema=self.schema).combine_chunks().to_batches()
        batches = batches or [pa.RecordBatch.from_arrays(empty, schema=self.schema)]
        return Decoded(ColumnarBatch(batches[0]), bad)

    def encode(self, batch: Batch) -> list[Payload]:
        """One line a record, without its end."""
        columns = to_columnar(batch, self.schema) if isinstance(batch, RowBatch) else batch
        for field, column in zip(columns.data.schema, columns.data.columns, strict=True):
            if pa.types.is_string(field.type) and _has_line_end(column):
                msg = f"column '{field.name}' has a value with a line end, which CSV cannot carry"
                raise ConnectorConfigError(msg, remedy="use format='json'")
        out = io.BytesIO()
        options = pacsv.WriteOptions(
            include_header=False,
            delimiter=self.delimiter,
            quoting_style="needed" if self.quote else "none",
        )
        pacsv.write_csv(columns.data, out, options)
        lines: list[Payload] = out.getvalue().split(b"\n")  # type: ignore[assignment]
        lines.pop()
        return lines


def _has_line_end(column: pa.Array) -> bool:
    import pyarrow.compute as pc

    return bool(pc.any(pc.match_substring(column, "\n")).as_py())


class CsvRowDeserializationSchema:
    """Flink's name; ``Builder(type_info).build()`` gives a ``CsvMessageFormat``."""

    class Builder:
        """Builds a reader of CSV messages."""

        def __init__(self, type_info: TypeInformation) -> None:
            self._schema = schema_of(type_info)
            self._delimiter = ","
            self._null = ""
            self._ignore_errors = False
            self._quote = '"'
            self._escape: str | None = None

        def set_allow_comments(self, allow_comments: bool) -> CsvRowDeserializationSchema.Builder:
            """A message is one record, never a comment: only False is there.

            Raises:
                ConnectorConfigError: it is asked for.
            """
            if allow_comments:
                msg = "a CSV message is a record, not a comment"
                raise ConnectorConfigError(msg, remedy="call set_ignore_parse_errors(True)")
            return self

        def set_array_element_delimiter(
            self, delimiter: str
        ) -> CsvRowDeserializationSchema.Builder:
            """Arrays are not there.

            Raises:
                ConnectorConfigError: always.
            """
            _no_arrays()

        def set_quote_character(self, c: str) -> CsvRowDeserializationSchema.Builder:
            """Around values that hold a delimiter."""
            self._quote = c
            return self

        def set_escape_character(self, c: str) -> CsvRowDeserializationSchema.Builder:
            """Takes the meaning of the next character."""
            self._escape = c
            return self

        def set_field_delimiter(self, delimiter: str) -> CsvRowDeserializationSchema.Builder:
            """Between two values."""
            self._delimiter = delimiter
            return self

        def set_null_literal(self, null_literal: str) -> CsvRowDeserializationSchema.Builder:
            """Text that means null."""
            self._null = null_literal
            return self

        def set_ignore_parse_errors(
            self, ignore_parse_errors: bool
        ) -> CsvRowDeserializationSchema.Builder:
            """Leave out messages that cannot be read; they are counted."""
            self._ignore_errors = ignore_parse_errors
            return self

        def build(self) -> CsvMessageFormat:
            """The format."""
            made = CsvMessageFormat(
                self._schema,
                delimiter=self._delimiter,
                null_values=(self._null,),
                quote=self._quote,
                escape=self._escape,
            )
            made.skips_bad_messages = self._ignore_errors
            return made


class CsvRowSerializationSchema:
    """Flink's name; ``Builder(type_info).build()`` gives a ``CsvMessageFormat``."""

    class Builder:
        """Builds a writer of CSV messages."""

        def __init__(self, type_info: TypeInformation) -> None:
            self._schema = schema_of(type_info)
            self._delimiter = ","
            self._quote: str | None = '"'

        def set_field_delimiter(self, c: str) -> CsvRowSerializationSchema.Builder:
            """Between two values."""
            self._delimiter = c
            return self

        def set_line_delimiter(self, delimiter: str) -> CsvRowSerializationSchema.Builder:
            """Behind a message: only none is there.

            Raises:
                ConnectorConfigError: it is another.
            """
            if delimiter:
                msg = "a CSV message has no line end"
                raise ConnectorConfigError(msg, remedy="leave set_line_delimiter out")
            return self

        def set_array_element_delimiter(self, delimiter: str) -> CsvRowSerializationSchema.Builder:
            """Arrays are not there.

            Raises:
                ConnectorConfigError: always.
            """
            _no_arrays()

        def disable_quote_character(self) -> CsvRowSerializationSchema.Builder:
            """Nothing is quoted; a value that would need it fails the job."""
            self._quote = None
            return self

        def set_quote_character(self, c: str) -> CsvRowSerializationSchema.Builder:
            """Around values that hold a delimiter: only the double quote is there.

            Raises:
                ConnectorConfigError: it is another.
            """
            _only(c, '"', "quote character")
            return self

        def set_escape_character(self, c: str) -> CsvRowSerializationSchema.Builder:
            """Written values are quoted, not escaped: only the double quote is there.

            Raises:
                ConnectorConfigError: it is another.
            """
            _only(c, '"', "escape character")
            return self

        def set_null_literal(self, s: str) -> CsvRowSerializationSchema.Builder:
            """Null is written as the empty text: only that is there.

            Raises:
                ConnectorConfigError: it is another.
            """
            _only(s, "", "null literal")
            return self

        def build(self) -> CsvMessageFormat:
            """The format."""
            return CsvMessageFormat(self._schema, delimiter=self._delimiter, quote=self._quote)


def _no_arrays() -> NoReturn:
    msg = "CSV messages hold no arrays"
    raise ConnectorConfigError(msg, remedy="use format='json', or split the text in a map")


def _only(given: str, there: str, what: str) -> None:
    if given != there:
        msg = f"written CSV has the {what} {there!r}, not {given!r}"
        raise ConnectorConfigError(msg, remedy="leave it out, or use format='json'")
