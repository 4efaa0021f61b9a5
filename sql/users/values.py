"""Arrow columns as the Python values that users' functions see, and back.

Rows are :class:`~lesto.common.row.Row`, maps are dicts, intervals of days to seconds are
timedeltas, TIMESTAMP_LTZ is a datetime of UTC; the other types are what ``to_pylist`` gives.
"""

from __future__ import annotations

import decimal
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, timedelta
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pat

from lesto.common.row import Row, row_class
from lesto.sql.types import SqlType, TypeRoot

Convert = Callable[[Any], Any]

_PLAIN_TIMES = (TypeRoot.TIMESTAMP, TypeRoot.TIMESTAMP_LTZ)


def to_python(column: pa.Array, kind: SqlType) -> list[Any]:
    """A Python value for each row.

    >>> from lesto.sql import types as t
    >>> kind = t.ROW([("a", t.INT())])
    >>> to_python(pa.array([{"a": 1}, None], kind.to_arrow()), kind)
    [Row(a=1), None]
    """
    if pat.is_timestamp(column.type) and column.type.unit == "ns":
        column = pc.cast(column, pa.timestamp("us", column.type.tz), safe=False)
    values: list[Any] = column.to_pylist()
    read = reader(kind)
    return values if read is None else [None if v is None else read(v) for v in values]


def reader(kind: SqlType) -> Convert | None:
    """From what ``to_pylist`` gives to what users see; None where it is the same."""
    match kind.root:
        case TypeRoot.DAY_TIME:
            return lambda ms: timedelta(milliseconds=ms)
        case TypeRoot.ARRAY:
            inner = _nullable(reader(kind.element))
            return None if inner is None else lambda items: [inner(i) for i in items]
        case TypeRoot.MAP | TypeRoot.MULTISET:
            key = _nullable(reader(kind.children[0]))
            value = _nullable(reader(kind.children[-1])) if kind.root is TypeRoot.MAP else None
            return _map_reader(key, value)
        case TypeRoot.ROW:
            return _row_reader(kind)
        case _:
            return None


def _nullable(convert: Convert | None) -> Convert | None:
    if convert is None:
        return None
    return lambda value: None if value is None else convert(value)


def _map_reader(key: Convert | None, value: Convert | None) -> Convert:
    if key is None and value is None:
        return dict
    first, second = key or _same, value or _same
    return lambda pairs: {first(k): second(v) for k, v in pairs}


def _same(value: Any) -> Any:
    return value


def _row_reader(kind: SqlType) -> Convert:
    made = row_class(kind.names)
    names = kind.names
    readers = [_nullable(reader(child)) for child in kind.children]
    if not any(readers):
        return lambda fields: made(fields.values())
    steps = [r or _same for r in readers]
    return lambda fields: made(s(fields[n]) for s, n in zip(steps, names, strict=True))


def from_python(values: Sequence[Any], kind: SqlType) -> pa.Array:
    """A column of the type's Arrow type.

    Raises:
        TypeError, ValueError, pa.ArrowException: a value is not of the type.
    """
    write = writer(kind)
    if write is not None:
        values = [None if v is None else write(v) for v in values]
    return pa.array(values, kind.to_arrow())


def writer(kind: SqlType) -> Convert | None:
    """From what users return to what ``pa.array`` takes; None where it is the same."""
    match kind.root:
        case TypeRoot.DAY_TIME:
            return _milliseconds
        case TypeRoot.DECIMAL:
            return _decimal_writer(kind.scale)
        case TypeRoot.TIMESTAMP | TypeRoot.TIMESTAMP_LTZ:
            return _moment_writer(kind)
        case TypeRoot.ARRAY:
            inner = _nullable(writer(kind.element))
            return None if inner is None else lambda items: [inner(i) for i in items]
        case TypeRoot.MAP | TypeRoot.MULTISET:
            key = _nullable(writer(kind.children[0])) or _same
            last = kind.children[-1] if kind.root is TypeRoot.MAP else None
            value = (_nullable(writer(last)) if last is not None else None) or _same
            return lambda pairs: [(key(k), value(v)) for k, v in _items(pairs)]
        case TypeRoot.ROW:
            return _row_writer(kind)
        case _:
            return None


def _items(value: Any) -> Any:
    return value.items() if isinstance(value, Mapping) else value


def _milliseconds(value: Any) -> int:
    return value // timedelta(milliseconds=1) if isinstance(value, timedelta) else int(value)


def _decimal_writer(scale: int) -> Convert:
    unit = decimal.Decimal(1).scaleb(-scale)
    context = decimal.Context(prec=76, rounding=decimal.ROUND_HALF_UP)

    def write(value: Any) -> decimal.Decimal:
        number = value if isinstance(value, decimal.Decimal) else decimal.Decimal(str(value))
        return number.quantize(unit, context=context)

    return write


def _moment_writer(kind: SqlType) -> Convert:
    """Arrow refuses to drop digits of a second; SQL's TIMESTAMP(p) does so."""
    micros = 10 ** max(0, 6 - (3 if kind.precision <= 3 else 6))
    zoned = kind.root is TypeRoot.TIMESTAMP_LTZ

    def write(value: Any) -> Any:
        if getattr(value, "tzinfo", None) is not None:
            value = value.astimezone(UTC)
            value = value if zoned else value.replace(tzinfo=None)
        extra = getattr(value, "microsecond", 0) % micros
        return value if extra == 0 else value - timedelta(microseconds=extra)

    return write


def _row_writer(kind: SqlType) -> Convert:
    names = kind.names
    writers = [_nullable(writer(child)) or _same for child in kind.children]

    def write(value: Any) -> tuple[Any, ...]:
        if isinstance(value, Mapping):
            value = [value.get(n) for n in names]
        elif not isinstance(value, (Row, tuple, list)):
            value = [getattr(value, n) for n in names] if len(names) > 1 else [value]
        if len(value) != len(names):
            msg = f"a row of {len(value)} fields, and {len(names)} are declared"
            raise ValueError(msg)
        return tuple(w(v) for w, v in zip(writers, value, strict=True))

    return write
