"""Hashes of keys, column-wise: stable across processes, machines and versions."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.types as pat

from lesto.kernels import arrow
from lesto.kernels import constants as c
from lesto.kernels.jit import native
from lesto.kernels.scalar import hash_value

__all__ = ["hash_column", "hash_columns", "hash_value", "hash_values"]

Hashes = npt.NDArray[np.uint64]

_PER_MICRO = {"s": 1_000_000, "ms": 1_000, "us": 1}
_FEW = 32
_DIRECT: dict[type, Any] = {
    str: pa.large_string(),
    bytes: pa.large_binary(),
    int: pa.int64(),
    float: pa.float64(),
    bool: pa.bool_(),
}


def hash_column(arr: pa.Array | pa.ChunkedArray) -> Hashes:
    """Hash every value of a column.

    Equal values (by Python's ``==``) hash alike, whatever their types: see ``hash_value``, which
    gives the same result for one Python value.

    Returns:
        uint64[n].

    Raises:
        TypeError: for a type that cannot be a key (a map).
    """
    if isinstance(arr, pa.ChunkedArray):
        if arr.num_chunks == 1:
            return hash_column(arr.chunk(0))
        parts = [hash_column(chunk) for chunk in arr.chunks]
        return np.concatenate(parts) if parts else np.empty(0, np.uint64)
    if isinstance(arr.type, pa.BaseExtensionType):
        return hash_column(arr.storage)
    if pat.is_dictionary(arr.type):
        return _hash_dictionary(arr)
    out = np.empty(len(arr), np.uint64)
    if pat.is_null(arr.type):
        out.fill(c.NULL)
    elif len(arr):
        _hash_plain(arrow.plain(arr), out)
    return out


def hash_columns(arrays: Sequence[pa.Array | pa.ChunkedArray]) -> Hashes:
    """Hash rows of several columns, as ``hash_value`` does a tuple.

    Also for one column: a key of one field in a tuple differs from the field itself.

    Returns:
        uint64[n].
    """
    return _combine_all([hash_column(arr) for arr in arrays])


def hash_values(values: Sequence[Any]) -> Hashes:
    """Hash a list of Python values; lists of one plain type go through Arrow.

    Returns:
        uint64[n], each equal to ``hash_value`` of the value.
    """
    kinds = set(map(type, values)) if len(values) > _FEW else set()
    only = kinds - {type(None)}
    if len(only) == 1:
        kind = only.pop()
        if kind in _DIRECT:
            try:
                return hash_column(pa.array(values, _DIRECT[kind]))
            except (pa.ArrowException, OverflowError, UnicodeError):
                pass  # an int beyond int64, a lone surrogate
        elif kind is tuple and len(kinds) == 1 and len(set(map(len, values))) == 1 and values[0]:
            columns = zip(*values, strict=True)
            return _combine_all([hash_values(column) for column in columns])
    return np.fromiter(map(hash_value, values), np.uint64, len(values))


def _combine_all(hashes: Sequence[Hashes]) -> Hashes:
    if not hashes:
        msg = "a row needs at least one column"
        raise ValueError(msg)
    out = np.full(len(hashes[0]), c.ROW, np.uint64)
    for column in hashes:
        native("hashing").combine_into(out, column)
    return out


def _hash_dictionary(arr: pa.Array) -> Hashes:
    """Hash the dictionary once and gather."""
    words = hash_column(arr.dictionary)
    if arr.null_count == 0:
        found: Hashes = words[np.asarray(arr.indices)]
        return found
    out = np.append(words, np.uint64(c.NULL))
    found = out[np.asarray(arr.indices.cast(pa.int64()).fill_null(len(words)))]
    return found


def _hash_plain(arr: pa.Array, out: Hashes) -> None:
    kind = arr.type
    loops = native("hashing")
    n = len(arr)
    if pat.is_string(kind) or pat.is_large_string(kind):
        loops.hash_strings(*arrow.offsets_and_data(arr), np.uint64(c.STRING), out)
    elif pat.is_binary(kind) or pat.is_large_binary(kind):
        loops.hash_strings(*arrow.offsets_and_data(arr), np.uint64(c.BINARY), out)
    elif pat.is_fixed_size_binary(kind):
        width = kind.byte_width
        data = arrow.view(arr.buffers()[1], np.uint8, arr.offset * width, n * width)
        loops.hash_fixed(data, width, np.uint64(c.BINARY), out)
    elif pat.is_floating(kind):
        loops.hash_floats(_values(arr, kind.to_pandas_dtype()).astype(np.float64, copy=False), out)
    elif pat.is_decimal(kind):
        if not _hash_decimal(arr, out):
            out[:] = _per_value(arr)
            return
    elif pat.is_struct(kind):
        fields = [arr.field(i) for i in range(kind.num_fields)]
        out[:] = hash_columns(fields) if fields else np.uint64(c.ROW)
    elif pat.is_list(kind) or pat.is_large_list(kind) or pat.is_fixed_size_list(kind):
        out[:] = _per_value(arr)
        return
    else:
        _hash_words(arr, out)
    if arr.null_count:
        loops.fill_nulls(*_bitmap(arr), np.uint64(c.NULL), out)


def _hash_words(arr: pa.Array, out: Hashes) -> None:
    """Types whose value is one 64-bit integer in a unit of ours."""
    kind = arr.type
    loops = native("hashing")
    if pat.is_timestamp(kind) or pat.is_time(kind) or pat.is_duration(kind):
        seed = c.TIME if pat.is_time(kind) else c.DURATION
        seed = c.TIMESTAMP if pat.is_timestamp(kind) else seed
        words = _values(arr, np.int32 if pat.is_time32(kind) else np.int64)
        if kind.unit == "ns":
            loops.hash_nanos(words, np.uint64(seed), out)
            return
        words = words.astype(np.int64, copy=False) * _PER_MICRO[kind.unit]
    elif pat.is_date(kind):
        seed = c.DATE
        days = _values(arr, np.int32 if pat.is_date32(kind) else np.int64)
        words = days.astype(np.int64) if pat.is_date32(kind) else days // 86_400_000
    elif pat.is_uint64(kind):
        loops.hash_unsigned(_values(arr, np.uint64), out)
        return
    elif pat.is_integer(kind):
        seed = c.INT
        words = _values(arr, kind.to_pandas_dtype()).astype(np.int64, copy=False)
    elif pat.is_boolean(kind):
        seed = c.INT
        words = arrow.unpack_bits(arr.buffers()[1], arr.offset, len(arr)).astype(np.int64)
    else:
        msg = f"a column of type {kind} cannot be a key"
        raise TypeError(msg)
    loops.hash_words(words.view(np.uint64), np.uint64(seed), out)


def _hash_decimal(arr: pa.Array, out: Hashes) -> bool:
    """Decimals of up to 18 digits, whose low word is the whole value; False for others."""
    kind = arr.type
    if kind.precision > 18 or not 0 <= kind.scale <= 18:
        return False
    words = kind.bit_width // 64
    if words == 0:
        low = _values(arr, np.int32).astype(np.int64)
    else:
        every = arrow.view(arr.buffers()[1], np.int64, arr.offset * words, len(arr) * words)
        low = np.ascontiguousarray(every[::words])
    native("hashing").hash_decimals(low, kind.scale, out)
    return True


def _per_value(arr: pa.Array) -> Hashes:
    return np.fromiter(map(hash_value, arr.to_pylist()), np.uint64, len(arr))


def _values(arr: pa.Array, dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    return arrow.view(arr.buffers()[1], dtype, arr.offset, len(arr))


def _bitmap(arr: pa.Array) -> tuple[npt.NDArray[np.uint8], int]:
    buffer = arr.buffers()[0]
    return arrow.view(buffer, np.uint8, 0, buffer.size), arr.offset
