"""Slices behind restores: what had fired in one subtask and not in another, and older snapshots."""

import pyarrow as pa
import pytest

from lesto.common.expressions import count, window_end
from lesto.common.windowing import SlidingEventTimeWindows
from lesto.kernels.hashing import hash_value
from lesto.kernels.keygroups import key_group_for_hash, operator_index
from lesto.state.errors import StateMismatchError
from lesto.taskmanager.operators.columnar import window
from lesto.taskmanager.operators.columnar.window import WindowAggregateOperator

SCHEMA = pa.schema([("k", pa.string()), ("v", pa.int64())])
AGGREGATES = [count(), window_end().cast(pa.int64()).alias("to")]


def operator(lateness=0):
    return WindowAggregateOperator(["k"], SlidingEventTimeWindows(10, 5), AGGREGATES, lateness)


def _key_of(subtask):
    names = (f"key {i}" for i in range(1000))
    return next(
        n for n in names if operator_index(key_group_for_hash(hash_value(n), 32), 32, 2) == subtask
    )


A, B = _key_of(0), _key_of(1)


@pytest.fixture
def apart(rig, store):
    """A snapshot of two subtasks, of which one has fired up to 9 ms and the other up to 29 ms."""
    disk, lists = store(), []
    for subtask, (key, until) in enumerate([(A, 9), (B, 29)]):
        own = store()
        one = rig(operator(), SCHEMA, own, subtask, 2)
        one.send([(key, 1), (key, 1), (key, 1)], [2, 12, 27])
        one.watermark(until)
        one.snapshot_into(own)
        lists += own.lists["fired"]
        disk.metas = own.metas
        disk.tables.setdefault("window_slices", {}).update(own.tables["window_slices"])
    disk.lists = {"fired": lists}
    return disk


def results(one):
    return sorted(row[:3] for row in one.out.take())


#: What A has yet to give, and B.
MISSING = sorted([*((A, 1, to) for to in (15, 20, 30, 35)), (B, 1, 35)])


def fed(rig, disk):
    """Both keys go on in one subtask."""
    return rig(operator(), SCHEMA, disk, 0, 1)


def test_a_watermark_where_the_furthest_had_been_fires_nothing_twice(rig, apart):
    one = fed(rig, apart)
    one.watermark(29)
    assert results(one) == [row for row in MISSING if row[2] <= 30]
    one.watermark(30)
    assert results(one) == []
    one.watermark(100)
    assert results(one) == [row for row in MISSING if row[2] > 30]


@pytest.mark.parametrize("first", [None, 16])
def test_a_snapshot_before_event_time_is_where_it_was(rig, apart, first):
    """It says for each key group what has fired."""
    one = fed(rig, apart)
    if first is not None:
        one.watermark(first)
    found = results(one)
    one.snapshot_into(apart)
    again = fed(rig, apart)
    again.watermark(100)
    assert sorted(found + results(again)) == MISSING


def test_records_that_are_late_for_another_subtasks_keys_alone_are_taken(rig, apart):
    one = fed(rig, apart)
    one.send([(A, 1), (B, 1)], [13, 13])
    assert one.counted("num_late_records_dropped") == 1
    one.watermark(100)
    twice = {(A, 1, to): (A, 2, to) for to in (15, 20)}
    assert results(one) == sorted(twice.get(row, row) for row in MISSING)


def test_windows_that_were_stored_whole_go_on_whole(rig, store, monkeypatch):
    """Sliding windows of snapshots from before there were slices."""
    monkeypatch.setattr(window, "can_slice", lambda *_: False)
    one = rig(operator(), SCHEMA)
    one.send([("a", 1), ("a", 1)], [2, 12])
    one.watermark(4)
    assert results(one) == [("a", 1, 5)]
    disk = store()
    one.snapshot_into(disk)
    monkeypatch.undo()
    again = rig(operator(), SCHEMA, disk)
    again.send([("a", 1)], [13])
    again.watermark(100)
    assert results(again) == [("a", 1, 10), ("a", 2, 15), ("a", 2, 20)]


def test_slices_do_not_become_windows_with_lateness(rig, store):
    one = rig(operator(), SCHEMA)
    one.send([("a", 1)], [2])
    disk = store()
    one.snapshot_into(disk)
    with pytest.raises(StateMismatchError, match="slices"):
        rig(operator(lateness=5), SCHEMA, disk)
