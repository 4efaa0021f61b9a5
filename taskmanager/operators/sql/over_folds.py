"""Accumulators of aggregates over frames: one value a frame, and what earlier rows have left."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.types as pat

from lesto.kernels import arrow, frames
from lesto.sql.aggregates.table import FoldKind
from lesto.sql.values import ints
from lesto.taskmanager.operators.sql.sort_order import value_words

Places = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

#: 10 ** 38 as two words: no decimal is as large.
_BOUND_HIGH: Final = 10**38 >> 64


@dataclass(frozen=True, slots=True)
class Frames:
    """Which sorted rows each of m results is of.

    Attributes:
        lo: int64[m], the first row.
        hi: int64[m], behind the last row.
    """

    lo: Places
    hi: Places

    def __len__(self) -> int:
        return len(self.lo)


@dataclass(frozen=True, slots=True)
class Carried:
    """What rows that are kept no more have left.

    Attributes:
        values: accumulators, one a partition that has any.
        at: int64[m], the place of each result's partition among them, -1 for none.
    """

    values: pa.Array
    at: Places

    def given(self) -> tuple[Flags, Places]:
        """Where a result's partition has a value, and its place (0 where not)."""
        place = np.where(self.at >= 0, self.at, 0)
        if not len(self.values):
            return np.zeros(len(self.at), np.bool_), place
        there = np.asarray(self.values.is_valid())[place] & (self.at >= 0)
        return there, place


def fold(
    kind: FoldKind,
    values: pa.Array | None,
    valid: Flags,
    frame: Frames,
    carried: Carried | None,
    target: pa.DataType,
) -> pa.Array:
    """An accumulator of each frame.

    Args:
        kind: of the fold.
        values: of n rows; None for a count.
        valid: bool[n], the rows that are folded; no value of them is NULL.
        frame: of m results.
        carried: what there was before the first row.
        target: Arrow type of the accumulator.
    """
    if kind == "count":
        return _count(valid, frame, carried)
    assert values is not None
    if kind == "sum":
        if pat.is_decimal(target):
            return _decimal_sum(values, valid, frame, carried)
        return _sum(values, valid, frame, carried, target)
    return _chosen(kind, values, valid, frame, carried)


def _count(valid: Flags, frame: Frames, carried: Carried | None) -> pa.Array:
    found = frames.counts(valid.astype(np.int64), frame.lo, frame.hi)
    if carried is not None and len(carried.values):
        there, place = carried.given()
        found = found + np.where(there, ints(carried.values)[place], 0)
    return pa.array(found)


def _sum(
    values: pa.Array, valid: Flags, frame: Frames, carried: Carried | None, target: pa.DataType
) -> pa.Array:
    floats = pat.is_floating(target)
    numbers = _numbers(values, floats)
    some = frames.counts(valid.astype(np.int64), frame.lo, frame.hi) > 0
    found: npt.NDArray[Any]
    if floats:
        found = frames.sums(numbers, valid, frame.lo, frame.hi)
    else:
        found = frames.counts(np.where(valid, numbers, 0), frame.lo, frame.hi)
    if carried is not None and len(carried.values):
        there, place = carried.given()
        before = _numbers(carried.values, floats)[place]
        found = found + np.where(there, before, before.dtype.type(0))
        some = some | there
    return pa.array(found, target, mask=~some)


def _numbers(values: pa.Array, floats: bool) -> npt.NDArray[Any]:
    if not floats:
        return ints(values)
    return arrow.view(values.buffers()[1], np.float64, values.offset, len(values))


def _decimal_sum(
    values: pa.Array, valid: Flags, frame: Frames, carried: Carried | None
) -> pa.Array:
    """Sums of 128 bits, as differences of running sums: they are exact."""
    low, high = _halves(values)
    low, high = np.where(valid, low, np.uint64(0)), np.where(valid, high, np.int64(0))
    lows, highs = np.zeros(len(low) + 1, np.uint64), np.zeros(len(low) + 1, np.int64)
    np.cumsum(low, out=lows[1:])
    np.cumsum(high + (lows[1:] < low), out=highs[1:])
    a, b = lows[frame.hi], lows[frame.lo]
    low = a - b
    high = highs[frame.hi] - highs[frame.lo] - (a < b)
    some = frames.counts(valid.astype(np.int64), frame.lo, frame.hi) > 0
    if carried is not None and len(carried.values):
        there, place = carried.given()
        c_low, c_high = _halves(carried.values)
        added = np.where(there, c_low[place], np.uint64(0))
        low = low + added
        high = high + np.where(there, c_high[place], np.int64(0)) + (low < added)
        some = some | there
    # What has more than 38 digits is NULL.
    some &= (high < _BOUND_HIGH) & (high > -_BOUND_HIGH)
    pairs = np.stack([low, high.view(np.uint64)], 1).reshape(-1)
    buffers = [arrow.pack_bits(some), pa.py_buffer(np.ascontiguousarray(pairs))]
    return pa.Array.from_buffers(values.type, len(frame), buffers)


def _halves(values: pa.Array) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.int64]]:
    pairs = arrow.view(values.buffers()[1], np.uint64, 2 * values.offset, 2 * len(values))
    return np.ascontiguousarray(pairs[::2]), np.ascontiguousarray(pairs[1::2]).view(np.int64)


def _chosen(
    kind: FoldKind, values: pa.Array, valid: Flags, frame: Frames, carried: Carried | None
) -> pa.Array:
    """Minimum, maximum, first or last value: that of one row."""
    before = values.slice(0, 0) if carried is None else carried.values
    whole = pa.concat_arrays([before, values]) if len(before) else values
    words = None
    if kind in {"min", "max"}:
        words = value_words(whole)
        words = ~words if kind == "max" else words
        row = frames.least(words[len(before) :], valid, frame.lo, frame.hi)
    elif kind == "first":
        row = frames.first(valid, frame.lo, frame.hi)
    else:
        row = frames.last(valid, frame.lo, frame.hi)
    row = np.where(row >= 0, row + len(before), -1)
    if carried is not None and len(before):
        there, place = carried.given()
        if words is not None:
            wins = there & ((row < 0) | (words[place] <= words[np.where(row >= 0, row, 0)]))
        else:
            wins = there if kind == "first" else there & (row < 0)
        row = np.where(wins, place, row)
    return taken(whole, row)


def taken(values: pa.Array, rows: Places) -> pa.Array:
    """Values of rows, NULL for a negative one."""
    if not len(values):
        return pa.nulls(len(rows), values.type)
    missing = rows < 0
    return values.take(pa.array(rows, mask=missing) if missing.any() else pa.array(rows))
