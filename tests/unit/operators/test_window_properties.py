"""Every kind of window with every kind of trigger, against a plain model: disorder, lateness,
evictors, a restore on two subtasks in the middle.
"""

import dataclasses

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis_profiles import examples
from operator_harness import Harness, owner
from trigger_model import END, Continuous, CountTo, Delta, Event, TriggerModel
from window_functions import KEY

from lesto.common.evictors import CountEvictor, DeltaEvictor, Evictor, TimeEvictor
from lesto.common.functions import ProcessWindowFunction
from lesto.common.triggers import EventTimeTrigger, PurgingTrigger, Trigger, TriggerResult
from lesto.common.windowing import (
    DynamicEventTimeSessionWindows,
    EventTimeSessionWindows,
    GlobalWindows,
    MergingWindowAssigner,
    SlidingEventTimeWindows,
    TimeWindow,
    TumblingEventTimeWindows,
    Window,
    WindowAssigner,
)
from lesto.state.descriptors import ValueStateDescriptor
from lesto.taskmanager.operators.count_windows import ContinuousEventTimeTrigger, CountTrigger
from lesto.taskmanager.operators.stateful_triggers import DeltaTrigger
from lesto.taskmanager.operators.window import WindowOperator


@dataclasses.dataclass(frozen=True)
class Day(Window):
    """A window type of a user's own."""

    number: int
    start: int
    end: int

    def max_timestamp(self):
        return self.end - 1


class Days(WindowAssigner):
    """A user's assigner: days of 10 ms, and every third one a second time, twice as long."""

    def assign_windows(self, element, timestamp, context):
        number = timestamp // 10
        windows = [Day(number, number * 10, number * 10 + 10)]
        return windows + [Day(number, number * 10, number * 10 + 20)] * (number % 3 == 0)

    def get_default_trigger(self, env=None):
        return EventTimeTrigger()

    def is_event_time(self):
        return True


class OwnSessions(MergingWindowAssigner):
    """A user's sessions, with a gap of 5 ms."""

    def assign_windows(self, element, timestamp, context):
        return [TimeWindow(timestamp, timestamp + 5)]

    def get_default_trigger(self, env=None):
        return EventTimeTrigger()

    def is_event_time(self):
        return True

    def merge_windows(self, windows, callback):
        TimeWindow.merge_windows(windows, callback)


def gap_of(value):
    return 2 + value[1] % 7


def days(time):
    number = time // 10
    found = [(number * 10, number * 10 + 10)]
    return found + [(number * 10, number * 10 + 20)] * (number % 3 == 0)


def sliding(size, slide):
    return lambda t: [(s, s + size) for s in range(t - t % slide, t - size, -slide)]


ASSIGNERS = {
    "tumbling": (TumblingEventTimeWindows.of(10), {"windows_of": sliding(10, 10)}),
    "sliding": (SlidingEventTimeWindows.of(10, 4), {"windows_of": sliding(10, 4)}),
    "session": (EventTimeSessionWindows.with_gap(5), {"gap_of": lambda v: 5}),
    "dynamic": (
        DynamicEventTimeSessionWindows.with_dynamic_gap(gap_of),
        {"gap_of": lambda v: gap_of((None, v))},
    ),
    "own": (Days(), {"windows_of": days}),
    "own sessions": (OwnSessions(), {"gap_of": lambda v: 5}),
    "global": (GlobalWindows.create(), {"windows_of": lambda t: [(0, END)]}),
}


class Third(Trigger):
    """A user's trigger: fires and purges at every third record, by a state of its own."""

    seen = ValueStateDescriptor("third-seen")

    def on_element(self, element, timestamp, window, ctx):
        state = ctx.get_partitioned_state(self.seen)
        state.update((state.value() or 0) + 1)
        if state.value() < 3:
            return TriggerResult.CONTINUE
        state.clear()
        return TriggerResult.FIRE_AND_PURGE

    def on_processing_time(self, time, window, ctx):
        return TriggerResult.CONTINUE

    def on_event_time(self, time, window, ctx):
        return TriggerResult.CONTINUE

    def on_merge(self, window, ctx):
        raise AssertionError

    def clear(self, window, ctx):
        ctx.get_partitioned_state(self.seen).clear()


def rise(a, b):
    return b[1] - a[1]


TRIGGERS = {
    "default": (None, Event(), {}),
    "purging": (PurgingTrigger.of(EventTimeTrigger.create()), Event(), {"purge": True}),
    "count": (CountTrigger.of(3), CountTo(3), {}),
    "purging count": (PurgingTrigger.of(CountTrigger.of(2)), CountTo(2), {"purge": True}),
    "continuous": (ContinuousEventTimeTrigger.of(3), Continuous(3), {}),
    "delta": (DeltaTrigger.of(4, rise), Delta(4), {}),
    "own": (Third(), CountTo(3), {"purge": True}),
}


class LastOdd(Evictor):
    """A user's evictor: the newest record is evicted afterwards when there are several."""

    def evict_before(self, elements, size, window, ctx):
        assert size == len(elements)
        assert ctx.get_current_watermark() >= -(2**63)

    def evict_after(self, elements, size, window, ctx):
        if size > 1:
            elements.pop()


