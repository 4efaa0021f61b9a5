"""Loops that write columns as msgpack, row after row, and sort the rows."""

from typing import Any

import numpy as np

from lesto.kernels.compiled.decorator import inline, kernel
from lesto.kernels.compiled.memory import copy_bytes, load8, load64

_U8, _U16 = np.uint64(8), np.uint64(16)
_BYTE = np.uint64(0xFF)
_EVEN_BYTES = np.uint64(0x00FF00FF00FF00FF)
_EVEN_PAIRS = np.uint64(0x0000FFFF0000FFFF)
_HALF = np.uint64(32)


@inline
def swapped(word: Any) -> Any:
    """The eight bytes of a word in the other order."""
    word = ((word & _EVEN_BYTES) << _U8) | ((word >> _U8) & _EVEN_BYTES)
    word = ((word & _EVEN_PAIRS) << _U16) | ((word >> _U16) & _EVEN_PAIRS)
    return (word << _HALF) | (word >> _HALF)


@inline
def put(out: Any, at: Any, word: Any, width: Any) -> Any:
    """The low ``width`` bytes of a word, big-endian; returns the place behind them."""
    for k in range(width):
        out[at + k] = np.uint8((word >> np.uint64(8 * (width - 1 - k))) & _BYTE)
    return at + width


@inline
def int_size(v: Any) -> Any:
    """Bytes of an integer in msgpack."""
    if -32 <= v < 128:
        return 1
    if v >= 0:
        if v < 1 << 8:
            return 2
        if v < 1 << 16:
            return 3
        return 5 if v < 1 << 32 else 9
    if v >= -(1 << 7):
        return 2
    if v >= -(1 << 15):
        return 3
    return 5 if v >= -(1 << 31) else 9


@inline
def head_size(n: Any, binary: Any) -> Any:
    """Bytes before a text (or binary) of ``n`` bytes in msgpack."""
    if n < 32 and not binary:
        return 1
    if n < 1 << 8:
        return 2
    return 3 if n < 1 << 16 else 5


@kernel("void(int64[::1], uint8[::1], int64[::1])")
def add_int_sizes(values: Any, skipped: Any, sizes: Any) -> None:
    """Add to every row the bytes of its integer."""
    for i in range(sizes.size):
        if not (skipped.size and skipped[i]):
            sizes[i] += int_size(values[i])


@kernel("void(int64[::1], boolean, uint8[::1], int64[::1])")
def add_text_sizes(offsets: Any, binary: Any, skipped: Any, sizes: Any) -> None:
    """Add to every row the bytes of its text."""
    for i in range(sizes.size):
        if not (skipped.size and skipped[i]):
            n = offsets[i + 1] - offsets[i]
            sizes[i] += n + head_size(n, binary)


@kernel("void(int64, uint8[::1], int64[::1])")
def add_size(size: Any, skipped: Any, sizes: Any) -> None:
    """Add one size to every row."""
    for i in range(sizes.size):
        if not (skipped.size and skipped[i]):
            sizes[i] += size


@kernel("void(int64[::1], uint8[::1], int64[::1], uint8[::1])")
def write_ints(values: Any, skipped: Any, cursors: Any, out: Any) -> None:
    """Write an integer at every row's cursor, as short as it can be."""
    for i in range(cursors.size):
        if skipped.size and skipped[i]:
            continue
        v = values[i]
        c = cursors[i]
        word = np.uint64(v)
        size = int_size(v)
        if size > 1:
            kind = 1 if size == 2 else 2 if size == 3 else 3 if size == 5 else 4
            out[c] = np.uint8((0xCB if v >= 0 else 0xCF) + kind)
            cursors[i] = put(out, c + 1, word, size - 1)
        else:
            cursors[i] = put(out, c, word, 1)


@kernel("void(uint64[::1], uint8[::1], int64[::1], uint8[::1])")
def write_floats(words: Any, skipped: Any, cursors: Any, out: Any) -> None:
    """Write a float, given as its bits, at every row's cursor."""
    for i in range(cursors.size):
        if skipped.size and skipped[i]:
            continue
        c = cursors[i]
        out[c] = 0xCB
        cursors[i] = put(out, c + 1, words[i], 8)


