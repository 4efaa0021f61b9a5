"""State tables: what is stored and loaded, and how fast."""

import datetime as dt
import time
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis_profiles import examples

from lesto.kernels.hashing import hash_value
from lesto.kernels.keygroups import key_group_for_hash
from lesto.state.errors import CorruptFileError, StateMismatchError
from lesto.state.table import AccumulatorSpec, StateTable, TableDescriptor
from lesto.state.table_api import TableEntries

SPECS = (AccumulatorSpec("n", "count"), AccumulatorSpec("s", "sum", "float64"))
STRING = pa.schema([("k", pa.string())])


def table(schema=STRING, specs=SPECS, namespaced=False):
    descriptor = TableDescriptor("t", schema, specs, namespaced)
    return StateTable(descriptor, max_parallelism=128)


def content(t):
    slots = t.live_slots()
    keys = list(zip(*[c.to_pylist() for c in t.keys(slots)], strict=True))
    spaces = t.namespaces(slots).tolist() if t.descriptor.namespaced else [None] * len(slots)
    rows = []
    for name in ("n", "s"):
        acc = t.accumulator(name)
        seen = acc.seen[slots] if len(acc.seen) else np.ones(len(slots))
        rows.append(
            [v if x else None for v, x in zip(acc.values[slots].tolist(), seen, strict=True)]
        )
    return dict(zip(zip(keys, spaces, strict=True), zip(*rows, strict=True), strict=True))


OPERATIONS = st.lists(
    st.tuples(
        st.sampled_from(["put", "put", "remove", "snapshot"]),
        st.lists(
            st.tuples(st.sampled_from(["", "a", "b" * 20, None]), st.integers(-2, 2)), max_size=6
        ),
    ),
    max_size=20,
)


@settings(max_examples=examples(100))
@given(operations=OPERATIONS)
def test_changes_applied_one_after_the_other_give_the_table(store, operations):
    t, disk, model, version = table(namespaced=True), store(), {}, 0
    for operation, rows in operations:
        if operation == "snapshot":
            disk.apply("t", t)  # compares with all_entries
            loaded = table(namespaced=True)
            loaded.load_entries(disk.entries("t", 0, 127))
            assert content(loaded) == content(t)
            continue
        keys = [pa.array([r[0] for r in rows], pa.string())]
        spaces = np.array([r[1] for r in rows], np.int64)
        if operation == "put" and rows:
            slots, _ = t.upsert(keys, spaces)
            version += 1
            t.accumulator("n").values[slots] = version
            t.dirty[slots] = 1
            model.update({((k,), w): (version, None) for k, w in rows})
        elif operation == "remove":
            there = {r for r in rows if ((r[0],), r[1]) in model}
            live = t.live_slots()
            names = zip(t.keys(live)[0].to_pylist(), t.namespaces(live).tolist(), strict=True)
            t.remove(
                np.array([s for s, n in zip(live, names, strict=True) if n in there], np.int64)
            )
            for k, w in there:
                del model[(k,), w]
        assert content(t) == model
    disk.apply("t", t)


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        (pa.int64(), [0, -1, 2**63 - 1, None]),
        (pa.uint8(), [0, 255, None]),
        (pa.float64(), [0.5, -1.0, float("inf"), None]),
        (pa.bool_(), [True, False, None]),
        (pa.large_string(), ["", "x" * 40, None]),
        (pa.binary(), [b"", b"\0\xff", None]),
        (pa.date32(), [dt.date(2013, 1, 1), None]),
        (pa.timestamp("us", "UTC"), [dt.datetime(2013, 1, 1, tzinfo=dt.UTC), None]),
        (pa.decimal128(20, 2), [Decimal("1.25"), Decimal("-3.00"), None]),
    ],
    ids=str,
)
@pytest.mark.parametrize("namespaced", [False, True])
def test_keys_of_any_type_come_back_and_lie_in_the_key_group_of_their_hash(
    kind, values, namespaced
):
    schema = pa.schema([("a", kind), ("b", pa.string())])
    t = table(schema, namespaced=namespaced)
    columns = [pa.array(values, kind), pa.array(["x"] * len(values))]
    spaces = np.arange(len(values), dtype=np.int64) - 1 if namespaced else None
    slots, new = t.upsert(columns, spaces)
    assert new.tolist() == list(range(len(values)))
    t.accumulator("s").values[slots] = np.arange(len(values)) / 4
    t.accumulator("s").seen[slots] = 1
    entries = t.all_entries()
    hashes = [hash_value((v, "x")) for v in values]
    assert entries.key_groups.tolist() == [key_group_for_hash(h, 128) for h in hashes]
    loaded = table(schema, namespaced=namespaced)
    loaded.load_entries(entries)
    assert content(loaded) == content(t)
    assert len(loaded.take_changes().upserts) == 0  # what was loaded is clean


