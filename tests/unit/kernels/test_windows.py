"""Window assignment against Flink's definitions."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lesto.kernels.timestamps import MIN_TIMESTAMP, max_ts
from lesto.kernels.windows import hop, late_mask, sessions, tumble

TIMES = st.lists(st.integers(-(10**13), 10**13) | st.integers(-50, 50), max_size=40)


@given(TIMES, st.integers(1, 1000), st.integers(-500, 500))
def test_tumble(times: list[int], size: int, offset: int) -> None:
    starts = tumble(np.array(times, np.int64), size, offset)
    for t, start in zip(times, starts.tolist(), strict=True):
        assert start <= t < start + size
        assert (start - offset) % size == 0


@given(TIMES, st.integers(1, 60), st.integers(1, 60), st.integers(-20, 20))
def test_hop(times: list[int], size: int, slide: int, offset: int) -> None:
    rows, starts = hop(np.array(times, np.int64), size, slide, offset)
    expected = []
    for i, t in enumerate(times):
        start = t - (t - offset) % slide
        while start > t - size:
            expected.append((i, start))
            start -= slide
    assert list(zip(rows.tolist(), starts.tolist(), strict=True)) == expected


def test_late() -> None:
    starts = np.array([0, 10, 2**63 - 12])
    assert late_mask(starts, 10, 0, 9).tolist() == [True, False, False]
    assert late_mask(starts, 10, 1, 9).tolist() == [False, False, False]
    assert late_mask(starts, 10, 100, 2**63 - 2).tolist() == [True, True, False]


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(-30, 30)), max_size=40), st.integers(1, 8))
def test_sessions(rows: list[tuple[int, int]], gap: int) -> None:
    keys = np.array([k for k, _ in rows], np.int64)
    ts = np.array([t for _, t in rows], np.int64)
    session, owners, starts, ends = sessions(keys, ts, gap)
    expected: list[list[int]] = []
    for k, t in sorted(rows):
        if expected and expected[-1][0] == k and t <= expected[-1][2]:
            expected[-1][2] = t + gap
        else:
            expected.append([k, t, t + gap])
    found = zip(owners.tolist(), starts.tolist(), ends.tolist(), strict=True)
    assert [list(r) for r in found] == expected
    for i, (k, t) in enumerate(rows):
        s = session[i]
        assert owners[s] == k
        assert starts[s] <= t < ends[s]


def test_bad_sizes() -> None:
    with pytest.raises(ValueError, match="size must be positive"):
        tumble(np.zeros(1, np.int64), 0)


def test_max_ts() -> None:
    assert max_ts(pa.array([3, None, 7, 1])[:2]) == 3
    assert max_ts(pa.array([5, 9], pa.timestamp("ms"))) == 9
    assert max_ts(pa.chunked_array([[1], [4], []], pa.int64())) == 4
    assert max_ts(np.array([-5, -9])) == -5
    for empty in (pa.nulls(2, pa.int64()), pa.array([], pa.int64()), np.zeros(0, np.int64)):
        assert max_ts(empty) == MIN_TIMESTAMP
