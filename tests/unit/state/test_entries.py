"""What is captured is encoded as columns or value by value, with the same bytes."""

import random

import pytest

from lesto.state import entries
from lesto.state.entries import CapturedBytes, CapturedCells, CapturedTimers, sorted_entries

KEYS = {
    "str": [f"key-{n}" for n in range(60)],
    "long": ["k" * n for n in range(230, 290)],
    "int": [n * 37 - 500 for n in range(60)],
    "float": [n / 2 for n in range(60)],
    "bytes": [b"%d" % n for n in range(60)],
    "tuple": [(n, f"k{n}") for n in range(60)],
    "tuple_of_float": [(n, n / 2) for n in range(60)],
    "mixed": [*range(30), *map(str, range(30))],
}
VALUES = {
    "int": [n * 1000 for n in range(60)],
    "deleted": [n or None for n in range(-30, 30)],
    "all_deleted": [None] * 60,
    "float": [n / 3 for n in range(60)],
    "tuple": [(n, n / 3, "x" * n) for n in range(60)],
    "bool": [n % 2 == 0 for n in range(60)],
    "big": [1 << n for n in range(40, 100)],
    "list": [[n] for n in range(60)],
    "list_or_deleted": [[n] if n % 3 else None for n in range(60)],
}
NAMESPACES = {
    "none": [None] * 60,
    "windows": [(n * 60_000, n * 60_000 + 60_000) for n in range(60)],
    "mixed": [None, (0, 1)] * 30,
}


def both_ways(make, monkeypatch):
    """Sorted entries, with columns and without."""
    columns = sorted_entries([make()])
    monkeypatch.setattr(entries, "FEW", 1000)
    return columns, sorted_entries([make()])


@pytest.mark.parametrize("keys", KEYS)
@pytest.mark.parametrize("values", VALUES)
def test_cells(keys, values, monkeypatch):
    def make():
        return CapturedCells(3, ("w", 7), KEYS[keys], VALUES[values], 128)

    columns, one_by_one = both_ways(make, monkeypatch)
    assert columns[0].to_pylist() == one_by_one[0].to_pylist()
    assert columns[1].to_pylist() == one_by_one[1].to_pylist()
    assert make().deletes == (None in VALUES[values])


@pytest.mark.parametrize("keys", KEYS)
@pytest.mark.parametrize("namespaces", NAMESPACES)
def test_timers(keys, namespaces, monkeypatch):
    times = [(-1) ** n * n * 1_000_003 for n in range(60)]
    timers = list(zip(times, KEYS[keys], NAMESPACES[namespaces], strict=True))

    def make():
        return CapturedTimers(9, timers[:40], timers[40:], 128)

    columns, one_by_one = both_ways(make, monkeypatch)
    assert columns[0].to_pylist() == one_by_one[0].to_pylist()
    assert columns[1].to_pylist() == one_by_one[1].to_pylist()
    assert columns[1].null_count == 20


@pytest.mark.parametrize("swapped", [False, True])
@pytest.mark.parametrize("repeated", [False, True])
def test_keys_as_long_as_those_of_rows(swapped, repeated):
    """In order they stay as they are, else they are sorted; of equal ones the last stays."""
    chance = random.Random(1)
    keys = sorted(chance.choice([b"aaaa", b"aaab", b"\xff" * 4]) + chance.randbytes(8)
                  for _ in range(500))  # fmt: skip
    if swapped:
        keys[10], keys[11] = keys[11], keys[10]
    if repeated:
        keys[20] = keys[19]
    values = [None if n % 7 == 0 else b"%d" % n for n in range(500)]
    truth = dict(zip(keys, values, strict=True))
    found, aligned = sorted_entries([CapturedBytes(keys, values)])
    assert found.to_pylist() == sorted(truth)
    assert aligned.to_pylist() == [truth[key] for key in sorted(truth)]
