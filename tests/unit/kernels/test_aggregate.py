"""Accumulators against a loop over records."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lesto.kernels import aggregate as agg

FOLDS = {
    "sum": lambda a, v: a + v,
    "min": min,
    "max": max,
    "first": lambda a, v: a,
    "last": lambda a, v: v,
}
ROWS = st.lists(st.tuples(st.integers(-1, 4), st.none() | st.integers(-100, 100)), max_size=60)


def split(rows: list[tuple[int, int | None]], dtype: type) -> tuple[Any, Any, Any]:
    slots = np.array([s for s, _ in rows], np.int64)
    values = np.array([0 if v is None else v for _, v in rows], dtype)
    return slots, values, np.array([v is not None for _, v in rows], np.bool_)


@pytest.mark.parametrize("dtype", [np.int64, np.float64])
@pytest.mark.parametrize("op", FOLDS)
@given(batches=st.lists(ROWS, max_size=3))
def test_folds(op: str, dtype: type, batches: list[Any]) -> None:
    model: dict[int, Any] = {}
    pairs = [(np.zeros(5, dtype), np.zeros(5, np.uint8), np.zeros(5, np.uint8)) for _ in "ab"]
    touched = set()
    for rows in batches:
        slots, values, valid = split(rows, dtype)
        agg.accumulate(op, slots, values, valid, *pairs[0])
        out, out_valid = agg.running(op, slots, values, valid, *pairs[1])
        for i, (s, v) in enumerate(rows):
            if s >= 0 and v is not None:
                changed = s not in model or op != "first"
                model[s] = FOLDS[op](model[s], v) if s in model else v
                touched |= {s} if changed else set()
            shown = out[i] if out_valid[i] else None
            assert shown == (model.get(s) if s >= 0 else None)
    for acc, seen, _ in pairs:
        assert {s: acc[s] for s in np.flatnonzero(seen)} == model
    assert set(np.flatnonzero(pairs[0][2]).tolist()) == touched


@given(ROWS)
def test_counts(rows: list[tuple[int, int | None]]) -> None:
    slots, _, valid = split(rows, np.int64)
    acc, dirty, acc2 = np.zeros(5, np.int64), np.zeros(5, np.uint8), np.zeros(5, np.int64)
    agg.accumulate_count(slots, valid, acc, dirty)
    out = agg.running_count(slots, valid, acc2, dirty.copy())
    expected = [0] * 5
    for i, (s, v) in enumerate(rows):
        if s >= 0:
            expected[s] += v is not None
            assert out[i] == expected[s]
    assert acc.tolist() == acc2.tolist() == expected
    assert dirty.tolist() == [int(c > 0) for c in expected]


def test_read_only_values_and_wrapping() -> None:
    values = np.array([2**63 - 1, 1])
    values.flags.writeable = False
    acc, seen, dirty = np.zeros(1, np.int64), np.zeros(1, np.uint8), np.zeros(1, np.uint8)
    agg.accumulate("sum", np.zeros(2, np.int64), values, None, acc, seen, dirty)
    assert acc[0] == -(2**63)


def test_misuse_is_named() -> None:
    acc, seen, dirty = np.zeros(2, np.int64), np.zeros(2, np.uint8), np.zeros(2, np.uint8)
    with pytest.raises(IndexError, match="grow"):
        agg.accumulate_count(np.array([2]), None, acc, dirty)
    with pytest.raises(TypeError, match="do not fit"):
        agg.accumulate("sum", np.array([1]), np.array([1.5]), None, acc, seen, dirty)
    with pytest.raises(ValueError, match="rows"):
        agg.accumulate("sum", np.array([1]), np.array([1, 2]), None, acc, seen, dirty)
    assert agg.grow(acc, 2) is acc
    assert len(agg.grow(acc, 3)) == 4
