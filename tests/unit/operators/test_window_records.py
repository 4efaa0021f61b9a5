"""Windows in snapshots: records of earlier versions, and sessions that had fired."""

import msgspec
import pytest
from operator_harness import Saved
from window_functions import KEY, Count

from lesto.common.windowing import EventTimeSessionWindows, TumblingEventTimeWindows
from lesto.taskmanager.operators.window import WindowOperator
from lesto.taskmanager.operators.window_records import WINDOWS_STATE


def counting(assigner, lateness=0):
    return WindowOperator(
        KEY,
        assigner,
        None,
        lateness,
        aggregate_fn=Count(),
        window_fn=lambda key, window, counts: [(key, window.start, window.end, *counts)],
    )


@pytest.mark.parametrize("backend", ["hashmap", "rocksdb"])
@pytest.mark.parametrize("lateness", [0, 5])
def test_windows_that_were_stored_by_their_bounds_alone_are_restored(harness, backend, lateness):
    """Snapshots once had (start, end) of each window, none of which had fired."""
    assigner = TumblingEventTimeWindows.of(10)
    h = harness(counting(assigner, lateness), backend=backend)
    h.feed_timed([(("a", 1), 1), (("b", 2), 2), (("a", 4), 13)])
    saved = h.snapshot()
    bounds = [msgspec.msgpack.encode(b) for b in ((0, 10), (10, 20))]
    assert len(saved.union_lists[WINDOWS_STATE]) == len(bounds)
    lists = {**saved.union_lists, WINDOWS_STATE: bounds}
    old = Saved(saved.handle, saved.lists, lists)
    restored = harness(counting(assigner, lateness), backend=backend, restore=[old])
    restored.watermark(9)
    assert sorted(restored.output.take()) == [("a", 0, 10, 1), ("b", 0, 10, 1)]
    restored.watermark(19)
    assert restored.output.take() == [("a", 10, 20, 1)]


def test_a_record_before_the_first_watermark_behind_a_restore_fires_its_session_again(harness):
    """Of several channels one may bring records before another has brought its watermark."""
    assigner = EventTimeSessionWindows.with_gap(10)
    h = harness(counting(assigner, lateness=20))
    h.feed_timed([(("a", 0), 1)])
    h.watermark(12)
    assert h.output.take() == [("a", 1, 11, 1)]
    restored = harness(counting(assigner, lateness=20), restore=[h.snapshot()])
    restored.feed_timed([(("a", 1), 5)])
    restored.watermark(15)
    assert restored.output.take() == [("a", 1, 15, 2)]
    restored.watermark(1000)
    assert restored.output.take() == []


def test_a_session_that_takes_up_one_that_has_fired_fires_at_its_end(harness):
    h = harness(counting(EventTimeSessionWindows.with_gap(10), lateness=100))
    h.feed_timed([(("a", 0), 0), (("a", 1), 12)])
    h.watermark(10)
    assert h.output.take() == [("a", 0, 10, 1)]
    h.feed_timed([(("a", 2), 6)])
    h.watermark(21)
    assert h.output.take() == [("a", 0, 22, 3)]
    h.watermark(1000)
    assert h.output.take() == []
