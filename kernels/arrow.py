"""Arrow buffers as numpy arrays, without a copy."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.types as pat

_EMPTY = np.zeros(8, np.uint8)


class _Memory:
    """Gives numpy a writable view of memory that somebody owns, and keeps the owner alive.

    Writable only so that the kernels need one signature, not two; they never write to inputs.
    """

    def __init__(self, owner: Any, address: int, dtype: np.dtype[Any], count: int) -> None:
        self.owner = owner
        self.__array_interface__ = {
            "version": 3,
            "data": (address, False),
            "shape": (count,),
            "typestr": dtype.str,
        }


def view(buffer: Any, dtype: npt.DTypeLike, start: int, count: int) -> npt.NDArray[Any]:
    """``count`` items of ``dtype`` from item ``start`` of an Arrow buffer.

    A copy only if the buffer is not aligned, as those cut out of a network message may be.
    """
    wanted = np.dtype(dtype)
    if buffer is None or count == 0:
        return np.zeros(count, wanted)
    address = buffer.address + start * wanted.itemsize
    if address % wanted.itemsize:
        raw = np.asarray(_Memory(buffer, address, np.dtype(np.uint8), count * wanted.itemsize))
        return raw.copy().view(wanted)
    return np.asarray(_Memory(buffer, address, wanted, count))


def allocate(count: int, dtype: npt.DTypeLike) -> tuple[Any, npt.NDArray[Any]]:
    """A new Arrow buffer for ``count`` items, and a view of it to fill.

    From Arrow's pool, which keeps its pages: malloc gives large blocks back to the system, and
    touching fresh pages costs more than the gather that fills them.
    """
    wanted = np.dtype(dtype)
    buffer = pa.allocate_buffer(count * wanted.itemsize)
    return buffer, view(buffer, wanted, 0, count)


def loopable(array: npt.NDArray[Any], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """The array as kernels take it: of the dtype, contiguous, aligned, not marked read-only.

    Copies only if the dtype, the stride or the alignment is wrong.
    """
    flags = array.flags
    if array.dtype != dtype or not (flags.c_contiguous and flags.aligned):
        return np.array(array, dtype)
    if flags.writeable or array.size == 0:
        return array if flags.writeable else array.copy()
    return np.asarray(_Memory(array, array.ctypes.data, array.dtype, len(array)))


def offsets_and_data(arr: pa.Array) -> tuple[npt.NDArray[Any], npt.NDArray[np.uint8]]:
    """Offsets (n + 1, absolute, int32 or int64) and bytes of a string or binary array."""
    wide = pat.is_large_string(arr.type) or pat.is_large_binary(arr.type)
    _, offsets, data = arr.buffers()
    found = view(offsets, np.int64 if wide else np.int32, arr.offset, len(arr) + 1)
    if data is None or data.size == 0:
        return found, _EMPTY[:0]
    return found, view(data, np.uint8, 0, data.size)


def plain(arr: pa.Array) -> pa.Array:
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


def one_chunk(arr: pa.Array | pa.ChunkedArray) -> pa.Array:
    """A chunked array as one array (copies only when there are several chunks)."""
    if isinstance(arr, pa.ChunkedArray):
        return arr.chunk(0) if arr.num_chunks == 1 else arr.combine_chunks()
    return arr


def validity_bytes(arr: pa.Array) -> npt.NDArray[np.uint8] | None:
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
