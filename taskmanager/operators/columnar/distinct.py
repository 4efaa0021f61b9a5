"""Distinct small integers in time proportional to their number, not by sorting or hashing."""

from __future__ import annotations

import numpy as np

from lesto.state.table import Slots


class Distinct:
    """Finds distinct slots; keeps scratch memory of the size of the largest."""

    def __init__(self) -> None:
        self._row: Slots = np.empty(1024, np.int64)  # by slot: the row that wrote last

    def first_rows(self, slots: Slots) -> Slots:
        """Rows at which each distinct slot stands first, ascending.

        Args:
            slots: int64[n], none negative.
        """
        n = len(slots)
        if n == 0:
            return np.empty(0, np.int64)
        bound = int(slots.max()) + 1
        if bound > len(self._row):
            self._row = np.empty(max(bound, 2 * len(self._row)), np.int64)
        rows = np.arange(n, dtype=np.int64)
        # Written from the last row to the first: of several rows of one slot the first stays.
        self._row[slots[::-1]] = rows[::-1]
        return np.flatnonzero(self._row[slots] == rows)

    def values(self, slots: Slots) -> Slots:
        """Each distinct slot once, in the order in which they come first."""
        return slots[self.first_rows(slots)]
