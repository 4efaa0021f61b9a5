"""Comma-separated values as rows of SQL types, by Flink's rules."""

from __future__ import annotations

import base64
import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv

from lesto.common.elements import Batch, ColumnarBatch, Form
from lesto.connectors.errors import SchemaMismatchError
from lesto.connectors.formats.base import (
    BadMessage,
    Decoded,
    DeserializationSchema,
    Payload,
    SerializationSchema,
)
from lesto.connectors.formats.sql_values import batch_of, empty, reader, time_texts
from lesto.sql.casts.text import to_text
from lesto.sql.types import (
    BINARY_STRING,
    CHARACTER,
    DATETIME,
    INTEGER,
    SqlType,
    TypeRoot,
)
from lesto.sql.values import EvaluationContext

_UTC: Final = EvaluationContext("UTC", 0)
#: Types that Arrow reads as Flink does.
_QUICK: Final = (
    *(CHARACTER | INTEGER | DATETIME),
    *(TypeRoot.DOUBLE, TypeRoot.FLOAT, TypeRoot.BOOLEAN, TypeRoot.DECIMAL),
)


@dataclass(frozen=True, slots=True)
class CsvOptions:
    """Flink's options of the format.

    Attributes:
        delimiter: one character between values.
        quote: around values that hold a delimiter; None: nothing is quoted.
        escape: takes the meaning of the next character; None: none does.
        null_literal: text of NULL; None: there is none (but an empty text is no number).
        array_delimiter: between the elements of an ARRAY and the fields of a ROW.
        allow_comments: lines that begin with # are left out.
        ignore_parse_errors: values that cannot be read are NULL, lines that cannot left out.
        scientific_decimals: decimals may be written with exponents.
    """

    delimiter: str = ","
    quote: str | None = '"'
    escape: str | None = None
    null_literal: str | None = None
    array_delimiter: str = ";"
    allow_comments: bool = False
    ignore_parse_errors: bool = False
    scientific_decimals: bool = True