def test_a_removed_row_that_was_never_stored_is_not_told_gone():
    t = table()
    slots, _ = t.upsert([pa.array(["a", "b"])])
    t.remove(slots[:1])
    changes = t.take_changes()
    assert len(changes.upserts) == 1
    assert len(changes.deleted_keys) == 0
    t.remove(slots[1:])
    changes = t.take_changes()
    assert len(changes.upserts) == 0
    assert len(changes.deleted_keys) == 1


def test_a_stored_row_that_is_removed_and_made_again_is_an_upsert_and_not_gone():
    t = table(namespaced=True)
    key, window = [pa.array(["a", "b"])], np.array([10, 10])
    t.upsert(key, window)
    t.take_changes()
    slots, _ = t.upsert(key, window)
    t.remove(slots)
    t.upsert([key[0].slice(0, 1)], window[:1])
    changes = t.take_changes()
    assert len(changes.upserts) == 1
    assert len(changes.deleted_keys) == 1
    assert changes.upserts.keys.to_pylist() != changes.deleted_keys.to_pylist()


def test_reused_slots_start_empty():
    t = table()
    slots, _ = t.upsert([pa.array(["a"])])
    t.accumulator("n").values[slots] = 5
    t.accumulator("s").seen[slots] = 1
    t.remove(slots)
    again, _ = t.upsert([pa.array(["b"])])
    assert again.tolist() == slots.tolist()
    assert content(t) == {(("b",), None): (0, None)}


@pytest.mark.parametrize(
    ("other", "what"),
    [
        (table(pa.schema([("k", pa.int64())])), "key columns"),
        (table(pa.schema([("key", pa.string())])), "key columns"),
        (table(specs=SPECS[:1]), "aggregates"),
        (table(specs=(SPECS[0], AccumulatorSpec("s", "sum"))), "aggregates"),
        (table(namespaced=True), "windowing"),
    ],
)
def test_state_of_another_shape_is_refused_by_name(other, what):
    t = table()
    t.check_meta(t.meta())
    with pytest.raises(StateMismatchError, match=f"the {what} of state 't'"):
        t.check_meta(other.meta())


def test_rows_of_the_wrong_width_are_named_corrupt():
    t = table()
    t.upsert([pa.array(["a"])])
    entries = t.all_entries()
    cut = pa.array([v[:-1] for v in entries.values.to_pylist()], pa.large_binary())
    with pytest.raises(CorruptFileError, match="state table 't'"):
        table().load_entries(TableEntries(entries.key_groups, entries.keys, cut))


def test_a_million_rows_are_stored_and_loaded_within_a_second_each():
    t = table()
    t.upsert([pa.array([f"key-{i}" for i in range(1_000_000)])])
    times = []
    started = time.process_time()  # other work on the machine does not count
    entries = t.all_entries()
    times.append(time.process_time() - started)
    loaded = table()
    started = time.process_time()
    loaded.load_entries(entries)
    times.append(time.process_time() - started)
    assert len(loaded) == len(entries) == 1_000_000
    assert max(times) < 1.0, times
