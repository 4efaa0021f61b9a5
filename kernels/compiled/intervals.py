"""Loops behind ``lesto.kernels.intervals``: rows sorted by key hash and time."""

from typing import Any

import numpy as np

from lesto.kernels.compiled.decorator import inline, kernel


@inline
def _before(hash_: Any, time: Any, other_hash: Any, other_time: Any) -> Any:
    return hash_ < other_hash or (hash_ == other_hash and time < other_time)


@inline
def _first_from(hashes: Any, times: Any, at: Any, hash_: Any, time: Any) -> Any:
    """First row from ``at`` on that is not before (hash, time); looks near first."""
    n = hashes.size
    low = at
    high = at
    step = np.int64(1)
    while high < n and _before(hashes[high], times[high], hash_, time):
        low = high + 1
        high += step
        step *= 2
    high = min(high, n)
    while low < high:
        middle = (low + high) // 2
        if _before(hashes[middle], times[middle], hash_, time):
            low = middle + 1
        else:
            high = middle
    return low


@kernel(
    "int64(uint64[::1], int64[::1], uint64[::1], int64[::1], int64, int64, int64, int64,"
    " int64[::1], int64[::1])"
)
def ranges(
    hashes: Any,
    times: Any,
    probe_hashes: Any,
    probe_times: Any,
    lower: Any,
    upper: Any,
    first: Any,
    last: Any,
    begins: Any,
    ends: Any,
) -> Any:
    """For each probe the rows of its hash with times in its interval; returns how many in all.

    Both sides are sorted by hash and time. ``first`` and ``last`` bound all times.
    """
    total = np.int64(0)
    begin = np.int64(0)
    end = np.int64(0)
    for i in range(probe_hashes.size):
        h = probe_hashes[i]
        t = probe_times[i]
        # Against overflow at the ends of time.
        low = t + lower if lower <= 0 or t <= last - lower else last + 1
        low = max(low if lower >= 0 or t >= first - lower else first, first)
        high = t + upper if upper <= 0 or t <= last - upper else last
        high = high if upper >= 0 or t >= first - upper else first - 1
        begin = _first_from(hashes, times, begin, h, low)
        end = _first_from(hashes, times, max(begin, end), h, min(high, last) + 1)
        begins[i] = begin
        ends[i] = end
        total += end - begin
    return total


@kernel("int64(int64[::1], int64[::1], int64, int64, int64, int32[::1], int32[::1])")
def pairs(begins: Any, ends: Any, probe: Any, skip: Any, limit: Any, probes: Any, rows: Any) -> Any:
    """Write out up to ``limit`` pairs from row ``skip`` of a probe's range on; returns how many."""
    k = np.int64(0)
    for i in range(probe, begins.size):
        for j in range(begins[i] + skip, ends[i]):
            if k == limit:
                return k
            probes[k] = i
            rows[k] = j
            k += 1
        skip = np.int64(0)
    return k


@kernel("void(uint64[::1], int64[::1], uint64[::1], int64[::1], int32[::1])")
def merge(hashes1: Any, times1: Any, hashes2: Any, times2: Any, order: Any) -> None:
    """The order that sorts two sorted parts, the second one's rows behind the first one's."""
    n = hashes1.size
    i = np.int64(0)
    j = np.int64(0)
    for k in range(order.size):
        second = i == n
        if not second and j < hashes2.size:
            second = _before(hashes2[j], times2[j], hashes1[i], times1[i])
        if second:
            order[k] = n + j
            j += 1
        else:
            order[k] = i
            i += 1
