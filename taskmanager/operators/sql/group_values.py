"""Values of a batch on their way into accumulators, and accumulators on their way out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pat

from lesto.kernels import aggregate, arrow, groups, keycodec
from lesto.kernels.partition import take_array
from lesto.sql.values import from_physical, physical, to_physical, truth
from lesto.state import codec
from lesto.state.accumulators import Accumulator, AccumulatorType, Flags, Slots, TextAccumulator
from lesto.taskmanager.operators.columnar.numbers import from_numbers, stored_dtype, to_numbers
from lesto.taskmanager.operators.sql.base import Signs


def is_encoded(kind: pa.DataType) -> bool:
    """Whether values are kept as encoded bytes: arrays, maps, rows."""
    return bool(pat.is_nested(kind))


def kept_as(kind: pa.DataType) -> AccumulatorType:
    """How a table keeps values of an Arrow type."""
    if pat.is_decimal(kind):
        return "decimal128"
    return stored_dtype(kind) or "text"


def encoded(column: pa.Array) -> pa.Array:
    """Arrays, maps and rows as bytes, each on its own."""
    values = to_physical(column).to_pylist()
    return pa.array([None if v is None else codec.encode(v) for v in values], pa.large_binary())


def decoded(column: pa.Array, kind: pa.DataType) -> pa.Array:
    """The inverse of :func:`encoded`."""
    values = [None if v is None else codec.decode(v) for v in column.to_pylist()]
    return from_physical(pa.array(values, physical(kind)), kind)


class Values:
    """The inputs of aggregates for the rows of a batch, converted at most once each.

    Args:
        columns: of n rows.
        rows: n.
    """

    def __init__(self, columns: Sequence[pa.Array], rows: int) -> None:
        self.rows = rows
        self._columns = columns
        self._numbers: dict[int, npt.NDArray[Any]] = {}
        self._flags: dict[tuple[int, ...], Flags | None] = {}
        self._masks: dict[Any, tuple[int, Any]] = {}

    def column(self, index: int) -> pa.Array:
        """A column."""
        return self._columns[index]

    def numbers(self, index: int) -> npt.NDArray[Any]:
        """A column's numbers, or the two words of each decimal."""
        found = self._numbers.get(index)
        if found is None:
            found = self._numbers[index] = numbers_of(self._columns[index])
        return found

    def valid(self, index: int) -> Flags | None:
        """uint8[n], 0 where a column is NULL; None where nothing is."""
        key = (index, -1)
        if key not in self._flags:
            self._flags[key] = arrow.validity_bytes(self._columns[index])
        return self._flags[key]

    def true(self, index: int) -> Flags:
        """uint8[n], 1 where a condition is TRUE."""
        key = (-1, index)
        found = self._flags.get(key)
        if found is None:
            mask = truth(self._columns[index], self.rows)
            found = arrow.unpack_bits(mask.buffers()[1], mask.offset, self.rows)
            self._flags[key] = found
        return found

    def active(self, condition: int | None, required: Sequence[int] = ()) -> Flags | None:
        """uint8[n], 1 where a condition is TRUE and no required column NULL; None: everywhere."""
        if not required:
            return None if condition is None else self.true(condition)
        key = (-2, -1 if condition is None else condition, *required)
        if key not in self._flags:
            found = None if condition is None else self.true(condition)
            for index in required:
                found = both(found, self.valid(index))
            self._flags[key] = found
        return self._flags[key]

    def masks(self, wanted: Sequence[tuple[int | None, tuple[int, ...]]]) -> tuple[int, Any]:
        """A bit for each pair of condition and required columns: those of all rows, and by row.

        Returns:
            The bits that all rows have; and int64[n], the other bits, or None.
        """
        key = tuple(wanted)
        found = self._masks.get(key)
        if found is None:
            base, rest = 0, None
            for bit, (condition, required) in enumerate(key):
                flags = self.active(condition, required)
                if flags is None:
                    base |= 1 << bit
                    continue
                shifted = flags.astype(np.int64)
                shifted <<= bit
                rest = shifted if rest is None else np.bitwise_or(rest, shifted, out=rest)
            found = self._masks[key] = base, rest
        return found


