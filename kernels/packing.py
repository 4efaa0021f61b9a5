"""Columns of Python values as msgpack, and byte strings in order: without a Python object a row."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from lesto.kernels import arrow
from lesto.kernels.jit import native

Flags = npt.NDArray[np.uint8]
Sizes = npt.NDArray[np.int64]

#: Fields of a tuple whose header is one byte.
FIELDS_MAX = 15
#: Longer byte strings are sorted by Arrow.
SORTED_BYTES_MAX = 64
#: Fewer too: a process may not have loaded the compiled loops yet.
SORTED_ROWS_MIN = 32

_TYPES: dict[type, Any] = {
    str: pa.large_string(),
    bytes: pa.large_binary(),
    int: pa.int64(),
    float: pa.float64(),
}
_NOTHING_SKIPPED: Flags = np.zeros(0, np.uint8)
_NO_TIMES: npt.NDArray[np.uint64] = np.zeros(0, np.uint64)
_NONE = type(None)


@dataclass(frozen=True, slots=True)
class Columns:
    """Values of one shape: scalars of one type, or tuples with one type a field.

    Attributes:
        fields: a column a field, without nulls where ``skipped`` does not say so.
        is_tuple: whether the values are tuples.
        skipped: uint8[n], 1 for values that are None; empty when none is.
    """

    fields: tuple[pa.Array, ...]
    is_tuple: bool
    skipped: Flags


def columns_of(values: Sequence[Any], *, nullable: bool = False) -> Columns | None:
    """The values as columns; None when their shapes or types differ, or are others than these.

    Args:
        values: Python values.
        nullable: whether scalars may be None.
    """
    kinds = set(map(type, values))
    found = kinds - {_NONE} if nullable else kinds
    if len(found) != 1:
        return None
    (kind,) = found
    if kind is tuple:
        if _NONE in kinds or len(widths := set(map(len, values))) != 1:
            return None
        if not 0 < widths.pop() <= FIELDS_MAX:
            return None
        fields = [_column(field) for field in zip(*values, strict=True)]
        if any(field is None for field in fields):
            return None
        return Columns(tuple(f for f in fields if f is not None), True, _NOTHING_SKIPPED)
    column = _column(values, kind)
    if column is None:
        return None
    skipped = _NOTHING_SKIPPED
    if column.null_count:
        valid = arrow.validity_bytes(column)
        assert valid is not None
        skipped = 1 - valid
    return Columns((column,), False, skipped)


def _column(values: Sequence[Any], kind: type | None = None) -> pa.Array | None:
    if kind is None:
        kinds = set(map(type, values))
        if len(kinds) != 1:
            return None
        (kind,) = kinds
    wanted = _TYPES.get(kind)
    if wanted is None:
        return None
    try:
        return pa.array(values, wanted)
    except (pa.ArrowException, OverflowError, UnicodeError):
        return None  # an int beyond 64 bits, a lone surrogate


def packed_sizes(columns: Columns, count: int) -> Sizes:
    """Bytes of each value in msgpack, int64[n]; 0 for what is skipped."""
    loops = native("packing")
    sizes = np.zeros(count, np.int64)
    skipped = columns.skipped
    if columns.is_tuple:
        loops.add_size(1, skipped, sizes)
    for field in columns.fields:
        kind = field.type
        if kind == pa.int64():
            loops.add_int_sizes(_ints(field), skipped, sizes)
        elif kind == pa.float64():
            loops.add_size(9, skipped, sizes)
        else:
            offsets, _ = arrow.offsets_and_data(field)
            loops.add_text_sizes(offsets, kind == pa.large_binary(), skipped, sizes)
    return sizes


def write_packed(columns: Columns, cursors: Sizes, out: Flags) -> None:
    """Write each value at its cursor in ``out`` and move the cursors behind the values."""
    loops = native("packing")
    skipped = columns.skipped
    if columns.is_tuple:
        header = np.array([0x90 | len(columns.fields)], np.uint8)
        loops.write_constant(header, skipped, cursors, out)
    for field in columns.fields:
        kind = field.type
        if kind == pa.int64():
            loops.write_ints(_ints(field), skipped, cursors, out)
        elif kind == pa.float64():
            loops.write_floats(_words(field), skipped, cursors, out)
        else:
            offsets, data = arrow.offsets_and_data(field)
            binary = kind == pa.large_binary()
            loops.write_texts(offsets, data, binary, skipped, cursors, out)


def pack(columns: Columns, count: int) -> pa.Array:
    """Each value in msgpack: a large_binary array, null where the values are None."""
    sizes = packed_sizes(columns, count)
    offsets, cursors, buffer, out = _room(sizes)
    write_packed(columns, cursors, out)
    validity = None
    if columns.skipped.size:
        validity = arrow.pack_bits(1 - columns.skipped)
    return pa.LargeBinaryArray.from_buffers(
        pa.large_binary(), count, [validity, pa.py_buffer(offsets), buffer]
    )


def pack_entry_keys(
    columns: Columns,
    key_groups: npt.NDArray[np.uint16],
    state_id: int,
    tail: bytes | Columns,
    *,
    times: npt.NDArray[np.uint64] = _NO_TIMES,
) -> pa.Array:
    """``key group (2) | state id (2) | time (8) | length | key in msgpack | tail`` of each key.

    Numbers are big-endian; a length is one byte below 255, else 0xff and four bytes.

    Args:
        columns: the keys; none is None.
        key_groups: uint16[n].
        state_id: 0..65535.
        tail: bytes behind each key, or a value for each, in msgpack.
        times: uint64[n], or empty: there are none in the keys.

    Returns:
        large_binary[n].
    """
    count = len(key_groups)
    loops = native("packing")
    keys = packed_sizes(columns, count)
    sizes = keys + (13 if times.size else 5)
    sizes[keys >= 255] += 4
    sizes += len(tail) if isinstance(tail, bytes) else packed_sizes(tail, count)
    offsets, cursors, buffer, out = _room(sizes)
    groups = arrow.loopable(key_groups, np.uint16)
    loops.write_heads(groups, state_id, times, keys, cursors, out)
    write_packed(columns, cursors, out)
    if isinstance(tail, bytes):
        constant = np.array(list(tail), np.uint8)
        loops.write_constant(constant, _NOTHING_SKIPPED, cursors, out)
    else:
        write_packed(tail, cursors, out)
    return pa.LargeBinaryArray.from_buffers(
        pa.large_binary(), count, [None, pa.py_buffer(offsets), buffer]
    )


def sort_indices(keys: pa.Array) -> pa.Array:
    """Row numbers (int64) of a large_binary array in the order of its bytes; stable.

    Short byte strings are sorted by radix, in time linear in their number.
    """
    offsets, data = arrow.offsets_and_data(keys)
    count = len(keys)
    longest = int(np.diff(offsets).max()) if count else 0
    if keys.null_count or longest > SORTED_BYTES_MAX or count < SORTED_ROWS_MIN:
        return pc.array_sort_indices(keys).cast(pa.int64())
    loops = native("packing")
    width = (longest + 7) // 8
    words = np.empty((width + 1) * count, np.uint64)
    loops.sort_words(offsets, data, width, words)
    order, scratch = np.empty(count, np.int64), np.empty(count, np.int64)
    loops.radix_sort(words, width + 1, order, scratch)
    return pa.array(order)


def _room(sizes: Sizes) -> tuple[Sizes, Sizes, Any, Flags]:
    """Offsets, cursors at the beginnings, and the memory for rows of some sizes."""
    offsets = np.zeros(len(sizes) + 1, np.int64)
    np.cumsum(sizes, out=offsets[1:])
    buffer, out = arrow.allocate(int(offsets[-1]), np.uint8)
    return offsets, offsets[:-1].copy(), buffer, out


def _ints(field: pa.Array) -> npt.NDArray[np.int64]:
    return arrow.view(field.buffers()[1], np.int64, field.offset, len(field))


def _words(field: pa.Array) -> npt.NDArray[np.uint64]:
    return arrow.view(field.buffers()[1], np.uint64, field.offset, len(field))
