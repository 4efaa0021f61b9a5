"""Loops of ``lesto.kernels.rowcodec``: columns to rows of bytes, and back.

Rows lie anywhere in memory: a loop gets the address of each. Row bytes may be read, never written,
up to 32 bytes behind their end (``SPARE``).
"""

from typing import Any

import numpy as np

from lesto.kernels.compiled.decorator import inline, kernel
from lesto.kernels.compiled.memory import (
    copy_bytes,
    load8,
    load32,
    load64,
    prefetch,
    store8,
    store32,
    store64,
)

_AHEAD = 16
_ONE = np.uint64(1)
_ZERO = np.uint64(0)


@inline
def copy_exact(to: Any, source: Any, n: Any) -> None:
    """Copy ``n`` bytes, touching no others."""
    if n > 32:
        copy_bytes(to, source, n)
    elif n >= 8:
        j = 0
        while j + 8 <= n:
            store64(to + j, load64(source + j))
            j += 8
        store64(to + n - 8, load64(source + n - 8))
    elif n >= 4:
        last = load32(source + n - 4)
        store32(to, load32(source))
        store32(to + n - 4, last)
    else:
        for j in range(n):
            store8(to + j, load8(source + j))


@inline
def same(a: Any, b: Any, n: Any) -> Any:
    """Whether two runs of ``n`` bytes are equal."""
    j = 0
    if n < 8:
        while j < n and load8(a + j) == load8(b + j):
            j += 1
        return j >= n
    while j + 8 <= n:
        if load64(a + j) != load64(b + j):
            return False
        j += 8
    return load64(a + n - 8) == load64(b + n - 8)


# -- columns to rows ------------------------------------------------------------------------------


@kernel(
    "void(int32[::1], uint8[::1], int64[::1])",
    "void(int64[::1], uint8[::1], int64[::1])",
)
def add_sizes(offsets: Any, nulls: Any, sizes: Any) -> None:
    """Add to every row the bytes of its value."""
    for i in range(sizes.size):
        if not (nulls.size and nulls[i]):
            sizes[i] += np.int64(offsets[i + 1]) - np.int64(offsets[i])


@kernel("void(int64[::1], int64)")
def clear(rows: Any, size: Any) -> None:
    """Zero the first bytes of every row."""
    for i in range(rows.size):
        at = rows[i]
        for j in range(size):
            store8(at + j, _ZERO)


@kernel("void(uint8[::1], int64[::1], int64, int64)")
def write_nulls(nulls: Any, rows: Any, byte: Any, bit: Any) -> None:
    """Set a bit of a byte in the rows where the flag is set."""
    mask = _ONE << np.uint64(bit)
    for i in range(rows.size):
        if nulls[i]:
            at = rows[i] + byte
            store8(at, load8(at) | mask)


@kernel("void(uint8[::1], uint8[::1], int64[::1], int64)")
def write8(values: Any, nulls: Any, rows: Any, place: Any) -> None:
    """Write one byte into every row; 0 for a null."""
    for i in range(rows.size):
        value = np.uint64(values[i])
        store8(rows[i] + place, _ZERO if nulls.size and nulls[i] else value)


@kernel("void(uint32[::1], uint8[::1], int64[::1], int64)")
def write32(values: Any, nulls: Any, rows: Any, place: Any) -> None:
    """Write four bytes into every row; 0 for a null."""
    for i in range(rows.size):
        value = np.uint64(values[i])
        store32(rows[i] + place, _ZERO if nulls.size and nulls[i] else value)


@kernel("void(uint64[::1], uint8[::1], int64[::1], int64)")
def write64(values: Any, nulls: Any, rows: Any, place: Any) -> None:
    """Write eight bytes into every row; 0 for a null."""
    for i in range(rows.size):
        value = values[i]
        store64(rows[i] + place, _ZERO if nulls.size and nulls[i] else value)


