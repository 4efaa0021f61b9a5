"""Arrow columns as the numbers that kernels fold, and back.

Kernels know int64 and float64. Integers, booleans, dates, times, timestamps and durations are kept
as int64, floating point numbers as float64.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.types as pat

from lesto.kernels import arrow
from lesto.taskmanager.operators.columnar.errors import ValueOutOfRangeError

Numbers = npt.NDArray[Any]
Flags = npt.NDArray[np.uint8]

_INT64_MAX = 2**63 - 1


def stored_dtype(kind: pa.DataType) -> Literal["int64", "float64"] | None:
    """How values of a type are kept; None when they are no numbers."""
    if pat.is_floating(kind):
        return "float64"
    if pat.is_integer(kind) or pat.is_boolean(kind) or pat.is_temporal(kind):
        return None if pat.is_interval(kind) else "int64"
    return None


def to_numbers(column: pa.Array) -> tuple[Numbers, Flags | None]:
    """Values int64[n] or float64[n] (anything where null), and validity uint8[n] or None.

    Raises:
        ValueOutOfRangeError: an unsigned value exceeds int64.
    """
    kind, n = column.type, len(column)
    validity = arrow.validity_bytes(column)
    if pat.is_boolean(kind):
        bits = arrow.unpack_bits(column.buffers()[1], column.offset, n)
        return bits.astype(np.int64), validity
    raw = arrow.view(column.buffers()[1], _physical(kind), column.offset, n)
    if pat.is_uint64(kind) and n:
        over = raw > _INT64_MAX
        if validity is not None:
            over &= validity != 0
        if over.any():
            msg = f"{int(raw[over][0])} exceeds the largest value aggregates take, {_INT64_MAX}"
            raise ValueOutOfRangeError(msg, remedy="cast the column to float64 before aggregating")
    dtype = np.float64 if pat.is_floating(kind) else np.int64
    return raw.astype(dtype, copy=False), validity


def from_numbers(values: Numbers, validity: Flags | None, kind: pa.DataType) -> pa.Array:
    """A column of a type from kept values; null where ``validity`` is 0.

    Args:
        values: int64[n] or float64[n]; the column refers to it where the width is the same.
        validity: uint8[n] or None.
        kind: a type for which :func:`stored_dtype` gives the values' dtype.
    """
    n = len(values)
    nulls, bitmap = 0, None
    if validity is not None:
        nulls = n - int(np.count_nonzero(validity))
        bitmap = arrow.pack_bits(validity) if nulls else None
    if pat.is_boolean(kind):
        data = arrow.pack_bits(values != 0)
    else:
        data = pa.py_buffer(np.ascontiguousarray(values.astype(_physical(kind), copy=False)))
    return pa.Array.from_buffers(kind, n, [bitmap, data], nulls)


def _physical(kind: pa.DataType) -> np.dtype[Any]:
    """The dtype of the values' buffer."""
    if pat.is_floating(kind) or pat.is_integer(kind):
        dtype: np.dtype[Any] = np.dtype(kind.to_pandas_dtype())
        return dtype
    return np.dtype(f"i{kind.bit_width // 8}")
