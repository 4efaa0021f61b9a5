"""Casts between numbers."""

from __future__ import annotations

import decimal
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lesto.sql.casts.parse import fit_decimal
from lesto.sql.types import APPROXIMATE, INTEGER, SqlType, TypeRoot

_INT_LIMITS: Final = (-(2**31), 2**31 - 1)
_LONG_LIMITS: Final = (-(2**63), 2**63 - 1)


def convert_number(array: pa.Array, source: SqlType, target: SqlType) -> pa.Array:
    """Numbers of one type as those of another.

    Integers wrap around, floating point numbers are cut and stop at the limits, both as in Java.
    A decimal that cannot hold the number gives NULL.
    """
    if target.root is TypeRoot.DECIMAL:
        return to_decimal(array, source, target)
    if target.is_in(INTEGER):
        if source.is_in(APPROXIMATE):
            return _float_to_integer(array, target)
        if source.root is TypeRoot.DECIMAL:
            return _decimal_to_integer(array, target)
    return pc.cast(array, target.to_arrow(), safe=False)


def _float_to_integer(array: pa.Array, target: SqlType) -> pa.Array:
    wide = target.root is TypeRoot.BIGINT
    low, high = _LONG_LIMITS if wide else _INT_LIMITS
    numbers = np.nan_to_num(
        np.asarray(pc.fill_null(array, 0.0), np.float64), nan=0.0, posinf=np.inf, neginf=-np.inf
    )
    cut = np.trunc(numbers)
    over, under = cut >= float(high), cut <= float(low)
    whole = np.where(over | under, 0.0, cut).astype(np.int64)
    whole = np.where(over, high, np.where(under, low, whole))
    mask = np.asarray(pc.is_null(array)) if array.null_count else None
    return pc.cast(pa.array(whole, mask=mask), target.to_arrow(), safe=False)


def _decimal_to_integer(array: pa.Array, target: SqlType) -> pa.Array:
    cut = array if array.type.scale == 0 else pc.trunc(array)
    try:
        return pc.cast(pc.cast(cut, pa.int64()), target.to_arrow(), safe=False)
    except pa.ArrowInvalid:
        wrapped = [None if x is None else _wrapped(int(x)) for x in cut.to_pylist()]
        return pc.cast(pa.array(wrapped, pa.int64()), target.to_arrow(), safe=False)


def _wrapped(number: int) -> int:
    return (number + 2**63) % 2**64 - 2**63


def to_decimal(array: pa.Array, source: SqlType, target: SqlType) -> pa.Array:
    """Numbers as decimals, rounded half up, NULL where the digits do not suffice."""
    arrow = target.to_arrow()
    if source.is_in(INTEGER):
        try:
            return pc.cast(array, arrow)
        except pa.ArrowInvalid:
            return fitted([_as_decimal(x) for x in array.to_pylist()], target)
    if source.root is TypeRoot.DECIMAL:
        try:
            if target.scale < source.scale:
                array = pc.round(array, target.scale, "half_towards_infinity")
            return pc.cast(array, arrow)
        except pa.ArrowInvalid:
            return fitted(array.to_pylist(), target)
    texts = [None if x is None else _from_double(x, source) for x in array.to_pylist()]
    return fitted(texts, target)


def _as_decimal(number: int | None) -> decimal.Decimal | None:
    return None if number is None else decimal.Decimal(number)


def _from_double(number: float, source: SqlType) -> decimal.Decimal | None:
    if not np.isfinite(number):
        return None
    shortest = str(np.float32(number)) if source.root is TypeRoot.FLOAT else repr(number)
    return decimal.Decimal(shortest)


def fitted(numbers: list[decimal.Decimal | None], target: SqlType) -> pa.Array:
    """Python decimals as a column; NULL where one does not fit."""
    found = [None if x is None else fit_decimal(x, target.precision, target.scale) for x in numbers]
    return pa.array(found, target.to_arrow())
