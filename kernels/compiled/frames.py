"""Loops behind ``lesto.kernels.frames``: folds over frames that slide along sorted rows."""

from typing import Any

import numpy as np

from lesto.kernels.compiled.decorator import kernel


@kernel("void(float64[::1], uint8[::1], int64[::1], int64[::1], float64[::1])")
def sums(values: Any, valid: Any, lo: Any, hi: Any, out: Any) -> None:
    """The sum of each frame, by addition alone: what left a frame has no trace in it.

    Two stacks: sums of everything from a row to ``middle`` lie in ``front``, and ``back`` is the
    sum of what follows it.
    """
    front = np.zeros(values.size, np.float64)
    middle = np.int64(0)
    end = np.int64(0)
    back = 0.0
    for i in range(lo.size):
        first = lo[i]
        if first >= end:
            middle = first
            end = first
            back = 0.0
        while end < hi[i]:
            if valid[end]:
                back += values[end]
            end += 1
        if first > middle:
            total = 0.0
            for j in range(end - 1, first - 1, -1):
                if valid[j]:
                    total += values[j]
                front[j] = total
            middle = end
            back = 0.0
        if first < middle:
            out[i] = front[first] + back
        else:
            out[i] = back


@kernel("void(int64[::1], uint8[::1], int64[::1], int64[::1], int64[::1])")
def least(words: Any, valid: Any, lo: Any, hi: Any, out: Any) -> None:
    """The row of the least word of each frame, the first of equal ones; -1 where none is valid."""
    queue = np.empty(words.size, np.int64)
    head = np.int64(0)
    tail = np.int64(0)
    end = np.int64(0)
    for i in range(lo.size):
        first = lo[i]
        if first >= end:
            end = first
            head = np.int64(0)
            tail = np.int64(0)
        while end < hi[i]:
            if valid[end]:
                while tail > head and words[queue[tail - 1]] > words[end]:
                    tail -= 1
                queue[tail] = end
                tail += 1
            end += 1
        while head < tail and queue[head] < first:
            head += 1
        out[i] = queue[head] if head < tail else -1


@kernel("void(int64[::1], int64[::1], int64, int64[::1])")
def range_starts(bases: Any, times: Any, preceding: Any, out: Any) -> None:
    """The first row from its base on whose time is at least the row's own less ``preceding``."""
    start = np.int64(0)
    for i in range(times.size):
        start = max(start, bases[i])
        while times[start] < times[i] - preceding:
            start += 1
        out[i] = start
