# ruff: noqa: DTZ001 - naive datetimes are the point
"""The hash index against a dict."""

import datetime as dt
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from hypothesis_profiles import examples

from lesto.kernels.hashing import hash_columns
from lesto.kernels.index import HashIndex

SHAPES: dict[str, tuple[list[pa.DataType], Any]] = {
    "int64": ([pa.int64()], st.tuples(st.none() | st.integers(-3, 3) | st.integers(0, 2**62))),
    "int8": ([pa.int8()], st.tuples(st.none() | st.integers(-128, 127))),
    "uint64": ([pa.uint64()], st.tuples(st.integers(2**63, 2**64 - 1))),
    "bool": ([pa.bool_()], st.tuples(st.none() | st.booleans())),
    "float64": ([pa.float64()], st.tuples(st.none() | st.floats(allow_nan=False))),
    "float32": ([pa.float32()], st.tuples(st.none() | st.floats(allow_nan=False, width=32))),
    "date": ([pa.date32()], st.tuples(st.none() | st.dates())),
    "timestamp": ([pa.timestamp("us", "UTC")], st.tuples(st.none() | st.datetimes(
        dt.datetime(1900, 1, 1), dt.datetime(2100, 1, 1)).map(lambda v: v.replace(tzinfo=dt.UTC)))),
    "decimal": ([pa.decimal128(20, 2)], st.tuples(st.none() | st.integers(-(10**15), 10**15).map(
        lambda v: Decimal(v).scaleb(-2)))),
    "string": ([pa.string()], st.tuples(st.none() | st.text("ab", max_size=20))),
    "large_string": ([pa.large_string()], st.tuples(st.text("ab", max_size=30))),
    "string_view": ([pa.string_view()], st.tuples(st.none() | st.text("ab", max_size=20))),
    "binary": ([pa.binary()], st.tuples(st.none() | st.binary(max_size=14))),
    "fixed_binary": ([pa.binary(13)], st.tuples(st.none() | st.binary(min_size=13, max_size=13))),
    "dictionary": ([pa.dictionary(pa.int8(), pa.string())], st.tuples(
        st.none() | st.text("ab", max_size=3))),
    "string_int": ([pa.string(), pa.int64()], st.tuples(
        st.none() | st.text("ab", max_size=9), st.none() | st.integers(-2, 2))),
    "two_strings": ([pa.string(), pa.large_string()], st.tuples(
        st.none() | st.text("ab", max_size=3), st.text("ab", max_size=3))),
    "wide": ([pa.decimal128(30, 0), pa.bool_(), pa.binary(2)], st.tuples(
        st.none() | st.integers(0, 3).map(Decimal), st.none() | st.booleans(),
        st.none() | st.sampled_from([b"ab", b"cd"]))),
}  # fmt: skip


def columns(types: list[pa.DataType], rows: list[tuple[Any, ...]]) -> list[pa.Array]:
    """Columns of the rows, sliced out of larger arrays."""
    out = []
    for i, kind in enumerate(types):
        values = [None, *(row[i] for row in rows), None]
        plain = pa.array(values, kind.value_type if pa.types.is_dictionary(kind) else kind)
        out.append((plain.cast(kind) if plain.type != kind else plain)[1:-1])
    return out


@pytest.mark.parametrize("spaced", [False, True])
@pytest.mark.parametrize("name", SHAPES)
@settings(max_examples=examples(20))  # each of 38 index kinds
@given(data=st.data())
def test_agrees_with_a_dict(name: str, spaced: bool, data: st.DataObject) -> None:
    types, row = SHAPES[name]
    index = HashIndex(types, namespaced=spaced, capacity=8)
    model: dict[Any, int] = {}
    for _ in range(data.draw(st.integers(1, 5))):
        rows = data.draw(st.lists(row, max_size=40))
        spaces = [data.draw(st.integers(-1, 1)) if spaced else 0 for _ in rows]
        arrays = columns(types, rows)
        hashes = hash_columns(arrays)
        windows = np.array(spaces, np.int64) if spaced else None
        entries = list(zip(rows, spaces, strict=True))
        before = index.lookup(arrays, hashes, windows)
        assert before.tolist() == [model.get(e, -1) for e in entries]
        slots, count = index.lookup_or_insert(arrays, hashes, windows)
        fresh = [i for i, e in enumerate(entries) if e not in model and entries.index(e) == i]
        assert count == len(fresh)
        assert index.new_rows.tolist() == fresh
        for i in fresh:
            assert int(slots[i]) not in model.values()
            model[entries[i]] = int(slots[i])
        assert slots.tolist() == [model[e] for e in entries]
        assert len(index) == len(model)
        assert sorted(index.live_slots().tolist()) == sorted(model.values())
        keys = index.keys(slots)
        for kept, wanted in zip(keys, arrays, strict=True):
            kept.validate(full=True)
            assert kept.type == wanted.type
            assert kept.to_pylist() == wanted.to_pylist()
        assert index.hash_of(slots).tolist() == hashes.tolist()
        if spaced:
            assert index.namespaces(slots).tolist() == spaces
        gone = [e for e in model if data.draw(st.booleans())]
        index.remove(np.array([model.pop(e) for e in gone], np.int64))
        assert len(index) == len(model)