class SqlCsvFormat(DeserializationSchema, SerializationSchema):
    """One line a message, without its end.

    Args:
        names: of the columns.
        types: of the columns.
        options: Flink's.
    """

    input_form = Form.COLUMNAR

    def __init__(
        self, names: Sequence[str], types: Sequence[SqlType], options: CsvOptions | None = None
    ) -> None:
        self.names = tuple(names)
        self.types = tuple(types)
        self.options = options or CsvOptions()
        self.skips_bad_messages = self.options.ignore_parse_errors
        arrow = [(n, k.to_arrow()) for n, k in zip(self.names, self.types, strict=True)]
        self.schema: pa.Schema = pa.schema(arrow)
        self._is_quick = (
            all(k.root in _QUICK for k in self.types)
            and not self.options.allow_comments
            and bool(arrow)
        )
        lenient = self.options.ignore_parse_errors
        self._readers = [self._reader(k, lenient=lenient) for k in self.types]

    def __reduce__(self) -> tuple[Any, ...]:
        return (type(self), (self.names, self.types, self.options))

    # ------------------------------------------------------------------------------- reading

    def decode(self, messages: Sequence[Payload]) -> Decoded:
        """Columns."""
        if self._is_quick and messages and None not in messages:
            text = b"\n".join(messages)  # type: ignore[arg-type]
            if text.count(b"\n") == len(messages) - 1:
                batch = self.decode_text(text)
                if batch is not None and batch.num_rows == len(messages):
                    return Decoded(ColumnarBatch(batch))
        return self._apart(messages)

    def decode_text(self, text: bytes) -> pa.RecordBatch | None:
        """Many lines at once; None if it has to be done line by line."""
        options = self.options
        if not self._is_quick:
            return None
        if not text.strip():
            return None if text else empty(self.schema)
        literal = options.null_literal
        try:
            table = pacsv.read_csv(
                io.BytesIO(text),
                read_options=pacsv.ReadOptions(
                    use_threads=False, block_size=len(text) + 1, column_names=list(self.names)
                ),
                parse_options=pacsv.ParseOptions(
                    delimiter=options.delimiter,
                    ignore_empty_lines=False,
                    quote_char=options.quote or False,
                    escape_char=options.escape or False,
                ),
                convert_options=pacsv.ConvertOptions(
                    column_types=self.schema,
                    null_values=[""] if literal is None else [literal],
                    strings_can_be_null=literal is not None,
                    quoted_strings_can_be_null=False,
                ),
            )
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            return None
        batches = table.combine_chunks().to_batches()
        return batches[0] if batches else empty(self.schema)

    def _apart(self, messages: Sequence[Payload]) -> Decoded:
        values: list[dict[str, Any]] = []
        bad: list[BadMessage] = []
        for index, message in enumerate(messages):
            if message is None:
                bad.append(BadMessage(index, "the message is null"))
                continue
            try:
                values.append(self._values(message.decode()))
            except (ValueError, csv.Error) as error:
                bad.append(BadMessage(index, str(error).split("\n", 1)[0]))
        return Decoded(ColumnarBatch(batch_of(values, self.schema)), bad)

    def is_comment(self, line: bytes) -> bool:
        """Whether a line is no record."""
        return self.options.allow_comments and line.startswith(b"#")

    def _values(self, line: str) -> dict[str, Any]:
        options = self.options
        rows = csv.reader(
            io.StringIO(line.rstrip("\r\n"), newline=""),
            delimiter=options.delimiter,
            quotechar=options.quote,
            quoting=csv.QUOTE_NONE if options.quote is None else csv.QUOTE_MINIMAL,
            escapechar=options.escape,
            strict=True,
        )
        found = list(rows)
        if len(found) > 1:
            msg = "more than one line"
            raise ValueError(msg)
        texts = found[0] if found else [""]
        if len(texts) != len(self.names):
            msg = f"expected {len(self.names)} columns, got {len(texts)}"
            raise ValueError(msg)
        row = {}
        for name, text, read in zip(self.names, texts, self._readers, strict=True):
            try:
                row[name] = read(text)
            except ValueError as error:
                msg = f"column '{name}': {error}"
                raise ValueError(msg) from None
        return row

    def _reader(self, kind: SqlType, *, lenient: bool) -> Callable[[str], Any]:
        literal = self.options.null_literal
        empty_is_null = not kind.is_in(CHARACTER)
        convert = self._converter(kind, lenient=lenient)

        def read(text: str) -> Any:
            if text == literal or (empty_is_null and not text):
                return None
            try:
                return convert(text)
            except ValueError:
                if lenient:
                    return None
                raise

        return read

    def _converter(self, kind: SqlType, *, lenient: bool) -> Callable[[str], Any]:
        between = self.options.array_delimiter
        if kind.root in {TypeRoot.MAP, TypeRoot.MULTISET}:
            msg = f"CSV has no values of {kind.summary()}"
            raise SchemaMismatchError(msg, remedy="use the format json")
        inners = [self._reader(c, lenient=lenient) for c in kind.children]
        if kind.root is TypeRoot.ARRAY:
            return lambda text: [inners[0](part) for part in text.split(between)]
        if kind.root is not TypeRoot.ROW:
            return reader(kind)

        def row(text: str) -> Any:
            parts = text.split(between)
            if len(parts) != len(inners):
                msg = f"{text!r:.100} has {len(parts)} fields, not {len(inners)}"
                raise ValueError(msg)
            read = zip(kind.names, inners, parts, strict=True)
            return {name: f(part) for name, f, part in read}

        return row

    # ------------------------------------------------------------------------------- writing

    def encode(self, batch: Batch) -> list[Payload]:
        """One line a row, without its end."""
        assert isinstance(batch, ColumnarBatch)
        lines: list[Payload] = self.lines(batch.data).cast(pa.binary()).to_pylist()
        return lines

    def lines(self, data: pa.RecordBatch) -> pa.Array:
        """The rows as texts."""
        if not self.types:
            return pa.array([""] * data.num_rows)
        columns = [
            self._quoted(self._texts(c, k), k)
            for c, k in zip(data.columns, self.types, strict=True)
        ]
        null = self.options.null_literal or ""
        filled = [pc.fill_null(c, null) for c in columns]
        if len(filled) == 1:
            return filled[0]
        return pc.binary_join_element_wise(*filled, self.options.delimiter)

    def _texts(self, array: pa.Array, kind: SqlType) -> pa.Array:
        if kind.is_in(CHARACTER):
            return array
        if kind.is_in(DATETIME):
            return time_texts(array, kind)
        if kind.root is TypeRoot.BOOLEAN:
            return pc.if_else(array, "true", "false")
        if kind.root is TypeRoot.DECIMAL and self.options.scientific_decimals:
            return pa.array([None if v is None else str(v) for v in array.to_pylist()], pa.string())
        if kind.is_in(BINARY_STRING):
            encoded = [None if v is None else base64.b64encode(v) for v in array.to_pylist()]
            return pa.array(encoded, pa.binary()).cast(pa.string())
        if kind.root is TypeRoot.ARRAY:
            inner = pc.fill_null(self._texts(array.flatten(), kind.element), self._null)
            return self._joined_lists(array, inner)
        if kind.root is TypeRoot.ROW:
            parts = [
                pc.fill_null(self._texts(c, k), self._null)
                for c, k in zip(array.flatten(), kind.children, strict=True)
            ]
            joined = pc.binary_join_element_wise(*parts, self.options.array_delimiter)
            return pc.if_else(array.is_valid(), joined, None)
        return to_text(array, kind, _UTC)

    @property
    def _null(self) -> str:
        return self.options.null_literal or ""

    def _joined_lists(self, array: pa.Array, texts: pa.Array) -> pa.Array:
        lengths = pc.fill_null(pc.list_value_length(array), 0)
        offsets = pa.array([0, *pc.cumulative_sum(lengths).to_pylist()], pa.int32())
        joined = pc.binary_join(
            pa.ListArray.from_arrays(offsets, texts), self.options.array_delimiter
        )
        return pc.if_else(array.is_valid(), joined, None)

    def _quoted(self, texts: pa.Array, kind: SqlType) -> pa.Array:
        """Texts in quotes where they hold what would end them, or read as NULL."""
        if not (kind.is_in(CHARACTER) or kind.children or kind.is_in(DATETIME)):
            return texts
        quote, delimiter = self.options.quote, self.options.delimiter
        special = [delimiter, "\n", "\r", *([quote] if quote else [])]
        needs = _holding(texts, special)
        if (literal := self.options.null_literal) is not None:
            same = pc.equal(texts, literal)
            needs = same if needs is None else pc.or_(needs, same)
        if needs is None or not pc.any(needs).as_py():
            return texts
        if quote is None:
            if self.options.escape is None:
                bad = texts.filter(needs)[0].as_py()
                msg = f"{bad!r:.100} needs quotes, which csv.disable-quote-character forbids"
                raise SchemaMismatchError(msg, remedy="allow quotes, or choose another delimiter")
            return _escaped(texts, special, self.options.escape)
        doubled = pc.replace_substring(texts, quote, quote * 2)
        return pc.if_else(needs, pc.binary_join_element_wise(quote, doubled, quote, ""), texts)


def _escaped(texts: pa.Array, special: Sequence[str], escape: str) -> pa.Array:
    found = pc.replace_substring(texts, escape, escape * 2)
    for text in special:
        found = pc.replace_substring(found, text, escape + text)
    return found


def _holding(texts: pa.Array, special: Sequence[str]) -> pa.Array | None:
    """Where texts hold one of some characters; None if none does, which is seen at once."""
    data = texts.buffers()[2]
    whole = b"" if data is None else data.to_pybytes()
    found = None
    for text in special:
        if text.encode() in whole:
            here = pc.match_substring(texts, text)
            found = here if found is None else pc.or_(found, here)
    return found
