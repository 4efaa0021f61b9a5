"""Folds over frames: stretches of sorted rows that only move forward, as OVER windows have them.

A frame of n rows is ``[lo, hi)``; both never go back from one result to the next. Values that are
not valid are passed over.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from lesto.kernels import arrow
from lesto.kernels.jit import native

Places = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]


def counts(weights: npt.NDArray[np.int64], lo: Places, hi: Places) -> Places:
    """Sums of integers, wrapping around as Java's do.

    >>> ones = np.ones(4, np.int64)
    >>> counts(ones, np.array([0, 0, 1, 2]), np.array([1, 2, 3, 4])).tolist()
    [1, 2, 2, 2]
    """
    total = np.zeros(len(weights) + 1, np.int64)
    np.cumsum(weights, out=total[1:])
    found: Places = total[hi] - total[lo]
    return found


def sums(
    values: npt.NDArray[np.float64], valid: Flags, lo: Places, hi: Places
) -> npt.NDArray[np.float64]:
    """Sums of floating-point numbers; 0 of nothing. float64[m]."""
    out = np.empty(len(lo), np.float64)
    native("frames").sums(arrow.loopable(values, np.float64), *_common(valid, lo, hi), out)
    return out


def least(words: Places, valid: Flags, lo: Places, hi: Places) -> Places:
    """The row of the least word, the first of equal ones; -1 of nothing. int64[m].

    >>> least(np.array([3, 1, 2]), np.ones(3, bool), np.array([0, 0, 2]), np.array([1, 2, 3])).tolist()
    [0, 1, 2]
    """  # noqa: E501
    out = np.empty(len(lo), np.int64)
    native("frames").least(arrow.loopable(words, np.int64), *_common(valid, lo, hi), out)
    return out


def first(valid: Flags, lo: Places, hi: Places) -> Places:
    """The first valid row of each frame; -1 of nothing. int64[m]."""
    rows = np.flatnonzero(valid)
    at = np.searchsorted(rows, lo)
    found = np.append(rows, len(valid))[at]
    return np.where(found < hi, found, -1)


def last(valid: Flags, lo: Places, hi: Places) -> Places:
    """The last valid row of each frame; -1 of nothing. int64[m]."""
    rows = np.flatnonzero(valid)
    at = np.searchsorted(rows, hi) - 1
    found = np.append(rows, -1)[at]
    return np.where(found >= lo, found, -1)


def range_starts(bases: Places, times: Places, preceding: int) -> Places:
    """Where frames by time begin.

    Args:
        bases: int64[n], the first row of each row's partition; partitions follow each other.
        times: int64[n], ascending within a partition.
        preceding: how far back a frame goes, at least 0.
    """
    out = np.empty(len(times), np.int64)
    native("frames").range_starts(
        arrow.loopable(bases, np.int64), arrow.loopable(times, np.int64), preceding, out
    )
    return out


def _common(valid: Flags, lo: Places, hi: Places) -> tuple[Any, Any, Any]:
    return (
        arrow.loopable(valid.view(np.uint8), np.uint8),
        arrow.loopable(lo, np.int64),
        arrow.loopable(hi, np.int64),
    )
