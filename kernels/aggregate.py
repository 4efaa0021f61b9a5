"""Accumulators over slots: count, sum, min, max, first, last (an average is a sum and a count).

Arguments common to all, for n rows and m places:

* ``slots`` int64[n], the row's place in the accumulators; a negative one skips the row.
* ``values`` int64[n] or float64[n]; ``validity`` uint8[n], 0 for null, or None. Nulls are skipped.
* ``acc`` of the values' dtype [m]; ``seen`` uint8[m], 0 while a slot has had no value (its result
  is null). Both are updated in place. To reset a slot set ``seen`` (a count: ``acc``) to 0.
* ``dirty`` uint8[m], set to 1 where a slot was touched, for incremental checkpoints.

int64 sums wrap as Java's do. Min and max compare with ``<`` and ``>``: a NaN stays only if first.
Slots are not bounds-checked in the loops; the wrappers check them once a call.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from lesto.kernels import arrow
from lesto.kernels.jit import native

Slots = npt.NDArray[np.int64]
Flags = npt.NDArray[np.uint8]
Numbers = npt.NDArray[Any]

_ALL_VALID = np.zeros(0, np.uint8)
_OPS = {"sum": 0, "min": 1, "max": 2, "first": 3, "last": 4}


def accumulate_count(slots: Slots, validity: Flags | None, acc: Slots, dirty: Flags) -> None:
    """Count the rows (the non-null ones, given a validity) of every slot."""
    _check(slots, acc, dirty)
    slots = arrow.loopable(slots, np.int64)
    native("aggregates").count(slots, _valid(validity, slots), acc, dirty)


def accumulate(
    op: str,
    slots: Slots,
    values: Numbers,
    validity: Flags | None,
    acc: Numbers,
    seen: Flags,
    dirty: Flags,
) -> None:
    """Fold values into their slots; ``op`` is sum, min, max, first or last."""
    _check(slots, acc, seen, dirty)
    _same_length(slots, values)
    valid = _valid(validity, slots)
    slots, values = arrow.loopable(slots, np.int64), _numbers(values, acc)
    native("aggregates").fold(_OPS[op], slots, values, valid, acc, seen, dirty)


def running_count(
    slots: Slots, validity: Flags | None, acc: Slots, dirty: Flags, out: Slots | None = None
) -> Slots:
    """Count, and give the count after each row as a record-at-a-time operator would.

    Returns:
        int64[n] (``out`` if given); 0 for skipped rows.
    """
    _check(slots, acc, dirty)
    result = np.empty(len(slots), np.int64) if out is None else out
    _same_length(slots, result)
    slots = arrow.loopable(slots, np.int64)
    native("aggregates").run_count(slots, _valid(validity, slots), acc, dirty, result)
    return result


def running(
    op: str,
    slots: Slots,
    values: Numbers,
    validity: Flags | None,
    acc: Numbers,
    seen: Flags,
    dirty: Flags,
    out: Numbers | None = None,
    out_validity: Flags | None = None,
) -> tuple[Numbers, Flags]:
    """Fold, and give the accumulator after each row as a record-at-a-time operator would.

    A null value leaves the accumulator and repeats it.

    Returns:
        ``(out, out_validity)``: values' dtype [n] and uint8[n], 0 where the result is null.
    """
    _check(slots, acc, seen, dirty)
    result = np.empty(len(slots), acc.dtype) if out is None else out
    shown = np.empty(len(slots), np.uint8) if out_validity is None else out_validity
    _same_length(slots, values, result, shown)
    valid = _valid(validity, slots)
    slots, values = arrow.loopable(slots, np.int64), _numbers(values, acc)
    native("aggregates").run(_OPS[op], slots, values, valid, acc, seen, dirty, result, shown)
    return result, shown


def grow(array: npt.NDArray[Any], size: int) -> npt.NDArray[Any]:
    """The array with at least ``size`` places, doubling; new places are zero."""
    if size <= len(array):
        return array
    out = np.zeros(max(size, 2 * len(array)), array.dtype)
    out[: len(array)] = array
    return out


def _valid(validity: Flags | None, slots: Slots) -> Flags:
    if validity is None:
        return _ALL_VALID
    _same_length(slots, validity)
    if len(slots) == 0:
        return _ALL_VALID
    return arrow.loopable(validity, np.uint8)


def _numbers(values: Numbers, acc: Numbers) -> Numbers:
    """Values in the accumulator's dtype, where that loses nothing."""
    if not np.can_cast(values.dtype, acc.dtype, "safe"):
        msg = f"{values.dtype} values do not fit {acc.dtype} accumulators"
        raise TypeError(msg)
    return arrow.loopable(values, acc.dtype)


def _check(slots: Slots, *places: npt.NDArray[Any]) -> None:
    bound = int(slots.max()) if len(slots) else -1
    shortest = min(map(len, places))
    if bound >= shortest:
        msg = f"slot {bound} has no place in accumulators of {shortest}: grow them first"
        raise IndexError(msg)


def _same_length(slots: Slots, *arrays: npt.NDArray[Any]) -> None:
    if any(len(array) != len(slots) for array in arrays):
        msg = f"arrays of {[len(a) for a in arrays]} rows for {len(slots)} slots"
        raise ValueError(msg)
