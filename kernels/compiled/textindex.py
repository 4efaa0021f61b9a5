"""The probe of ``lesto.kernels.index`` for strings; the layout is described in ``hashindex``."""

from typing import Any

import numpy as np

from lesto.kernels.compiled.decorator import inline, kernel
from lesto.kernels.compiled.hashindex import new_slot, place
from lesto.kernels.compiled.memory import copy_bytes, load8, load32, load64, prefetch

_LOW = np.uint64(0xFFFFFFFF)
_32 = np.uint64(32)
_ONE = np.uint64(1)
_ZERO = np.uint64(0)
_NULL_LENGTH = np.uint64(0xFFFFFFFF)
_AHEAD = 16
_ARENA, _LIVE = 2, 3


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
def find(
    table: Any,
    mask: Any,
    records: Any,
    arena: Any,
    stride: Any,
    tag: Any,
    at: Any,
    size: Any,
    first: Any,
    second: Any,
    space: Any,
) -> Any:
    """The place in the table where a key is or belongs, and its slot or -1.

    Table, records and arena come as addresses: numba counts references to an array argument at
    every call, which made the whole probe four times slower.
    """
    p = tag & mask
    while True:
        entry = load64(table + np.int64(p << np.uint64(3)))
        if entry == _ZERO:
            return p, np.int64(-1)
        if entry >> _32 == tag:
            s = np.int64(entry & _LOW) - 1
            r = records + s * stride * 8
            if load64(r) == first and (stride == 2 or np.int64(load64(r + 16)) == space):
                other = load64(r + 8)
                if size <= 12:
                    if other == second:
                        return p, s
                elif same_bytes(arena + np.int64(other), at, size):
                    return p, s
        p = (p + _ONE) & mask


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
) -> Any:
    """As ``hashindex.probe_words`` for strings; stops also when the arena is full."""
    n = hashes.size
    mask, stride = np.uint64(table.size - 1), (4 if spaced else 2)
    near, space = _AHEAD >> 1, np.int64(0)
    table_at, records_at, arena_at = table.ctypes.data, records.ctypes.data, arena.ctypes.data
    base, end = data.ctypes.data, data.ctypes.data + data.size
    for i in range(start, n):
        if i + _AHEAD < n:
            far = namespaces[i + _AHEAD] if spaced else space
            ahead = place(hashes[i + _AHEAD], far, spaced)
            prefetch(table_at + np.int64((ahead & mask) << np.uint64(3)))
            ahead = place(hashes[i + near], namespaces[i + near] if spaced else space, spaced)
            entry = table[ahead & mask] & _LOW
            if entry != _ZERO:
                prefetch(records_at + (np.int64(entry) - 1) * stride * 8)
        if spaced:
            space = namespaces[i]
        tag = place(hashes[i], space, spaced) & _LOW
        begin = np.int64(offsets[i])
        size = np.int64(offsets[i + 1]) - begin
        at = base + begin
        first, second = _NULL_LENGTH, _ZERO
        if nulls.size and nulls[i]:
            size = np.int64(0)
        elif size <= 12:
            first, second = short_words(at, size, end - at)
        else:
            first = np.uint64(size) | (load32(at) << _32)
        p, found = find(
            table_at, mask, records_at, arena_at, stride, tag, at, size, first, second, space
        )
        if found < 0 and insert:
            full = size > 12 and state[_ARENA] + size > arena.size
            if full or state[_LIVE] >= table.size >> 1:
                return i
            found = new_slot(free, state, slot_hashes.size)
            if found < 0:
                return i
            if size > 12:
                copy_bytes(arena_at + state[_ARENA], at, size)
                second = np.uint64(state[_ARENA])
                state[_ARENA] += size
            table[p] = (tag << _32) | np.uint64(found + 1)
            records[found * stride], records[found * stride + 1] = first, second
            if spaced:
                records[found * stride + 2] = np.uint64(space)
            slot_hashes[found], slot_live[found] = hashes[i], 1
            state[_LIVE], new_rows[0] = state[_LIVE] + 1, new_rows[0] + 1
            new_rows[new_rows[0]] = i
        slots[i] = found
    return n
