"""Where full partitions of a Top-N end: rows that come too late in the order then cost little."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import pyarrow as pa

from lesto.kernels.index import HashIndex
from lesto.kernels.partition import take_array
from lesto.taskmanager.operators.sql.rank_order import Ranks, Sorted
from lesto.taskmanager.operators.sql.rank_rows import Flags, Hashes, Ids, Numbered, key_hashes
from lesto.taskmanager.operators.sql.sort_order import Words

#: Partitions that are remembered; beyond that all are forgotten.
BOUNDS_MAX: Final = 1 << 18


class Bounds:
    """The first column of the order of the last row that full partitions keep.

    Nothing of it is stored: what is not known here is looked up.

    Args:
        types: of the partition's columns.
        function: ROW_NUMBER, RANK or DENSE_RANK.
        end: last rank that is kept.
        several: whether the order has more columns than the first.
    """

    def __init__(
        self, types: Sequence[pa.DataType], function: str, end: int, several: bool
    ) -> None:
        self._types = list(types)
        self._function = function
        self._end = end
        #: Whether a row equal in the first column may still be ranked.
        self._ties = several or function != "ROW_NUMBER"
        self.clear()

    def clear(self) -> None:
        """Know nothing."""
        self._index = HashIndex(self._types or [pa.int8()])
        self._nulls = np.zeros(1024, np.int64)
        self._words = np.zeros(1024, np.int64)

    def __len__(self) -> int:
        return len(self._index)

    def may_enter(self, keys: Sequence[pa.Array], lead: tuple[Words, Words], count: int) -> Ids:
        """The rows that may be ranked.

        Args:
            keys: the partition's columns.
            lead: of the first column of the order.
            count: of rows.
        """
        slots = self._index.lookup(*_keyed(keys, count))
        known = slots >= 0
        if not known.any():
            return np.arange(count)
        at = np.where(known, slots, 0)
        null, word = lead
        bound, last = self._nulls[at], self._words[at]
        worse = word > last if self._ties else word >= last
        worse = (null > bound) | ((null == bound) & worse)
        return np.flatnonzero(~(known & worse))

    def learn(
        self, found: Numbered, ranked: Sorted, ranks: Ranks, kept: Flags, lead: tuple[Words, Words]
    ) -> None:
        """Remember the last row of each partition that is full.

        Args:
            found: partitions.
            ranked: their rows.
            ranks: by row.
            kept: by row, whether it stays.
            lead: by row.
        """
        groups, shown = ranked.groups, kept[ranked.rows]
        next_differs = np.append((groups[1:] != groups[:-1]) | ~shown[1:], True)
        ends = np.flatnonzero(shown & next_differs)
        if self._function == "RANK":
            # Ties may jump over the last rank: as many rows as ranks suffice.
            counts = np.bincount(groups[shown], minlength=len(found))
            full = counts[groups[ends]] >= self._end
        else:
            full = ranks[ranked.rows[ends]] >= self._end
        ends = ends[full]
        if not len(ends):
            return
        numbers, last = groups[ends], ranked.rows[ends]
        keys = [take_array(k, numbers) for k in found.keys]
        if len(self._index) + len(ends) > BOUNDS_MAX:
            self.clear()
        slots, _ = self._index.lookup_or_insert(*_keyed(keys, len(ends)))
        if self._index.slot_bound > len(self._words):
            size = max(self._index.slot_bound, 2 * len(self._words))
            self._nulls, self._words = np.resize(self._nulls, size), np.resize(self._words, size)
        self._nulls[slots] = lead[0][last]
        self._words[slots] = lead[1][last]


def _keyed(keys: Sequence[pa.Array], count: int) -> tuple[list[pa.Array], Hashes]:
    """Keys and hashes for the index; rows without a partition have one key."""
    if keys:
        return list(keys), key_hashes(keys)
    return [pa.array(np.zeros(count, np.int8))], np.zeros(count, np.uint64)
