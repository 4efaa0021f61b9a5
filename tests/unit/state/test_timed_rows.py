"""Rows by key and time: what a backend is given holds, at any moment, what is alive."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lesto.state.errors import CorruptFileError, StateMismatchError
from lesto.state.table_api import TableEntries
from lesto.state.timed_rows import (
    TIME_COLUMN,
    TimedRowsDescriptor,
    key_hashes,
    sorted_run,
    stored_schema,
)

SCHEMA = pa.schema([("k", pa.string()), ("n", pa.int64())])
WHAT = TimedRowsDescriptor("rows", SCHEMA, ("k",))
GROUPS = 8


def run(rows):
    """Of (key, number, time)."""
    data = pa.RecordBatch.from_pylist([{"k": k, "n": n} for k, n, _ in rows], schema=SCHEMA)
    return sorted_run(data, key_hashes(data, ["k"]), np.array([t for *_, t in rows], np.int64))


def living(table):
    """(key, number, time) of what lies in runs and is alive."""
    found = []
    for part in table.runs:
        order = list(zip(part.hashes.tolist(), part.times.tolist(), strict=True))
        assert order == sorted(order)
        assert part.newest == part.times.max()
        pairs = zip(part.data.to_pylist(), part.times.tolist(), strict=True)
        found += [(r["k"], r["n"], t) for r, t in pairs if t >= table.first_alive]
    return sorted(found)


class Disk:
    """What a backend has written."""

    def __init__(self):
        self.rows = {}

    def take(self, table):
        changes = table.take_changes()
        groups = changes.deleted_key_groups.tolist()
        for key in zip(groups, changes.deleted_keys.to_pylist(), strict=True):
            del self.rows[key]
        upserts = changes.upserts
        keys = list(zip(upserts.key_groups.tolist(), upserts.keys.to_pylist(), strict=True))
        assert not set(keys) & set(self.rows)
        self.rows.update(zip(keys, upserts.values.to_pylist(), strict=True))

    def entries(self):
        groups = [group for group, _ in self.rows]
        keys = [key for _, key in self.rows]
        return TableEntries(
            np.array(groups, np.uint16),
            pa.array(keys, pa.large_binary()),
            pa.array(list(self.rows.values()), pa.large_binary()),
        )


adds = st.lists(
    st.tuples(st.sampled_from(["a", "b", "c", ""]), st.integers(-100, 300)), min_size=1, max_size=9
)
steps = st.lists(st.one_of(adds, st.integers(-100, 320), st.just("checkpoint")), max_size=25)


@given(steps)
def test_what_is_stored_and_what_is_read_again_is_what_is_alive(steps):
    table, disk, expected, number = WHAT.create(GROUPS), Disk(), [], 0
    for step in steps:
        if isinstance(step, int):
            table.expire(step)
        elif step == "checkpoint":
            disk.take(table)
        else:
            rows = [(k, number + i, t) for i, (k, t) in enumerate(step) if t >= table.first_alive]
            number += len(step)
            if rows:
                table.add(run(rows))
                expected += rows
        expected = sorted(r for r in expected if r[2] >= table.first_alive)
        assert living(table) == expected
        assert len(table) == len(expected)
    disk.take(table)
    for entries in (disk.entries(), table.all_entries()):
        again = WHAT.create(GROUPS)
        again.load_entries(entries)
        again.expire(table.first_alive)
        assert living(again) == expected
    restored, second = WHAT.create(GROUPS), Disk()
    restored.load_entries(disk.entries())
    second.rows = dict(disk.rows)
    restored.add(run([("new", -1, 1_000)]))
    second.take(restored)  # its chunks have numbers of their own
    restored.expire(2_000)
    second.take(restored)
    assert second.rows == {}


def test_runs_are_few_however_many_batches():
    table = WHAT.create(GROUPS)
    for i in range(500):
        table.add(run([("a", i, i), ("b", i, i)]))
    assert len(table.runs) < 10
    sizes = [len(part) for part in table.runs]
    assert sizes == sorted(sizes, reverse=True)
    assert table.nbytes > 1_000 * 24


def test_a_chunk_is_bounded(monkeypatch):
    from lesto.state import timed_rows

    monkeypatch.setattr(timed_rows, "CHUNK_ROWS_MAX", 4)
    table = WHAT.create(GROUPS)
    table.add(run([("a", i, i) for i in range(10)]))
    for entries in (table.all_entries(), table.take_changes().upserts):
        assert len(entries) == 3
        assert len(set(entries.keys.to_pylist())) == 3


def test_damaged_rows_are_a_named_error():
    table = WHAT.create(GROUPS)
    table.add(run([("a", 1, 1)]))
    good = table.all_entries()
    bad = TableEntries(good.key_groups, good.keys, pa.array([b"x" * 64], pa.large_binary()))
    with pytest.raises(CorruptFileError, match="rows of state 'rows' are damaged"):
        WHAT.create(GROUPS).load_entries(bad)


@pytest.mark.parametrize(
    ("other", "what"),
    [
        (TimedRowsDescriptor("rows", SCHEMA, ("n",)), "key columns"),
        (TimedRowsDescriptor("rows", pa.schema([("k", pa.string())]), ("k",)), "columns"),
    ],
)
def test_another_description_is_a_named_error(other, what):
    table = WHAT.create(GROUPS)
    stored = dict(table.meta())
    table.check_meta(stored)
    assert stored_schema(stored).names == ["k", "n", TIME_COLUMN]
    with pytest.raises(StateMismatchError, match=f"the {what} of state 'rows' were"):
        other.create(GROUPS).check_meta(stored)