@kernel("void(uint8[::1], int64, uint8[::1], int64[::1], int64)")
def write_wide(values: Any, width: Any, nulls: Any, rows: Any, place: Any) -> None:
    """Write ``width`` bytes into every row; zeros for a null."""
    base = values.ctypes.data
    for i in range(rows.size):
        to = rows[i] + place
        if nulls.size and nulls[i]:
            for j in range(width):
                store8(to + j, _ZERO)
        else:
            copy_exact(to, base + i * width, width)


_WRITE = "void({0}[::1], uint8[::1], uint8[::1], int64[::1], int64[::1], int64)"


@kernel(_WRITE.format("int32"), _WRITE.format("int64"))
def write_text(offsets: Any, data: Any, nulls: Any, rows: Any, ends: Any, place: Any) -> None:
    """Write bytes behind what every row has, and at ``place`` where they end.

    Args:
        ends: int64[n], where each row ends so far; moved.
    """
    base = data.ctypes.data
    for i in range(rows.size):
        at = rows[i]
        if not (nulls.size and nulls[i]):
            begin = np.int64(offsets[i])
            n = np.int64(offsets[i + 1]) - begin
            copy_exact(at + ends[i], base + begin, n)
            ends[i] += n
        store32(at + place, np.uint64(ends[i]))


# -- rows to columns ------------------------------------------------------------------------------


@inline
def near(rows: Any, i: Any, place: Any) -> None:
    """Ask for what will be read soon."""
    if i + _AHEAD < rows.size:
        prefetch(rows[i + _AHEAD] + place)


@kernel("int64(int64[::1], int64, int64, uint8[::1])")
def read_nulls(rows: Any, byte: Any, bit: Any, validity: Any) -> Any:
    """Fill an Arrow bitmap of what is not null; returns how many rows are null."""
    n = rows.size
    shift = np.uint64(bit)
    nulls = np.int64(0)
    held = _ZERO
    for i in range(n):
        near(rows, i, byte)
        null = (load8(rows[i] + byte) >> shift) & _ONE
        nulls += np.int64(null)
        held |= (null ^ _ONE) << np.uint64(i & 7)
        if i & 7 == 7:
            validity[i >> 3] = held
            held = _ZERO
    if n & 7:
        validity[n >> 3] = held
    return nulls


@kernel("void(int64[::1], int64, uint8[::1])")
def read_bits(rows: Any, place: Any, out: Any) -> None:
    """Fill an Arrow bitmap of booleans."""
    n = rows.size
    held = _ZERO
    for i in range(n):
        near(rows, i, place)
        held |= (load8(rows[i] + place) & _ONE) << np.uint64(i & 7)
        if i & 7 == 7:
            out[i >> 3] = held
            held = _ZERO
    if n & 7:
        out[n >> 3] = held


@kernel("void(int64[::1], int64, uint8[::1])")
def read8(rows: Any, place: Any, out: Any) -> None:
    """One byte of every row."""
    for i in range(rows.size):
        near(rows, i, place)
        out[i] = load8(rows[i] + place)


@kernel("void(int64[::1], int64, uint32[::1])")
def read32(rows: Any, place: Any, out: Any) -> None:
    """Four bytes of every row."""
    for i in range(rows.size):
        near(rows, i, place)
        out[i] = load32(rows[i] + place)


@kernel("void(int64[::1], int64, uint64[::1])")
def read64(rows: Any, place: Any, out: Any) -> None:
    """Eight bytes of every row."""
    for i in range(rows.size):
        near(rows, i, place)
        out[i] = load64(rows[i] + place)


@kernel("void(int64[::1], int64, int64, uint8[::1])")
def read_wide(rows: Any, place: Any, width: Any, out: Any) -> None:
    """``width`` bytes of every row."""
    to = out.ctypes.data
    for i in range(rows.size):
        near(rows, i, place)
        copy_exact(to + i * width, rows[i] + place, width)


@inline
def bounds(row: Any, first: Any, place: Any) -> Any:
    """Where a value of variable size begins and ends: ``first`` for the first, else negative."""
    end = np.int64(load32(row + place))
    if first >= 0:
        return first, end
    return np.int64(load32(row + place - 4)), end


