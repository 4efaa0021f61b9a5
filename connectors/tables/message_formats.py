"""The formats ``json``, ``csv``, ``raw`` and ``parquet`` with Flink's options."""

from __future__ import annotations

import codecs
import enum
from collections.abc import Sequence
from typing import Final

from lesto.common.option_types import ConfigOption
from lesto.connectors.errors import UnsupportedTableUseError
from lesto.connectors.files.parquet_tables import COMPRESSIONS
from lesto.connectors.formats.sql_csv import CsvOptions, SqlCsvFormat
from lesto.connectors.formats.sql_json import JsonOptions, SqlJsonFormat
from lesto.connectors.formats.sql_raw import SqlRawFormat
from lesto.connectors.tables.formats import TableFormat
from lesto.connectors.tables.options import Described, TableOptions
from lesto.connectors.tables.requests import TableField

# ------------------------------------------------------------------------------------- json


class TimestampStandard(enum.Enum):
    """How timestamps are written."""

    SQL = "SQL"
    ISO = "ISO-8601"


class NullKeyMode(enum.Enum):
    """What is done with NULL keys of maps, which there are none of."""

    FAIL = "FAIL"
    DROP = "DROP"
    LITERAL = "LITERAL"


MISSING: Final = ConfigOption(
    "fail-on-missing-field", bool, False, "An object without a column's field is bad."
)
IGNORE: Final = ConfigOption(
    "ignore-parse-errors", bool, False, "Fields that cannot be read are NULL, not failures."
)
STANDARD: Final = ConfigOption(
    "timestamp-format.standard",
    TimestampStandard,
    TimestampStandard.SQL,
    "Timestamps are written with a blank (SQL) or a T (ISO-8601); both are read.",
)
NULL_KEY: Final = ConfigOption(
    "map-null-key.mode", NullKeyMode, NullKeyMode.FAIL, "Accepted: keys of maps are never NULL."
)
NULL_KEY_LITERAL: Final = ConfigOption(
    "map-null-key.literal", str, "null", "Accepted: keys of maps are never NULL."
)
PLAIN_DECIMALS: Final = ConfigOption(
    "encode.decimal-as-plain-number", bool, False, "Decimals are written without exponents."
)
NO_NULLS: Final = ConfigOption(
    "encode.ignore-null-fields", bool, False, "Fields that are NULL are not written."
)
PARSER: Final = ConfigOption(
    "decode.json-parser.enabled", bool, True, "Accepted: there is one way."
)
JSON_OPTIONS: Final = (
    *(MISSING, IGNORE, STANDARD, NULL_KEY, NULL_KEY_LITERAL, PLAIN_DECIMALS, NO_NULLS, PARSER),
)


def json_options(options: TableOptions) -> JsonOptions:
    """The options of JSON.

    Raises:
        InvalidTableOptionError: two that exclude each other.
    """
    if options.of(MISSING) and options.of(IGNORE):
        raise options.refuse(
            IGNORE, "it excludes fail-on-missing-field", "leave one of the two out"
        )
    return JsonOptions(
        fail_on_missing_field=options.of(MISSING),
        ignore_parse_errors=options.of(IGNORE),
        iso_timestamps=options.of(STANDARD) is TimestampStandard.ISO,
        plain_decimals=options.of(PLAIN_DECIMALS),
        ignore_null_fields=options.of(NO_NULLS),
    )


def _json(options: TableOptions, columns: Sequence[TableField], _zone: str) -> SqlJsonFormat:
    names, types = [c.name for c in columns], [c.type for c in columns]
    return SqlJsonFormat(names, types, json_options(options))


def _check_json(options: TableOptions, _columns: Sequence[TableField]) -> None:
    json_options(options)


# -------------------------------------------------------------------------------------- csv

DELIMITER: Final = ConfigOption("field-delimiter", str, ",", "One character between values.")
NO_QUOTES: Final = ConfigOption("disable-quote-character", bool, False, "Nothing is quoted.")
QUOTE: Final = ConfigOption(
    "quote-character", str, '"', "Around values that hold a delimiter: one character."
)
COMMENTS: Final = ConfigOption(
    "allow-comments", bool, False, "Lines that begin with # are skipped."
)
BETWEEN: Final = ConfigOption(
    "array-element-delimiter", str, ";", "Between elements of arrays and fields of rows."
)
ESCAPE: Final = ConfigOption(
    "escape-character", str, None, "Takes the meaning of the next character; one character."
)
NULL: Final = ConfigOption(
    "null-literal", str, None, "Text of NULL; unset: an empty text is NULL unless it is a STRING."
)
SCIENTIFIC: Final = ConfigOption(
    "write-bigdecimal-in-scientific-notation",
    bool,
    True,
    "Decimals may be written with exponents.",
)
CSV_OPTIONS: Final = (
    *(DELIMITER, NO_QUOTES, QUOTE, COMMENTS, IGNORE, BETWEEN, ESCAPE, NULL, SCIENTIFIC),
)


