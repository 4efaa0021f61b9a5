"""CSV by Flink's ``CsvSchema``: columns, separators and headers of files, read and written."""

from __future__ import annotations

import io
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv

from lesto.common.types import TypeInformation
from lesto.connectors.errors import ConnectorConfigError
from lesto.connectors.files.bulk import (
    CsvLinesEncoderFactory,
    RowDataBulkWriterFactory,
)
from lesto.connectors.files.formats import CsvFormat

_ELEMENTS: Final = ";"


def column_type(given: Any, default: pa.DataType) -> pa.DataType:
    """The Arrow type of a column: given as one, as type information, or not at all.

    Raises:
        ConnectorConfigError: it is none of them.
    """
    if given is None:
        return default
    if isinstance(given, pa.DataType):
        return given
    to_arrow = getattr(given, "to_arrow", None)
    found = to_arrow() if callable(to_arrow) else None
    if isinstance(given, TypeInformation) or found is not None:
        if found is not None:
            return found
        msg = f"{given!r} has no column"
    else:
        msg = f"a column's type is type information or an Arrow type, not {given!r}"
    raise ConnectorConfigError(msg, remedy="use Types.LONG() or pa.int64(), for example")


class CsvSchema:
    """Columns of CSV files and how their text is written; made by ``CsvSchema.builder()``."""

    def __init__(self, columns: pa.Schema, elements: dict[str, str], options: dict[str, Any]):
        self.columns = columns
        #: Separator of the elements of each array column.
        self.elements = elements
        self.options = options

    @staticmethod
    def builder() -> CsvSchemaBuilder:
        """A builder."""
        return CsvSchemaBuilder()

    def size(self) -> int:
        """Number of columns."""
        return len(self.columns)

    def __len__(self) -> int:
        return len(self.columns)

    def __repr__(self) -> str:
        return f"CsvSchema({', '.join(f'{f.name}: {f.type}' for f in self.columns)})"


class CsvSchemaBuilder:
    """Builds a :class:`CsvSchema`."""

    def __init__(self) -> None:
        self._fields: list[pa.Field] = []
        self._elements: dict[str, str] = {}
        self._default_elements = _ELEMENTS
        self._options: dict[str, Any] = {}

    def build(self) -> CsvSchema:
        """The schema."""
        lists = [f.name for f in self._fields if pa.types.is_list(f.type)]
        elements = {name: self._elements.get(name, self._default_elements) for name in lists}
        return CsvSchema(pa.schema(self._fields), elements, dict(self._options))

    def _add(self, name: str, kind: pa.DataType) -> CsvSchemaBuilder:
        self._fields.append(pa.field(name, kind))
        return self

    def add_array_column(
        self, name: str, separator: str = _ELEMENTS, element_type: Any = None
    ) -> CsvSchemaBuilder:
        """A list, its elements apart by ``separator``; of strings unless a type is given."""
        if separator != _ELEMENTS:
            self._elements[name] = separator
        return self._add(name, pa.list_(column_type(element_type, pa.string())))

    def add_boolean_column(self, name: str) -> CsvSchemaBuilder:
        """``true`` or ``false``."""
        return self._add(name, pa.bool_())

    def add_number_column(self, name: str, number_type: Any = None) -> CsvSchemaBuilder:
        """A number; of 64 bits without fraction unless a type is given."""
        return self._add(name, column_type(number_type, pa.int64()))

    def add_string_column(self, name: str) -> CsvSchemaBuilder:
        """Text."""
        return self._add(name, pa.string())

    def add_columns_from(self, schema: CsvSchema) -> CsvSchemaBuilder:
        """All columns of another schema."""
        self._fields += list(schema.columns)
        self._elements |= schema.elements
        return self

    def clear_columns(self) -> CsvSchemaBuilder:
        """No columns."""
        self._fields.clear()
        self._elements.clear()
        return self

    def _set(self, option: str, value: Any) -> CsvSchemaBuilder:
        self._options[option] = value
        return self

    def _set_char(self, option: str, char: str) -> CsvSchemaBuilder:
        if len(char) != 1:
            msg = f"{option} is one character, not {char!r}"
            raise ValueError(msg)
        return self._set(option, char)

    def set_allow_comments(self, allow: bool = True) -> CsvSchemaBuilder:
        """Lines that begin with ``#`` are no records: only False is there.

        Raises:
            ConnectorConfigError: they are not left out yet.
        """
        if allow:
            msg = "comments in CSV files are not left out"
            raise ConnectorConfigError(
                msg, remedy="remove them, or read lines with StreamFormat.text_line_format()"
            )
        return self

    def set_any_property_name(self, name: str) -> CsvSchemaBuilder:
        """For lines with more values than columns, which are bad lines here.

        Raises:
            ConnectorConfigError: always.
        """
        msg = "a CSV line has as many values as there are columns"
        raise ConnectorConfigError(msg, remedy="read lines with StreamFormat.text_line_format()")

    def disable_array_element_separator(self) -> CsvSchemaBuilder:
        """An array is its one text."""
        return self.set_array_element_separator("")

    def remove_array_element_separator(self, index: int) -> CsvSchemaBuilder:
        """The array in a column is its one text."""
        self._elements[self._fields[index].name] = ""
        return self

    def set_array_element_separator(self, separator: str) -> CsvSchemaBuilder:
        """Between elements of arrays that name none."""
        self._default_elements = separator
        return self

    def set_column_separator(self, char: str) -> CsvSchemaBuilder:
        """Between values."""
        return self._set_char("delimiter", char)

    def disable_escape_char(self) -> CsvSchemaBuilder:
        """No character takes the meaning of the next, as it is without this call."""
        return self._set("escape", False)

    def set_escape_char(self, char: str) -> CsvSchemaBuilder:
        """It takes the meaning of the next."""
        return self._set_char("escape", char)

    def set_line_separator(self, separator: str) -> CsvSchemaBuilder:
        r"""Between written lines: only ``\n`` is there.

        Raises:
            ConnectorConfigError: it is another.
        """
        if separator != "\n":
            msg = f"lines of CSV end with a line feed, not with {separator!r}"
            raise ConnectorConfigError(msg)
        return self

    def set_null_value(self, null_value: str) -> CsvSchemaBuilder:
        """The text that means null; the empty one unless set."""
        return self._set("null", null_value)

    def disable_quote_char(self) -> CsvSchemaBuilder:
        """Quotes are characters as others."""
        return self._set("quote", False)

    def set_quote_char(self, char: str) -> CsvSchemaBuilder:
        """Around values that hold separators."""
        return self._set_char("quote", char)

    def set_skip_first_data_row(self, skip: bool = True) -> CsvSchemaBuilder:
        """The first line is no record."""
        return self._set("skip", skip)

    def set_strict_headers(self, strict: bool = True) -> CsvSchemaBuilder:
        """The header must name the columns in their order."""
        return self._set("strict", strict)

    def set_use_header(self, use: bool = True) -> CsvSchemaBuilder:
        """The first line of a file names the columns."""
        return self._set("header", use)

    def size(self) -> int:
        """Number of columns."""
        return len(self._fields)

    def __len__(self) -> int:
        return len(self._fields)


