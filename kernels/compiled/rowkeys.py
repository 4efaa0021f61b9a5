"""Loops that turn rows of several columns into binary keys and keys back into columns."""

from typing import Any

import numpy as np

from lesto.kernels.compiled.decorator import kernel
from lesto.kernels.compiled.memory import copy_bytes, load64, store64

_LOW = np.uint64(0xFFFFFFFF)
_NULL_LENGTH = np.uint64(0xFFFFFFFF)
_SIZES = "void({0}[::1], uint8[::1], int64[::1])"
_WRITE = "void({0}[::1], uint8[::1], uint8[::1], int64[::1], uint8[::1])"


@kernel(_SIZES.format("int32"), _SIZES.format("int64"))
def add_text_sizes(offsets: Any, nulls: Any, sizes: Any) -> None:
    """Add to every row the 8 bytes of a length and the bytes of its string."""
    for i in range(sizes.size):
        sizes[i] += 8
        if not (nulls.size and nulls[i]):
            sizes[i] += np.int64(offsets[i + 1]) - np.int64(offsets[i])


@kernel(_WRITE.format("int32"), _WRITE.format("int64"))
def write_text(offsets: Any, data: Any, nulls: Any, cursors: Any, out: Any) -> None:
    """Write length and bytes of a string at every row's cursor; a null has length -1."""
    base = data.ctypes.data
    to = out.ctypes.data
    for i in range(cursors.size):
        c = cursors[i]
        if nulls.size and nulls[i]:
            store64(to + c, np.uint64(0xFFFFFFFFFFFFFFFF))
            cursors[i] = c + 8
            continue
        begin = np.int64(offsets[i])
        n = np.int64(offsets[i + 1]) - begin
        store64(to + c, np.uint64(n))
        copy_bytes(to + c + 8, base + begin, n)
        cursors[i] = c + 8 + n


@kernel("void(uint64[::1], int64, uint8[::1], int64[::1], uint8[::1])")
def write_words(words: Any, width: Any, nulls: Any, cursors: Any, out: Any) -> None:
    """Write a null flag and ``width`` words at every row's cursor."""
    to = out.ctypes.data
    for i in range(cursors.size):
        c = cursors[i]
        null = nulls.size > 0 and nulls[i] != 0
        out[c] = 1 if null else 0
        for w in range(width):
            value = np.uint64(0) if null else words[i * width + w]
            store64(to + c + 1 + 8 * w, value)
        cursors[i] = c + 1 + 8 * width


@kernel("void(uint8[::1], int64, int64[::1], uint64[::1], uint8[::1])")
def read_words(keys: Any, width: Any, cursors: Any, words: Any, nulls: Any) -> None:
    """The inverse of :func:`write_words`."""
    base = keys.ctypes.data
    for i in range(cursors.size):
        c = cursors[i]
        nulls[i] = keys[c]
        for w in range(width):
            words[i * width + w] = load64(base + c + 1 + 8 * w)
        cursors[i] = c + 1 + 8 * width


@kernel("int64(uint8[::1], int64[::1], int64[::1], uint8[::1])")
def read_text_sizes(keys: Any, cursors: Any, offsets: Any, nulls: Any) -> Any:
    """Fill offsets (n + 1) and null flags of a string column; returns its bytes."""
    base = keys.ctypes.data
    total = np.int64(0)
    offsets[0] = 0
    for i in range(cursors.size):
        n = np.int64(load64(base + cursors[i]))
        nulls[i] = 1 if n < 0 else 0
        if n > 0:
            total += n
        offsets[i + 1] = total
    return total


@kernel("void(uint8[::1], int64[::1], int64[::1], uint8[::1])")
def read_text(keys: Any, cursors: Any, offsets: Any, out: Any) -> None:
    """Copy a string column's bytes and move the cursors on."""
    base = keys.ctypes.data
    to = out.ctypes.data
    for i in range(cursors.size):
        n = offsets[i + 1] - offsets[i]
        copy_bytes(to + offsets[i], base + cursors[i] + 8, n)
        cursors[i] += 8 + n


@kernel("void(uint64[::1], int64, int64, int64[::1], uint64[::1])")
def record_words(records: Any, stride: Any, word: Any, slots: Any, out: Any) -> None:
    """One word of the records of some slots."""
    for i in range(slots.size):
        out[i] = records[slots[i] * stride + word]


@kernel("int64(uint64[::1], int64, int64[::1], int64[::1], uint8[::1])")
def key_sizes(records: Any, stride: Any, slots: Any, offsets: Any, nulls: Any) -> Any:
    """Offsets (n + 1) and null flags of the string keys of some slots; returns their bytes."""
    total = np.int64(0)
    offsets[0] = 0
    for i in range(slots.size):
        n = records[slots[i] * stride] & _LOW
        nulls[i] = 1 if n == _NULL_LENGTH else 0
        if n != _NULL_LENGTH:
            total += np.int64(n)
        offsets[i + 1] = total
    return total


@kernel("void(uint64[::1], int64, uint8[::1], int64[::1], int64[::1], uint8[::1])")
def key_bytes(records: Any, stride: Any, arena: Any, slots: Any, offsets: Any, out: Any) -> None:
    """Bytes of the string keys of some slots."""
    base = arena.ctypes.data
    at = records.ctypes.data
    to = out.ctypes.data
    for i in range(slots.size):
        r = slots[i] * stride
        n = offsets[i + 1] - offsets[i]
        if n > 12:
            copy_bytes(to + offsets[i], base + np.int64(records[r + 1]), n)
        else:
            copy_bytes(to + offsets[i], at + r * 8 + 4, n)


@kernel("int64(uint64[::1], int64, uint8[::1], int64, uint8[::1], uint8[::1])")
def compact(records: Any, stride: Any, flags: Any, used: Any, arena: Any, out: Any) -> Any:
    """Copy the long keys still in use to another arena; returns the bytes used there."""
    base = arena.ctypes.data
    to = out.ctypes.data
    cursor = np.int64(0)
    for s in range(used):
        n = np.int64(records[s * stride] & _LOW)
        if flags[s] != 2 and 12 < n < np.int64(_NULL_LENGTH):
            copy_bytes(to + cursor, base + np.int64(records[s * stride + 1]), n)
            records[s * stride + 1] = np.uint64(cursor)
            cursor += n
    return cursor