class Churn(RuleBasedStateMachine):
    """Long sequences of inserts and removals with hashes that collide on purpose."""

    def __init__(self) -> None:
        super().__init__()
        self.index = HashIndex([pa.string()], namespaced=True, capacity=8)
        self.model: dict[tuple[str, int], int] = {}

    def _arrays(self, entries: list[tuple[str, int]]) -> tuple[Any, ...]:
        keys = pa.array([k for k, _ in entries], pa.string())
        hashes = np.array([len(k) % 3 for k, _ in entries], np.uint64)
        return [keys], hashes, np.array([w for _, w in entries], np.int64)

    @rule(entries=st.lists(st.tuples(st.text("ab", max_size=16), st.integers(0, 2)), max_size=30))
    def insert(self, entries: list[tuple[str, int]]) -> None:
        slots, _ = self.index.lookup_or_insert(*self._arrays(entries))
        for entry, slot in zip(entries, slots.tolist(), strict=True):
            assert self.model.setdefault(entry, slot) == slot

    @precondition(lambda self: self.model)
    @rule(data=st.data())
    def remove(self, data: st.DataObject) -> None:
        gone = data.draw(st.lists(st.sampled_from(sorted(self.model)), unique=True))
        self.index.remove(np.array([self.model.pop(e) for e in gone], np.int64))
        found = self.index.lookup(*self._arrays(gone))
        assert (found == -1).all()

    @invariant()
    def all_there(self) -> None:
        entries = list(self.model)
        found = self.index.lookup(*self._arrays(entries))
        assert found.tolist() == list(self.model.values())
        assert len(set(self.model.values())) == len(self.model) == len(self.index)


TestChurn = Churn.TestCase
TestChurn.settings = settings(max_examples=examples(25))


def test_nan_and_minus_zero() -> None:
    index = HashIndex([pa.float64()])
    arr = pa.array([float("nan"), 0.0, -0.0, -float("nan"), 1.0])
    slots, count = index.lookup_or_insert([arr], hash_columns([arr]))
    assert slots.tolist() == [0, 1, 1, 0, 2]
    assert count == 3


def test_equal_hashes_of_different_keys() -> None:
    for arr in (pa.array(range(500)), pa.array([f"{i}" * 5 for i in range(500)])):
        index = HashIndex([arr.type])
        hashes = np.full(500, 7, np.uint64)
        slots, count = index.lookup_or_insert([arr], hashes)
        assert count == 500
        assert index.keys(slots)[0].equals(arr)
        index.remove(slots[::2])
        assert (index.lookup([arr], hashes)[1::2] == slots[1::2]).all()
        assert (index.lookup([arr], hashes)[::2] == -1).all()


def test_null_and_zero_with_one_hash() -> None:
    arr = pa.array([0, None, 0, None])
    index = HashIndex([pa.int64()])
    assert index.lookup_or_insert([arr], np.zeros(4, np.uint64))[0].tolist() == [0, 1, 0, 1]


@pytest.mark.parametrize("text", [False, True])
def test_windows_that_come_and_go_keep_the_memory_flat(text: bool) -> None:
    numbers = np.arange(2000)
    arr = pa.array([f"a-rather-long-key-{i}" for i in numbers]) if text else pa.array(numbers)
    hashes = hash_columns([arr])
    index = HashIndex([arr.type], namespaced=True)
    held = []
    for window in range(60):
        spaces = np.full(2000, window, np.int64)
        slots, count = index.lookup_or_insert([arr], hashes, spaces)
        assert count == 2000
        assert index.keys(slots)[0].equals(arr)
        if window:
            index.remove(index.lookup([arr], hashes, spaces - 1))
        held.append(index.nbytes)
    assert max(held[30:]) <= max(held[:30])  # it may breathe between compactions, not grow
    assert index.slot_bound <= 4000


def test_misuse_is_named() -> None:
    arr = pa.array(["a", "b"])
    hashes = hash_columns([arr])
    index = HashIndex([pa.string()])
    slots, _ = index.lookup_or_insert([arr], hashes)
    with pytest.raises(ValueError, match="the index holds"):
        index.lookup([pa.array([1, 2])], hashes)
    with pytest.raises(ValueError, match="namespaces"):
        index.lookup([arr], hashes, np.zeros(2, np.int64))
    with pytest.raises(ValueError, match="no namespaces"):
        index.namespaces(slots)
    index.remove(slots[:1])
    for bad in (slots[:1], np.array([-1]), np.array([99])):
        with pytest.raises(KeyError):
            index.remove(bad)
        with pytest.raises(KeyError):
            index.keys(bad)
    with pytest.raises(TypeError, match="cannot be a key"):
        HashIndex([pa.list_(pa.int64())])
    assert len(index) == 1


def test_empty() -> None:
    for types in ([pa.string()], [pa.int64()], [pa.string(), pa.int64()]):
        index = HashIndex(types)
        arrays = [pa.array([], kind) for kind in types]
        slots, count = index.lookup_or_insert(arrays, np.zeros(0, np.uint64))
        assert (len(slots), count, len(index)) == (0, 0, 0)
        assert [len(a) for a in index.keys(slots)] == [0] * len(types)