@kernel("int64(int64[::1], int64, int64, int64[::1])")
def text_offsets(rows: Any, first: Any, place: Any, offsets: Any) -> Any:
    """Offsets of the values of variable size; returns their bytes."""
    total = np.int64(0)
    offsets[0] = 0
    for i in range(rows.size):
        near(rows, i, place)
        begin, end = bounds(rows[i], first, place)
        total += end - begin
        offsets[i + 1] = total
    return total


@kernel(
    "void(int64[::1], int64, int64, int64[::1], uint8[::1])",
)
def read_text(rows: Any, first: Any, place: Any, offsets: Any, out: Any) -> None:
    """The bytes of the values; ``out`` has 32 bytes to spare."""
    to = out.ctypes.data
    for i in range(rows.size):
        near(rows, i, place)
        begin = bounds(rows[i], first, place)[0]
        n = offsets[i + 1] - offsets[i]
        source = rows[i] + begin
        target = to + offsets[i]
        if n <= 32:
            store64(target, load64(source))
            if n > 8:
                store64(target + 8, load64(source + 8))
                if n > 16:
                    store64(target + 16, load64(source + 16))
                    store64(target + 24, load64(source + 24))
        else:
            copy_bytes(target, source, n)


# -- rows within rows -----------------------------------------------------------------------------


@kernel("int64(int64[::1], int64, int64, int64[::1])")
def count_items(rows: Any, first: Any, place: Any, offsets: Any) -> Any:
    """Offsets of lists by their items, each of which begins with its size; returns how many."""
    total = np.int64(0)
    offsets[0] = 0
    for i in range(rows.size):
        begin, end = bounds(rows[i], first, place)
        while begin < end:
            begin += 4 + np.int64(load32(rows[i] + begin))
            total += 1
        offsets[i + 1] = total
    return total


@kernel("void(int64[::1], int64, int64, int64[::1])")
def item_rows(rows: Any, first: Any, place: Any, items: Any) -> None:
    """Addresses of the items behind their sizes."""
    at = np.int64(0)
    for i in range(rows.size):
        begin, end = bounds(rows[i], first, place)
        while begin < end:
            items[at] = rows[i] + begin + 4
            begin += 4 + np.int64(load32(rows[i] + begin))
            at += 1


@kernel("void(int64[::1], int64[::1])")
def write_sizes(rows: Any, sizes: Any) -> None:
    """Write the size of each row in front of it."""
    for i in range(rows.size):
        store32(rows[i] - 4, np.uint64(sizes[i]))


# -- whole rows -----------------------------------------------------------------------------------


@kernel("void(int64[::1], int64, int64[::1])")
def part_ends(rows: Any, place: Any, ends: Any) -> None:
    """Addresses behind the rows: at ``place`` they say where their last value ends."""
    for i in range(rows.size):
        near(rows, i, place)
        ends[i] = rows[i] + np.int64(load32(rows[i] + place))


@kernel("int64(int64[::1], int64[::1], int64, int64, int64[::1])")
def check_ends(rows: Any, limits: Any, fixed: Any, texts: Any, ends: Any) -> Any:
    """Whether rows end where they say, not behind ``limits``; the first wrong one, or -1.

    Args:
        fixed: bytes of the part of fixed size, which ends with 4 bytes for each of ``texts``.
        ends: filled with the addresses behind the rows.
    """
    for i in range(rows.size):
        if rows[i] + fixed > limits[i]:
            return i
        end = fixed
        for k in range(texts):
            found = np.int64(load32(rows[i] + fixed - 4 * (texts - k)))
            if found < end or rows[i] + found > limits[i]:
                return i
            end = found
        ends[i] = rows[i] + end
    return -1


@kernel("void(int64[::1], int64[::1], int64[::1])")
def copy_rows(sources: Any, targets: Any, sizes: Any) -> None:
    """Copy rows of bytes."""
    for i in range(sources.size):
        near(sources, i, 0)
        copy_exact(targets[i], sources[i], sizes[i])
