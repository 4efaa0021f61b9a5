"""Any value as text, as Flink's CAST to STRING writes it."""

from __future__ import annotations

import decimal
import math
from collections.abc import Callable, Iterable
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lesto.sql import dates, zones
from lesto.sql import types as t
from lesto.sql.types import SqlType, TypeRoot
from lesto.sql.values import EvaluationContext, ints

_DAY: Final = 86_400_000


def java_double(number: float) -> str:
    """A double as Java prints it.

    >>> java_double(0.1), java_double(1e7), java_double(12345678.9), java_double(-1.5e-5)
    ('0.1', '1.0E7', '1.23456789E7', '-1.5E-5')
    """
    return _java_number(number, repr(number))


def java_float(number: float) -> str:
    """A float of 4 bytes as Java prints it."""
    return _java_number(number, str(np.float32(number)))


def _java_number(number: float, shortest: str) -> str:
    if not math.isfinite(number):
        return "NaN" if math.isnan(number) else "Infinity" if number > 0 else "-Infinity"
    if number == 0 or 1e-3 <= abs(number) < 1e7:
        text = shortest
        if "e" in text:
            text = format(decimal.Decimal(shortest), "f")
        return text if "." in text else text + ".0"
    sign, digits, _ = decimal.Decimal(shortest).as_tuple()
    exponent = decimal.Decimal(shortest).adjusted()
    rest = "".join(map(str, digits[1:])).rstrip("0") or "0"
    return f"{'-' if sign else ''}{digits[0]}.{rest}E{exponent}"


def plain_decimal(number: decimal.Decimal) -> str:
    """A decimal without an exponent."""
    return format(number, "f")


def to_text(array: pa.Array, kind: SqlType, context: EvaluationContext) -> pa.Array:
    """Strings; NULL stays NULL.

    Args:
        array: values of the type.
        kind: their type.
        context: its time zone is the one in which instants are written.
    """
    return _CONVERT[kind.root](array, kind, context)


def _same(array: pa.Array, _kind: SqlType, _context: EvaluationContext) -> pa.Array:
    return array


def _integer(array: pa.Array, _kind: SqlType, _context: EvaluationContext) -> pa.Array:
    return pc.cast(array, pa.string())


def _boolean(array: pa.Array, _kind: SqlType, _context: EvaluationContext) -> pa.Array:
    return pc.if_else(array, "TRUE", "FALSE")


def _approximate(array: pa.Array, kind: SqlType, _context: EvaluationContext) -> pa.Array:
    render = java_float if kind.root is TypeRoot.FLOAT else java_double
    encoded = array.dictionary_encode()
    texts = [render(x) for x in encoded.dictionary.to_pylist()]
    return pa.array(texts, pa.string()).take(encoded.indices)


def _decimal(array: pa.Array, _kind: SqlType, _context: EvaluationContext) -> pa.Array:
    text = pc.cast(array, pa.string())
    if pc.any(pc.match_substring(text, "E")).as_py():
        return pa.array([None if x is None else plain_decimal(x) for x in array.to_pylist()])
    return text


def _binary(array: pa.Array, _kind: SqlType, _context: EvaluationContext) -> pa.Array:
    try:
        return pc.cast(array, pa.string())
    except pa.ArrowInvalid:
        # Java replaces what is no UTF-8.
        values = array.to_pylist()
        return pa.array([None if x is None else x.decode("utf-8", "replace") for x in values])


def _masked(text: pa.Array, like: pa.Array) -> pa.Array:
    if like.null_count == 0:
        return text
    return pc.if_else(pc.is_null(like), pa.scalar(None, pa.string()), text)


def _date(array: pa.Array, _kind: SqlType, _context: EvaluationContext) -> pa.Array:
    return _masked(dates.date_text(_known(array)), array)


def _known(array: pa.Array) -> dates.Ints:
    """Integers, 0 where NULL, so that what lies below a NULL cannot stretch their range."""
    numbers = ints(array)
    if array.null_count:
        numbers = np.where(np.asarray(pc.is_null(array)), 0, numbers)
    return numbers


def _time(array: pa.Array, kind: SqlType, _context: EvaluationContext) -> pa.Array:
    return _masked(dates.time_text(_known(array), "ms", kind.precision), array)


def _timestamp(array: pa.Array, kind: SqlType, _context: EvaluationContext) -> pa.Array:
    days, ticks = dates.fields_of(_known(array), array.type.unit)
    day = dates.date_text(days)
    time = dates.time_text(ticks, array.type.unit, kind.precision)
    return _masked(pc.binary_join_element_wise(day, time, " "), array)


def _instant(array: pa.Array, kind: SqlType, context: EvaluationContext) -> pa.Array:
    return _timestamp(zones.to_local(array, context.time_zone), kind, context)


