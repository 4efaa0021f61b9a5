"""Sorted rows and their matches against loops in plain Python."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from lesto.kernels.intervals import Matches, merge_order, sort_order

FIRST, LAST = -(2**63) + 1, 2**63 - 2
times = st.one_of(st.integers(-20, 20), st.sampled_from([FIRST, FIRST + 3, LAST - 3, LAST]))
rows = st.lists(st.tuples(st.sampled_from([0, 1, 2**63, 2**64 - 1]), times), max_size=40)
bounds = st.one_of(st.integers(-25, 25), st.sampled_from([-(10**12), 10**12]))


def columns(pairs):
    return (
        np.array([h for h, _ in pairs], np.uint64),
        np.array([t for _, t in pairs], np.int64),
    )


@given(rows)
def test_rows_are_sorted_by_hash_and_time(pairs):
    hashes, at = columns(pairs)
    order = sort_order(hashes, at)
    assert order.dtype == np.int32
    assert [pairs[i] for i in order] == sorted(pairs)
    assert list(order) == sorted(range(len(pairs)), key=lambda i: pairs[i])


@given(rows, rows)
def test_two_sorted_parts_are_merged(first, second):
    first, second = sorted(first), sorted(second)
    order = merge_order(*columns(first), *columns(second))
    both = first + second
    assert list(order) == sorted(range(len(both)), key=lambda i: both[i])


@given(rows, rows, bounds, bounds, st.one_of(st.just(-(2**63)), times), st.integers(1, 9))
def test_matches_are_those_of_a_loop(stored, probes, lower, upper, first, limit):
    lower, upper = sorted((lower, upper))
    stored, probes = sorted(stored), sorted(probes)
    found = Matches(*columns(stored), *columns(probes), lower, upper, first)
    expected = [
        (i, j)
        for i, (probe, time) in enumerate(probes)
        for j, (row, at) in enumerate(stored)
        if row == probe and time + lower <= at <= time + upper and at >= first
    ]
    assert found.total == len(expected)
    pieces = list(found.pairs(limit))
    assert [(i, j) for a, b in pieces for i, j in zip(a, b, strict=True)] == expected
    assert all(len(a) == limit for a, _ in pieces[:-1])