EVICTORS = {
    "none": (None, None),
    "count": (CountEvictor.of(2), lambda rs: rs[-2:]),
    "time": (TimeEvictor.of(4), lambda rs: [r for r in rs if r[1] > max(t for _, t in rs) - 4]),
    "delta": (DeltaEvictor.of(3, rise), lambda rs: [r for r in rs if rs[-1][0] - r[0] < 3]),
}


def fits(assigner, trigger):
    """Whether the two go together, as Flink says."""
    if assigner == "global":
        return "count" in trigger or trigger in {"delta", "own"}
    return ("session" not in assigner and assigner != "dynamic") or trigger not in {"delta", "own"}


class Whole(ProcessWindowFunction):
    """Reports key, window and the values in it."""

    def process(self, key, context, elements):
        window = context.window()
        bounds = (window.start, window.end) if hasattr(window, "start") else (0, END)
        yield key, *bounds, [v[1] for v in elements]


steps = st.lists(
    st.one_of(
        st.lists(st.tuples(st.sampled_from("abc"), st.integers(-10, 40)), min_size=1, max_size=8),
        st.integers(-8, 45),
    ),
    max_size=10,
)


def sort(rows):
    return sorted((k, s, e, sorted(values)) for k, s, e, values in rows)


@pytest.mark.parametrize(
    ("assigner", "trigger"), [(a, t) for a in ASSIGNERS for t in TRIGGERS if fits(a, t)]
)
@settings(max_examples=examples(12))
@given(script=steps, data=st.data())
def test_windows_with_triggers_are_those_of_the_model(
    tmp_path_factory, assigner, trigger, script, data
):
    made, spec = ASSIGNERS[assigner]
    fires, model_trigger, more = TRIGGERS[trigger]
    lateness = data.draw(st.sampled_from([0, 0, 6]))
    evictor, evict = EVICTORS[data.draw(st.sampled_from(list(EVICTORS)))]
    at = data.draw(st.integers(0, len(script)))
    backend = data.draw(st.sampled_from(["hashmap"] * 5 + ["rocksdb"]))
    model = TriggerModel(model_trigger, lateness=lateness, evict=evict, **spec, **more)
    directory = tmp_path_factory.getbasetemp()

    def start(**options):
        operator = WindowOperator(
            KEY, made, fires, lateness, "late", window_fn=Whole(), evictor=evictor
        )
        return Harness(operator, directory, backend=backend, **options)

    opened = [start()]
    now, rows, late, number = opened, [], [], 0
    try:
        for index, step in enumerate([*script, END]):
            if index == at:
                saved = now[0].snapshot()
                now = [start(restore=[saved], parallelism=2, subtask=i) for i in range(2)]
                opened = opened + now
                if model.watermark > -(2**63):
                    # What the sources' event time in the checkpoint gives at once. A trigger may
                    # have set a timer for a time that had passed.
                    model.advance(model.watermark)
                    for h in now:
                        h.watermark(model.watermark)
            if isinstance(step, int):
                if step > model.watermark:
                    model.advance(step)
                    for h in now:
                        h.watermark(step)
                continue
            records = [((key, number + i), time) for i, (key, time) in enumerate(step)]
            number += len(step)
            for (key, value), time in records:
                model.record(key, value, time)
            for i, h in enumerate(now):
                mine = [r for r in records if len(now) == 1 or owner(r[0][0], 2) == i]
                h.feed_timed(mine)
        for h in opened:
            rows += h.output.rows
            late += [v[1] for v in h.output.sides.get("late", [])]
        assert sort(rows) == sort(model.fired)
        assert sorted(late) == sorted(model.dropped)
        if assigner != "global":
            assert all(len(h.backend().timers("event")) == 0 for h in now)
    finally:
        for h in opened:
            h.close()


@pytest.mark.parametrize("trigger", [EventTimeTrigger(), PurgingTrigger.of(EventTimeTrigger())])
def test_an_evictor_may_evict_afterwards(harness, trigger):
    h = harness(
        WindowOperator(
            KEY, TumblingEventTimeWindows.of(10), trigger, 20, window_fn=Whole(), evictor=LastOdd()
        )
    )
    h.feed([("a", i) for i in range(3)], [1, 2, 3])
    h.watermark(9)
    h.feed([("a", 7)], [4])
    kept = [0, 1, 7] if isinstance(trigger, EventTimeTrigger) else [7]
    assert [values for *_, values in h.output.rows] == [[0, 1, 2], kept]


@pytest.mark.parametrize("window_fn", [None, Whole()])
def test_reduce_and_aggregate_run_on_what_an_evictor_leaves(harness, window_fn):
    h = harness(
        WindowOperator(
            KEY,
            TumblingEventTimeWindows.of(10),
            reduce_fn=lambda a, b: (a[0], a[1] + b[1]),
            window_fn=window_fn,
            evictor=CountEvictor.of(2),
        )
    )
    h.feed([("a", i) for i in range(5)], [1, 2, 3, 4, 5])
    h.watermark(9)
    assert h.output.rows == ([("a", 7)] if window_fn is None else [("a", 0, 10, [7])])
