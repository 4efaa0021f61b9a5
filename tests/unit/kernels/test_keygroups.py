"""Flink's key-group formulas."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lesto.kernels.keygroups import (
    channels,
    key_group_for_hash,
    key_group_range,
    key_groups,
    operator_index,
)

PAIRS = st.tuples(st.integers(1, 400), st.integers(1, 400)).map(sorted)


@given(PAIRS, st.lists(st.integers(0, 2**64 - 1), max_size=20))
def test_arrays_agree_with_scalars(pair: list[int], hashes: list[int]) -> None:
    parallelism, groups = pair
    array = np.array(hashes, np.uint64)
    found = key_groups(array, groups)
    assert found.dtype == np.uint16
    assert found.tolist() == [key_group_for_hash(h, groups) for h in hashes]
    owners = channels(array, groups, parallelism)
    assert owners.tolist() == [operator_index(g, groups, parallelism) for g in found.tolist()]


@given(PAIRS)
def test_ranges_partition_the_groups(pair: list[int]) -> None:
    parallelism, groups = pair
    seen = []
    for index in range(parallelism):
        start, end = key_group_range(groups, parallelism, index)
        assert all(operator_index(g, groups, parallelism) == index for g in range(start, end + 1))
        seen += range(start, end + 1)
    assert seen == list(range(groups))


def test_limits() -> None:
    with pytest.raises(ValueError, match="parallelism"):
        channels(np.zeros(1, np.uint64), 4, 5)
    with pytest.raises(ValueError, match="parallelism"):
        key_groups(np.zeros(1, np.uint64), 40_000)


def test_read_only_and_strided_input() -> None:
    hashes = np.arange(20, dtype=np.uint64) << np.uint64(32)
    frozen = hashes.copy()
    frozen.flags.writeable = False
    assert key_groups(frozen, 7).tolist() == [i % 7 for i in range(20)]
    assert key_groups(hashes[::2], 7).tolist() == [i % 7 for i in range(0, 20, 2)]
