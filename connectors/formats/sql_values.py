"""Single values of SQL types from JSON's and CSV's values, and columns as JSON's values."""

from __future__ import annotations

import base64
import binascii
import decimal
import json
from collections.abc import Callable, Sequence
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from lesto.sql import types as t
from lesto.sql.casts import parse
from lesto.sql.casts.text import entries_type
from lesto.sql.types import (
    BINARY_STRING,
    CHARACTER,
    INTEGER,
    TIMESTAMPS,
    SqlType,
    TypeRoot,
)

Convert = Callable[[Any], Any]

_BITS: Final = {
    TypeRoot.TINYINT: 8,
    TypeRoot.SMALLINT: 16,
    TypeRoot.INTEGER: 32,
    TypeRoot.BIGINT: 64,
    TypeRoot.YEAR_MONTH: 32,
    TypeRoot.DAY_TIME: 64,
}
#: Zeros that end a fraction, and the point before nothing else.
_TRAILING: Final = r"\.0+$|(\.\d*?[1-9])0+$"


class MissingFieldError(ValueError):
    """A field of an object is not there."""


def reader(kind: SqlType, *, lenient: bool = False, complete: bool = False) -> Convert:
    """A function from a JSON value to what ``pa.array`` takes for a type.

    Args:
        kind: the type.
        lenient: fields that cannot be read are NULL.
        complete: fields that are missing are errors.

    The function raises ValueError for what is no value of the type.
    """
    if kind.root is TypeRoot.ROW:
        return _row(kind, lenient=lenient, complete=complete)
    if kind.root is TypeRoot.ARRAY:
        element = _or_null(reader(kind.element, lenient=lenient, complete=complete), lenient)
        return lambda v: [element(x) for x in _of(list, v, kind)]
    if kind.root in {TypeRoot.MAP, TypeRoot.MULTISET}:
        return _map(kind, lenient=lenient, complete=complete)
    return _scalar(kind)


def _or_null(convert: Convert, lenient: bool) -> Convert:
    if not lenient:
        return lambda v: None if v is None else convert(v)

    def attempt(value: Any) -> Any:
        if value is None:
            return None
        try:
            return convert(value)
        except (ValueError, ArithmeticError):
            return None

    return attempt


def _of(wanted: type, value: Any, kind: SqlType) -> Any:
    if not isinstance(value, wanted):
        raise _no_value(value, kind)
    return value


def _no_value(value: Any, kind: SqlType) -> ValueError:
    shown = as_text(value) if not isinstance(value, str) else repr(value)
    return ValueError(f"{shown[:100]} is no {kind.with_nullable(True)}")


def _row(kind: SqlType, *, lenient: bool, complete: bool) -> Convert:
    fields = [
        (name, _or_null(reader(child, lenient=lenient, complete=complete), lenient))
        for name, child in zip(kind.names, kind.children, strict=True)
    ]

    def convert(value: Any) -> Any:
        found = {}
        row = _of(dict, value, kind)
        for name, read in fields:
            if complete and name not in row:
                msg = f"field '{name}' is missing"
                raise MissingFieldError(msg)
            try:
                found[name] = read(row.get(name))
            except MissingFieldError:
                raise
            except ValueError as error:
                msg = f"field '{name}': {error}"
                raise ValueError(msg) from None
        return found

    return convert


def _map(kind: SqlType, *, lenient: bool, complete: bool) -> Convert:
    counted = kind.root is TypeRoot.MULTISET
    key = reader(kind.children[0])
    inner = t.INT() if counted else kind.children[1]
    value = _or_null(reader(inner, lenient=lenient, complete=complete), lenient)
    return lambda v: [(key(k), value(x)) for k, x in _of(dict, v, kind).items()]


def _scalar(kind: SqlType) -> Convert:
    root = kind.root
    if root in CHARACTER:
        return as_text
    if root in BINARY_STRING:
        return lambda v: _bytes(v, kind)
    if root is TypeRoot.BOOLEAN:
        return lambda v: v if isinstance(v, bool) else as_text(v).strip().lower() == "true"
    if root in _BITS:
        bits = _BITS[root]
        return lambda v: _checked(_integer(v, bits), v, kind)
    if root in {TypeRoot.FLOAT, TypeRoot.DOUBLE}:
        return lambda v: _checked(_double(v), v, kind)
    if root is TypeRoot.DECIMAL:
        return lambda v: _checked(_decimal(v, kind), v, kind)
    if root is TypeRoot.DATE:
        return lambda v: _checked(parse.read_date(as_text(v)), v, kind)
    if root is TypeRoot.TIME:
        return lambda v: _checked(parse.read_time(as_text(v).removesuffix("Z")), v, kind)
    if root in TIMESTAMPS:
        plain = t.TIMESTAMP(kind.precision)
        return lambda v: _checked(
            parse.read_timestamp(as_text(v).removesuffix("Z").replace("T", " ", 1), plain), v, kind
        )
    if root is TypeRoot.NULL:
        return lambda _v: None
    msg = f"no values of {kind.summary()} are read"
    raise TypeError(msg)


