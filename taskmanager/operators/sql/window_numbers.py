"""Columns as what windows' accumulators fold, and back: numbers, and decimals in two words each."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.types as pat

from lesto.kernels import aggregate as kernel
from lesto.kernels import arrow, groups
from lesto.state.accumulators import AccumulatorType
from lesto.state.table import Accumulator, Flags, Slots
from lesto.taskmanager.operators.columnar.numbers import from_numbers, stored_dtype, to_numbers
from lesto.taskmanager.operators.sql.base import Signs

#: int64[n] or float64[n]; of decimals int64[n, 2], the low word first.
Numbers = npt.NDArray[Any]
#: Numbers, and uint8 validity; None where nothing is NULL.
Values = tuple[Numbers, Flags | None]


def kept_as(kind: pa.DataType) -> AccumulatorType | None:
    """How values of a type are kept; None when they are not numbers."""
    if pat.is_decimal128(kind):
        return "decimal128"
    return stored_dtype(kind)


def numbers_of(column: pa.Array) -> Values:
    """The values of a column."""
    if not pat.is_decimal128(column.type):
        return to_numbers(column)
    n = len(column)
    words = arrow.view(column.buffers()[1], np.int64, 2 * column.offset, 2 * n)
    return words.reshape(-1, 2), arrow.validity_bytes(column)


def column_of(numbers: Numbers, valid: Flags | None, kind: pa.DataType) -> pa.Array:
    """A column of values."""
    if not pat.is_decimal128(kind):
        return from_numbers(numbers, valid, kind)
    n = len(numbers)
    nulls = 0 if valid is None else n - int(np.count_nonzero(valid))
    bitmap = arrow.pack_bits(valid) if valid is not None and nulls else None
    data = pa.py_buffer(np.ascontiguousarray(numbers))
    return pa.Array.from_buffers(kind, n, [bitmap, data], nulls)


def signed(numbers: Numbers, signs: Signs) -> Numbers:
    """Values with the opposite sign where they are taken back."""
    if numbers.ndim == 1:
        return numbers * signs
    found = numbers.copy()
    back = signs < 0
    low = ~found[back, 0] + 1
    found[back, 1] = ~found[back, 1] + (low == 0)
    found[back, 0] = low
    return found


def gathered(acc: Accumulator, slots: Slots) -> Values:
    """The values of some slots."""
    values, seen = acc.gather(slots)
    return values.reshape(-1, 2) if acc.spec.dtype == "decimal128" else values, seen


def fold(
    kind: str,
    slots: Slots,
    values: Values,
    into: Values,
    dirty: Flags,
) -> None:
    """Fold values into their slots; a negative slot skips the row.

    Args:
        kind: sum, min, max, first or last.
        slots: int64[n].
        values: n of them.
        into: the accumulator's array as it lies, and which slots have a value.
        dirty: uint8[m].
    """
    numbers, valid = values
    acc, seen = into
    assert seen is not None
    if numbers.ndim == 2:
        words = np.ascontiguousarray(numbers).reshape(-1)
        groups.fold_decimals(kind, slots, words, valid, None, acc.reshape(-1), seen, dirty)
    else:
        kernel.accumulate(kind, slots, numbers, valid, acc, seen, dirty)
