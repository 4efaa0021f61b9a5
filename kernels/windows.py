"""Assigning rows to event-time windows. All times are int64 milliseconds."""

import numpy as np
import numpy.typing as npt

from lesto.kernels import arrow
from lesto.kernels.jit import native

Times = npt.NDArray[np.int64]
_NEVER = (1 << 63) - 1


def tumble(ts: Times, size: int, offset: int = 0) -> Times:
    """Start of the tumbling window of every row, also for times before the epoch.

    Returns:
        int64[n].
    """
    _positive(size=size)
    out = np.empty(len(ts), np.int64)
    native("windowing").tumble(arrow.loopable(ts, np.int64), size, offset, out)
    return out


def hop(ts: Times, size: int, slide: int, offset: int = 0) -> tuple[npt.NDArray[np.int32], Times]:
    """All sliding windows of all rows, the latest window of a row first as in Flink.

    Returns:
        ``(row_idx, starts)``: int32[k] and int64[k], rows ascending. A row can fall between
        windows when ``slide > size`` and has then no entry.
    """
    _positive(size=size, slide=slide)
    most = len(ts) * -(-size // slide)
    rows = np.empty(most, np.int32)
    starts = np.empty(most, np.int64)
    count = native("windowing").hop(
        arrow.loopable(ts, np.int64), size, slide, offset, rows, starts, most
    )
    return rows[:count], starts[:count]


def late_mask(
    starts: Times, size: int, allowed_lateness: int, watermark: int
) -> npt.NDArray[np.bool_]:
    """True where a window is already cleaned up: last time + lateness <= watermark.

    Returns:
        bool[n].
    """
    last = starts + (size - 1)
    cleanup = last + allowed_lateness
    cleanup[cleanup < last] = _NEVER  # overflow: kept for ever, as in Flink
    return cleanup <= watermark


def sessions(keys: Times, ts: Times, gap: int) -> tuple[npt.NDArray[np.int32], Times, Times, Times]:
    """Group the rows of one batch into sessions, per key.

    Merging with sessions kept from before is the caller's: the result has at most one entry per
    key and session, so that is a loop over few entries. Two sessions merge when they touch
    (``next start <= end``), as Flink's time windows do.

    Args:
        keys: int64[n], dense key numbers (slots).
        ts: int64[n].

    Returns:
        ``(session, key, start, end)``: int32[n], the session of every row, and int64[s] each, by
        key and start; ``end`` is the last time + gap.
    """
    _positive(gap=gap)
    n = len(ts)
    order = np.lexsort((ts, keys)).astype(np.int32)
    starts, ends = np.empty(n, np.int64), np.empty(n, np.int64)
    session = np.empty(n, np.int32)
    count = native("windowing").sessions(
        arrow.loopable(keys, np.int64),
        arrow.loopable(ts, np.int64),
        order,
        gap,
        starts,
        ends,
        session,
    )
    owners = np.empty(count, np.int64)
    owners[session] = keys
    return session, owners, starts[:count], ends[:count]


def _positive(**durations: int) -> None:
    for name, value in durations.items():
        if value <= 0:
            msg = f"a window's {name} must be positive, got {value}"
            raise ValueError(msg)
