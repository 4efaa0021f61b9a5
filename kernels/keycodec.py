"""Key columns as the index stores them, and back: words, strings, or rows encoded as binary."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.types as pat

from lesto.kernels import arrow
from lesto.kernels.jit import native

Words = npt.NDArray[np.uint64]
Bytes = npt.NDArray[np.uint8]
NO_NULLS = np.zeros(0, np.uint8)
_MAX_SMALL = (1 << 31) - 1


def word_width(kind: pa.DataType) -> int:
    """How many 64-bit words a value of a fixed-width type takes; 0 for strings and binaries.

    Raises:
        TypeError: for a type that cannot be an index key.
    """
    if isinstance(kind, pa.BaseExtensionType):
        return word_width(kind.storage_type)
    if pat.is_dictionary(kind):
        return word_width(kind.value_type)
    if pat.is_null(kind):
        return 1
    if pat.is_decimal(kind):
        return max(1, int(kind.bit_width) // 64)
    if pat.is_primitive(kind) and not pat.is_interval(kind):
        return 1
    if is_text(kind) or pat.is_fixed_size_binary(kind):
        return 0
    msg = f"a column of type {kind} cannot be a key of an index"
    raise TypeError(msg)


def is_text(kind: pa.DataType) -> bool:
    """Whether the type is a string or a binary of any layout, apart from fixed size."""
    return bool(
        pat.is_string(kind)
        or pat.is_binary(kind)
        or pat.is_large_string(kind)
        or pat.is_large_binary(kind)
        or pat.is_string_view(kind)
        or pat.is_binary_view(kind)
    )


def to_words(arr: pa.Array) -> tuple[Words, Bytes]:
    """Values of a fixed-width column as words, and null flags (empty when there are none).

    Equal values have equal words: -0.0 becomes 0.0, NaNs one NaN, nulls 0.
    """
    arr = arrow.plain(arr)
    kind = arr.type
    n = len(arr)
    width = word_width(kind)
    if pat.is_null(kind):
        return np.zeros(n, np.uint64), np.ones(n, np.uint8)
    if pat.is_boolean(kind):
        words = arrow.unpack_bits(arr.buffers()[1], arr.offset, n).astype(np.uint64)
    elif pat.is_floating(kind):
        dtype = kind.to_pandas_dtype()
        values = arrow.view(arr.buffers()[1], dtype, arr.offset, n).astype(np.float64) + 0.0
        np.copyto(values, np.nan, where=np.isnan(values))
        words = values.view(np.uint64)
    else:
        bits = int(kind.bit_width)
        dtype = np.dtype(f"i{min(bits, 64) // 8}")
        values = arrow.view(arr.buffers()[1], dtype, arr.offset * width, n * width)
        words = values.astype(np.int64, copy=False).view(np.uint64)
    if arr.null_count == 0:
        return words, NO_NULLS
    nulls = null_flags(arr)
    words = words.copy().reshape(n, width)
    words[nulls.view(np.bool_)] = 0
    return words.reshape(-1), nulls


def null_flags(arr: pa.Array) -> Bytes:
    """One byte a row, 1 where null; empty when no value is."""
    valid = arrow.validity_bytes(arr)
    return NO_NULLS if valid is None else valid ^ np.uint8(1)


def from_words(words: Words, nulls: Bytes, kind: pa.DataType) -> pa.Array:
    """The inverse of :func:`to_words`, in the column's own type."""
    n = len(nulls)
    if isinstance(kind, pa.BaseExtensionType):
        return pa.ExtensionArray.from_storage(kind, from_words(words, nulls, kind.storage_type))
    if pat.is_dictionary(kind):
        return _encode(from_words(words, nulls, kind.value_type), kind)
    if pat.is_null(kind):
        return pa.nulls(n)
    validity, count = _validity(nulls)
    if pat.is_boolean(kind):
        values = arrow.pack_bits(words.astype(np.bool_))
    elif pat.is_floating(kind):
        values = pa.py_buffer(words.view(np.float64).astype(kind.to_pandas_dtype()))
    else:
        dtype = np.dtype(f"u{min(int(kind.bit_width), 64) // 8}")
        values = pa.py_buffer(words.astype(dtype, copy=False))
    return pa.Array.from_buffers(kind, n, [validity, values], count)


