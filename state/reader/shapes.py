"""Python values as Arrow columns and back, exactly.

State is encoded by the values' own types, so the columns' types are found by looking at all values
(:class:`Census`). What Arrow has no name for is said in the fields' metadata (``lesto.python``): a
struct may be a tuple or a row, a list may be a set. Values of several types in one place become a
struct with one field a type, of which one is set. With the metadata the very same values are made
again (:mod:`lesto.state.reader.columns`).
"""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final, Protocol
from zoneinfo import ZoneInfo

import pyarrow as pa

from lesto.common.row import Row
from lesto.state.codec import Opaque

KIND: Final = b"lesto.python"
#: Values nested deeper than this are shown as encoded bytes.
DEPTH_MAX: Final = 16
#: Whole numbers up to this are exact as float64.
EXACT_FLOAT: Final = 1 << 53
_DIGITS_128: Final = 38
_DIGITS_256: Final = 76
#: Whole numbers of so many bits have at most so many digits.
_BITS_128: Final = 126
_BITS_256: Final = 252
_MICROSECOND: Final = dt.timedelta(microseconds=1)
_INT64: Final = 1 << 63


@dataclass(frozen=True, slots=True)
class Shape:
    """How values of one place lie in Arrow.

    Attributes:
        kind: what they are in Python.
        type: the Arrow type.
        names: field names of a row, families of a variant.
        children: shapes of the parts.
    """

    kind: str
    type: pa.DataType
    children: tuple[Shape, ...] = ()
    names: tuple[str, ...] = ()

    def field(self, name: str) -> pa.Field:
        """A column or field of this shape."""
        return pa.field(name, self.type, metadata={KIND: self.kind.encode()})


NULL: Final = Shape("null", pa.null())
ENCODED: Final = Shape("encoded", pa.binary())
_PLAIN: Final = {
    "bool": Shape("bool", pa.bool_()),
    "float": Shape("float", pa.float64()),
    "bytes": Shape("bytes", pa.binary()),
    "bytearray": Shape("bytearray", pa.binary()),
    "pickle": Shape("pickle", pa.binary()),
    "date": Shape("date", pa.date32()),
    "uuid": Shape("uuid", pa.string()),
    "encoded": ENCODED,
}


class _Family(Protocol):
    """What is known of the values of one Python type in one place."""

    def add(self, values: Sequence[Any]) -> None: ...

    def merge(self, other: Any) -> None: ...

    def shape(self) -> Shape: ...


class _Plain:
    def __init__(self, name: str) -> None:
        self._shape = _PLAIN[name]

    def add(self, values: Sequence[Any]) -> None:
        pass

    def merge(self, other: _Plain) -> None:
        pass

    def shape(self) -> Shape:
        return self._shape


class _Int:
    def __init__(self) -> None:
        self.low = 0
        self.high = 0

    def add(self, values: Sequence[int]) -> None:
        self.low = min(self.low, *values)
        self.high = max(self.high, *values)

    def merge(self, other: _Int) -> None:
        self.add([other.low, other.high])

    def shape(self) -> Shape:
        if self.low >= -_INT64 and self.high < _INT64:
            return Shape("int", pa.int64())
        bits = max(self.low.bit_length(), self.high.bit_length())
        if bits <= _BITS_128:
            return Shape("int", pa.decimal128(_DIGITS_128, 0))
        if bits <= _BITS_256:
            return Shape("int", pa.decimal256(_DIGITS_256, 0))
        return Shape("int", pa.string())  # hexadecimal, as Python writes it


class _Str:
    def __init__(self) -> None:
        self.clean = True

    def add(self, values: Sequence[str]) -> None:
        if self.clean:
            try:
                "".join(values).encode()
            except UnicodeEncodeError:  # a lone surrogate
                self.clean = False

    def merge(self, other: _Str) -> None:
        self.clean = self.clean and other.clean

    def shape(self) -> Shape:
        return Shape("str", pa.string() if self.clean else pa.binary())


class _Decimal:
    def __init__(self) -> None:
        self.whole = 1
        self.scale = 0
        self.exact = True

    def add(self, values: Sequence[Decimal]) -> None:
        for value in values:
            _, digits, exponent = value.as_tuple()
            if not isinstance(exponent, int) or (value.is_zero() and value.is_signed()):
                self.exact = False  # NaN, infinity, minus zero
                return
            self.whole = max(self.whole, len(digits) + exponent)
            self.scale = max(self.scale, -exponent)

    def merge(self, other: _Decimal) -> None:
        self.whole = max(self.whole, other.whole)
        self.scale = max(self.scale, other.scale)
        self.exact = self.exact and other.exact

    def shape(self) -> Shape:
        digits = self.whole + self.scale
        if not self.exact or digits > _DIGITS_256:
            return Shape("decimal", pa.string())
        kind = pa.decimal128 if digits <= _DIGITS_128 else pa.decimal256
        return Shape("decimal", kind(digits, self.scale))


