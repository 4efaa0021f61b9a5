"""Sorted entries as blocks of a RocksDB table."""

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from lesto.kernels import arrow
from lesto.kernels.jit import native

#: What ``seal`` writes behind a block: the compression's number and the checksum.
TRAILER_BYTES = 5
#: Entry header (three lengths of up to 5 bytes), sequence number, and, should the entry be a block
#: of its own, a restart point, their count and the trailer.
_ENTRY_BYTES_MAX = 15 + 8 + 4 + 4 + TRAILER_BYTES
_POLYNOMIAL = np.uint32(0x82F63B78)


@dataclass(frozen=True, slots=True)
class Blocks:
    """Uncompressed data blocks.

    Attributes:
        content: the blocks, each with TRAILER_BYTES behind it, the first of which says that it is
            not compressed; the others are filled by ``seal``.
        ends: int64[blocks], where each ends in the content.
        rows: int64[blocks], the row behind the last of each.
    """

    content: npt.NDArray[np.uint8]
    ends: npt.NDArray[np.int64]
    rows: npt.NDArray[np.int64]


def data_blocks(keys: pa.Array, values: pa.Array, block_bytes: int) -> Blocks:
    """Lay out entries as data blocks.

    Args:
        keys: large_binary[n] in order, none twice.
        values: large_binary[n]; null deletes.
        block_bytes: a block ends with the entry that reaches this size.
    """
    n = len(keys)
    key_offsets, key_data = arrow.offsets_and_data(keys)
    value_offsets, value_data = arrow.offsets_and_data(values)
    valid = arrow.validity_bytes(values)
    deleted = np.zeros(0, np.uint8) if valid is None else 1 - valid
    held = int(key_offsets[-1] - key_offsets[0] + value_offsets[-1] - value_offsets[0])
    out = np.empty(held + n * _ENTRY_BYTES_MAX, np.uint8)
    ends, rows = np.empty(n, np.int64), np.empty(n, np.int64)
    count = native("blocks").write_blocks(
        key_offsets, key_data, value_offsets, value_data, deleted, block_bytes, out, ends, rows
    )
    return Blocks(out, ends[:count], rows[:count])


def seal(content: npt.NDArray[np.uint8], begins: Any, ends: Any) -> None:
    """Write the checksum of each block behind the byte at its end, which is its compression.

    Args:
        content: blocks, each with TRAILER_BYTES behind; filled.
        begins: where each block begins.
        ends: where its compression stands.
    """
    native("blocks").seal(
        content, np.array(begins, np.int64), np.array(ends, np.int64), _crc32c_table()
    )


@functools.cache
def _crc32c_table() -> npt.NDArray[np.uint32]:
    table = np.empty((8, 256), np.uint32)
    crc = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        crc = (crc >> np.uint32(1)) ^ (_POLYNOMIAL * (crc & np.uint32(1)))
    table[0] = crc
    for k in range(1, 8):
        table[k] = table[0][table[k - 1] & 0xFF] ^ (table[k - 1] >> np.uint32(8))
    return table
