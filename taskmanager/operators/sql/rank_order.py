"""Ranks of rows in their partitions, computed for many partitions at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lesto.taskmanager.operators.sql.sort_order import Words, changes_of, permutation

Ranks = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]


@dataclass(slots=True)
class Sorted:
    """Rows sorted by partition, then by order, then as they were given.

    Attributes:
        rows: int64[n], the rows in their order.
        groups: int64[n], the partition of each row in its order.
        words: in that order.
    """

    rows: Ranks
    groups: Ranks
    words: list[Words]

    def ranks(self, function: str, chosen: Flags | None = None) -> Ranks:
        """int64[n] by row as given: its rank from 1 among the chosen rows, 0 if it is not one.

        Args:
            function: ROW_NUMBER, RANK or DENSE_RANK.
            chosen: bool[n] by row as given; None for all.
        """
        found = np.zeros(len(self.rows), np.int64)
        rows, groups, words = self.rows, self.groups, self.words
        if chosen is not None:
            kept = chosen[rows]
            rows, groups = rows[kept], groups[kept]
            if function != "ROW_NUMBER":
                words = [w[kept] for w in words]
        n = len(rows)
        if not n:
            return found
        starts = changes_of([groups], n)
        first = np.flatnonzero(starts)
        start_of = np.repeat(first, np.diff(np.append(first, n)))
        if function == "ROW_NUMBER":
            found[rows] = np.arange(n) - start_of + 1
            return found
        heads = changes_of([groups, *words], n)
        if function == "RANK":
            at = np.flatnonzero(heads)
            head_of = np.repeat(at, np.diff(np.append(at, n)))
            found[rows] = head_of - start_of + 1
        else:
            count = np.cumsum(heads)
            found[rows] = count - count[start_of] + 1
        return found


def sorted_rows(groups: Ranks, words: Sequence[Words]) -> Sorted:
    """Sort rows by partition and words; what is equal stays in its order."""
    rows = permutation([groups, *words], len(groups))
    return Sorted(rows, groups[rows], [w[rows] for w in words])
