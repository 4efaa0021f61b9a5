"""Windows that fire by count, by interval, or as a trigger of the user's own says."""

import pytest
from window_functions import KEY, Count

from lesto.common.triggers import PurgingTrigger, Trigger, TriggerResult
from lesto.common.windowing import (
    EventTimeSessionWindows,
    GlobalWindows,
    TumblingEventTimeWindows,
)
from lesto.state.descriptors import ValueStateDescriptor
from lesto.taskmanager.operators.count_windows import (
    ContinuousEventTimeTrigger,
    ContinuousProcessingTimeTrigger,
    CountSlidingWindowAssigner,
    CountTrigger,
    CountTumblingWindowAssigner,
)
from lesto.taskmanager.operators.errors import (
    UnsupportedMergeError,
)
from lesto.taskmanager.operators.window import WindowOperator


def test_count_windows(harness):
    h = harness(
        WindowOperator(
            KEY,
            CountTumblingWindowAssigner.of(3),
            window_fn=lambda k, w, e: [(k, [v[1] for v in e])],
        )
    )
    h.feed([("a" if i % 2 else "b", i) for i in range(10)])
    saved = h.snapshot()
    assert h.output.rows == [("b", [0, 2, 4]), ("a", [1, 3, 5])]
    r = harness(
        WindowOperator(
            KEY,
            CountTumblingWindowAssigner.of(3),
            window_fn=lambda k, w, e: [(k, [v[1] for v in e])],
        ),
        restore=[saved],
    )
    r.feed([("a", 11), ("b", 10)])
    assert r.output.rows == [("a", [7, 9, 11]), ("b", [6, 8, 10])]


def test_sliding_count_windows_start_with_the_first_full_one(harness):
    h = harness(
        WindowOperator(
            KEY, CountSlidingWindowAssigner.of(4, 2), window_fn=lambda k, w, e: [[v[1] for v in e]]
        )
    )
    h.feed([("a", i) for i in range(9)])
    assert h.output.rows == [[0, 1, 2, 3], [2, 3, 4, 5], [4, 5, 6, 7]]
    gaps = harness(
        WindowOperator(
            KEY, CountSlidingWindowAssigner.of(2, 3), window_fn=lambda k, w, e: [[v[1] for v in e]]
        )
    )
    gaps.feed([("a", i) for i in range(9)])
    assert gaps.output.rows == [[0, 1], [3, 4], [6, 7]]


def test_global_window_with_purging_count_trigger(harness):
    trigger = PurgingTrigger.of(CountTrigger.of(2))
    h = harness(
        WindowOperator(
            KEY, GlobalWindows.create(), trigger, reduce_fn=lambda a, b: (a[0], a[1] + b[1])
        )
    )
    h.feed([("a", 1), ("a", 2), ("b", 5), ("a", 10), ("a", 20)])
    assert h.output.rows == [("a", 3), ("a", 30)]
    h.watermark(10**12)
    assert h.output.rows == [("a", 3), ("a", 30)]


def test_a_trigger_that_does_not_purge_keeps_adding(harness):
    h = harness(
        WindowOperator(KEY, GlobalWindows.create(), CountTrigger.of(2), aggregate_fn=Count())
    )
    h.feed([("a", 1)] * 5)
    assert h.output.rows == [2, 4]


def test_continuous_event_time_trigger(harness):
    h = harness(
        WindowOperator(
            KEY,
            TumblingEventTimeWindows.of(100),
            ContinuousEventTimeTrigger.of(30),
            aggregate_fn=Count(),
        )
    )
    h.feed([("a", 1), ("a", 1)], [10, 95])
    h.watermark(30)
    h.watermark(59)
    assert h.output.take() == [2]
    h.feed([("a", 1)], [61])
    h.watermark(98)
    assert h.output.take() == [3, 3]
    h.watermark(99)
    assert h.output.take() == [3]
    assert len(h.backend().timers("event")) == 0


def test_continuous_event_time_trigger_merges(harness):
    h = harness(
        WindowOperator(
            KEY,
            EventTimeSessionWindows.with_gap(50),
            ContinuousEventTimeTrigger.of(20),
            aggregate_fn=Count(),
        )
    )
    h.feed([("a", 1), ("a", 1), ("a", 1)], [0, 60, 30])
    h.watermark(20)
    assert h.output.take() == [3]
    h.watermark(500)
    assert set(h.output.take()) == {3}
    assert len(h.backend().timers("event")) == 0


def test_continuous_processing_time_trigger(harness):
    h = harness(
        WindowOperator(
            KEY,
            GlobalWindows.create(),
            ContinuousProcessingTimeTrigger.of(10),
            aggregate_fn=Count(),
        )
    )
    h.feed([("a", 1)])
    h.advance(10)
    assert h.output.take() == [1]
    h.feed([("a", 1)])
    h.advance(20)
    assert h.output.take() == [2, 2]


class EverySecond(Trigger):
    """Keeps its own count in state, fires on even counts, purges on 4."""

    def on_element(self, element, timestamp, window, ctx):
        state = ctx.get_partitioned_state(ValueStateDescriptor("n"))
        n = (state.value() or 0) + 1
        state.update(n)
        if n == 4:
            state.clear()
            return TriggerResult.FIRE_AND_PURGE
        return TriggerResult.FIRE if n % 2 == 0 else TriggerResult.CONTINUE

    def on_processing_time(self, time, window, ctx):
        return TriggerResult.CONTINUE

    def on_event_time(self, time, window, ctx):
        return TriggerResult.CONTINUE

    def on_merge(self, window, ctx):
        raise AssertionError

    def clear(self, window, ctx):
        ctx.get_partitioned_state(ValueStateDescriptor("n")).clear()


@pytest.mark.parametrize("backend", ["hashmap", "rocksdb"])
def test_custom_trigger_keeps_state_a_key_and_window(harness, backend):
    def make(**options):
        return harness(
            WindowOperator(
                KEY, TumblingEventTimeWindows.of(10), EverySecond(), aggregate_fn=Count()
            ),
            backend=backend,
            **options,
        )

    h = make()
    h.feed([("a", 1), ("b", 1), ("a", 1), ("a", 1)], [1, 1, 12, 2])
    assert h.output.rows == [2]
    r = make(restore=[h.snapshot()])
    r.feed([("a", 1), ("a", 1), ("a", 1), ("b", 1)], [3, 4, 13, 2])
    assert r.output.rows == [4, 2, 2]
    r.watermark(100)
    assert list(r.backend().keys("n", (0, 10))) == []


def test_a_trigger_that_cannot_merge_is_refused_with_sessions(harness):
    with pytest.raises(UnsupportedMergeError, match="EverySecond"):
        harness(
            WindowOperator(
                KEY, EventTimeSessionWindows.with_gap(5), EverySecond(), aggregate_fn=Count()
            )
        )