def _checked(found: Any, value: Any, kind: SqlType) -> Any:
    if found is None:
        raise _no_value(value, kind)
    return found


def _integer(value: Any, bits: int) -> int | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, (float, decimal.Decimal)):
        value = int(value)
    if isinstance(value, int):
        return value if -(1 << (bits - 1)) <= value < 1 << (bits - 1) else None
    return parse.read_integer(as_text(value).strip(), bits)


def _double(value: Any) -> float | None:
    if isinstance(value, (int, float, decimal.Decimal)) and not isinstance(value, bool):
        return float(value)
    return parse.read_double(as_text(value).strip())


def _decimal(value: Any, kind: SqlType) -> decimal.Decimal | None:
    if isinstance(value, bool):
        return None
    text = repr(value) if isinstance(value, float) else as_text(value).strip()
    return parse.read_decimal(text, kind.precision, kind.scale)


def _bytes(value: Any, kind: SqlType) -> bytes:
    try:
        return base64.b64decode(as_text(value), validate=True)
    except binascii.Error:
        raise _no_value(value, kind) from None


def as_text(value: Any) -> str:
    """A JSON value as text: strings as they are, the others in JSON."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (dict, list)):
        return json.dumps(value, separators=(",", ":"), ensure_ascii=False, default=str)
    return str(value)


# ---------------------------------------------------------------------------------- writing


def time_texts(array: pa.Array, kind: SqlType, *, iso: bool = False) -> pa.Array:
    """Dates and times as Flink's formats write them: fractions without trailing zeros.

    Args:
        array: of the type.
        kind: DATE, TIME, TIMESTAMP or TIMESTAMP_LTZ (written in UTC, with a Z).
        iso: a T between date and time.
    """
    # A cast writes what strftime does, thirty times as quickly.
    if kind.root is TypeRoot.DATE:
        return pc.cast(array, pa.string())
    if kind.root is TypeRoot.TIMESTAMP_LTZ:
        array = pc.cast(array, pa.timestamp(array.type.unit))
    found = pc.replace_substring_regex(pc.cast(array, pa.string()), _TRAILING, r"\1")
    if iso and kind.root is not TypeRoot.TIME:
        found = pc.replace_substring(found, " ", "T", max_replacements=1)
    if kind.root is TypeRoot.TIMESTAMP_LTZ:
        return pc.binary_join_element_wise(found, "Z", "")
    return found


def json_values(array: pa.Array, kind: SqlType, *, iso: bool = False) -> list[Any]:
    """Values as JSON encoders take them."""
    if kind.root in TIMESTAMPS or kind.root in {TypeRoot.DATE, TypeRoot.TIME}:
        found: list[Any] = time_texts(array, kind, iso=iso).to_pylist()
        return found
    match kind.root:
        case TypeRoot.ROW:
            return _objects(array, kind, iso=iso)
        case TypeRoot.ARRAY:
            inner = json_values(array.flatten(), kind.element, iso=iso)
            return _per_list(array, lambda a, b: inner[a:b])
        case TypeRoot.MAP | TypeRoot.MULTISET:
            return _dicts(array, kind, iso=iso)
    found = array.to_pylist()
    return found


def _objects(array: pa.Array, kind: SqlType, *, iso: bool) -> list[Any]:
    columns = [
        json_values(column, child, iso=iso)
        for column, child in zip(array.flatten(), kind.children, strict=True)
    ]
    rows = zip(*columns, strict=True) if columns else iter([()] * len(array))
    names = kind.names
    valid = array.is_valid().to_pylist()
    return [
        dict(zip(names, row, strict=True)) if there else None
        for row, there in zip(rows, valid, strict=True)
    ]


def _dicts(array: pa.Array, kind: SqlType, *, iso: bool) -> list[Any]:
    lists = pc.cast(array, entries_type(array.type))
    entries = lists.flatten()
    inner = t.INT() if kind.root is TypeRoot.MULTISET else kind.children[1]
    keys = [as_text(k) for k in json_values(entries.field(0), kind.children[0], iso=iso)]
    values = json_values(entries.field(1), inner, iso=iso)
    return _per_list(lists, lambda a, b: dict(zip(keys[a:b], values[a:b], strict=True)))


def _per_list(array: pa.Array, make: Callable[[int, int], Any]) -> list[Any]:
    found: list[Any] = []
    at = 0
    for length in pc.list_value_length(array).to_pylist():
        found.append(None if length is None else make(at, at + length))
        at += length or 0
    return found


def is_integer(kind: SqlType) -> bool:
    """Whether values are integers of JSON."""
    return kind.root in INTEGER


def empty(schema: pa.Schema) -> pa.RecordBatch:
    """No rows."""
    return pa.RecordBatch.from_arrays([pa.array([], f.type) for f in schema], schema=schema)


def batch_of(values: Sequence[dict[str, Any]], schema: pa.Schema) -> pa.RecordBatch:
    """Rows that readers made as columns."""
    arrays = [pa.array([v[f.name] for v in values], f.type) for f in schema]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)
