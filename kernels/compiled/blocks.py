"""Loops that lay sorted entries out as blocks of a RocksDB table, and seal the blocks."""

from typing import Any

import numpy as np

from lesto.kernels.compiled.decorator import inline, kernel
from lesto.kernels.compiled.memory import copy_bytes, load8, load64

_BYTE = np.uint32(0xFF)
_EIGHT = np.uint32(8)
_ONES = np.uint32(0xFFFFFFFF)
_MASK_DELTA = np.uint32(0xA282EAD8)
#: Every so many entries a key stands whole, so that a reader can search the block.
_RESTART_ENTRIES = 16
#: Bytes behind a block: its compression and its checksum.
_TRAILER = 5


@inline
def put_varint(out: Any, at: Any, n: Any) -> Any:
    """Seven bits a byte, the lowest first; returns the place behind them."""
    while n >= 128:
        out[at] = np.uint8((n & 127) | 128)
        n >>= 7
        at += 1
    out[at] = np.uint8(n)
    return at + 1


@inline
def put_fixed32(out: Any, at: Any, n: Any) -> Any:
    """Four bytes, the lowest first; returns the place behind them."""
    for k in range(4):
        out[at + k] = np.uint8((n >> (8 * k)) & 255)
    return at + 4


@inline
def put_restarts(out: Any, at: Any, restarts: Any, entries: Any) -> Any:
    """The places of whole keys and their count, which end a block; returns the place behind."""
    count = (entries + _RESTART_ENTRIES - 1) // _RESTART_ENTRIES
    for r in range(count):
        at = put_fixed32(out, at, restarts[r])
    return put_fixed32(out, at, count)


@inline
def common_bytes(a: Any, b: Any, n: Any) -> Any:
    """How many of ``n`` bytes at two addresses are equal before the first that is not."""
    k = 0
    while k + 8 <= n and load64(a + k) == load64(b + k):
        k += 8
    while k < n and load8(a + k) == load8(b + k):
        k += 1
    return k


@kernel(
    "int64(int64[::1], uint8[::1], int64[::1], uint8[::1], uint8[::1], int64, uint8[::1],"
    " int64[::1], int64[::1])"
)
def write_blocks(
    key_offsets: Any,
    keys: Any,
    value_offsets: Any,
    values: Any,
    deleted: Any,
    block_bytes: Any,
    out: Any,
    ends: Any,
    rows: Any,
) -> Any:
    """Lay out entries as uncompressed data blocks, each followed by room for its trailer.

    The first byte behind a block says that it is not compressed. A key is followed by its kind (0
    deletion, 1 value) and seven zero bytes, its sequence number.

    Args:
        key_offsets: int64[n + 1], absolute.
        keys: bytes of the keys, in order, none twice.
        value_offsets: int64[n + 1], absolute.
        values: bytes of the values.
        deleted: uint8[n], 1 for a deletion; empty when there is none.
        block_bytes: a block ends with the entry that reaches this size.
        out: filled.
        ends: int64[n], filled with the end of each block in ``out``.
        rows: int64[n], filled with the row behind the last of each block.

    Returns:
        How many blocks there are.
    """
    n = key_offsets.size - 1
    key_base = keys.ctypes.data
    value_base = values.ctypes.data
    to = out.ctypes.data
    restarts = np.empty(n // _RESTART_ENTRIES + 2, np.int64)
    blocks = entries = 0
    at = begin = np.int64(0)
    for i in range(n):
        key = key_base + key_offsets[i]
        size = key_offsets[i + 1] - key_offsets[i]
        shared = np.int64(0)
        if entries % _RESTART_ENTRIES == 0:
            restarts[entries // _RESTART_ENTRIES] = at - begin
        else:
            before = key_offsets[i] - key_offsets[i - 1]
            shared = common_bytes(key_base + key_offsets[i - 1], key, min(size, before))
        gone = deleted.size > 0 and deleted[i] != 0
        length = np.int64(0) if gone else value_offsets[i + 1] - value_offsets[i]
        at = put_varint(out, at, shared)
        at = put_varint(out, at, size - shared + 8)
        at = put_varint(out, at, length)
        copy_bytes(to + at, key + shared, size - shared)
        at += size - shared
        out[at] = 0 if gone else 1
        for k in range(1, 8):
            out[at + k] = 0
        at += 8
        copy_bytes(to + at, value_base + value_offsets[i], length)
        at += length
        entries += 1
        if at - begin >= block_bytes or i == n - 1:
            at = put_restarts(out, at, restarts, entries)
            ends[blocks] = at
            rows[blocks] = i + 1
            blocks += 1
            out[at] = 0
            at += _TRAILER
            begin = at
            entries = 0
    return blocks


@kernel("void(uint8[::1], int64[::1], int64[::1], uint32[:, ::1])")
def seal(content: Any, begins: Any, ends: Any, table: Any) -> None:
    """Write the masked CRC-32C of each block and the byte behind it behind that byte.

    Args:
        content: blocks, each followed by five bytes: its compression, and room for the checksum.
        begins: int64[n], where each block begins.
        ends: int64[n], where its compression stands.
        table: uint32[8, 256], the polynomial's, for eight bytes at a time.
    """
    base = content.ctypes.data
    for b in range(begins.size):
        crc = _ONES
        i = begins[b]
        end = ends[b] + 1
        while i + 8 <= end:
            word = load64(base + i)
            low = np.uint32(word & np.uint64(0xFFFFFFFF)) ^ crc
            high = np.uint32(word >> np.uint64(32))
            crc = (
                table[7, low & _BYTE]
                ^ table[6, (low >> _EIGHT) & _BYTE]
                ^ table[5, (low >> np.uint32(16)) & _BYTE]
                ^ table[4, low >> np.uint32(24)]
                ^ table[3, high & _BYTE]
                ^ table[2, (high >> _EIGHT) & _BYTE]
                ^ table[1, (high >> np.uint32(16)) & _BYTE]
                ^ table[0, high >> np.uint32(24)]
            )
            i += 8
        while i < end:
            crc = table[0, (crc ^ np.uint32(content[i])) & _BYTE] ^ (crc >> _EIGHT)
            i += 1
        crc ^= _ONES
        masked = ((crc >> np.uint32(15)) | (crc << np.uint32(17))) + _MASK_DELTA
        for k in range(4):
            content[end + k] = np.uint8((masked >> np.uint32(8 * k)) & _BYTE)
