"""The hash index: from a key (and a window) to a dense slot number."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from lesto.kernels import arrow
from lesto.kernels.jit import native
from lesto.kernels.keycodec import (
    NO_NULLS,
    Bytes,
    decode_rows,
    encode_rows,
    from_text,
    from_words,
    to_text,
    to_words,
    word_width,
)

Slots = npt.NDArray[np.int64]
_NO_SPACES = np.zeros(0, np.int64)
_USED, _FREE, _ARENA, _LIVE = 0, 1, 2, 3
_FREED = 2
_MAX_SLOTS = (1 << 31) - 2


class HashIndex:
    """Open addressing from exact keys to slots 0..n-1, growing, with slots reused after removal.

    Args:
        types: Arrow types of the key columns. One of up to 64 bits is kept as a word; one string
            or binary as itself; anything else as rows encoded in binary.
        namespaced: whether every key comes with an int64 namespace (a window's start).
        capacity: how many entries to make room for at first.

    Attributes:
        new_rows: row numbers, ascending, at which the last ``lookup_or_insert`` added an entry.
            ``slots[new_rows]`` are the new slots: **the caller resets its accumulators there**,
            because a slot may have been used before.
    """

    def __init__(
        self, types: Sequence[pa.DataType], *, namespaced: bool = False, capacity: int = 1024
    ) -> None:
        self.types = list(types)
        widths = [word_width(kind) for kind in self.types]
        self._single = len(widths) == 1
        self._words = widths == [1]
        self._rows = not self._words and widths != [0]
        self.namespaced = namespaced
        self._stride = (2 if namespaced else 1) if self._words else (4 if namespaced else 2)
        self._space = -1 if not namespaced else (1 if self._words else 2)
        capacity = max(8, capacity)
        self._table = np.zeros(1 << (2 * capacity - 1).bit_length(), np.uint64)
        self._records = np.empty(capacity * self._stride, np.uint64)
        self._hashes = np.empty(capacity, np.uint64)
        self._flags = np.empty(capacity, np.uint8)
        self._free = np.empty(capacity, np.int32)
        self._arena = np.empty(0 if self._words else 256, np.uint8)
        self._dead = 0
        self._state = np.zeros(4, np.int64)
        self.new_rows: Slots = np.zeros(0, np.int64)

    def __len__(self) -> int:
        return int(self._state[_LIVE])

    @property
    def slot_bound(self) -> int:
        """One more than the largest slot ever handed out: accumulators need this many places."""
        return int(self._state[_USED])

    @property
    def nbytes(self) -> int:
        """Bytes of memory held."""
        parts = (
            self._table,
            self._records,
            self._hashes,
            self._flags,
            self._free,
            self._arena,
        )
        return sum(part.nbytes for part in parts)

    def lookup_or_insert(
        self,
        arrays: Sequence[pa.Array],
        hashes: npt.NDArray[np.uint64],
        namespaces: Slots | None = None,
    ) -> tuple[Slots, int]:
        """Slots of the rows' keys, new ones where a key was not there.

        Args:
            arrays: the key columns, n rows each.
            hashes: uint64[n], the keys' hashes; the same function of the key at every call.
            namespaces: int64[n] if the index is namespaced.

        Returns:
            ``(slots, n_new)``: int64[n] and how many entries were added; see ``new_rows``.
        """
        new = np.zeros(len(hashes) + 1, np.int64)
        slots = self._probe(arrays, hashes, namespaces, new, insert=True)
        count = int(new[0])
        self.new_rows = new[1 : count + 1]
        return slots, count

    def lookup(
        self,
        arrays: Sequence[pa.Array],
        hashes: npt.NDArray[np.uint64],
        namespaces: Slots | None = None,
    ) -> Slots:
        """Slots of the rows' keys, int64[n]; -1 where a key is not there."""
        return self._probe(arrays, hashes, namespaces, _NO_SPACES, insert=False)

    def keys(self, slots: Slots) -> list[pa.Array]:
        """The keys of some slots in use, as arrays of the original types."""
        loops = native("rowkeys")
        slots = self._checked(slots)
        if self._words:
            words = np.empty(len(slots), np.uint64)
            loops.record_words(self._records, self._stride, 0, slots, words)
            return [from_words(words, self._flags[slots], self.types[0])]
        offsets = np.empty(len(slots) + 1, np.int64)
        nulls = np.empty(len(slots), np.uint8)
        total = loops.key_sizes(self._records, self._stride, slots, offsets, nulls)
        data = np.empty(total, np.uint8)
        loops.key_bytes(self._records, self._stride, self._arena, slots, offsets, data)
        if self._rows:
            return decode_rows(offsets, data, self.types)
        return [from_text(offsets, data, nulls, self.types[0])]

    def namespaces(self, slots: Slots) -> Slots:
        """The namespaces of some slots in use, int64[n]."""
        if not self.namespaced:
            msg = "this index has no namespaces"
            raise ValueError(msg)
        slots = self._checked(slots)
        words = np.empty(len(slots), np.uint64)
        native("rowkeys").record_words(self._records, self._stride, self._space, slots, words)
        return words.view(np.int64)

    def hash_of(self, slots: Slots) -> npt.NDArray[np.uint64]:
        """The keys' hashes (without the namespace) of some slots in use, uint64[n]."""
        return self._hashes[self._checked(slots)]

    def live_slots(self) -> Slots:
        """All slots in use, ascending, int64[len]."""
        return np.flatnonzero(self._flags[: self.slot_bound] != _FREED)

    def remove(self, slots: Slots) -> None:
        """Free entries; their slots will be handed out again. O(1) each, no tombstones.

        Raises:
            KeyError: if a slot is not in use; those before it in ``slots`` are removed.
        """
        slots = arrow.loopable(slots, np.int64)
        result = native("hashindex").remove(
            slots,
            self._table,
            self._records,
            self._hashes,
            self._flags,
            self._free,
            self._state,
            self._stride,
            self._space,
            not self._words,
        )
        if result < 0:
            msg = f"slot {int(slots[-1 - result])} is not in use"
            raise KeyError(msg)
        self._dead += result
        if self._dead > 4096 and 2 * self._dead >= self._state[_ARENA]:
            self._compact(0)

    def _probe(
        self,
        arrays: Sequence[pa.Array],
        hashes: npt.NDArray[np.uint64],
        namespaces: Slots | None,
        new: Slots,
        *,
        insert: bool,
    ) -> Slots:
        spaces = self._check(arrays, hashes, namespaces)
        if self._words:
            columns: tuple[npt.NDArray[np.generic], ...] = to_words(arrays[0])
            probe = native("hashindex").probe_words
        else:
            columns = (*encode_rows(arrays), NO_NULLS) if self._rows else to_text(arrays[0])
            probe = native("textindex").probe_text
        hashes = arrow.loopable(hashes, np.uint64)
        n = len(hashes)
        slots = np.empty(n, np.int64)
        row = 0
        while True:
            arena: tuple[Bytes, ...] = () if self._words else (self._arena,)
            row = probe(
                hashes, *columns, spaces, self.namespaced, insert, row,
                self._table, self._records, self._hashes, self._flags, *arena,
                self._free, self._state, slots, new,
            )  # fmt: skip
            if row == n:
                return slots
            offsets = columns[0]
            self._grow(0 if self._words else int(offsets[row + 1]) - int(offsets[row]))

    def _check(
        self,
        arrays: Sequence[pa.Array],
        hashes: npt.NDArray[np.uint64],
        namespaces: Slots | None,
    ) -> Slots:
        n = len(hashes)
        if [arr.type for arr in arrays] != self.types or any(len(arr) != n for arr in arrays):
            found = ", ".join(f"{arr.type} x {len(arr)}" for arr in arrays)
            wanted = ", ".join(map(str, self.types))
            msg = f"the index holds ({wanted}), got ({found}) with {n} hashes"
            raise ValueError(msg)
        if (namespaces is not None) != self.namespaced or (
            namespaces is not None and len(namespaces) != n
        ):
            msg = f"namespaces {'missing' if self.namespaced else 'not expected'} or not {n} long"
            raise ValueError(msg)
        return _NO_SPACES if namespaces is None else arrow.loopable(namespaces, np.int64)

    def _checked(self, slots: Slots) -> Slots:
        slots = arrow.loopable(slots, np.int64)
        if len(slots) and not (slots.min() >= 0 and slots.max() < self.slot_bound):
            msg = "a slot is out of bounds"
            raise KeyError(msg)
        if (self._flags[slots] == _FREED).any():
            msg = "a slot is not in use"
            raise KeyError(msg)
        return slots

    def _grow(self, key_size: int) -> None:
        """Make room in whatever was full: table, slots, arena."""
        used, free, arena, live = self._state.tolist()
        if 2 * live >= len(self._table):
            table = np.zeros(2 * len(self._table), np.uint64)
            native("hashindex").rehash(self._table, table)
            self._table = table
        size = len(self._hashes)
        if free == 0 and used >= size:
            if size >= _MAX_SLOTS:
                msg = "more than 2**31 entries in one index"
                raise MemoryError(msg)
            size = min(2 * size, _MAX_SLOTS)
            self._records = _longer(self._records, size * self._stride)
            self._hashes = _longer(self._hashes, size)
            self._flags = _longer(self._flags, size)
            self._free = _longer(self._free, size)
        if key_size > 12 and arena + key_size > len(self._arena):
            self._compact(key_size)

    def _compact(self, room: int) -> None:
        """Move the long keys in use to a new arena with twice their size and ``room`` free."""
        live = int(self._state[_ARENA]) - self._dead
        arena = np.empty(2 * (live + room) + 256, np.uint8)
        self._state[_ARENA] = native("rowkeys").compact(
            self._records, self._stride, self._flags, self.slot_bound, self._arena, arena
        )
        self._arena = arena
        self._dead = 0


def _longer(array: npt.NDArray[Any], size: int) -> npt.NDArray[Any]:
    out = np.empty(size, array.dtype)
    out[: len(array)] = array
    return out