def csv_options(options: TableOptions) -> CsvOptions:
    """The options of CSV.

    Raises:
        InvalidTableOptionError: a character that is not one.
    """
    delimiter = options.of(DELIMITER)
    if "\\" in delimiter and len(delimiter) > 1:
        delimiter = codecs.decode(delimiter, "unicode_escape")
    for option, text in ((DELIMITER, delimiter), (QUOTE, options.of(QUOTE))):
        if len(text) != 1:
            raise options.refuse(option, "it is one character", "give one character")
    escape = options.of(ESCAPE)
    if escape is not None and len(escape) != 1:
        raise options.refuse(ESCAPE, "it is one character", "give one character")
    if options.of(NO_QUOTES) and options.has(QUOTE):
        raise options.refuse(QUOTE, "disable-quote-character is true", "leave one of the two out")
    return CsvOptions(
        delimiter=delimiter,
        quote=None if options.of(NO_QUOTES) else options.of(QUOTE),
        escape=escape,
        null_literal=options.of(NULL),
        array_delimiter=options.of(BETWEEN),
        allow_comments=options.of(COMMENTS),
        ignore_parse_errors=options.of(IGNORE),
        scientific_decimals=options.of(SCIENTIFIC),
    )


def _csv(options: TableOptions, columns: Sequence[TableField], _zone: str) -> SqlCsvFormat:
    names, types = [c.name for c in columns], [c.type for c in columns]
    return SqlCsvFormat(names, types, csv_options(options))


def _check_csv(options: TableOptions, columns: Sequence[TableField]) -> None:
    csv_options(options)
    _csv(options, columns, "UTC")


# -------------------------------------------------------------------------------------- raw


class Endianness(enum.Enum):
    """Order of a number's bytes."""

    BIG = "big-endian"
    LITTLE = "little-endian"


CHARSET: Final = ConfigOption("charset", str, "UTF-8", "Encoding of texts.")
ENDIANNESS: Final = ConfigOption(
    "endianness", Endianness, Endianness.BIG, "Order of the bytes of numbers."
)


def _raw(options: TableOptions, columns: Sequence[TableField], _zone: str) -> SqlRawFormat:
    big = options.of(ENDIANNESS) is Endianness.BIG
    if len(columns) != 1:
        names = ", ".join(c.name for c in columns) or "none"
        msg = f"table {options.table or '?'}: a raw message is one column, not {names}"
        raise UnsupportedTableUseError(msg, remedy="leave one column, or use the format json")
    column = columns[0]
    return SqlRawFormat(column.name, column.type, options.of(CHARSET), big_endian=big)


def _check_raw(options: TableOptions, columns: Sequence[TableField]) -> None:
    try:
        codecs.lookup(options.of(CHARSET))
    except LookupError:
        raise options.refuse(CHARSET, "there is no such encoding", "UTF-8 is usual") from None
    if columns and len(columns) == 1 and not SqlRawFormat.takes(columns[0].type):
        msg = f"table {options.table or '?'}: a raw message is no {columns[0].type.summary()}"
        raise UnsupportedTableUseError(
            msg, remedy="use STRING, BYTES, BOOLEAN or a number of fixed size"
        )


# ---------------------------------------------------------------------------------- parquet

COMPRESSION: Final = ConfigOption(
    "compression", str, "snappy", "Of written files.", choices=tuple(COMPRESSIONS)
)
UTC: Final = ConfigOption("utc-timezone", bool, False, "Accepted: timestamps are as they are.")


FORMATS: Final[dict[str, TableFormat]] = {
    "json": TableFormat(
        Described("json", "A JSON object a row.", optional=JSON_OPTIONS),
        _json,
        _json,
        lines=True,
        check=_check_json,
    ),
    "csv": TableFormat(
        Described("csv", "Comma-separated values.", optional=CSV_OPTIONS),
        _csv,
        _csv,
        lines=True,
        check=_check_csv,
    ),
    "raw": TableFormat(
        Described("raw", "The value of one column.", optional=(CHARSET, ENDIANNESS)),
        _raw,
        _raw,
        lines=True,
        check=_check_raw,
    ),
    "parquet": TableFormat(
        Described("parquet", "Parquet files.", optional=(COMPRESSION, UTC)), bulk=True
    ),
}
