"""Rows sorted by key hash and time: which of them lie in intervals around other rows' times."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
import numpy.typing as npt

from lesto.kernels import arrow
from lesto.kernels.jit import native

Hashes = npt.NDArray[np.uint64]
Times = npt.NDArray[np.int64]
Rows = npt.NDArray[np.int32]

#: Times that rows may have: all of int64 but its ends, which mean "none" and "the end".
_FIRST: Final = -(2**63) + 1
_LAST: Final = 2**63 - 2


def sort_order(hashes: Hashes, times: Times) -> Rows:
    """The permutation that sorts by hash, then time; stable. int32[n]."""
    in_time = bool((times[1:] >= times[:-1]).all())
    order = np.argsort(hashes, kind="stable") if in_time else np.lexsort((times, hashes))
    return order.astype(np.int32)


def merge_order(hashes1: Hashes, times1: Times, hashes2: Hashes, times2: Times) -> Rows:
    """The permutation that sorts two sorted parts, one behind the other. int32[n1 + n2]."""
    order = np.empty(len(hashes1) + len(hashes2), np.int32)
    native("intervals").merge(hashes1, times1, hashes2, times2, order)
    return order


class Matches:
    """Rows of a sorted part in the intervals of sorted probes.

    Args:
        hashes: uint64[n] of the rows, ascending.
        times: int64[n] of the rows, ascending where hashes are equal.
        probe_hashes: uint64[m], ascending.
        probe_times: int64[m], ascending where hashes are equal.
        lower: of the rows' times, relative to the probe's.
        upper: of the rows' times, relative to the probe's, inclusive.
        first: rows before it do not count.

    Attributes:
        total: number of pairs.
    """

    __slots__ = ("_begins", "_ends", "total")

    def __init__(
        self,
        hashes: Hashes,
        times: Times,
        probe_hashes: Hashes,
        probe_times: Times,
        lower: int,
        upper: int,
        first: int = _FIRST,
    ) -> None:
        m = len(probe_hashes)
        self._begins, self._ends = np.empty(m, np.int64), np.empty(m, np.int64)
        self.total: int = native("intervals").ranges(
            arrow.loopable(hashes, np.uint64),
            arrow.loopable(times, np.int64),
            arrow.loopable(probe_hashes, np.uint64),
            arrow.loopable(probe_times, np.int64),
            lower,
            upper,
            min(max(first, _FIRST), _LAST),
            _LAST,
            self._begins,
            self._ends,
        )

    def pairs(self, limit: int) -> Iterator[tuple[Rows, Rows]]:
        """The pairs as (probes, rows), int32 each, at most ``limit`` at a time, probe by probe."""
        if not self.total:
            return
        behind = np.cumsum(self._ends - self._begins)
        for done in range(0, self.total, limit):
            size = min(limit, self.total - done)
            probe = int(np.searchsorted(behind, done, side="right"))
            before = int(behind[probe - 1]) if probe else 0
            probes, rows = np.empty(size, np.int32), np.empty(size, np.int32)
            native("intervals").pairs(
                self._begins, self._ends, probe, done - before, size, probes, rows
            )
            yield probes, rows