class CsvReaderFormat(CsvFormat):
    """Reads CSV files by a schema; records are columns."""

    def __init__(self, schema: CsvSchema) -> None:
        options = schema.options
        super().__init__(
            schema.columns,
            header=bool(options.get("header") or options.get("skip")),
            delimiter=options.get("delimiter", ","),
            null_values=(options.get("null", ""),),
        )
        self._csv = schema

    @staticmethod
    def for_schema(schema: CsvSchema) -> CsvReaderFormat:
        """The format of a schema."""
        return CsvReaderFormat(schema)

    def check_header(self, line: bytes, path: str) -> None:
        """The header must name the columns, if it is told to."""
        if self._csv.options.get("strict"):
            super().check_header(line, path)

    def _parse_columns(self, data: bytes) -> pa.RecordBatch:
        columns, options = self._csv.columns, self._csv.options
        texts = pa.schema(
            [
                pa.field(f.name, pa.string() if f.name in self._csv.elements else f.type)
                for f in columns
            ]
        )
        if not data.strip():
            return pa.RecordBatch.from_arrays(
                [pa.array([], f.type) for f in columns], schema=columns
            )
        table = pacsv.read_csv(
            io.BytesIO(data),
            read_options=pacsv.ReadOptions(
                use_threads=False, block_size=len(data) + 1, column_names=columns.names
            ),
            parse_options=pacsv.ParseOptions(
                delimiter=self.delimiter,
                quote_char=options.get("quote", '"'),
                escape_char=options.get("escape", False),
            ),
            convert_options=pacsv.ConvertOptions(
                column_types=texts,
                null_values=list(self.null_values),
                strings_can_be_null=True,
                quoted_strings_can_be_null=False,
            ),
        ).combine_chunks()
        arrays = []
        for field in columns:
            array = table.column(field.name).combine_chunks()
            if isinstance(array, pa.ChunkedArray):
                array = pa.concat_arrays(array.chunks)
            separator = self._csv.elements.get(field.name)
            if separator is not None:
                array = _elements(array, separator, field.type)
            arrays.append(array)
        return pa.RecordBatch.from_arrays(arrays, schema=columns)


def _elements(texts: pa.Array, separator: str, kind: pa.ListType) -> pa.Array:
    """Lists of the elements in texts."""
    if separator:
        return pc.split_pattern(texts, separator).cast(kind)
    offsets = pa.array(range(len(texts) + 1), pa.int32())
    return pa.ListArray.from_arrays(offsets, texts.cast(kind.value_type), mask=texts.is_null())


class CsvBulkWriters:
    """Writers of CSV files."""

    @staticmethod
    def for_schema(schema: CsvSchema) -> RowDataBulkWriterFactory:
        """A writer of a schema's columns.

        Raises:
            ConnectorConfigError: the schema asks for what is not written.
        """
        options = schema.options
        odd = [name for name in ("escape", "quote", "null") if options.get(name)]
        if schema.elements:
            odd.append("arrays")
        if odd:
            msg = f"CSV files are written with quotes where needed, without {', '.join(odd)}"
            raise ConnectorConfigError(msg, remedy="leave it out, or write JSON Lines or Parquet")
        inner = CsvLinesEncoderFactory(
            header=bool(options.get("header")), delimiter=options.get("delimiter", ",")
        )
        return RowDataBulkWriterFactory(schema.columns, inner)
