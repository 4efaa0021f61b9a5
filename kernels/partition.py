"""Splitting a batch by channel, and the gather that it needs."""

import itertools
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.types as pat

from lesto.kernels import arrow
from lesto.kernels.jit import native

Rows = npt.NDArray[np.int32]
_SPARE = 32
_MAX_SMALL = (1 << 31) - 1
_UNSIGNED = {8: np.uint8, 16: np.uint16, 32: np.uint32, 64: np.uint64}


def partition(channels: npt.NDArray[np.int32], n: int) -> tuple[Rows, npt.NDArray[np.int64]]:
    """Stable counting sort of row numbers by channel.

    Args:
        channels: int32[rows], each below ``n``; negative leaves the row out.
        n: number of channels.

    Returns:
        ``(indices, offsets)``: int32[kept rows] and int64[n + 1]; the rows of channel ``i``, in
        their order, are ``indices[offsets[i]:offsets[i + 1]]``.
    """
    if len(channels) and int(channels.max()) >= n:
        msg = f"channel {int(channels.max())} does not exist: there are {n}"
        raise ValueError(msg)
    channels = arrow.loopable(channels, np.int32)
    offsets = np.empty(n + 1, np.int64)
    order = np.empty(len(channels), np.int32)
    native("rows").counting_sort(channels, offsets, order)
    return order[: offsets[n]], offsets


def split_batch(
    batch: pa.RecordBatch, channels: npt.NDArray[np.int32], n: int
) -> list[pa.RecordBatch | None]:
    """The rows of every channel as a batch of its own, None where there are none.

    One gather for the whole batch; the parts are slices of its result.
    """
    order, offsets = partition(channels, n)
    taken = take_batch(batch, order)
    bounds = offsets.tolist()
    return [
        taken.slice(start, end - start) if end > start else None
        for start, end in itertools.pairwise(bounds)
    ]


def take_batch(batch: pa.RecordBatch, indices: npt.NDArray[Any]) -> pa.RecordBatch:
    """The rows of a batch at ``indices``, nulls preserved.

    Args:
        batch: any columns; nested ones go through pyarrow.
        indices: integers in 0..rows-1.
    """
    rows = _rows(indices, batch.num_rows)
    columns = [_take(column, rows) for column in batch.columns]
    if not columns:
        return batch.slice(0, 0) if len(rows) == 0 else batch.take(pa.array(rows))
    return pa.RecordBatch.from_arrays(columns, schema=batch.schema)


def take_array(arr: pa.Array, indices: npt.NDArray[Any]) -> pa.Array:
    """The values of one array at ``indices``."""
    return _take(arr, _rows(indices, len(arr)))


def _rows(indices: npt.NDArray[Any], count: int) -> Rows:
    """Contiguous int32, bounds checked: the kernels do not check."""
    if len(indices) and not (int(indices.min()) >= 0 and int(indices.max()) < count):
        msg = f"row indices out of bounds for {count} rows"
        raise IndexError(msg)
    return arrow.loopable(indices, np.int32)


def _take(arr: pa.Array, rows: Rows) -> pa.Array:
    kind = arr.type
    if isinstance(kind, pa.BaseExtensionType):
        return pa.ExtensionArray.from_storage(kind, _take(arr.storage, rows))
    if pat.is_dictionary(kind):
        taken = _take(arr.indices, rows)
        return pa.DictionaryArray.from_arrays(
            taken, arr.dictionary, ordered=kind.ordered, safe=False
        )
    if pat.is_string_view(kind) or pat.is_binary_view(kind):  # pyarrow cannot take these
        return _take(arrow.plain(arr), rows).cast(kind)
    text = (
        pat.is_string(kind)
        or pat.is_binary(kind)
        or pat.is_large_string(kind)
        or pat.is_large_binary(kind)
    )
    if len(arr) == 0 or not (text or (pat.is_primitive(kind) or pat.is_decimal(kind))):
        return arr.take(pa.array(rows))
    n = len(rows)
    nulls, validity = 0, None
    if arr.null_count:
        nulls, validity = _take_bits(arr.buffers()[0], arr.offset, rows)
    if text:
        found = _take_text(arr, rows)
        if found is None:
            return arr.take(pa.array(rows))
        return pa.Array.from_buffers(kind, n, [validity, *found], nulls)
    if pat.is_boolean(kind):
        values = _take_bits(arr.buffers()[1], arr.offset, rows)[1]
    else:
        values = _take_fixed(arr, rows)
    return pa.Array.from_buffers(kind, n, [validity, values], nulls)


def _take_fixed(arr: pa.Array, rows: Rows) -> Any:
    width = arr.type.bit_width
    if width in _UNSIGNED:
        dtype = _UNSIGNED[width]
        buffer, out = arrow.allocate(len(rows), dtype)
        native("rows").gather(arrow.view(arr.buffers()[1], dtype, arr.offset, len(arr)), rows, out)
        return buffer
    words = width // 64
    buffer, out = arrow.allocate(len(rows) * words, np.uint64)
    source = arrow.view(arr.buffers()[1], np.uint64, arr.offset * words, len(arr) * words)
    native("rows").gather_wide(source, words, rows, out)
    return buffer


def _take_bits(buffer: Any, offset: int, rows: Rows) -> tuple[int, Any]:
    """Gathered bitmap and the number of zeros in it."""
    packed, out = arrow.allocate((len(rows) + 7) >> 3, np.uint8)
    bitmap = arrow.view(buffer, np.uint8, 0, buffer.size)
    zeros = native("rows").gather_bits(bitmap, offset, rows, out)
    return zeros, packed


def _take_text(arr: pa.Array, rows: Rows) -> tuple[Any, Any] | None:
    """Offsets and bytes; None when 32-bit offsets would overflow (pyarrow then says so)."""
    loops = native("rows")
    offsets, data = arrow.offsets_and_data(arr)
    ends, out_offsets = arrow.allocate(len(rows) + 1, offsets.dtype)
    total = loops.string_offsets(offsets, rows, out_offsets)
    if offsets.dtype == np.int32 and total > _MAX_SMALL:
        return None
    text, out = arrow.allocate(total + _SPARE, np.uint8)
    loops.gather_strings(offsets, data, rows, out_offsets, out)
    return ends, text.slice(0, total)
