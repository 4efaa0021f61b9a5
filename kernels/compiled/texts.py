"""Loops that fold texts; records and arena are laid out as those of the hash index's keys."""

from typing import Any

import numpy as np

from lesto.kernels.compiled.decorator import inline, kernel
from lesto.kernels.compiled.memory import copy_bytes, load8, load32, load64
from lesto.kernels.compiled.textindex import short_words

SUM, MIN, MAX, FIRST, LAST = 0, 1, 2, 3, 4

_LOW = np.uint64(0xFFFFFFFF)
_32 = np.uint64(32)
_BYTE = np.uint64(255)
_EIGHT = np.uint64(8)


@inline
def compare(a: Any, a_size: Any, b: Any, b_size: Any) -> Any:
    """Below, at or above 0 as text ``a`` is smaller than, equal to or greater than ``b``."""
    n = min(a_size, b_size)
    j = 0
    while j + 8 <= n:
        x, y = load64(a + j), load64(b + j)
        if x != y:
            while (x ^ y) & _BYTE == 0:
                x >>= _EIGHT
                y >>= _EIGHT
            return np.int64(x & _BYTE) - np.int64(y & _BYTE)
        j += 8
    while j < n:
        d = np.int64(load8(a + j)) - np.int64(load8(b + j))
        if d != 0:
            return d
        j += 1
    return a_size - b_size


@inline
def write(r: Any, at: Any, size: Any, room: Any, arena_at: Any, used: Any) -> Any:
    """The two words of a record for a text; a long one is copied to the arena at ``used``."""
    if size <= 12:
        return short_words(at, size, room)
    copy_bytes(arena_at + used, at, size)
    return np.uint64(size) | (load32(at) << _32), np.uint64(used)


_FOLD = (
    "int64(int64, int64, int64[::1], {0}[::1], uint8[::1], uint8[::1], uint64[::1], uint8[::1],"
    " int64[::1], uint8[::1], uint8[::1])"
)


@kernel(_FOLD.format("int32"), _FOLD.format("int64"))
def fold(
    op: Any,
    start: Any,
    slots: Any,
    offsets: Any,
    data: Any,
    valid: Any,
    records: Any,
    arena: Any,
    state: Any,
    seen: Any,
    dirty: Any,
) -> Any:
    """Fold texts by ``op`` from row ``start``; returns the row at which the arena was full."""
    base, end = data.ctypes.data, data.ctypes.data + data.size
    records_at, arena_at = records.ctypes.data, arena.ctypes.data
    for i in range(start, slots.size):
        s = slots[i]
        if s < 0 or (valid.size > 0 and not valid[i]):
            continue
        begin = np.int64(offsets[i])
        size = np.int64(offsets[i + 1]) - begin
        at = base + begin
        r = 2 * s
        old = np.int64(records[r] & _LOW)
        if seen[s]:
            if op == FIRST:
                continue
            if op != LAST:
                where = arena_at + np.int64(records[r + 1]) if old > 12 else records_at + r * 8 + 4
                order = compare(at, size, where, old)
                if (op == MIN and order >= 0) or (op == MAX and order <= 0):
                    continue
        if size > 12:
            if state[0] + size > arena.size:
                return i
            first, second = write(r, at, size, end - at, arena_at, state[0])
            state[0] += size
        else:
            first, second = short_words(at, size, end - at)
        if old > 12:
            state[1] += old
        records[r], records[r + 1] = first, second
        seen[s] = 1
        dirty[s] = 1
    return slots.size


_PUT = "void(int64[::1], int64[::1], {0}[::1], uint8[::1], uint64[::1], uint8[::1], int64[::1])"


@kernel(_PUT.format("int32"), _PUT.format("int64"))
def put(
    slots: Any, rows: Any, offsets: Any, data: Any, records: Any, arena: Any, state: Any
) -> None:
    """Set empty records to the texts of some rows; the arena has room."""
    base, end = data.ctypes.data, data.ctypes.data + data.size
    arena_at = arena.ctypes.data
    for i in range(slots.size):
        begin = np.int64(offsets[rows[i]])
        size = np.int64(offsets[rows[i] + 1]) - begin
        at = base + begin
        first, second = write(2 * slots[i], at, size, end - at, arena_at, state[0])
        if size > 12:
            state[0] += size
        records[2 * slots[i]], records[2 * slots[i] + 1] = first, second
