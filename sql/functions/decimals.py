"""Arithmetic and comparison of decimals: Arrow's where its digits suffice, else exact and slow."""

from __future__ import annotations

import decimal
from collections.abc import Callable
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from lesto.sql.casts.parse import fit_decimal
from lesto.sql.errors import DivisionByZeroError
from lesto.sql.types import SqlType
from lesto.sql.values import Evaluation, Kernel, Value, is_scalar, per_row

_MAX_256: Final = 76
_CONTEXT: Final = decimal.Context(prec=80, rounding=decimal.ROUND_HALF_UP)
_QUOTIENT: Final = decimal.Context(prec=38, rounding=decimal.ROUND_HALF_UP)


def division_by_zero() -> DivisionByZeroError:
    """The error of a division of exact numbers by zero."""
    msg = "an exact number is divided by zero"
    return DivisionByZeroError(
        msg, remedy="guard it, as in CASE WHEN d <> 0 THEN n / d END, or divide DOUBLEs"
    )


def exact(
    function: Callable[[decimal.Decimal, decimal.Decimal], decimal.Decimal], target: SqlType
) -> Kernel:
    """A kernel by Python's decimals, a row at a time; NULL where the result does not fit."""

    def one(a: decimal.Decimal, b: decimal.Decimal) -> decimal.Decimal | None:
        return fit_decimal(function(a, b), target.precision, target.scale)

    return per_row(one, target.to_arrow())


def _wide(value: Value) -> Value:
    kind = value.type
    return pc.cast(value, pa.decimal256(kind.precision, kind.scale))


def arrow_kernel(
    function: Callable[[Any, Any], Any], natural: int, slow: Kernel, target: SqlType
) -> Kernel:
    """A kernel by Arrow: in 128 bits if they hold every result, else in 256 and rounded.

    Args:
        function: of pyarrow.compute.
        natural: digits of the exact result.
        slow: for batches whose results exceed the type.
        target: type of the result.
    """
    arrow = target.to_arrow()
    if natural > _MAX_256:
        return slow

    def kernel(ev: Evaluation, a: Value, b: Value) -> Value:
        try:
            found = function(a, b) if natural <= 38 else function(_wide(a), _wide(b))
            if found.type.scale > arrow.scale:
                found = pc.round(found, arrow.scale, "half_towards_infinity")
            return pc.cast(found, arrow)
        except pa.ArrowInvalid:
            return slow(ev, a, b)

    return kernel


def add(a: decimal.Decimal, b: decimal.Decimal) -> decimal.Decimal:
    """The exact sum."""
    return _CONTEXT.add(a, b)


def subtract(a: decimal.Decimal, b: decimal.Decimal) -> decimal.Decimal:
    """The exact difference."""
    return _CONTEXT.subtract(a, b)


def quotient_kernel(a: SqlType, b: SqlType, target: SqlType) -> Kernel:
    """Division by Arrow in 256 bits: one digit more than the result has, then rounded."""
    slow = exact(divide, target)
    arrow = target.to_arrow()
    # Arrow gives a quotient s1 + p2 - s2 + 1 digits behind the point, and cuts the rest.
    scale = max(a.scale, target.scale - b.precision + b.scale)
    digits = a.precision - a.scale + scale
    natural = digits - scale + b.scale + scale + b.precision - b.scale + 1
    if max(digits, natural) > _MAX_256:
        return slow
    dividend, divisor = pa.decimal256(digits, scale), pa.decimal256(b.precision, b.scale)

    def kernel(ev: Evaluation, x: Value, y: Value) -> Value:
        if is_zero(y):
            raise division_by_zero()
        try:
            found = pc.divide(pc.cast(x, dividend), pc.cast(y, divisor))
            return pc.cast(pc.round(found, target.scale, "half_towards_infinity"), arrow)
        except pa.ArrowInvalid:
            return slow(ev, x, y)

    return kernel


def multiply(a: decimal.Decimal, b: decimal.Decimal) -> decimal.Decimal:
    """The exact product."""
    return _CONTEXT.multiply(a, b)


def divide(a: decimal.Decimal, b: decimal.Decimal) -> decimal.Decimal:
    """The quotient to 38 digits."""
    if not b:
        raise division_by_zero()
    return _QUOTIENT.divide(a, b)


def remainder(a: decimal.Decimal, b: decimal.Decimal) -> decimal.Decimal:
    """What a division leaves, with the sign of the dividend."""
    if not b:
        raise division_by_zero()
    return _CONTEXT.remainder(a, b)


def comparable(a: Value, b: Value) -> tuple[Value, Value]:
    """Both in one decimal type that holds either, so that comparing them loses nothing."""
    scale = max(a.type.scale, b.type.scale)
    whole = max(v.type.precision - v.type.scale for v in (a, b))
    digits = max(1, whole + scale)
    kind = pa.decimal128(digits, scale) if digits <= 38 else pa.decimal256(digits, scale)
    return tuple(v if v.type == kind else pc.cast(v, kind) for v in (a, b))


def is_zero(value: Value) -> bool:
    """Whether any divisor is zero."""
    zero = pc.equal(value, pa.scalar(0, value.type))
    return bool(zero.as_py()) if is_scalar(zero) else bool(pc.any(zero).as_py())