def to_text(arr: pa.Array) -> tuple[npt.NDArray[Any], Bytes, Bytes]:
    """Offsets, bytes and null flags of a string, binary or fixed-size binary column."""
    arr = arrow.plain(arr)
    if pat.is_fixed_size_binary(arr.type):
        width = int(arr.type.byte_width)
        offsets = np.arange(arr.offset, arr.offset + len(arr) + 1, dtype=np.int64) * width
        buffer = arr.buffers()[1]
        return (
            offsets,
            arrow.view(buffer, np.uint8, 0, buffer.size if buffer else 0),
            null_flags(arr),
        )
    return *arrow.offsets_and_data(arr), null_flags(arr)


def from_text(
    offsets: npt.NDArray[np.int64], data: Bytes, nulls: Bytes, kind: pa.DataType
) -> pa.Array:
    """The inverse of :func:`to_text`, in the column's own type."""
    n = len(nulls)
    if isinstance(kind, pa.BaseExtensionType):
        stored = from_text(offsets, data, nulls, kind.storage_type)
        return pa.ExtensionArray.from_storage(kind, stored)
    if pat.is_dictionary(kind):
        return _encode(from_text(offsets, data, nulls, kind.value_type), kind)
    validity, count = _validity(nulls)
    unicode = pat.is_string(kind) or pat.is_large_string(kind) or pat.is_string_view(kind)
    wide = pa.large_string() if unicode else pa.large_binary()
    buffers = [validity, pa.py_buffer(offsets), pa.py_buffer(data)]
    if (pat.is_string(kind) or pat.is_binary(kind)) and len(data) <= _MAX_SMALL:
        buffers[1] = pa.py_buffer(offsets.astype(np.int32))
        return pa.Array.from_buffers(kind, n, buffers, count)
    found = pa.Array.from_buffers(wide, n, buffers, count)
    return found if found.type == kind else found.cast(kind)


def encode_rows(arrays: Sequence[pa.Array]) -> tuple[npt.NDArray[np.int64], Bytes]:
    """Rows as binary keys: offsets (n + 1) and bytes. Nulls of a column are distinct values."""
    loops = native("rowkeys")
    n = len(arrays[0])
    sizes = np.zeros(n, np.int64)
    parts: list[tuple[int, tuple[Any, ...]]] = []
    for arr in arrays:
        width = word_width(arr.type)
        parts.append((width, to_words(arr) if width else to_text(arr)))
        if width:
            sizes += 1 + 8 * width
        else:
            loops.add_text_sizes(parts[-1][1][0], parts[-1][1][2], sizes)
    offsets = np.zeros(n + 1, np.int64)
    np.cumsum(sizes, out=offsets[1:])
    out = np.empty(int(offsets[n]), np.uint8)
    cursors = offsets[:n].copy()
    for width, part in parts:
        if width:
            loops.write_words(part[0], width, part[1], cursors, out)
        else:
            loops.write_text(*part, cursors, out)
    return offsets, out


def decode_rows(
    offsets: npt.NDArray[np.int64], keys: Bytes, kinds: Sequence[pa.DataType]
) -> list[pa.Array]:
    """The inverse of :func:`encode_rows`."""
    loops = native("rowkeys")
    n = len(offsets) - 1
    cursors = offsets[:n].copy()
    columns = []
    for kind in kinds:
        width = word_width(kind)
        nulls = np.empty(n, np.uint8)
        if width:
            words = np.empty(n * width, np.uint64)
            loops.read_words(keys, width, cursors, words, nulls)
            columns.append(from_words(words, nulls, kind))
        else:
            ends = np.empty(n + 1, np.int64)
            data = np.empty(loops.read_text_sizes(keys, cursors, ends, nulls), np.uint8)
            loops.read_text(keys, cursors, ends, data)
            columns.append(from_text(ends, data, nulls, kind))
    return columns


def _validity(nulls: Bytes) -> tuple[Any, int]:
    count = int(np.count_nonzero(nulls))
    return (arrow.pack_bits(nulls == 0), count) if count else (None, 0)


def _encode(values: pa.Array, kind: pa.DataType) -> pa.Array:
    encoded = values.dictionary_encode()
    indices = encoded.indices.cast(kind.index_type)
    return pa.DictionaryArray.from_arrays(indices, encoded.dictionary, ordered=kind.ordered)
