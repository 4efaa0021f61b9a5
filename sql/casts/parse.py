"""Text as values of other types, as Flink's CAST from STRING reads it."""

from __future__ import annotations

import datetime as dt
import decimal
import re
from collections.abc import Callable
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lesto.sql import dates
from lesto.sql.types import INTEGER, SqlType, TypeRoot
from lesto.sql.values import from_physical, physical

_EPOCH_ORDINAL: Final = dt.date(1970, 1, 1).toordinal()
_INTEGER: Final = re.compile(r"([+-]?\d+)(?:\.\d*)?$|([+-]?)\.\d*$")
_DOUBLE: Final = re.compile(r"[+-]?(?:(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?|NaN|Infinity)[dDfF]?$")
_DECIMAL: Final = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?$")
_DATE: Final = re.compile(r"\s*(\d{1,9})\s*(?:-\s*(\d{1,2})\s*(?:-\s*(\d{1,2})\s*)?)?$")
_TIME: Final = re.compile(
    r"\s*(\d{1,2})\s*(?::\s*(\d{1,2})\s*(?::\s*(\d{1,2})\s*(?:\.(\d*)\s*)?)?)?$"
)
_TIMESTAMP: Final = re.compile(
    r"(\d{4,9})-(\d{1,2})-(\d{1,2})(?: (\d{1,2}):(\d{1,2}):(\d{1,2})(?:\.(\d{0,9}))?)?$"
)
_TRUE: Final = frozenset({"t", "true", "y", "yes", "1"})
_FALSE: Final = frozenset({"f", "false", "n", "no", "0"})
_BITS: Final = {
    TypeRoot.TINYINT: 8,
    TypeRoot.SMALLINT: 16,
    TypeRoot.INTEGER: 32,
    TypeRoot.BIGINT: 64,
}
#: Lengths of ``yyyy-MM-dd HH:mm:ss`` and of its forms with milliseconds and microseconds.
_WIDTHS: Final = {19: 0, 23: 3, 26: 6}


def from_text(array: pa.Array, kind: SqlType) -> tuple[pa.Array, pa.Array | None]:
    """Values, and which rows could not be read (None if all could).

    Instants are given as local times, without a zone: who calls knows the session's.
    """
    fast = _fast(array, kind)
    if fast is not None:
        return fast, None
    read = _reader(kind)
    target = _local(kind)
    encoded = array.dictionary_encode()
    values: list[Any] = []
    bad: list[bool] = []
    for text in encoded.dictionary.to_pylist():
        value = read(text)
        bad.append(value is None)
        values.append(value)
    found = from_physical(pa.array(values, physical(target)), target).take(encoded.indices)
    if not any(bad):
        return found, None
    return found, pc.fill_null(pa.array(bad).take(encoded.indices), False)


def _local(kind: SqlType) -> pa.DataType:
    arrow = kind.to_arrow()
    return pa.timestamp(arrow.unit) if kind.root is TypeRoot.TIMESTAMP_LTZ else arrow


def _fast(array: pa.Array, kind: SqlType) -> pa.Array | None:
    """Columns of ordinary text without Python a value; None if there is anything else."""
    if len(array) < 8:
        return None
    if kind.is_in(INTEGER) or kind.root is TypeRoot.DOUBLE:
        try:
            # Arrow's own reader takes a subset of Java's: digits with a sign, plain fractions.
            return pc.cast(array, kind.to_arrow())
        except pa.ArrowInvalid:
            return None
    if array.null_count:
        return None
    if kind.root is TypeRoot.DATE:
        block = dates.digit_columns(array, 10)
        found = None if block is None else _days(block)
        return None if found is None else pa.array(found.astype(np.int32)).view(pa.date32())
    if kind.root in {TypeRoot.TIMESTAMP, TypeRoot.TIMESTAMP_LTZ}:
        return _fast_timestamps(array, kind)
    return None


def _days(block: Any) -> dates.Ints | None:
    year, a = dates.number_at(block, 0, 4)
    month, b = dates.number_at(block, 5, 2)
    day, c = dates.number_at(block, 8, 2)
    good = a & b & c & (block[:, 4] == 45) & (block[:, 7] == 45) & (month >= 1) & (month <= 12)
    if not good.all() or (day < 1).any() or (day > dates.month_length(year, month)).any():
        return None
    return dates.days_of(year, month, day)


def _fast_timestamps(array: pa.Array, kind: SqlType) -> pa.Array | None:
    width = len(array[0].as_py())
    digits = _WIDTHS.get(width)
    block = None if digits is None else dates.digit_columns(array, width)
    if block is None or digits is None:
        return None
    days = _days(block)
    hour, a = dates.number_at(block, 11, 2)
    minute, b = dates.number_at(block, 14, 2)
    second, c = dates.number_at(block, 17, 2)
    good = a & b & c & (hour < 24) & (minute < 60) & (second < 60)
    good &= (block[:, 10] == 32) & (block[:, 13] == 58) & (block[:, 16] == 58)
    fraction = np.zeros(len(array), np.int64)
    if digits:
        fraction, d = dates.number_at(block, 20, digits)
        good &= d & (block[:, 19] == 46)
    if days is None or not good.all():
        return None
    fraction *= 10 ** (9 - digits)
    seconds = days * 86_400 + hour * 3600 + minute * 60 + second
    return _ticks(seconds, fraction, kind)


