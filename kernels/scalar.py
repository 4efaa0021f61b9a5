"""The hash of one Python value, bit for bit what ``lesto.kernels.hashing`` gives for a column."""

import datetime as dt
import enum
import struct
import uuid
from collections.abc import Iterable, Mapping, Set
from decimal import Decimal
from math import isinf
from typing import Any

from lesto.kernels import constants as c

_MASK = (1 << 64) - 1
_FLOAT64 = struct.Struct("<d")
_EPOCH = dt.datetime(1970, 1, 1)  # noqa: DTZ001 - naive values hash as if they were UTC
_EPOCH_UTC = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_MICROSECOND = dt.timedelta(microseconds=1)


def mix(x: int) -> int:
    """The splitmix64 finaliser, a bijection of 0..2**64-1."""
    x = ((x ^ (x >> 30)) * c.M1) & _MASK
    x = ((x ^ (x >> 27)) * c.M2) & _MASK
    return x ^ (x >> 31)


def combine(h: int, other: int) -> int:
    """Order-sensitive combination of two hashes."""
    return mix((h * c.COMBINE + other) & _MASK)


def _fold(a: int, b: int) -> int:
    product = a * b
    return (product & _MASK) ^ (product >> 64)


def hash_bytes(data: bytes, seed: int) -> int:
    """Hash of a byte string under a type's seed."""
    n = len(data)
    load = int.from_bytes
    if n > 16:
        at = 0
        h = seed
        while n - at > 16:
            a, b = load(data[at : at + 8], "little"), load(data[at + 8 : at + 16], "little")
            h = _fold(a ^ c.S1, b ^ h)
            at += 16
        a, b = load(data[n - 16 : n - 8], "little"), load(data[n - 8 :], "little")
    else:
        h = seed
        b = 0
        if n >= 8:
            a, b = load(data[:8], "little"), load(data[n - 8 :], "little")
        elif n >= 4:
            a, b = load(data[:4], "little"), load(data[n - 4 :], "little")
        elif n:
            a = data[0] | data[n >> 1] << 8 | data[n - 1] << 16
        else:
            a = 0
    product = (a ^ c.S1) * (b ^ h)
    return _fold((product & _MASK) ^ c.S0 ^ n, (product >> 64) ^ c.S2)


