"""How an entry of keyed state is addressed on disk.

::

    key group (2) | state id (2) | length | key | length | namespace | map key

Numbers are big-endian.

A length is one byte below 255, else 0xff and four bytes. State tables and timers have their own
bytes after the state id. Sorting by these bytes puts a key group, and in it a state, side by side.
"""

from __future__ import annotations

import functools
import struct
from collections.abc import Iterator, Mapping

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

_LENGTH = struct.Struct(">I")
PREFIX_BYTES = 4


def prefix(key_group: int, state_id: int) -> bytes:
    """Key group and state id: what all entries of a state in a key group start with."""
    return key_group.to_bytes(2, "big") + state_id.to_bytes(2, "big")


@functools.lru_cache(maxsize=256)
def prefixes(max_parallelism: int, state_id: int) -> tuple[bytes, ...]:
    """The prefix of each key group."""
    return tuple(prefix(group, state_id) for group in range(max_parallelism))


def sized(data: bytes) -> bytes:
    """Data after its length."""
    n = len(data)
    if n < 255:
        return _SMALL[n] + data
    return b"\xff" + _LENGTH.pack(n) + data


def take_sized(data: bytes, at: int) -> tuple[bytes, int]:
    """The sized part at an offset, and the offset behind it."""
    n = data[at]
    at += 1
    if n == 255:
        n = _LENGTH.unpack_from(data, at)[0]
        at += 4
    return data[at : at + n], at + n


def prefixed(
    key_groups: npt.NDArray[np.uint16], state_id: int, max_parallelism: int, rest: pa.Array
) -> pa.Array:
    """Entry keys of table rows: prefix and bytes of the row's key, joined column-wise."""
    table = pa.array(prefixes(max_parallelism, state_id), pa.large_binary())
    heads = table.take(pa.array(key_groups))
    tails = rest if pa.types.is_large_binary(rest.type) else rest.cast(pa.large_binary())
    return pc.binary_join_element_wise(heads, tails, pa.scalar(b"", pa.large_binary()))


def successor(data: bytes) -> bytes:
    """The smallest bytes greater than all that start with ``data`` (which is not all 0xff)."""
    kept = data.rstrip(b"\xff")
    return kept[:-1] + bytes([kept[-1] + 1])


_SMALL = tuple(bytes([n]) for n in range(255))


def split_by_prefix(keys: pa.Array) -> Iterator[tuple[int, int, int, int]]:
    """The stretches of sorted entry keys that share key group and state.

    Yields:
        (key group, state id, first index, index behind the last).
    """
    if len(keys) == 0:
        return
    offsets, data = _offsets_and_data(keys)
    heads = data[offsets[:-1, None] + np.arange(PREFIX_BYTES)].view(">u4").ravel()
    borders = np.flatnonzero(heads[1:] != heads[:-1]) + 1
    starts = [0, *borders.tolist()]
    ends = [*borders.tolist(), len(keys)]
    for start, end in zip(starts, ends, strict=True):
        head = int(heads[start])
        yield head >> 16, head & 0xFFFF, start, end


def without_prefix(keys: pa.Array) -> pa.Array:
    """What follows the prefix (pyarrow 26's binary_slice fails on short rests)."""
    n = len(keys)
    if n == 0:
        return pa.array([], pa.large_binary())
    offsets, data = _offsets_and_data(keys)
    first = int(offsets[0])
    kept = np.ones(int(offsets[-1]) - first, np.bool_)
    kept[(offsets[:-1, None] - first + np.arange(PREFIX_BYTES)).ravel()] = False
    rest = data[first : int(offsets[-1])][kept]
    moved = offsets - first - PREFIX_BYTES * np.arange(n + 1)
    buffers = [None, pa.py_buffer(moved), pa.py_buffer(rest)]
    return pa.LargeBinaryArray.from_buffers(pa.large_binary(), n, buffers)


def _offsets_and_data(keys: pa.Array) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint8]]:
    _, offsets, data = keys.buffers()
    where = np.frombuffer(offsets, np.int64, len(keys) + 1, keys.offset * 8)
    return where, np.frombuffer(data, np.uint8)


def with_state_ids(keys: pa.Array, numbers: Mapping[int, int]) -> pa.Array:
    """Sorted entry keys under other state ids; sorted only within each state of a key group."""
    parts = []
    for key_group, state_id, start, end in split_by_prefix(keys):
        head = pa.scalar(prefix(key_group, numbers[state_id]), pa.large_binary())
        rest = without_prefix(keys.slice(start, end - start))
        parts.append(pc.binary_join_element_wise(head, rest, pa.scalar(b"", pa.large_binary())))
    return pa.concat_arrays(parts) if parts else keys
