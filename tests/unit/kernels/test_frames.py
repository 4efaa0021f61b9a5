"""Folds over sliding frames against plain Python."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from lesto.kernels import frames

VALUES = st.lists(
    st.one_of(st.none(), st.sampled_from([0.5, -1.0, 3.0, 1e300, math.inf, math.nan])), max_size=20
)


def moving(rows: int, cuts: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """Frames that only move forward, each within [0, rows]."""
    ends = sorted(c % (rows + 1) for c in cuts)
    lo = [min(e, ends[i // 2]) for i, e in enumerate(ends)]
    return np.array(lo, np.int64), np.array(ends, np.int64)


@given(VALUES, st.lists(st.integers(0, 100), max_size=20))
def test_each_frame_is_as_if_computed_alone(values: list[float | None], cuts: list[int]) -> None:
    lo, hi = moving(len(values), cuts)
    valid = np.array([v is not None for v in values], np.bool_)
    numbers = np.array([v or 0.0 for v in values], np.float64)
    words = np.array([0 if v is None or v != v else int(min(v, 9)) for v in values], np.int64)
    total = frames.sums(numbers, valid, lo, hi)
    least = frames.least(words, valid, lo, hi)
    first, last = frames.first(valid, lo, hi), frames.last(valid, lo, hi)
    count = frames.counts(valid.astype(np.int64), lo, hi)
    for i, (a, b) in enumerate(zip(lo.tolist(), hi.tolist(), strict=True)):
        rows = [j for j in range(a, b) if valid[j]]
        exact = sum(values[j] for j in rows)
        assert (
            total[i] == exact
            or (exact != exact and total[i] != total[i])
            or math.isclose(total[i], exact, rel_tol=1e-12)
        )
        assert least[i] == min(rows, key=lambda j: (words[j], j), default=-1)
        assert first[i] == (rows[0] if rows else -1)
        assert last[i] == (rows[-1] if rows else -1)
        assert count[i] == len(rows)


@given(st.lists(st.lists(st.integers(0, 9), min_size=1, max_size=6), max_size=4), st.integers(0, 4))
def test_frames_by_time(partitions: list[list[int]], preceding: int) -> None:
    times, bases, expected = [], [], []
    for partition in partitions:
        base = len(times)
        for time in sorted(partition):
            times.append(time)
            bases.append(base)
        rows = range(base, len(times))
        expected += [min(j for j in rows if times[j] >= times[i] - preceding) for i in rows]
    found = frames.range_starts(np.array(bases, np.int64), np.array(times, np.int64), preceding)
    assert found.tolist() == expected
