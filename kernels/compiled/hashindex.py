"""Loops behind ``lesto.kernels.index``: an open-addressing table from key to slot.

``table`` is uint64[2**k]: the low 32 bits of the placing hash in the upper half, slot + 1 in the
lower; 0 is empty. Linear probing; removal shifts entries back, so there are no tombstones.

``records`` is uint64[slots * stride]. One word a key (``text`` false): the word, or the word and
the namespace (stride 2). Strings: two words, or two, the namespace and one spare (stride 4). The
first holds the length (_NULL_LENGTH for null) and 4 bytes; the second the next 8 bytes of a
key of up to 12, else where the key begins in the arena.

``state`` is int64[4]: slots ever used, free slots, bytes used in the arena, live entries.
"""

from typing import Any

import numpy as np

from lesto.kernels.compiled.decorator import inline, kernel
from lesto.kernels.compiled.hashing import combine, mix
from lesto.kernels.compiled.memory import copy_bytes, load8, load32, load64, prefetch

_LOW = np.uint64(0xFFFFFFFF)
_32 = np.uint64(32)
_ONE = np.uint64(1)
_ZERO = np.uint64(0)
_NULL_LENGTH = np.uint64(0xFFFFFFFF)
_AHEAD = 16
_USED, _FREE, _ARENA, _LIVE = 0, 1, 2, 3


@inline
def place(h: Any, namespaces: Any, i: Any, spaced: Any) -> Any:
    """The hash that places an entry: of the key, or of the key and its namespace."""
    if spaced:
        return combine(h, mix(np.uint64(namespaces[i])))
    return h


@inline
def short_words(at: Any, n: Any, room: Any) -> Any:
    """The two words of a key of up to 12 bytes; reads past it only within ``room``."""
    first = np.uint64(0)
    second = np.uint64(0)
    if room >= 16:
        first = load32(at)
        second = load64(at + 4)
        if n < 4:
            first &= (_ONE << np.uint64(8 * n)) - _ONE
            second = _ZERO
        elif n < 12:
            second &= (_ONE << np.uint64(8 * (n - 4))) - _ONE
    else:
        for j in range(n):
            if j < 4:
                first |= load8(at + j) << np.uint64(8 * j)
            else:
                second |= load8(at + j) << np.uint64(8 * (j - 4))
    return np.uint64(n) | (first << _32), second


@inline
def same_bytes(a: Any, b: Any, n: Any) -> Any:
    """Whether two runs of more than 8 bytes are equal."""
    j = 0
    while j + 8 <= n:
        if load64(a + j) != load64(b + j):
            return False
        j += 8
    return load64(a + n - 8) == load64(b + n - 8)


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
) -> int:
    """Look up, and with ``insert`` add, rows from ``start``; returns the row it had to stop at.

    It stops when the table is half full or the slots are used up; the caller grows them and comes
    back. ``new_rows[0]`` counts the added rows, which follow it.
    """
    n = hashes.size
    mask = np.uint64(table.size - 1)
    stride = 2 if spaced else 1
    limit = slot_hashes.size
    half = table.size >> 1
    at = table.ctypes.data
    for i in range(start, n):
        if i + _AHEAD < n:
            ahead = place(hashes[i + _AHEAD], namespaces, i + _AHEAD, spaced)
            prefetch(at + np.int64((ahead & mask) << np.uint64(3)))
        h = place(hashes[i], namespaces, i, spaced)
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


_TEXT = (
    "int64(uint64[::1], {0}[::1], uint8[::1], uint8[::1], int64[::1], boolean, boolean, int64,"
    " uint64[::1], uint64[::1], uint64[::1], uint8[::1], uint8[::1], int32[::1], int64[::1],"
    " int64[::1], int64[::1])"
)


@kernel(_TEXT.format("int32"), _TEXT.format("int64"))
def probe_text(
    hashes: Any,
    offsets: Any,
    data: Any,
    nulls: Any,
    namespaces: Any,
    spaced: Any,
    insert: Any,
    start: Any,
    table: Any,
    records: Any,
    slot_hashes: Any,
    slot_live: Any,
    arena: Any,
    free: Any,
    state: Any,
    slots: Any,
    new_rows: Any,
) -> int:
    """As :func:`probe_words` for strings; stops also when the arena is full."""
    n = hashes.size
    mask = np.uint64(table.size - 1)
    stride = 4 if spaced else 2
    limit = slot_hashes.size
    half = table.size >> 1
    at = table.ctypes.data
    records_at = records.ctypes.data
    arena_at = arena.ctypes.data
    base = data.ctypes.data
    end = base + data.size
    near = _AHEAD >> 1
    for i in range(start, n):
        if i + _AHEAD < n:
            ahead = place(hashes[i + _AHEAD], namespaces, i + _AHEAD, spaced)
            prefetch(at + np.int64((ahead & mask) << np.uint64(3)))
            ahead = place(hashes[i + near], namespaces, i + near, spaced)
            entry = table[ahead & mask] & _LOW
            if entry != _ZERO:
                prefetch(records_at + (np.int64(entry) - 1) * stride * 8)
        h = place(hashes[i], namespaces, i, spaced)
        tag = h & _LOW
        begin = np.int64(offsets[i])
        size = np.int64(offsets[i + 1]) - begin
        source = base + begin
        first = _NULL_LENGTH
        second = _ZERO
        if nulls.size and nulls[i]:
            size = np.int64(0)
        elif size <= 12:
            first, second = short_words(source, size, end - source)
        else:
            first = np.uint64(size) | (load32(source) << _32)
        p = h & mask
        found = np.int64(-1)
        while True:
            entry = table[p]
            if entry == _ZERO:
                break
            if entry >> _32 == tag:
                s = np.int64(entry & _LOW) - 1
                r = s * stride
                if records[r] == first and (
                    not spaced or np.int64(records[r + 2]) == namespaces[i]
                ):
                    if size <= 12:
                        if records[r + 1] == second:
                            found = s
                            break
                    elif same_bytes(arena_at + np.int64(records[r + 1]), source, size):
                        found = s
                        break
            p = (p + _ONE) & mask
        if found < 0 and insert:
            if state[_LIVE] >= half or (size > 12 and state[_ARENA] + size > arena.size):
                return i
            s = new_slot(free, state, limit)
            if s < 0:
                return i
            if size > 12:
                copy_bytes(arena_at + state[_ARENA], source, size)
                second = np.uint64(state[_ARENA])
                state[_ARENA] += size
            table[p] = (tag << _32) | np.uint64(s + 1)
            records[s * stride] = first
            records[s * stride + 1] = second
            if spaced:
                records[s * stride + 2] = np.uint64(namespaces[i])
            slot_hashes[s] = hashes[i]
            slot_live[s] = 1
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
) -> int:
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