class _DateTime:
    def __init__(self) -> None:
        self.zones: set[tuple[str, str | None]] = set()  # kind, name
        self.exact = True

    def add(self, values: Sequence[dt.datetime]) -> None:
        for value in values:
            zone = value.tzinfo
            if zone is None and not value.fold:
                self.zones.add(("datetime", None))
            elif zone is dt.UTC:
                self.zones.add(("datetime", "UTC"))
            elif type(zone) is ZoneInfo and value.astimezone(dt.UTC).astimezone(zone) == value:
                self.zones.add(("zoned", zone.key))
            else:
                self.exact = False

    def merge(self, other: _DateTime) -> None:
        self.zones |= other.zones
        self.exact = self.exact and other.exact

    def shape(self) -> Shape:
        if not self.exact or len(self.zones) != 1:
            return ENCODED
        ((kind, zone),) = self.zones
        return Shape(kind, pa.timestamp("us", zone))


class _Time:
    def __init__(self) -> None:
        self.exact = True

    def add(self, values: Sequence[dt.time]) -> None:
        self.exact = self.exact and all(v.tzinfo is None and not v.fold for v in values)

    def merge(self, other: _Time) -> None:
        self.exact = self.exact and other.exact

    def shape(self) -> Shape:
        return Shape("time", pa.time64("us")) if self.exact else ENCODED


