"""Loops behind ``lesto.kernels.windows``. All times are int64 milliseconds."""

from typing import Any

import numpy as np

from lesto.kernels.compiled.decorator import kernel


@kernel("void(int64[::1], int64, int64, int64[::1])")
def tumble(ts: Any, size: Any, offset: Any, out: Any) -> None:
    """Window starts; the division is skipped while times stay in the window before."""
    start = np.int64(0)
    known = False
    for i in range(ts.size):
        t = ts[i]
        if not known or t < start or t - start >= size:
            rest = (t - offset) % size
            start = t - rest
            known = True
        out[i] = start


@kernel("int64(int64[::1], int64, int64, int64, int32[::1], int64[::1], int64)")
def hop(ts: Any, size: Any, slide: Any, offset: Any, rows: Any, starts: Any, limit: Any) -> Any:
    """Row number and start for every window of every row, latest window first; returns how many."""
    k = np.int64(0)
    for i in range(ts.size):
        t = ts[i]
        start = t - (t - offset) % slide
        while start > t - size and k < limit:
            rows[k] = i
            starts[k] = start
            k += 1
            start -= slide
    return k


@kernel("int64(int64[::1], int64[::1], int32[::1], int64, int64[::1], int64[::1], int32[::1])")
def sessions(keys: Any, ts: Any, order: Any, gap: Any, starts: Any, ends: Any, session: Any) -> Any:
    """Number the sessions of rows sorted by key and time; returns how many there are.

    Args:
        order: int32[n], the sorting permutation.
        starts, ends: int64[n], filled up to the count: first time, last time + gap.
        session: int32[n], filled with the session of each row (in the rows' own order).
    """
    k = np.int64(-1)
    before = np.int64(0)
    for j in range(order.size):
        i = order[j]
        t = ts[i]
        if k < 0 or keys[i] != before or t > ends[k]:
            k += 1
            starts[k] = t
            before = keys[i]
        ends[k] = t + gap
        session[i] = k
    return k + 1
