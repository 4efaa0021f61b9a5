"""Loops behind ``lesto.kernels.partition``: counting sort and gathers over Arrow buffers."""

from typing import Any

import numpy as np

from lesto.kernels.compiled.decorator import inline, kernel
from lesto.kernels.compiled.memory import copy_bytes, load64, store64

_ONE = np.uint32(1)


@kernel("void(int32[::1], int64[::1], int32[::1])")
def counting_sort(channels: Any, offsets: Any, order: Any) -> None:
    """Stable sort of row numbers by channel; rows of a negative channel are left out.

    Args:
        channels: int32[n].
        offsets: int64[channels + 1], filled with where each channel begins in ``order``.
        order: int32[n], filled.
    """
    count = offsets.size - 1
    for k in range(count + 1):
        offsets[k] = 0
    for i in range(channels.size):
        if channels[i] >= 0:
            offsets[channels[i] + 1] += 1
    for k in range(count):
        offsets[k + 1] += offsets[k]
    cursor = offsets[:count].copy()
    for i in range(channels.size):
        k = channels[i]
        if k >= 0:
            order[cursor[k]] = i
            cursor[k] += 1


@kernel(
    "void(uint8[::1], int32[::1], uint8[::1])",
    "void(uint16[::1], int32[::1], uint16[::1])",
    "void(uint32[::1], int32[::1], uint32[::1])",
    "void(uint64[::1], int32[::1], uint64[::1])",
)
def gather(values: Any, rows: Any, out: Any) -> None:
    """Gather items of one width."""
    for i in range(rows.size):
        out[i] = values[rows[i]]


@kernel("void(uint64[::1], int64, int32[::1], uint64[::1])")
def gather_wide(values: Any, width: Any, rows: Any, out: Any) -> None:
    """Gather items of ``width`` 64-bit words (decimals)."""
    for i in range(rows.size):
        for w in range(width):
            out[i * width + w] = values[np.int64(rows[i]) * width + w]


@kernel("int64(uint8[::1], int64, int32[::1], uint8[::1])")
def gather_bits(bitmap: Any, offset: Any, rows: Any, out: Any) -> Any:
    """Gather an Arrow bitmap; returns how many bits are 0."""
    n = rows.size
    ones = np.int64(0)
    for b in range(n >> 3):
        byte = np.uint32(0)
        for j in range(8):
            p = np.uint64(np.int64(rows[b * 8 + j]) + offset)
            bit = (np.uint32(bitmap[p >> np.uint64(3)]) >> np.uint32(p & np.uint64(7))) & _ONE
            byte |= bit << np.uint32(j)
            ones += bit
        out[b] = byte
    if n & 7:
        byte = np.uint32(0)
        for i in range(n & ~7, n):
            p = np.uint64(np.int64(rows[i]) + offset)
            bit = (np.uint32(bitmap[p >> np.uint64(3)]) >> np.uint32(p & np.uint64(7))) & _ONE
            byte |= bit << np.uint32(i & 7)
            ones += bit
        out[n >> 3] = byte
    return n - ones


@kernel(
    "int64(int32[::1], int32[::1], int32[::1])",
    "int64(int64[::1], int32[::1], int64[::1])",
)
def string_offsets(offsets: Any, rows: Any, out: Any) -> Any:
    """Offsets of the gathered strings; returns their total bytes, to be checked by the caller."""
    total = np.int64(0)
    out[0] = 0
    for i in range(rows.size):
        r = rows[i]
        total += np.int64(offsets[r + 1]) - np.int64(offsets[r])
        out[i + 1] = total
    return total


@inline
def copy_short(to: Any, source: Any, n: Any, room: Any) -> None:
    """Copy ``n`` bytes; may write up to 31 past them, and reads past them only within ``room``."""
    if n <= 32 and room >= 32:
        store64(to, load64(source))
        store64(to + 8, load64(source + 8))
        if n > 16:
            store64(to + 16, load64(source + 16))
            store64(to + 24, load64(source + 24))
    else:
        copy_bytes(to, source, n)


@kernel(
    "void(int32[::1], uint8[::1], int32[::1], int32[::1], uint8[::1])",
    "void(int64[::1], uint8[::1], int32[::1], int64[::1], uint8[::1])",
)
def gather_strings(offsets: Any, data: Any, rows: Any, out_offsets: Any, out: Any) -> None:
    """Copy the bytes of the gathered strings; ``out`` has 32 spare bytes behind."""
    base = data.ctypes.data
    end = base + data.size
    to = out.ctypes.data
    for i in range(rows.size):
        r = rows[i]
        begin = np.int64(offsets[r])
        source = base + begin
        n = np.int64(offsets[r + 1]) - begin
        copy_short(to + np.int64(out_offsets[i]), source, n, end - source)