class _Duration:
    def __init__(self) -> None:
        self.exact = True

    def add(self, values: Sequence[dt.timedelta]) -> None:
        self.exact = self.exact and all(-_INT64 <= v // _MICROSECOND < _INT64 for v in values)

    def merge(self, other: _Duration) -> None:
        self.exact = self.exact and other.exact

    def shape(self) -> Shape:
        return Shape("duration", pa.duration("us")) if self.exact else ENCODED


class _Sequence:
    """Tuples and rows without names: a struct if all have one length, else a list."""

    def __init__(self, kind: str, depth: int) -> None:
        self._kind = kind
        self._depth = depth
        self._parts: list[Census] | None = None
        self._items: Census | None = None

    def add(self, values: Sequence[Sequence[Any]]) -> None:
        if self._items is None:
            lengths = {len(value) for value in values}
            if self._parts is None and len(lengths) == 1 and 0 not in lengths:
                self._parts = [Census(self._depth + 1) for _ in range(lengths.pop())]
            elif self._parts is None or lengths != {len(self._parts)}:
                self._loosen()
        if self._items is not None:
            self._items.add([item for value in values for item in value])
        else:
            assert self._parts is not None
            for part, column in zip(self._parts, zip(*values, strict=True), strict=True):
                part.add(column)

    def _loosen(self) -> None:
        self._items = Census(self._depth + 1)
        for part in self._parts or ():
            self._items.merge(part)
        self._parts = None

    def merge(self, other: _Sequence) -> None:
        if self._items is None and (
            other._parts is None or self._parts is None or len(self._parts) != len(other._parts)
        ):
            self._loosen()
        if self._items is not None:
            for part in other._parts or ():
                self._items.merge(part)
            if other._items is not None:
                self._items.merge(other._items)
        else:
            assert self._parts is not None
            assert other._parts is not None
            for own, part in zip(self._parts, other._parts, strict=True):
                own.merge(part)

    def shape(self) -> Shape:
        if self._parts is None:
            return _list_shape(self._kind, self._items or Census())
        parts = tuple(part.shape() for part in self._parts)
        names = tuple(f"f{i}" for i in range(len(parts)))
        return _struct_shape(self._kind, names, parts)


class _Items:
    """Lists and sets."""

    def __init__(self, kind: str, depth: int) -> None:
        self._kind = kind
        self._items = Census(depth + 1)

    def add(self, values: Sequence[Iterable[Any]]) -> None:
        self._items.add([item for value in values for item in value])

    def merge(self, other: _Items) -> None:
        self._items.merge(other._items)

    def shape(self) -> Shape:
        return _list_shape(self._kind, self._items)


class _Dict:
    def __init__(self, depth: int) -> None:
        self._keys = Census(depth + 1)
        self._values = Census(depth + 1)

    def add(self, values: Sequence[dict[Any, Any]]) -> None:
        self._keys.add([key for value in values for key in value])
        self._values.add([item for value in values for item in value.values()])

    def merge(self, other: _Dict) -> None:
        self._keys.merge(other._keys)
        self._values.merge(other._values)

    def shape(self) -> Shape:
        if self._keys.nullable:  # Arrow's maps have no null keys
            return ENCODED
        key, value = self._keys.shape(), self._values.shape()
        if key is NULL:  # all are empty
            key = Shape("str", pa.string())
        kind = pa.map_(
            pa.field("key", key.type, False, key.field("").metadata), value.field("value")
        )
        return Shape("dict", kind, (key, value))


class _Rows:
    """Rows with names."""

    def __init__(self, depth: int) -> None:
        self._depth = depth
        self._names: tuple[str, ...] | None = None
        self._parts: list[Census] = []
        self._exact = True

    def add(self, values: Sequence[Row]) -> None:
        names = {tuple(value.get_field_names() or ()) for value in values}
        kinds = {value.get_row_kind() for value in values}
        if self._names is None:
            self._names = next(iter(names))
            self._parts = [Census(self._depth + 1) for _ in self._names]
        if names != {self._names} or any(kinds) or not self._names:
            self._exact = False
        if self._exact:
            for part, column in zip(self._parts, zip(*values, strict=True), strict=True):
                part.add(column)

    def merge(self, other: _Rows) -> None:
        self._exact = self._exact and other._exact and self._names == other._names
        if self._exact:
            for own, part in zip(self._parts, other._parts, strict=True):
                own.merge(part)

    def shape(self) -> Shape:
        if not self._exact or self._names is None:
            return ENCODED
        return _struct_shape("row", self._names, tuple(part.shape() for part in self._parts))


def _list_shape(kind: str, items: Census) -> Shape:
    item = items.shape()
    return Shape(kind, pa.list_(item.field("item")), (item,))


def _struct_shape(kind: str, names: tuple[str, ...], parts: tuple[Shape, ...]) -> Shape:
    fields = [part.field(name) for name, part in zip(names, parts, strict=True)]
    return Shape(kind, pa.struct(fields), parts, names)


_FAMILY_OF: Final[dict[type, str]] = {
    bool: "bool",
    int: "int",
    float: "float",
    str: "str",
    bytes: "bytes",
    bytearray: "bytearray",
    Decimal: "decimal",
    dt.datetime: "datetime",
    dt.date: "date",
    dt.time: "time",
    dt.timedelta: "duration",
    uuid.UUID: "uuid",
    Opaque: "pickle",
    tuple: "tuple",
    list: "list",
    set: "set",
    frozenset: "frozenset",
    dict: "dict",
}
_SINGLE: Final[dict[str, Callable[[], _Family]]] = {
    "int": _Int,
    "str": _Str,
    "decimal": _Decimal,
    "datetime": _DateTime,
    "time": _Time,
    "duration": _Duration,
}


def family_of(value: Any) -> str:
    """The name of a value's type as variants use it.

    Row-wise state may hold any object once pickles are loaded; the reader makes those plain first.
    """
    known = _FAMILY_OF.get(type(value))
    if known is not None:
        return known
    if isinstance(value, Row):
        return "row" if value.get_field_names() is not None else "positional"
    return "encoded"


class Census:
    """What values there are in one place.

    Attributes:
        nullable: whether None is among them.
    """

    def __init__(self, depth: int = 0) -> None:
        self._depth = depth
        self._families: dict[str, _Family] = {}
        self.nullable = False

    @property
    def empty(self) -> bool:
        """Whether there was nothing but None."""
        return not self._families

    def add(self, values: Sequence[Any]) -> None:
        """Look at more values."""
        kinds = set(map(type, values))
        if type(None) in kinds:
            self.nullable = True
            kinds.discard(type(None))
            values = [value for value in values if value is not None]
        if not values:
            return
        if self._depth >= DEPTH_MAX:
            self._family("encoded").add(values)
            return
        if len(kinds) == 1:
            known = _FAMILY_OF.get(next(iter(kinds)))
            if known is not None:
                self._family(known).add(values)
                return
        by_family: dict[str, list[Any]] = {}
        for value in values:
            by_family.setdefault(family_of(value), []).append(value)
        for name, part in by_family.items():
            self._family(name).add(part)

    def exact_as_float(self) -> bool:
        """Whether there are only whole numbers, and float64 holds each."""
        whole = self._families.get("int")
        return (
            self._families.keys() <= {"int", "float"}
            and isinstance(whole, _Int)
            and max(abs(whole.low), abs(whole.high)) <= EXACT_FLOAT
        )

    def merge(self, other: Census) -> None:
        """Take in what another has seen."""
        self.nullable = self.nullable or other.nullable
        for name, family in other._families.items():
            if name in self._families:
                self._families[name].merge(family)
            else:
                self._families[name] = family

    def shape(self) -> Shape:
        """The shape that holds all values."""
        families = dict(self._families)
        if not families:
            return NULL
        if families.keys() == {"int", "float"} and self.exact_as_float():
            del families["int"]  # users mix 0 with 0.5; a column of numbers is what they expect
        if len(families) == 1:
            return next(iter(families.values())).shape()
        names = tuple(sorted(families))
        return _struct_shape("variant", names, tuple(families[name].shape() for name in names))

    def _family(self, name: str) -> _Family:
        found = self._families.get(name)
        if found is None:
            found = self._families[name] = self._make(name)
        return found

    def _make(self, name: str) -> _Family:
        if name in _SINGLE:
            return _SINGLE[name]()
        match name:
            case "tuple" | "positional":
                return _Sequence(name, self._depth)
            case "list" | "set" | "frozenset":
                return _Items(name, self._depth)
            case "dict":
                return _Dict(self._depth)
            case "row":
                return _Rows(self._depth)
            case _:
                return _Plain(name)
