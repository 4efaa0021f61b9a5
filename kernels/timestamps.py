"""Event times of a batch, for watermarks. numpy and Arrow do this at memory speed; no numba."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from lesto.kernels import arrow

MIN_TIMESTAMP = -(1 << 63)
_PER_MS = {"ms": 1, "us": 1_000, "ns": 1_000_000}


def millis(times: pa.Array) -> npt.NDArray[np.int64]:
    """int64[n] milliseconds of a timestamp column, towards the past; anything where NULL.

    >>> millis(pa.array([-1, 1_500], pa.timestamp("us"))).tolist()
    [-1, 1]
    """
    ticks = arrow.view(times.buffers()[1], np.int64, times.offset, len(times))
    unit = times.type.unit
    if unit == "s":
        return ticks * np.int64(1_000)
    return ticks if unit == "ms" else ticks // np.int64(_PER_MS[unit])


def max_ts(arr: pa.Array | pa.ChunkedArray | npt.NDArray[Any]) -> int:
    """Largest time in a column, nulls skipped; ``MIN_TIMESTAMP`` when there is none.

    Args:
        arr: int64 or timestamp column, or int64[n]. The unit is the column's own.
    """
    if isinstance(arr, np.ndarray):
        return int(arr.max()) if len(arr) else MIN_TIMESTAMP
    if isinstance(arr, pa.ChunkedArray):
        return max(map(max_ts, arr.chunks), default=MIN_TIMESTAMP)
    if arr.null_count:
        arr = arr.drop_null()
    if len(arr) == 0:
        return MIN_TIMESTAMP
    return int(arrow.view(arr.buffers()[1], np.int64, arr.offset, len(arr)).max())
