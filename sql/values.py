"""What kernels compute on: Arrow arrays of one batch, or a scalar that stands for all its rows."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pat

Value = Any  # pa.Array of `Evaluation.rows` values | pa.Scalar | None for a symbol
Int64s = npt.NDArray[np.int64]

#: Up to so many rows the distinct values are not looked for: it would cost more than it saves.
_FEW_ROWS: Final = 32


@dataclass(frozen=True, slots=True)
class EvaluationContext:
    """What an expression may know beside its row.

    Attributes:
        time_zone: the session's zone (``table.local-time-zone``), an IANA name.
        now_ms: milliseconds since 1970, for CURRENT_TIMESTAMP and its like.
        watermark_ms: of the operator, for CURRENT_WATERMARK; None before the first.
    """

    time_zone: str = "UTC"
    now_ms: int = field(default_factory=lambda: time.time_ns() // 1_000_000)
    watermark_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Evaluation:
    """One run over some rows of a batch."""

    context: EvaluationContext
    rows: int


Kernel = Callable[..., Value]
"""Takes an :class:`Evaluation` and a value an argument."""


def is_scalar(value: Value) -> bool:
    """Whether one value stands for all rows."""
    return isinstance(value, pa.Scalar)


def broadcast(value: Value, rows: int) -> pa.Array:
    """As an array of so many rows."""
    if isinstance(value, pa.Array):
        return value
    if not value.is_valid:
        return pa.nulls(rows, value.type)
    if pat.is_nested(value.type):
        return _one(value).take(pa.array(np.zeros(rows, np.int64)))
    return pa.repeat(value, rows)


def _one(value: pa.Scalar) -> pa.Array:
    return pa.array([value.as_py()], value.type)


def as_type(value: Value, kind: pa.DataType) -> Value:
    """Cast, wrapping integers around, unless it has the type."""
    return value if value.type == kind else pc.cast(value, kind, safe=False)


def physical(kind: pa.DataType) -> pa.DataType:
    """The type with integers in the place of dates and times, which Python reads without loss."""
    if pat.is_temporal(kind):
        return pa.int32() if kind.bit_width == 32 else pa.int64()
    if pat.is_list(kind):
        return pa.list_(physical(kind.value_type))
    if pat.is_map(kind):
        return pa.map_(physical(kind.key_type), physical(kind.item_type))
    if pat.is_struct(kind):
        return pa.struct([f.with_type(physical(f.type)) for f in kind])
    return kind


def to_physical(value: Value) -> Value:
    """Dates and times as integers."""
    kind = physical(value.type)
    return value if kind == value.type else pc.cast(value, kind)


def from_physical(value: Value, kind: pa.DataType) -> Value:
    """Integers as the dates and times they stand for."""
    return value if kind == value.type else pc.cast(value, kind)


def ints(value: pa.Array) -> Int64s:
    """int64[n] of integers, dates or times; 0 or anything where NULL."""
    if pat.is_temporal(value.type):
        width = pa.int32() if value.type.bit_width == 32 else pa.int64()
        value = value.view(width)
    if value.type != pa.int64():
        value = pc.cast(value, pa.int64())
    return np.frombuffer(value.buffers()[1], np.int64)[value.offset : value.offset + len(value)]


def from_ints(numbers: npt.NDArray[Any], like: pa.Array, kind: pa.DataType) -> pa.Array:
    """An array of integers, dates or times that is NULL where ``like`` is; wraps around."""
    width = physical(kind)
    narrowed = numbers.astype(width.to_pandas_dtype(), copy=False)
    mask = None if like.null_count == 0 else np.asarray(pc.is_null(like))
    array = pa.array(narrowed, width, mask=mask)
    return array if width == kind else array.view(kind)


def on_ints(
    function: Callable[[Int64s], npt.NDArray[Any]], value: Value, kind: pa.DataType
) -> Value:
    """Apply a numpy function to integers, dates or times, giving such of another type."""
    if is_scalar(value):
        if not value.is_valid:
            return pa.scalar(None, kind)
        return on_ints(function, scalar_array(value), kind)[0]
    return from_ints(function(ints(value)), value, kind)


def scalar_array(value: pa.Scalar) -> pa.Array:
    """An array of the one value."""
    return broadcast(value, 1)


def pylist(value: Value, rows: int) -> list[Any]:
    """Python values, a row each; dates and times as integers."""
    value = to_physical(value)
    if is_scalar(value):
        return [_python(value)] * rows
    found: list[Any] = value.to_pylist()
    return found


def _python(value: pa.Scalar) -> Any:
    return value.as_py()


def per_row(function: Callable[..., Any], kind: pa.DataType, *, strict: bool = True) -> Kernel:
    """A kernel that calls a Python function a row, where nothing faster exists.

    Of a single column of text or bytes only the distinct values are computed, if many repeat.

    Args:
        function: takes Python values (dates and times as integers), gives one or None.
        kind: Arrow type of the results.
        strict: whether any NULL argument gives NULL without a call.
    """
    inner = physical(kind)

    def compute(columns: Sequence[list[Any]]) -> pa.Array:
        if strict:
            found = (
                [None if None in row else function(*row) for row in zip(*columns, strict=True)]
                if len(columns) > 1
                else [None if v is None else function(v) for v in columns[0]]
            )
        else:
            found = [function(*row) for row in zip(*columns, strict=True)]
        return from_physical(pa.array(found, inner), kind)

    def kernel(ev: Evaluation, *values: Value) -> Value:
        args = [v for v in values if v is not None]
        arrays = [i for i, v in enumerate(args) if not is_scalar(v)]
        if not arrays:
            row = [_python(to_physical(v)) for v in args]
            found = None if strict and None in row else function(*row)
            return from_physical(pa.array([found], inner), kind)[0]
        if len(arrays) == 1 and strict and ev.rows > _FEW_ROWS:
            distinct = _distinct(args[arrays[0]])
            if distinct is not None:
                n = len(distinct.dictionary)
                args[arrays[0]] = distinct.dictionary
                return compute([pylist(v, n) for v in args]).take(distinct.indices)
        return compute([pylist(v, ev.rows) for v in args])

    return kernel


def _distinct(column: pa.Array) -> pa.DictionaryArray | None:
    if not (pat.is_string(column.type) or pat.is_binary(column.type)):
        return None
    encoded = column.dictionary_encode()
    return encoded if len(encoded.dictionary) * 2 <= len(column) else None


def truth(value: Value, rows: int) -> pa.BooleanArray:
    """Where a condition is TRUE, without NULL."""
    found = broadcast(value, rows)
    return found if found.null_count == 0 else pc.fill_null(found, False)


def on_two(
    function: Callable[[Any, Any], npt.NDArray[Any]], a: Value, b: Value, kind: pa.DataType
) -> Value:
    """Apply a numpy function to two columns of integers, dates or times; NULL where either is.

    A scalar is given to the function as an array of one value.
    """
    if is_scalar(a) and is_scalar(b):
        return on_two(function, scalar_array(a), scalar_array(b), kind)[0]
    for value in (a, b):
        if is_scalar(value) and not value.is_valid:
            return pa.scalar(None, kind)
    x, y = (ints(scalar_array(v) if is_scalar(v) else v) for v in (a, b))
    width = physical(kind)
    numbers = function(x, y).astype(width.to_pandas_dtype(), copy=False)
    masks = [np.asarray(pc.is_null(v)) for v in (a, b) if not is_scalar(v) and v.null_count]
    mask = None if not masks else masks[0] if len(masks) == 1 else masks[0] | masks[1]
    array = pa.array(numbers, width, mask=mask)
    return array if width == kind else array.view(kind)
