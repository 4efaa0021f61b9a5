"""Arrow buffers as numpy arrays, without a copy."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.types as pat

Array = pa.Array

_EMPTY = np.zeros(8, np.uint8)


class _Window:
    """Gives numpy a writable view of an Arrow buffer and keeps the buffer alive.

    Writable only so that the kernels need one signature, not two; they never write to inputs.
    """

    def __init__(self, buffer: Any, dtype: np.dtype[Any], start: int, count: int) -> None:
        self.buffer = buffer
        self.__array_interface__ = {
            "version": 3,
            "data": (buffer.address + start * dtype.itemsize, False),
            "shape": (count,),
            "typestr": dtype.str,
        }


def view(buffer: Any, dtype: npt.DTypeLike, start: int, count: int) -> npt.NDArray[Any]:
    """``count`` items of ``dtype`` from item ``start`` of an Arrow buffer."""
    wanted = np.dtype(dtype)
    if buffer is None or count == 0:
        return np.zeros(count, wanted)
    return np.asarray(_Window(buffer, wanted, start, count))


def offsets_and_data(arr: Array) -> tuple[npt.NDArray[Any], npt.NDArray[np.uint8]]:
    """Offsets (n + 1, absolute, int32 or int64) and bytes of a string or binary array."""
    wide = pat.is_large_string(arr.type) or pat.is_large_binary(arr.type)
    _, offsets, data = arr.buffers()
    found = view(offsets, np.int64 if wide else np.int32, arr.offset, len(arr) + 1)
    if data is None or data.size == 0:
        return found, _EMPTY[:0]
    return found, view(data, np.uint8, 0, data.size)


def plain(arr: Array) -> Array:
    """The array with dictionaries decoded and views and extension types made plain storage."""
    kind = arr.type
    if isinstance(kind, pa.BaseExtensionType):
        return plain(arr.storage)
    if pat.is_dictionary(kind):
        return plain(arr.dictionary_decode())
    if pat.is_string_view(kind):
        return arr.cast(pa.large_string())
    if pat.is_binary_view(kind):
        return arr.cast(pa.large_binary())
    return arr


def one_chunk(arr: Array | pa.ChunkedArray) -> Array:
    """A chunked array as one array (copies only when there are several chunks)."""
    if isinstance(arr, pa.ChunkedArray):
        return arr.chunk(0) if arr.num_chunks == 1 else arr.combine_chunks()
    return arr


def validity_bytes(arr: Array) -> npt.NDArray[np.uint8] | None:
    """One byte a row, 1 where the value is not null; None when no value is."""
    if arr.null_count == 0:
        return None
    if arr.buffers()[0] is None:  # null type, unions
        valid = arr.is_valid()
        return unpack_bits(valid.buffers()[1], valid.offset, len(valid))
    return unpack_bits(arr.buffers()[0], arr.offset, len(arr))


def unpack_bits(buffer: Any, offset: int, count: int) -> npt.NDArray[np.uint8]:
    """``count`` bits of an Arrow bitmap from bit ``offset``, a byte each."""
    if count == 0:
        return np.zeros(0, np.uint8)
    first = offset >> 3
    packed = view(buffer, np.uint8, first, ((offset + count + 7) >> 3) - first)
    skip = offset & 7
    return np.unpackbits(packed, count=skip + count, bitorder="little")[skip:]


def pack_bits(flags: npt.NDArray[Any]) -> Any:
    """An Arrow bitmap from one flag a row."""
    return pa.py_buffer(np.packbits(flags, bitorder="little"))