def both(a: Flags | None, b: Flags | None) -> Flags | None:
    """Where both flags are set; None stands for everywhere."""
    if a is None:
        return b
    return a if b is None else a & b


def numbers_of(column: pa.Array) -> npt.NDArray[Any]:
    """int64[n] or float64[n]; of decimals int64[2 * n]; anything where NULL."""
    if pat.is_decimal(column.type):
        return arrow.view(column.buffers()[1], np.int64, 2 * column.offset, 2 * len(column))
    return to_numbers(column)[0]


def fold(
    acc: Accumulator,
    op: str,
    slots: Slots,
    column: pa.Array,
    numbers: npt.NDArray[Any] | None,
    valid: Flags | None,
    signs: Signs | None,
    dirty: Flags,
) -> None:
    """Fold a column into an accumulator.

    Args:
        acc: of a table; not a count.
        op: sum, min, max, first or last; with signs, sum alone.
        slots: int64[n]; negative ones are skipped.
        column: n values.
        numbers: what :func:`numbers_of` gives for the column, if known.
        valid: uint8[n], where to fold; None: everywhere.
        signs: int8[n], or None.
        dirty: of the table.
    """
    if isinstance(acc, TextAccumulator):
        kept = encoded(column) if is_encoded(column.type) else column
        offsets, data, _ = keycodec.to_text(kept)
        groups.fold_texts(op, slots, (offsets, data), valid, acc, dirty)
        return
    numbers = numbers_of(column) if numbers is None else numbers
    if acc.width == 2:
        groups.fold_decimals(op, slots, numbers, valid, signs, acc.values, acc.seen, dirty)
    elif signs is None:
        aggregate.accumulate(op, slots, numbers, valid, acc.values, acc.seen, dirty)
    else:
        groups.sum_signed(slots, numbers, valid, signs, acc.values, acc.seen, dirty)


def store(acc: Accumulator, slots: Slots, column: pa.Array, dirty: Flags) -> None:
    """Set the values of some slots, each at most once."""
    acc.reset(slots)
    fold(acc, "last", slots, column, None, arrow.validity_bytes(column), None, dirty)
    dirty[slots] = 1


def read(acc: Accumulator, slots: Slots, kind: pa.DataType) -> pa.Array:
    """The values of some slots as a column."""
    if isinstance(acc, TextAccumulator):
        wanted = pa.large_binary() if is_encoded(kind) else kind
        found = keycodec.from_text(*acc.texts(slots), wanted)
        return decoded(found, kind) if is_encoded(kind) else found
    values, seen = acc.gather(slots)
    if acc.width == 1:
        return from_numbers(values, seen, kind)
    assert seen is not None
    absent = len(seen) - int(np.count_nonzero(seen))
    bitmap = arrow.pack_bits(seen) if absent else None
    return pa.Array.from_buffers(kind, len(seen), [bitmap, pa.py_buffer(values)], absent)


def rows_of(column: pa.Array, rows: npt.NDArray[np.int64] | None) -> pa.Array:
    """Some rows of a column; None for all."""
    return column if rows is None else take_array(column, rows)


def differ(before: pa.Array, after: pa.Array) -> npt.NDArray[np.bool_]:
    """Where two columns of one type differ; NULLs are equal, and so are NaNs."""
    kind = before.type
    if pat.is_nested(kind):
        pairs = zip(before.to_pylist(), after.to_pylist(), strict=True)
        return np.array([a != b for a, b in pairs], np.bool_)
    if keycodec.is_text(kind) or pat.is_fixed_size_binary(kind):
        texts = pc.fill_null(pc.not_equal(before, after), False)
        nulls = pc.xor(before.is_null(), after.is_null())
        return np.asarray(pc.or_(texts, nulls).to_numpy(zero_copy_only=False))
    a, a_null = keycodec.to_words(before)
    b, b_null = keycodec.to_words(after)
    unequal: npt.NDArray[np.bool_] = a != b
    if len(unequal) != len(before):
        unequal = np.asarray(unequal.reshape(len(before), -1).any(axis=1))
    if len(a_null) or len(b_null):
        none = np.zeros(len(before), np.uint8)
        unequal |= (a_null if len(a_null) else none) != (b_null if len(b_null) else none)
    return unequal
