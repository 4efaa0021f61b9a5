"""RocksDB tables written from columns.

RocksDB's own writer takes one key and value after the other, as Python objects and with the GIL
held. A table is a simple thing: data blocks of sorted entries, an index with the last key of each
block, properties, a directory of these (the "metaindex") and a footer. It is written here in the
block-based format, version 5, which all releases of RocksDB since 2019 read, as RocksDB's own
``SstFileWriter`` would for :class:`~rocksdict.IngestExternalFileOptions`: sequence number 0, which
the ingestion overrides.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, Final

import numpy as np
import pyarrow as pa

from lesto.kernels import arrow, blocks

#: A data block ends with the entry that reaches this size, before compression.
BLOCK_BYTES: Final = 16_384
#: Keys and values that are laid out at a time: stays in the processor's caches on its way.
PART_BYTES: Final = 2 << 20

_FORMAT_VERSION: Final = 5
_MAGIC: Final = 0x88E241B785F4CFF7
_HANDLES_BYTES: Final = 40
_CRC32C: Final = 1
_PLAIN, _LZ4 = 0, 4
#: A block stays uncompressed unless that saves an eighth, as RocksDB's own do.
_KEPT_OF_1024: Final = 896
#: A run stays uncompressed unless that halves its first block: less is not worth the time.
WORTH_OF_1024: Final = 512
_LARGE = pa.large_binary()

_Handle = tuple[int, int]  # offset and size of a block, without its trailer
#: Blocks with room for their checksums, where each begins, and where it ends.
_Content = tuple[memoryview, list[int], list[int]]


def write_run(path: Path, keys: pa.Array, values: pa.Array) -> None:
    """Write a sorted run as an SST file that RocksDB can ingest.

    Args:
        path: a new file.
        keys: large_binary[n] in order, none twice.
        values: large_binary[n]; null deletes the key.

    Raises:
        OSError: the disk is full or fails.
    """
    with path.open("wb") as file:
        index: list[tuple[bytes, _Handle]] = []
        at = 0
        smaller: bool | None = None
        for part_keys, part_values in _parts(keys, values):
            found = blocks.data_blocks(part_keys, part_values, BLOCK_BYTES)
            if smaller is None:
                smaller = _worth(found)
            content, starts, ends = _packed(found) if smaller else _plain(found)
            blocks.seal(np.frombuffer(content, np.uint8), starts, ends)
            file.write(content)
            last_keys = part_keys.take(pa.array(found.rows - 1)).to_pylist()
            handles = [(at + start, end - start) for start, end in zip(starts, ends, strict=True)]
            index += zip(last_keys, handles, strict=True)
            at += len(content)
        _finish(file, at, index, _counts(keys, values))


def _parts(keys: pa.Array, values: pa.Array) -> Iterator[tuple[pa.Array, pa.Array]]:
    """Slices of about PART_BYTES."""
    offsets, _ = arrow.offsets_and_data(keys)
    behind = offsets[1:] - offsets[0]
    offsets, _ = arrow.offsets_and_data(values)
    behind = behind + (offsets[1:] - offsets[0])
    start = 0
    while start < len(keys):
        begun = int(behind[start - 1]) if start else 0
        end = max(start + 1, int(np.searchsorted(behind, begun + PART_BYTES, side="right")))
        yield keys.slice(start, end - start), values.slice(start, end - start)
        start = end


def _worth(found: blocks.Blocks) -> bool:
    """Whether blocks are to be compressed, by the first."""
    size = int(found.ends[0])
    packed = pa.Codec("lz4_raw").compress(found.content.data[:size], asbytes=True)
    return len(packed) <= size * WORTH_OF_1024 // 1024


def _plain(found: blocks.Blocks) -> _Content:
    """Blocks as they are."""
    ends: list[int] = found.ends.tolist()
    starts = [0, *(end + blocks.TRAILER_BYTES for end in ends[:-1])]
    return memoryview(found.content.data)[: ends[-1] + blocks.TRAILER_BYTES], starts, ends


def _packed(found: blocks.Blocks) -> _Content:
    """Blocks compressed, where that makes them smaller."""
    codec = pa.Codec("lz4_raw")
    laid_out = found.content.data
    content = bytearray()
    starts, ends = [], []
    begin = 0
    for end in found.ends.tolist():
        raw = laid_out[begin:end]
        packed = codec.compress(raw, asbytes=True)
        size = _varint(end - begin)
        starts.append(len(content))
        if len(size) + len(packed) <= (end - begin) * _KEPT_OF_1024 // 1024:
            content += size
            content += packed
            kind = _LZ4
        else:
            content += raw
            kind = _PLAIN
        ends.append(len(content))
        content += bytes([kind, 0, 0, 0, 0])
        begin = end + blocks.TRAILER_BYTES
    return memoryview(content), starts, ends


def _finish(
    file: BinaryIO, at: int, index: Sequence[tuple[bytes, _Handle]], counts: dict[str, int]
) -> None:
    """Write what stands behind the data blocks."""
    data_bytes = at
    entries = [(key, _handle_bytes(handle)) for key, handle in index]
    at, index_handle = _write_block(file, at, entries)
    properties = _properties(data_bytes, len(index), index_handle[1], counts)
    at, properties_handle = _write_block(file, at, properties)
    where = [(b"rocksdb.properties", _handle_bytes(properties_handle))]
    _, metaindex_handle = _write_block(file, at, where)
    handles = _handle_bytes(metaindex_handle) + _handle_bytes(index_handle)
    footer = bytes([_CRC32C]) + handles.ljust(_HANDLES_BYTES, b"\0")
    file.write(footer + struct.pack("<IQ", _FORMAT_VERSION, _MAGIC))


def _write_block(
    file: BinaryIO, at: int, entries: Sequence[tuple[bytes, bytes]]
) -> tuple[int, _Handle]:
    """Write a block with a restart point at every entry; the place behind, and its handle."""
    content = bytearray()
    restarts = []
    for key, value in entries:
        restarts.append(len(content))
        content += b"\0" + _varint(len(key)) + _varint(len(value)) + key + value
    restarts = restarts or [0]
    content += struct.pack(f"<{len(restarts) + 1}I", *restarts, len(restarts))
    size = len(content)
    content += bytes([_PLAIN, 0, 0, 0, 0])
    blocks.seal(np.frombuffer(content, np.uint8), [0], [size])
    file.write(content)
    return at + len(content), (at, size)


def _counts(keys: pa.Array, values: pa.Array) -> dict[str, int]:
    """What is in the table, by the names of RocksDB's properties."""
    key_offsets, _ = arrow.offsets_and_data(keys)
    value_offsets, _ = arrow.offsets_and_data(values)
    n = len(keys)
    return {
        "num.entries": n,
        "deleted.keys": values.null_count,
        "raw.key.size": int(key_offsets[-1] - key_offsets[0]) + 8 * n,
        "raw.value.size": int(value_offsets[-1] - value_offsets[0]),
    }


