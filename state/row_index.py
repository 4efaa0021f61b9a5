"""Where a row table's rows are: by id, by key, by content.

All loops are compiled (``kernels/compiled/rowindex.py`` describes the memory); nothing here knows
what is in a row.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
import numpy.typing as npt

from lesto.kernels import arrow
from lesto.kernels.jit import native
from lesto.state.row_memory import GrowingArray, Segments, TableMemory

Ids = npt.NDArray[np.int64]
Int64s = npt.NDArray[np.int64]
Hashes = npt.NDArray[np.uint64]

LIVE, DIRTY, STORED = 1, 2, 4
#: A key's rows are looked through one by one while they are no more.
CHAIN_MAX: Final = 16
_ROWS_MAX: Final = (1 << 31) - 8
_STAMPS_MAX: Final = 1 << 30
_IDS, _FREE_IDS, _SLOTS, _FREE_SLOTS, _KEYS, _SEQ = range(6)
_ROW_WORDS, _KEY_WORDS = 4, 5
_COUNT_AT = 4  # of a key's ten half words
_NO_SEQUENCE: Final = np.zeros(0, np.int64)


class RowIndex:
    """Ids of rows that lie in segments, and the ways to find them.

    Args:
        memory: where the arrays lie.
        segments: where the rows lie.
        name: of the table.
    """

    def __init__(self, memory: TableMemory, segments: Segments, name: str) -> None:
        self._memory = memory
        self._segments = segments
        self._name = name
        self._state = np.zeros(6, np.int64)
        self._rows = GrowingArray(memory, np.int64)
        self._flags = GrowingArray(memory, np.uint8)
        self._free_ids = GrowingArray(memory, np.int32)
        self._table = GrowingArray(memory, np.uint64, 16)
        self._keys = GrowingArray(memory, np.int64)
        self._free_slots = GrowingArray(memory, np.int32)
        # Rows by content, once they are needed.
        self._contents: GrowingArray | None = None
        self._content_count = 0
        self._twins = GrowingArray(memory, np.int32)
        self._stamps = GrowingArray(memory, np.int32)
        self._stamp = 0

    def __len__(self) -> int:
        return int(self._state[_IDS] - self._state[_FREE_IDS])

    @property
    def bound(self) -> int:
        """One more than the largest id ever given."""
        return int(self._state[_IDS])

    @property
    def flags(self) -> npt.NDArray[np.uint8]:
        """uint8[bound], LIVE, DIRTY and STORED of each id."""
        return self._flags.array[: self.bound]

    @property
    def words(self) -> npt.NDArray[np.int64]:
        """int64[bound, 4]: offset, -, bytes in the upper half, sequence number."""
        words: Int64s = self._rows.array[: _ROW_WORDS * self.bound].reshape(-1, _ROW_WORDS)
        return words

    def sizes(self, ids: Ids) -> Int64s:
        """Bytes of rows."""
        found: Int64s = self.words[ids, 2] >> 32
        return found

    @property
    def next_sequence(self) -> int:
        """The sequence number of the next row."""
        return int(self._state[_SEQ])

    @next_sequence.setter
    def next_sequence(self, number: int) -> None:
        self._state[_SEQ] = number

    def arrays(self) -> Iterator[GrowingArray]:
        """All that takes memory."""
        yield from (self._rows, self._flags, self._free_ids, self._table, self._keys)
        yield from (self._free_slots, self._twins, self._stamps)
        if self._contents is not None:
            yield self._contents

    # -- rows come and go

    def new_ids(self, n: int) -> Ids:
        """Ids for rows that will be entered.

        Raises:
            MemoryError: there would be more rows than ids.
        """
        bound = self.bound + max(0, n - int(self._state[_FREE_IDS]))
        if bound > _ROWS_MAX:
            msg = f"more than {_ROWS_MAX} rows in state '{self._name}' of one subtask"
            raise MemoryError(msg)
        ids = np.empty(n, np.int64)
        native("rowindex").take_ids(self._free_ids.address, 0, ids, self._state)
        self._rows.reserve(_ROW_WORDS * bound)
        self._flags.reserve(bound)
        return ids

    def enter(
        self,
        hashes: Hashes,
        ids: Ids,
        offsets: Int64s,
        sizes: Int64s,
        key_sizes: Int64s,
        flag: int,
        sequence: Int64s = _NO_SEQUENCE,
    ) -> None:
        """Enter rows whose bytes are written.

        Args:
            hashes: of their keys.
            ids: new ones.
            offsets: in the segments.
            sizes: bytes of each.
            key_sizes: bytes of each one's key, or one number.
            flag: LIVE and others.
            sequence: their numbers; counted on by default.
        """
        n, state = len(ids), self._state
        self._keys.reserve(_KEY_WORDS * (int(state[_SLOTS]) + n))
        self._table = self._with_room(self._table, int(state[_KEYS]) + n)
        native("rowindex").link(
            hashes, ids, offsets, sizes, key_sizes, sequence, self._table.address,
            len(self._table.array) - 1, self._keys.address, self._free_slots.address,
            self._rows.address, self._bases, self._flags.array, flag, state,
        )  # fmt: skip
        if self._contents is not None:
            self.enter_contents(ids)

    def claim(self, ids: Ids) -> None:
        """Mark rows that are about to be removed.

        Raises:
            KeyError: an id is not in use, or given twice; none is marked.
        """
        wrong = native("rowindex").claim(ids, self._flags.array)
        if wrong >= 0:
            msg = f"row {int(ids[wrong])} is not in use"
            raise KeyError(msg)

    def remove(self, ids: Ids) -> tuple[Hashes, Int64s]:
        """Take out rows that were claimed; key hashes and sequence numbers of the STORED ones."""
        loops = native("rowindex")
        if self._contents is not None:
            self._content_count -= loops.leave_content(
                ids, self._contents.address, len(self._contents.array) - 1,
                self._twins.address, self._rows.address, self._bases,
            )  # fmt: skip
        self._free_ids.reserve(int(self._state[_FREE_IDS]) + len(ids))
        self._free_slots.reserve(int(self._state[_FREE_SLOTS]) + len(ids))
        stored = np.zeros(1, np.int64)
        hashes, sequence = np.empty(len(ids), np.uint64), np.empty(len(ids), np.int64)
        loops.unlink(
            ids, self._table.address, len(self._table.array) - 1, self._keys.address,
            self._free_slots.address, self._rows.address, self._free_ids.address,
            self._flags.array, self._segments.held, self._state, stored, hashes, sequence,
        )  # fmt: skip
        count = int(stored[0])
        return hashes[:count].copy(), sequence[:count].copy()

    def move_out(self, segment: int) -> None:
        """Give the rows of a segment other places."""
        segments, loops = self._segments, native("rowindex")
        used = int(segments.filled[segment])
        ids, sizes = np.empty(used // 8, np.int64), np.empty(used // 8, np.int64)
        count = loops.living(
            int(segments.bases[segment]), used, segment, self._rows.address,
            self._flags.array, ids, sizes,
        )  # fmt: skip
        ids, sizes = ids[:count], sizes[:count]
        offsets = segments.place(sizes)
        old = segments.addresses(self.words[ids, 0]) - 8
        native("rowbytes").copy_rows(old, segments.addresses(offsets) - 8, sizes + 8)
        self.words[ids, 0] = offsets
        segments.held[segment] = 0
        segments.release()

    # -- by id

    def checked(self, ids: Ids) -> Ids:
        """The ids as loops take them.

        Raises:
            KeyError: one was never given.
        """
        ids = arrow.loopable(np.asarray(ids), np.int64)
        if len(ids) and not (ids.min() >= 0 and ids.max() < self.bound):
            msg = "a row's id is out of bounds"
            raise KeyError(msg)
        return ids

    def located(self, ids: Ids) -> Int64s:
        """Addresses of rows' bytes.

        Raises:
            KeyError: an id is not in use.
        """
        places = np.empty(len(ids), np.int64)
        wrong = native("rowindex").locate_rows(
            ids, self._rows.address, self._bases, self._flags.array, places
        )
        if wrong >= 0:
            msg = f"row {int(ids[wrong])} is not in use"
            raise KeyError(msg)
        return places

    def live(self) -> Ids:
        """All ids, in order of arrival."""
        ids = np.flatnonzero(self.flags & LIVE)
        sequence = self.words[ids, 3]
        if len(ids) > 1 and (sequence[1:] < sequence[:-1]).any():
            ids = ids[np.argsort(sequence, kind="stable")]
        return ids

    def key_hashes(self, ids: Ids) -> Hashes:
        """The hashes of rows' keys."""
        hashes = np.empty(len(ids), np.uint64)
        native("rowindex").key_hashes(ids, self._rows.address, self._keys.address, hashes)
        return hashes

    # -- by key

    def probe(self, hashes: Hashes, places: Int64s, sizes: Int64s) -> tuple[Int64s, int]:
        """Slots of the keys at some addresses, -1 for none; how many rows they have together."""
        slots = np.empty(len(hashes), np.int64)
        total = native("rowindex").probe(
            arrow.loopable(hashes, np.uint64), places, sizes, self._table.address,
            len(self._table.array) - 1, self._keys.address, self._rows.address, self._bases, slots,
        )  # fmt: skip
        return slots, total

    def rows_of(self, slots: Int64s, total: int) -> tuple[Int64s, Ids]:
        """The rows of slots: which slot's, and ids, in order."""
        numbers, ids = np.empty(total, np.int64), np.empty(total, np.int64)
        native("rowindex").walk(slots, self._keys.address, self._rows.address, numbers, ids)
        return numbers, ids

    def counts(self, slots: Int64s) -> Int64s:
        """How many rows slots have."""
        counts = np.zeros(len(slots), np.int64)
        there = np.flatnonzero(slots >= 0)
        halves = self._keys.array.view(np.int32)
        counts[there] = halves[slots[there] * (2 * _KEY_WORDS) + _COUNT_AT]
        return counts

    # -- by content

    @property
    def by_content(self) -> bool:
        """Whether rows are found by their content."""
        return self._contents is not None

    def begin_find(self) -> None:
        """From now on each row may be found once."""
        self._stamps.reserve(2 * self.bound)
        self._stamp += 1
        if self._stamp == _STAMPS_MAX:
            self._stamps.array[:] = 0
            self._stamp = 1

    def find_in_chains(self, slots: Int64s, places: Int64s, sizes: Int64s, found: Ids) -> bool:
        """Look for rows among those of their keys; False when a key has too many.

        Args:
            slots: of their keys.
            places: addresses of the rows looked for.
            sizes: their bytes.
            found: filled with the oldest that has not been found since ``begin_find``, or -1.
        """
        at = native("rowindex").find_in_chains(
            slots, places, sizes, self._keys.address, self._rows.address, self._bases,
            self._stamps.address, self._stamp, CHAIN_MAX, found,
        )  # fmt: skip
        return bool(at < 0)

    def find_by_content(self, places: Int64s, sizes: Int64s, found: Ids) -> None:
        """As :meth:`find_in_chains`, by content."""
        assert self._contents is not None, "begin_contents comes first"
        native("rowindex").find_by_content(
            places, sizes, self._contents.address, len(self._contents.array) - 1,
            self._twins.address, self._rows.address, self._bases, self._stamps.address,
            self._stamp, found,
        )  # fmt: skip

    def begin_contents(self) -> None:
        """From now on rows can be found by content; those there are to be entered."""
        self._contents = GrowingArray(self._memory, np.uint64, 16)
        self._stamps.array[:] = 0  # they have had another meaning

    def enter_contents(self, ids: Ids) -> None:
        """Enter rows by content, oldest first."""
        assert self._contents is not None, "begin_contents comes first"
        self._twins.reserve(2 * self.bound)
        self._contents = self._with_room(self._contents, self._content_count + len(ids))
        self._content_count += native("rowindex").enter_content(
            ids, self._contents.address, len(self._contents.array) - 1,
            self._twins.address, self._rows.address, self._bases,
        )  # fmt: skip

    # -- internals

    @property
    def _bases(self) -> int:
        return int(self._segments.bases.__array_interface__["data"][0])

    @staticmethod
    def _with_room(table: GrowingArray, count: int) -> GrowingArray:
        """The table, or a larger one with its entries, no more than 3/4 full with ``count``."""
        size = len(table.array)
        while count * 4 > size * 3:
            size *= 2
        if size == len(table.array):
            return table
        larger = table.successor(size)
        native("hashindex").rehash(table.array, larger.array)
        return larger
