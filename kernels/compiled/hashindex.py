"""Loops behind ``lesto.kernels.index``: an open-addressing table from key to slot.

``table`` is uint64[2**k]: the low 32 bits of the placing hash in the upper half, slot + 1 in the
lower; 0 is empty. Linear probing; removal shifts entries back, so there are no tombstones.

``records`` is uint64[slots * stride]. One word a key (``text`` false): the word, or the word and
the namespace (stride 2). Strings: two words, or two, the namespace and one spare (stride 4). The
first holds the length (_NULL_LENGTH for null) and 4 bytes; the second the next 8 bytes of a
key of up to 12, else where the key begins in the arena.

A probe stops early when the table is half full or slots or arena are used up; the caller grows
them and comes back. ``new_rows[0]`` counts the added rows, which follow it.

``state`` is int64[4]: slots ever used, free slots, bytes used in the arena, live entries.
"""

from typing import Any

import numpy as np

from lesto.kernels.compiled.decorator import inline, kernel
from lesto.kernels.compiled.hashing import combine, mix
from lesto.kernels.compiled.memory import prefetch

_LOW = np.uint64(0xFFFFFFFF)
_32 = np.uint64(32)
_ONE = np.uint64(1)
_ZERO = np.uint64(0)
_NULL_LENGTH = np.uint64(0xFFFFFFFF)
_AHEAD = 16
_USED, _FREE, _ARENA, _LIVE = 0, 1, 2, 3


@inline
def place(h: Any, space: Any, spaced: Any) -> Any:
    """The hash that places an entry: of the key, or of the key and its namespace."""
    if spaced:
        return combine(h, mix(np.uint64(space)))
    return h


@inline
def new_slot(free: Any, state: Any, limit: Any) -> Any:
    """A free slot, or -1 when the slot arrays must grow."""
    if state[_FREE] > 0:
        state[_FREE] -= 1
        return np.int64(free[state[_FREE]])
    if state[_USED] >= limit:
        return np.int64(-1)
    state[_USED] += 1
    return state[_USED] - 1


@kernel(
    "int64(uint64[::1], uint64[::1], uint8[::1], int64[::1], boolean, boolean, int64, uint64[::1],"
    " uint64[::1], uint64[::1], uint8[::1], int32[::1], int64[::1], int64[::1], int64[::1])"
)
def probe_words(
    hashes: Any,
    words: Any,
    nulls: Any,
    namespaces: Any,
    spaced: Any,
    insert: Any,
    start: Any,
    table: Any,
    records: Any,
    slot_hashes: Any,
    slot_null: Any,
    free: Any,
    state: Any,
    slots: Any,
    new_rows: Any,
) -> Any:
    """Look up, and with ``insert`` add, rows from ``start``; returns the row it stopped at."""
    n = hashes.size
    mask = np.uint64(table.size - 1)
    stride = 2 if spaced else 1
    limit = slot_hashes.size
    half = table.size >> 1
    at = table.ctypes.data
    space = np.int64(0)
    for i in range(start, n):
        if i + _AHEAD < n:
            far = namespaces[i + _AHEAD] if spaced else space
            ahead = place(hashes[i + _AHEAD], far, spaced)
            prefetch(at + np.int64((ahead & mask) << np.uint64(3)))
        if spaced:
            space = namespaces[i]
        h = place(hashes[i], space, spaced)
        tag = h & _LOW
        w = words[i]
        null = nulls[i] if nulls.size else np.uint8(0)
        p = h & mask
        found = np.int64(-1)
        while True:
            entry = table[p]
            if entry == _ZERO:
                break
            if entry >> _32 == tag:
                s = np.int64(entry & _LOW) - 1
                if (
                    records[s * stride] == w
                    and (w != _ZERO or slot_null[s] == null)
                    and (not spaced or np.int64(records[s * 2 + 1]) == namespaces[i])
                ):
                    found = s
                    break
            p = (p + _ONE) & mask
        if found < 0 and insert:
            if state[_LIVE] >= half:
                return i
            s = new_slot(free, state, limit)
            if s < 0:
                return i
            table[p] = (tag << _32) | np.uint64(s + 1)
            records[s * stride] = w
            if spaced:
                records[s * 2 + 1] = np.uint64(namespaces[i])
            slot_hashes[s] = hashes[i]
            slot_null[s] = null
            state[_LIVE] += 1
            new_rows[0] += 1
            new_rows[new_rows[0]] = i
            found = s
        slots[i] = found
    return n


@kernel("void(uint64[::1], uint64[::1])")
def rehash(old: Any, table: Any) -> None:
    """Enter every entry of the old table into an empty larger one."""
    mask = np.uint64(table.size - 1)
    for i in range(old.size):
        entry = old[i]
        if entry != _ZERO:
            p = (entry >> _32) & mask
            while table[p] != _ZERO:
                p = (p + _ONE) & mask
            table[p] = entry


@kernel(
    "int64(int64[::1], uint64[::1], uint64[::1], uint64[::1], uint8[::1], int32[::1], int64[::1],"
    " int64, int64, boolean)"
)
def remove(
    slots: Any,
    table: Any,
    records: Any,
    slot_hashes: Any,
    slot_live: Any,
    free: Any,
    state: Any,
    stride: Any,
    space: Any,
    text: Any,
) -> Any:
    """Free slots; returns the arena bytes they held, or -1 - row at a slot that is not in use.

    Args:
        space: which word of a record is the namespace; negative for none.
    """
    mask = np.uint64(table.size - 1)
    freed = np.int64(0)
    for i in range(slots.size):
        s = slots[i]
        if s < 0 or s >= state[_USED] or slot_live[s] > 1:
            return -1 - i
        h = slot_hashes[s]
        if space >= 0:
            h = combine(h, mix(records[s * stride + space]))
        p = h & mask
        wanted = np.uint64(s + 1)
        while table[p] & _LOW != wanted:
            if table[p] == _ZERO:
                return -1 - i
            p = (p + _ONE) & mask
        if text:
            size = np.int64(records[s * stride] & _LOW)
            if 12 < size < np.int64(_NULL_LENGTH):
                freed += size
        slot_live[s] = 2
        free[state[_FREE]] = s
        state[_FREE] += 1
        state[_LIVE] -= 1
        q = p
        while True:  # shift back whatever may stand nearer to its home
            q = (q + _ONE) & mask
            entry = table[q]
            if entry == _ZERO:
                break
            home = (entry >> _32) & mask
            if ((q - home) & mask) >= ((q - p) & mask):
                table[p] = entry
                p = q
        table[p] = _ZERO
    return freed
