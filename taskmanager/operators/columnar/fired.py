"""Until when windows have fired, by key group.

Watermarks of subtasks differ, and so does how far each is with firing at a snapshot; behind a
restore one subtask may have keys of several.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from lesto.common.elements import MIN_TIMESTAMP
from lesto.kernels.keygroups import key_groups

#: First and last key group, and until when (ms) their windows have fired.
FiredRange = tuple[int, int, int]


class FiredUntil:
    """Of the keys of one subtask.

    Args:
        restored: what snapshots say, of key groups of any subtask.
        key_range: first and last key group of the subtask, and the number of all.

    Attributes:
        done: windows that end up to this ms have fired for all keys.
        apart: for some keys more have.

    >>> fired = FiredUntil([(0, 1, 10), (2, 5, 30)], (0, 3, 8))
    >>> fired.done, fired.apart, fired.ranges()
    (10, True, [(0, 1, 10), (2, 3, 30)])
    >>> fired.advance(20)
    >>> fired.ranges()
    [(0, 1, 20), (2, 3, 30)]
    >>> fired.advance(30)
    >>> fired.apart, fired.ranges()
    (False, [(0, 3, 30)])
    """

    __slots__ = ("_by_group", "_first", "_furthest", "_groups", "_last", "apart", "done")

    def __init__(self, restored: Iterable[FiredRange], key_range: tuple[int, int, int]) -> None:
        self._first, self._last, self._groups = key_range
        until = np.full(self._groups, MIN_TIMESTAMP, np.int64)
        for first, last, time in restored:
            part = until[first : last + 1]
            np.maximum(part, time, out=part)
        own = until[self._first : self._last + 1]
        self._by_group = until
        self._furthest = int(own.max())
        self.done = int(own.min())
        self.apart = self.done < self._furthest

    def advance(self, time: int) -> None:
        """Windows that end up to ``time`` ms have fired."""
        self.done = max(self.done, time)
        self.apart = self.apart and self.done < self._furthest

    def of(self, hashes: npt.NDArray[np.uint64]) -> npt.NDArray[np.int64]:
        """For the keys of these hashes. int64[n]."""
        groups = key_groups(hashes, self._groups)
        return np.maximum(self._by_group[groups], self.done)

    def ranges(self) -> list[FiredRange]:
        """The subtask's key groups."""
        if not self.apart:
            return [(self._first, self._last, self.done)]
        until = np.maximum(self._by_group[self._first : self._last + 1], self.done)
        starts = [0, *(np.flatnonzero(np.diff(until)) + 1).tolist()]
        ends = [*starts[1:], len(until)]
        return [
            (self._first + start, self._first + end - 1, int(until[start]))
            for start, end in zip(starts, ends, strict=True)
        ]