def _ticks(seconds: dates.Ints, nanos: dates.Ints, kind: SqlType) -> pa.Array:
    target = _local(kind)
    per_second = dates.TICKS[target.unit]
    kept = 10 ** (9 - kind.precision)
    nanos = nanos // kept * kept
    return pa.array(seconds * per_second + nanos // (1_000_000_000 // per_second)).view(target)


def _reader(kind: SqlType) -> Callable[[str], Any]:
    match kind.root:
        case TypeRoot.BOOLEAN:
            return read_boolean
        case TypeRoot.DECIMAL:
            return lambda text: read_decimal(text, kind.precision, kind.scale)
        case TypeRoot.FLOAT | TypeRoot.DOUBLE:
            return read_double
        case TypeRoot.DATE:
            return read_date
        case TypeRoot.TIME:
            return read_time
        case TypeRoot.TIMESTAMP | TypeRoot.TIMESTAMP_LTZ:
            return lambda text: read_timestamp(text, kind)
        case TypeRoot.BINARY | TypeRoot.VARBINARY:
            return lambda text: text.encode()
        case root:
            bits = _BITS[root]
            return lambda text: read_integer(text, bits)


def read_integer(text: str, bits: int) -> int | None:
    """An integer; digits behind a point are dropped.

    >>> read_integer(" -12.9 ", 8), read_integer("128", 8), read_integer("1e2", 32)
    (-12, None, None)
    """
    match = _INTEGER.match(text.strip(" "))
    if match is None or text.strip(" ") in {".", "+.", "-."}:
        return None
    number = int(match[1]) if match[1] else 0
    return number if -(1 << bits - 1) <= number < 1 << bits - 1 else None


def read_double(text: str) -> float | None:
    """A floating point number as Java reads it."""
    stripped = text.strip()
    if _DOUBLE.match(stripped) is None:
        return None
    return float(stripped if stripped[-1] not in "dDfF" else stripped[:-1])


def read_decimal(text: str, precision: int, scale: int) -> decimal.Decimal | None:
    """A decimal, rounded half up; None too if it then has too many digits."""
    stripped = text.strip(" ")
    if _DECIMAL.match(stripped) is None:
        return None
    return fit_decimal(decimal.Decimal(stripped), precision, scale)


_WIDE: Final = decimal.Context(
    prec=400, rounding=decimal.ROUND_HALF_UP, Emax=999_999, Emin=-999_999
)


def fit_decimal(number: decimal.Decimal, precision: int, scale: int) -> decimal.Decimal | None:
    """Rounded half up to a scale; None if it then has more digits than the precision.

    >>> fit_decimal(decimal.Decimal("2.345"), 3, 2), fit_decimal(decimal.Decimal("99.995"), 4, 2)
    (Decimal('2.35'), None)
    """
    if number.adjusted() > 100:
        return None
    found = number.quantize(decimal.Decimal(1).scaleb(-scale), context=_WIDE)
    return None if found and found.adjusted() + 1 + scale > precision else found


def read_boolean(text: str) -> bool | None:
    """t, true, y, yes, 1 and their opposites, in any case."""
    word = text.strip(" ").lower()
    return True if word in _TRUE else False if word in _FALSE else None


def read_date(text: str) -> int | None:
    """Days since 1970 of ``yyyy-MM-dd``; a time behind it is left out, a missing part is 1."""
    blank = text.find(" ")
    match = _DATE.match(text[:blank] if blank > 0 else text)
    if match is None:
        return None
    return days_or_none(int(match[1]), int(match[2] or 1), int(match[3] or 1))


def days_or_none(year: int, month: int, day: int) -> int | None:
    """Days since 1970, if there is such a date between the years 1 and 9999."""
    try:
        return dt.date(year, month, day).toordinal() - _EPOCH_ORDINAL
    except ValueError:
        return None


def read_time(text: str) -> int | None:
    """Milliseconds of ``HH:mm:ss.SSS``."""
    match = _TIME.match(text)
    if match is None:
        return None
    hour, minute, second = int(match[1]), int(match[2] or 0), int(match[3] or 0)
    if hour > 23 or minute > 59 or second > 59:
        return None
    return ((hour * 60 + minute) * 60 + second) * 1000 + int(f"{match[4] or '':0<3}"[:3])


def read_timestamp(text: str, kind: SqlType) -> int | None:
    """Ticks since 1970 of ``yyyy-MM-dd`` and perhaps `` HH:mm:ss.SSSSSSSSS``."""
    match = _TIMESTAMP.match(text)
    if match is None:
        return None
    days = days_or_none(int(match[1]), int(match[2]), int(match[3]))
    hour, minute, second = (int(match[i] or 0) for i in (4, 5, 6))
    if days is None or hour > 23 or minute > 59 or second > 59:
        return None
    nanos = int(f"{match[7] or '':0<9}")
    nanos -= nanos % 10 ** (9 - kind.precision)
    per_second: int = dates.TICKS[kind.to_arrow().unit]
    seconds = ((days * 24 + hour) * 60 + minute) * 60 + second
    ticks: int = seconds * per_second + nanos // (1_000_000_000 // per_second)
    return ticks