def _properties(
    data_bytes: int, block_count: int, index_bytes: int, counts: dict[str, int]
) -> list[tuple[bytes, bytes]]:
    """Properties that a reader or the ingestion looks at.

    No identity of the writer's session: RocksDB then names the file's blocks in its cache by the
    number that the file gets at the ingestion.
    """
    numbers = {
        **counts,
        "data.size": data_bytes,
        "filter.size": 0,
        "format.version": _FORMAT_VERSION,
        "index.key.is.user.key": 1,
        "index.size": index_bytes,
        "index.value.is.delta.encoded": 0,
        "merge.operands": 0,
        "num.data.blocks": block_count,
        "num.range-deletions": 0,
    }
    found = {f"rocksdb.{name}".encode(): _varint(n) for name, n in numbers.items()}
    found |= {
        b"rocksdb.block.based.table.index.type": struct.pack("<I", 0),
        b"rocksdb.block.based.table.prefix.filtering": b"0",
        b"rocksdb.block.based.table.whole.key.filtering": b"1",
        b"rocksdb.comparator": b"leveldb.BytewiseComparator",
        b"rocksdb.compression": b"LZ4",
        b"rocksdb.external_sst_file.global_seqno": struct.pack("<Q", 0),
        b"rocksdb.external_sst_file.version": struct.pack("<I", 2),
    }
    return sorted(found.items())


def _handle_bytes(handle: _Handle) -> bytes:
    return _varint(handle[0]) + _varint(handle[1])


def _varint(n: int) -> bytes:
    out = bytearray()
    while n >= 128:
        out.append((n & 127) | 128)
        n >>= 7
    out.append(n)
    return bytes(out)