@kernel("void(int64[::1], uint8[::1], boolean, uint8[::1], int64[::1], uint8[::1])")
def write_texts(offsets: Any, data: Any, binary: Any, skipped: Any, cursors: Any, out: Any) -> None:
    """Write a text (or binary) at every row's cursor."""
    base = data.ctypes.data
    to = out.ctypes.data
    for i in range(cursors.size):
        if skipped.size and skipped[i]:
            continue
        n = offsets[i + 1] - offsets[i]
        c = cursors[i]
        size = head_size(n, binary)
        if size == 1:
            out[c] = np.uint8(0xA0 | n)
        else:
            kind = 0 if size == 2 else 1 if size == 3 else 2
            out[c] = np.uint8((0xC4 if binary else 0xD9) + kind)
            put(out, c + 1, np.uint64(n), size - 1)
        copy_bytes(to + c + size, base + offsets[i], n)
        cursors[i] = c + size + n


@kernel("void(uint8[::1], uint8[::1], int64[::1], uint8[::1])")
def write_constant(constant: Any, skipped: Any, cursors: Any, out: Any) -> None:
    """Write the same bytes at every row's cursor."""
    n = constant.size
    for i in range(cursors.size):
        if skipped.size and skipped[i]:
            continue
        c = cursors[i]
        for k in range(n):
            out[c + k] = constant[k]
        cursors[i] = c + n


@kernel("void(uint16[::1], int64, uint64[::1], int64[::1], int64[::1], uint8[::1])")
def write_heads(groups: Any, state: Any, times: Any, sizes: Any, cursors: Any, out: Any) -> None:
    """Write key group, state id, time (if any) and length of the key, as entry keys begin."""
    for i in range(cursors.size):
        c = put(out, cursors[i], np.uint64(groups[i]), 2)
        c = put(out, c, np.uint64(state), 2)
        if times.size:
            c = put(out, c, times[i], 8)
        n = sizes[i]
        if n < 255:
            c = put(out, c, np.uint64(n), 1)
        else:
            c = put(out, c, np.uint64(255), 1)
            c = put(out, c, np.uint64(n), 4)
        cursors[i] = c


@kernel("void(int64[::1], uint8[::1], int64, uint64[::1])")
def sort_words(offsets: Any, data: Any, count: Any, out: Any) -> None:
    """Bytes as ``count`` words a row that compare like them, word after word; then the length.

    The length tells apart what only zeros at the end distinguish.
    """
    base = data.ctypes.data
    n = offsets.size - 1
    last = offsets[n]
    for i in range(n):
        at = offsets[i]
        end = offsets[i + 1]
        out[count * n + i] = np.uint64(end - at)
        for w in range(count):
            left = end - at
            word = np.uint64(0)
            if left > 0:
                if at + 8 <= last:
                    word = swapped(load64(base + at))
                    if left < 8:
                        unused = np.uint64(8 * (8 - left))
                        word = (word >> unused) << unused
                else:
                    for k in range(min(left, 8)):
                        word |= load8(base + at + k) << np.uint64(56 - 8 * k)
            out[w * n + i] = word
            at += 8


@kernel("void(uint64[::1], int64, int64[::1], int64[::1])")
def radix_sort(words: Any, count: Any, order: Any, scratch: Any) -> None:
    """Stable sort of row numbers by ``count`` words a row, the first being the most significant.

    Args:
        words: uint64[count * n], word after word.
        count: words of a row.
        order: int64[n], filled.
        scratch: int64[n].
    """
    n = order.size
    for i in range(n):
        order[i] = i
    found = np.zeros((8, 256), np.int64)
    for w in range(count - 1, -1, -1):
        found[:] = 0
        at = w * n
        for i in range(n):
            word = words[at + i]
            for k in range(8):
                found[k, word & _BYTE] += 1
                word >>= _U8
        for k in range(8):
            shift = np.uint64(8 * k)
            if found[k, (words[at] >> shift) & _BYTE] == n:
                continue
            place = np.int64(0)
            for b in range(256):
                here = found[k, b]
                found[k, b] = place
                place += here
            for i in range(n):
                row = order[i]
                b = (words[at + row] >> shift) & _BYTE
                scratch[found[k, b]] = row
                found[k, b] += 1
            for i in range(n):
                order[i] = scratch[i]