def hash_int(v: int) -> int:
    """Hash of an int.

    Outside int64: as the float if one is equal, else the little-endian bytes of the magnitude (the
    sign flips the seed).
    """
    if -(1 << 63) <= v < 1 << 63:
        return mix((v & _MASK) ^ c.INT)
    try:
        x = float(v)
    except OverflowError:
        x = 0.0
    if x == v:
        return mix(int.from_bytes(_FLOAT64.pack(x), "little") ^ c.FLOAT)
    magnitude = abs(v)
    data = magnitude.to_bytes((magnitude.bit_length() + 7) // 8, "little")
    return hash_bytes(data, c.BIG_INT if v > 0 else c.BIG_INT ^ _MASK)


def hash_float(x: float) -> int:
    """Integral values hash as the int, every NaN alike, -0.0 as 0."""
    if x != x:  # noqa: PLR0124 - NaN
        return c.NAN
    if -9223372036854775808.0 <= x < 9223372036854775808.0 and x.is_integer():
        return mix((int(x) & _MASK) ^ c.INT)
    return mix(int.from_bytes(_FLOAT64.pack(x), "little") ^ c.FLOAT)


def hash_decimal(v: Decimal) -> int:
    """As the equal int or float if there is one, else the digits without trailing zeros."""
    if not v.is_finite():
        return c.NAN if v.is_nan() else hash_float(float(v))
    sign, digits, exponent = v.as_tuple()
    assert isinstance(exponent, int)
    text = "".join(map(str, digits)).rstrip("0")
    if not text:
        return hash_int(0)
    exponent += len(digits) - len(text)
    unscaled = -int(text) if sign else int(text)
    if 0 <= exponent <= 400:  # a longer one is no key; it must not fill the memory
        return hash_int(unscaled * 10**exponent)
    x = float(v)
    if not isinf(x) and Decimal(x) == v:
        return hash_float(x)
    return combine(hash_scaled(unscaled), -exponent & _MASK)


def hash_scaled(unscaled: int) -> int:
    """The digits' part of a decimal's hash."""
    if -(1 << 63) <= unscaled < 1 << 63:
        return mix((unscaled & _MASK) ^ c.DECIMAL)
    size = (unscaled.bit_length() + 8) // 8
    return hash_bytes(unscaled.to_bytes(size, "little", signed=True), c.DECIMAL)


def hash_row(hashes: Iterable[int]) -> int:
    """Hash of a row from the hashes of its fields."""
    h = c.ROW
    for field in hashes:
        h = combine(h, field)
    return h


def hash_value(v: Any) -> int:
    """The 64-bit hash of one Python value, equal for equal values, the same in every process.

    Follows Python's equality: ``1``, ``1.0``, ``True`` and ``Decimal(1)`` agree; ``"a"`` and
    ``b"a"`` differ. Tuples, lists and Row-like objects (sized, iterable) hash as
    ``hash_columns`` of their fields.

    Raises:
        TypeError: for a type without a stable hash, such as a set, a dict or an opaque object.
    """
    kind = type(v)
    if kind is str:
        return hash_bytes(v.encode("utf-8", "surrogatepass"), c.STRING)
    if kind is int or kind is bool:
        return hash_int(v)
    if v is None:
        return c.NULL
    if kind is float:
        return hash_float(v)
    if kind is bytes:
        return hash_bytes(v, c.BINARY)
    if kind is tuple:
        return hash_row(map(hash_value, v))
    return _hash_other(v)


def _hash_other(v: Any) -> int:
    """The types that are rarer as keys."""
    if isinstance(v, enum.Enum) and not isinstance(v, int | str):
        return hash_value(v.value)
    if isinstance(v, str):
        return hash_bytes(str.encode(v, "utf-8", "surrogatepass"), c.STRING)
    if isinstance(v, int):
        return hash_int(int(v))
    if isinstance(v, float):
        return hash_float(float(v))
    if isinstance(v, bytes | bytearray | memoryview):
        return hash_bytes(bytes(v), c.BINARY)
    if isinstance(v, Decimal):
        return hash_decimal(v)
    if isinstance(v, dt.datetime):
        return mix((_micros(v) & _MASK) ^ c.TIMESTAMP)
    if isinstance(v, dt.date):
        return mix(((v.toordinal() - 719163) & _MASK) ^ c.DATE)
    if isinstance(v, dt.time):
        of_day = ((v.hour * 60 + v.minute) * 60 + v.second) * 1_000_000 + v.microsecond
        return mix(of_day ^ c.TIME)
    if isinstance(v, dt.timedelta):
        return mix((v // _MICROSECOND & _MASK) ^ c.DURATION)
    if isinstance(v, uuid.UUID):
        return hash_bytes(v.bytes, c.BINARY)
    if hasattr(v, "dtype") and hasattr(v, "item") and getattr(v, "ndim", None) == 0:
        return hash_value(v.item())
    if hasattr(v, "__len__") and hasattr(v, "__iter__") and not isinstance(v, Mapping | Set):
        return hash_row(map(hash_value, v))
    msg = (
        f"cannot hash a {type(v).__module__}.{type(v).__qualname__} as a key: its hash would "
        "not be the same in every process; use str, bytes, int, float, Decimal, date, time "
        "or a tuple of them"
    )
    raise TypeError(msg)


def _micros(v: dt.datetime) -> int:
    """Microseconds since the epoch; a naive value counts as UTC."""
    return (v - (_EPOCH if v.utcoffset() is None else _EPOCH_UTC)) // _MICROSECOND
