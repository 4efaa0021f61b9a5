"""The rows that changed groups give: before and after in one batch."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from lesto.taskmanager.operators.sql.base import DELETE, INSERT, UPDATE_AFTER, UPDATE_BEFORE

Flags = npt.NDArray[np.bool_]
Kinds = npt.NDArray[np.int8]


class Changes:
    """Which of t groups give a row of before, and of after, and of what kind.

    Args:
        existed: bool[t], whether a group was there before.
        exists: bool[t], whether it is there now.
        changed: bool[t], whether its results differ (of those that are and were there).
        before: whether updates come with UPDATE_BEFORE.
    """

    def __init__(self, existed: Flags, exists: Flags, changed: Flags, *, before: bool) -> None:
        updated = existed & exists & changed
        gone = existed & ~exists
        old = gone | updated if before else gone
        new = (exists & ~existed) | updated
        ends = np.cumsum(old.astype(np.int64) + new)
        rows = int(ends[-1]) if len(ends) else 0
        starts = ends - old - new
        #: Row of [before; after], int64[m]: of a group's before i, of its after t + i.
        self.rows = np.empty(rows, np.int64)
        #: int8[m].
        self.kinds: Kinds = np.empty(rows, np.int8)
        t = len(existed)
        at = np.flatnonzero(old)
        self.rows[starts[at]] = at
        self.kinds[starts[at]] = np.where(exists[at], UPDATE_BEFORE, DELETE)
        at = np.flatnonzero(new)
        places = ends[at] - 1
        self.rows[places] = at + t
        self.kinds[places] = np.where(existed[at], UPDATE_AFTER, INSERT)
        #: int64[m], the group of each row.
        self.groups = self.rows % t if t else self.rows

    def __len__(self) -> int:
        return len(self.rows)

    def row_kinds(self) -> Kinds | None:
        """As a batch has them: None where all insert."""
        return self.kinds if self.kinds.any() else None