def _year_month(array: pa.Array, _kind: SqlType, _context: EvaluationContext) -> pa.Array:
    return pa.array([None if m is None else months_text(m) for m in array.to_pylist()], pa.string())


def months_text(months: int) -> str:
    """An interval of months as Flink writes it.

    >>> months_text(14), months_text(-1)
    ('+1-02', '-0-01')
    """
    years, rest = divmod(abs(months), 12)
    return f"{'-' if months < 0 else '+'}{years}-{rest:02}"


def _day_time(array: pa.Array, _kind: SqlType, _context: EvaluationContext) -> pa.Array:
    return pa.array([None if m is None else millis_text(m) for m in array.to_pylist()], pa.string())


def millis_text(millis: int) -> str:
    """An interval of milliseconds as Flink writes it.

    >>> millis_text(90_061_001), millis_text(-1000)
    ('+1 01:01:01.001', '-0 00:00:01.000')
    """
    days, rest = divmod(abs(millis), _DAY)
    seconds, fraction = divmod(rest, 1000)
    clock = f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}.{fraction:03}"
    return f"{'-' if millis < 0 else '+'}{days} {clock}"


def _null(array: pa.Array, _kind: SqlType, _context: EvaluationContext) -> pa.Array:
    return pa.nulls(len(array), pa.string())


def _joined(values: Iterable[str | None]) -> str:
    return ", ".join("NULL" if v is None else v for v in values)


def _array(array: pa.Array, kind: SqlType, context: EvaluationContext) -> pa.Array:
    texts = to_text(array.flatten(), kind.element, context).to_pylist()
    return _per_list(array, lambda a, b: f"[{_joined(texts[a:b])}]")


def _per_list(array: pa.Array, render: Callable[[int, int], str]) -> pa.Array:
    """Texts by the range of each row's elements among the flattened ones."""
    lengths = pc.list_value_length(array).to_pylist()
    found: list[str | None] = []
    at = 0
    for length in lengths:
        found.append(None if length is None else render(at, at + length))
        at += length or 0
    return pa.array(found, pa.string())


def _map(array: pa.Array, kind: SqlType, context: EvaluationContext) -> pa.Array:
    counts = t.INT() if kind.root is TypeRoot.MULTISET else kind.children[1]
    entries = pc.cast(array, entries_type(array.type)).flatten()
    keys = to_text(entries.field(0), kind.children[0], context).to_pylist()
    values = to_text(entries.field(1), counts, context).to_pylist()
    pairs = [f"{_joined([k])}={_joined([v])}" for k, v in zip(keys, values, strict=True)]
    lists = pc.cast(array, entries_type(array.type))
    return _per_list(lists, lambda a, b: "{" + ", ".join(pairs[a:b]) + "}")


def entries_type(kind: pa.MapType) -> pa.DataType:
    """The list of key and value that a map is underneath."""
    key = pa.field("key", kind.key_type, nullable=False)
    return pa.list_(pa.struct([key, pa.field("value", kind.item_type)]))


def _row(array: pa.Array, kind: SqlType, context: EvaluationContext) -> pa.Array:
    columns: list[Any] = [
        pc.fill_null(to_text(column, child, context), "NULL")
        for column, child in zip(array.flatten(), kind.children, strict=True)
    ]
    if not columns:
        inside: Any = pa.repeat("", len(array))
    else:
        inside = pc.binary_join_element_wise(*columns, ", ")
    return _masked(pc.binary_join_element_wise("(", inside, ")", ""), array)


_CONVERT: Final[dict[TypeRoot, Callable[[pa.Array, SqlType, EvaluationContext], pa.Array]]] = {
    TypeRoot.CHAR: _same,
    TypeRoot.VARCHAR: _same,
    TypeRoot.BOOLEAN: _boolean,
    TypeRoot.BINARY: _binary,
    TypeRoot.VARBINARY: _binary,
    TypeRoot.DECIMAL: _decimal,
    TypeRoot.TINYINT: _integer,
    TypeRoot.SMALLINT: _integer,
    TypeRoot.INTEGER: _integer,
    TypeRoot.BIGINT: _integer,
    TypeRoot.FLOAT: _approximate,
    TypeRoot.DOUBLE: _approximate,
    TypeRoot.DATE: _date,
    TypeRoot.TIME: _time,
    TypeRoot.TIMESTAMP: _timestamp,
    TypeRoot.TIMESTAMP_LTZ: _instant,
    TypeRoot.YEAR_MONTH: _year_month,
    TypeRoot.DAY_TIME: _day_time,
    TypeRoot.ARRAY: _array,
    TypeRoot.MAP: _map,
    TypeRoot.MULTISET: _map,
    TypeRoot.ROW: _row,
    TypeRoot.NULL: _null,
}
