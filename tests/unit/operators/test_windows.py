import pytest
from hypothesis import given
from hypothesis import strategies as st
from operator_harness import Harness, owner
from window_functions import KEY, Count
from window_model import Model

from lesto.common.functions import OutputTag, ProcessWindowFunction
from lesto.common.triggers import EventTimeTrigger
from lesto.common.windowing import (
    DynamicEventTimeSessionWindows,
    EventTimeSessionWindows,
    ProcessingTimeSessionWindows,
    SlidingEventTimeWindows,
    TimeWindow,
    TumblingEventTimeWindows,
    TumblingProcessingTimeWindows,
)
from lesto.state.descriptors import ListStateDescriptor, ValueStateDescriptor
from lesto.taskmanager.operators.errors import (
    InvalidFunctionError,
    InvalidResultError,
    KeyedStateUnavailableError,
    MissingTimestampError,
    UserFunctionError,
)
from lesto.taskmanager.operators.window import WindowOperator


class Whole(ProcessWindowFunction):
    """Reports key, window and the values in it."""

    def process(self, key, context, elements):
        window = context.window()
        yield key, window.start, window.end, [v[1] for v in elements]


class SameTrigger(EventTimeTrigger):
    """The default trigger by another type: sends the operator to the general engine."""


def sliding(size, slide):
    return lambda t: [(s, s + size) for s in range(t - t % slide, t - size, -slide)]


ASSIGNERS = {
    "tumbling": (TumblingEventTimeWindows.of(10), {"windows_of": sliding(10, 10)}),
    "offset": (
        TumblingEventTimeWindows.of(10, 3),
        {"windows_of": lambda t: [(t - (t - 3) % 10, t - (t - 3) % 10 + 10)]},
    ),
    "sliding": (SlidingEventTimeWindows.of(10, 4), {"windows_of": sliding(10, 4)}),
    "gaps": (SlidingEventTimeWindows.of(4, 10), {"windows_of": sliding(4, 10)}),
    "session": (EventTimeSessionWindows.with_gap(5), {"gap": 5}),
}

# A record is (key, time); the number is a watermark.
events = st.lists(
    st.one_of(
        st.lists(st.tuples(st.sampled_from("abc"), st.integers(-30, 60)), min_size=1, max_size=8),
        st.integers(-20, 60),
    ),
    max_size=12,
)


def run_model(spec, script):
    model, number, watermark = Model(**spec), 0, -(2**63)
    for step in script:
        if isinstance(step, int):
            if step > watermark:
                watermark = step
                model.advance(step)
            continue
        for key, time in step:
            model.record(key, number, time)
            number += 1
    model.advance(2**63 - 1)
    return model


def drive(h, script, *, restart=None, at=None):
    """Feed the script; before step ``at`` replace the harness by ``restart(h)``."""
    number, watermark, rows = 0, -(2**63), []
    for index, step in enumerate(script):
        if index == at:
            rows += h.output.rows
            h = restart(h)
        if isinstance(step, int):
            if step > watermark:
                watermark = step
                h.watermark(step)
            continue
        h.feed([(key, number + i) for i, (key, _) in enumerate(step)], [time for _, time in step])
        number += len(step)
    h.watermark(2**63 - 1)
    return h, rows + h.output.rows


def by_window(rows):
    return sorted((k, s, e, sorted(values)) for k, s, e, values in rows)


@given(script=events)
@pytest.mark.parametrize("name", ASSIGNERS)
@pytest.mark.parametrize("trigger", [None, SameTrigger()], ids=["default", "general"])
def test_windows_are_those_of_the_model(tmp_path_factory, name, trigger, script):
    assigner, spec = ASSIGNERS[name]
    model = run_model(spec, script)
    operator = WindowOperator(KEY, assigner, trigger, 0, "late", window_fn=Whole())
    h = Harness(operator, tmp_path_factory.getbasetemp())
    try:
        _, rows = drive(h, script)
        assert by_window(rows) == by_window(model.fired)
        assert [end for _, _, end, _ in rows] == [t + 1 for t in h.output.timestamps]
        assert sorted(v[1] for v in h.output.sides.get("late", [])) == sorted(model.dropped)
    finally:
        h.close()


@given(script=events, data=st.data())
@pytest.mark.parametrize("name", ASSIGNERS)
@pytest.mark.parametrize("kind", ["list", "reduce", "aggregate"])
def test_a_restart_in_the_middle_changes_nothing(tmp_path_factory, name, kind, script, data):
    assigner, spec = ASSIGNERS[name]
    at = data.draw(st.integers(0, len(script)))
    # Either engine takes over what the other has saved.
    engines = data.draw(st.tuples(st.booleans(), st.booleans()))
    # The watermark is no state: records that are late only by it are left out of this test.
    script = without_late(script, at)
    model = run_model(spec, script)
    directory = tmp_path_factory.getbasetemp()
    harnesses = []

    def make(general, saved=None):
        functions = {
            "list": {"window_fn": Sum()},
            "reduce": {"reduce_fn": lambda a, b: (a[0], a[1] + b[1]), "window_fn": Sum()},
            "aggregate": {"aggregate_fn": SumOf(), "window_fn": Sum()},
        }[kind]
        operator = WindowOperator(KEY, assigner, SameTrigger() if general else None, **functions)
        harnesses.append(Harness(operator, directory, restore=saved))
        return harnesses[-1]

    try:
        first = make(engines[0])
        _, rows = drive(first, script, at=at, restart=lambda h: make(engines[1], [h.snapshot()]))
        expected = sorted((k, s, e, sum(values)) for k, s, e, values in model.fired)
        assert sorted(rows) == expected
    finally:
        for h in harnesses:
            h.close()


def without_late(script, at):
    """Lower the watermarks before the restart until no later record is late by them."""
    kept = []
    for index, step in enumerate(script):
        if isinstance(step, int) and index < at:
            later = [t for s in script[index + 1 :] if not isinstance(s, int) for _, t in s]
            kept.append(min([step, *(t - 1 for t in later)]))
        else:
            kept.append(step)
    return kept


class Sum(ProcessWindowFunction):
    def process(self, key, context, elements):
        window = context.window()
        yield key, window.start, window.end, sum(v[1] if type(v) is tuple else v for v in elements)


class SumOf(Count):
    def add(self, value, accumulator):
        return accumulator + value[1]


@pytest.mark.parametrize("backend", ["hashmap", "rocksdb"])
@pytest.mark.parametrize("trigger", [None, SameTrigger()], ids=["aligned", "general"])
@pytest.mark.parametrize("aggregate", [True, False])
def test_windows_are_rescaled_by_key(harness, backend, trigger, aggregate):
    def make(**options):
        functions = {"aggregate_fn": Count()} if aggregate else {"window_fn": Whole()}
        return harness(
            WindowOperator(KEY, TumblingEventTimeWindows.of(10), trigger, **functions),
            backend=backend,
            **options,
        )

    records = [((f"k{i % 20}", i), i % 37) for i in range(400)]
    one = make()
    one.feed_timed(records[:200])
    one.snapshot()
    one.feed_timed(records[200:300])  # changed since the first checkpoint
    saved = one.snapshot()
    two = [make(restore=[saved], parallelism=2, subtask=i) for i in range(2)]
    for i, h in enumerate(two):
        h.feed_timed([r for r in records[300:] if owner(r[0][0], 2) == i])
        h.watermark(19)
    back = make(restore=[h.snapshot() for h in two])
    back.watermark(1_000)
    rows = two[0].output.rows + two[1].output.rows + back.output.rows
    assert two[0].output.rows
    assert two[1].output.rows
    if aggregate:
        assert sum(rows) == 400
        assert len(rows) == len({(k, t // 10) for (k, _), t in records})
        return
    model = Model(windows_of=sliding(10, 10))
    for (key, value), time in records:
        model.record(key, value, time)
    model.advance(1_000)
    assert by_window(rows) == by_window(model.fired)


def test_windows_fire_in_order_before_their_watermark(harness):
    h = harness(WindowOperator(KEY, TumblingEventTimeWindows.of(10), aggregate_fn=Count()))
    h.feed([("a", 1), ("a", 1), ("b", 1)], [25, 3, 4])
    h.watermark(8)
    assert h.output.rows == []
    h.watermark(29)
    assert h.output.timed() == [(1, 9), (1, 9), (1, 29)]
    assert h.output.log[-1] == ("watermark", 29)


@pytest.mark.parametrize("trigger", [None, SameTrigger()], ids=["quick", "general"])
def test_a_sliding_window_takes_its_records_in_the_order_they_came(harness, trigger):
    """Also those of different slides in one batch: a reduction need not commute."""
    h = harness(
        WindowOperator(
            KEY,
            SlidingEventTimeWindows.of(10, 5),
            trigger,
            reduce_fn=lambda a, b: (a[0], a[1] + b[1]),
        )
    )
    h.feed([("a", "1"), ("a", "2"), ("a", "3"), ("a", "4")], [3, 7, 4, 8])
    h.watermark(9)
    assert h.output.rows == [("a", "13"), ("a", "1234")]


def test_late_records_are_counted(harness):
    h = harness(WindowOperator(KEY, TumblingEventTimeWindows.of(10), aggregate_fn=Count()))
    h.watermark(9)
    h.feed([("a", 1), ("a", 2), ("a", 3)], [9, 10, 2])
    h.watermark(50)
    assert h.output.rows == [1]
    assert h.counter("num_late_records_dropped") == 2


def test_allowed_lateness_fires_again_for_each_late_record_then_forgets(harness):
    h = harness(
        WindowOperator(
            KEY,
            TumblingEventTimeWindows.of(10),
            None,
            5,
            OutputTag("late"),
            aggregate_fn=Count(),
            window_fn=lambda key, window, elements: [(key, window.start, *elements)],
        )
    )
    h.feed([("a", 1), ("b", 1)], [3, 4])
    h.watermark(9)
    assert sorted(h.output.take()) == [("a", 0, 1), ("b", 0, 1)]
    h.feed([("a", 1), ("a", 1)], [5, 6])
    assert h.output.take() == [("a", 0, 2), ("a", 0, 3)]
    h.watermark(14)
    h.feed([("a", "too late")], [7])
    assert h.output.take() == []
    assert h.output.sides == {"late": [("a", "too late")]}
    assert list(h.backend().keys("_window_contents", (0, 10))) == []
    assert len(h.backend().timers("event")) == 0


def test_nothing_is_left_behind_by_fired_windows(harness):
    for trigger, timers in ((None, 0), (SameTrigger(), 2)):
        h = harness(
            WindowOperator(KEY, EventTimeSessionWindows.with_gap(5), trigger, window_fn=Whole())
        )
        h.feed([("a", i) for i in range(9)], [0, 20, 3, 40, 22, 7, 12, 15, 17])
        assert len(h.backend().timers("event")) == timers
        h.snapshot()
        h.watermark(100)
        h.snapshot()
        assert list(h.backend().keys("_sessions")) == []
        assert len(h.backend().timers("event")) == 0
        assert list(h.backend().keys("_merging_windows")) == []
        assert len(h.output.rows) == 2


def test_sessions_merge_across_a_gap_that_is_filled_later(harness):
    h = harness(WindowOperator(KEY, EventTimeSessionWindows.with_gap(10), window_fn=Whole()))
    h.feed([("a", 1), ("a", 2), ("b", 3)], [0, 15, 0])
    h.feed([("a", 4)], [8])
    h.watermark(100)
    assert by_window(h.output.rows) == [("a", 0, 25, [1, 2, 4]), ("b", 0, 10, [3])]


def test_dynamic_gaps(harness):
    assigner = DynamicEventTimeSessionWindows.with_dynamic_gap(lambda v: v[1])
    h = harness(WindowOperator(KEY, assigner, window_fn=Whole()))
    h.feed([("a", 3), ("a", 30), ("a", 5)], [0, 10, 35])
    h.watermark(200)
    assert by_window(h.output.rows) == [("a", 0, 3, [3]), ("a", 10, 40, [5, 30])]


@pytest.mark.parametrize(
    "assigner", [TumblingProcessingTimeWindows.of(10), ProcessingTimeSessionWindows.with_gap(10)]
)
def test_processing_time_windows_fire_by_the_clock_and_survive_a_restore(harness, assigner):
    def make(**options):
        return harness(WindowOperator(KEY, assigner, aggregate_fn=Count()), **options)

    h = make()
    h.feed([("a", 1), ("b", 1)])
    h.advance(4)
    h.feed([("a", 1)])
    saved = h.snapshot()
    restored = make(restore=[saved], clock=h.clock)
    restored.feed([("a", 1)])
    restored.advance(50)
    assert sorted(restored.output.rows) == [1, 3]
    assert len(restored.backend().timers("processing")) == 0


class Remembers(ProcessWindowFunction):
    """Counts windows in global state and firings in window state; clears the latter."""

    cleared = []

    def process(self, key, context, elements):
        everything = context.global_state().get_state(ValueStateDescriptor("all"))
        here = context.window_state().get_state(ValueStateDescriptor("here"))
        everything.update((everything.value() or 0) + 1)
        here.update((here.value() or 0) + 1)
        yield everything.value(), here.value(), context.current_watermark()
        yield OutputTag("keys"), key

    def clear(self, context):
        context.window_state().get_state(ValueStateDescriptor("here")).clear()
        self.cleared.append(context.window())


@pytest.mark.parametrize("trigger", [None, SameTrigger()], ids=["aligned", "general"])
def test_window_and_global_state_of_a_process_function(harness, trigger):
    Remembers.cleared = []
    h = harness(
        WindowOperator(KEY, TumblingEventTimeWindows.of(10), trigger, window_fn=Remembers())
    )
    h.feed([("a", 1), ("a", 1)], [1, 11])
    h.watermark(30)
    assert h.output.rows == [(1, 1, 30), (2, 1, 30)]
    assert h.output.sides == {"keys": ["a", "a"]}
    assert Remembers.cleared == [TimeWindow(0, 10), TimeWindow(10, 20)]
    assert list(h.backend().keys("here", (0, 10))) == []


def test_sessions_have_no_window_state(harness):
    h = harness(WindowOperator(KEY, EventTimeSessionWindows.with_gap(5), window_fn=Remembers()))
    h.feed([("a", 1)], [1])
    with pytest.raises(KeyedStateUnavailableError, match="merge"):
        h.watermark(30)


@pytest.mark.parametrize("trigger", [None, SameTrigger()], ids=["aligned", "general"])
def test_failures_name_the_record(harness, trigger):
    class Bad(Count):
        def add(self, value, accumulator):
            return accumulator + 1 // value[1]

    h = harness(WindowOperator(KEY, TumblingEventTimeWindows.of(10), trigger, aggregate_fn=Bad()))
    with pytest.raises(UserFunctionError) as caught:
        h.feed([("a", 1), ("b", 1), ("c", 0), ("d", 1)], [1, 50, 51, 2])
    assert caught.value.record_index == 2
    assert "Bad.add" in caught.value.function


def test_a_record_without_event_time_is_refused(harness):
    h = harness(WindowOperator(KEY, TumblingEventTimeWindows.of(10), aggregate_fn=Count()))
    for times in (None, [1, -(2**63)]):
        with pytest.raises(MissingTimestampError):
            h.feed([("a", 1), ("b", 1)], times)


def test_an_accumulator_of_none_is_refused_at_the_latest_by_the_checkpoint(harness):
    h = harness(WindowOperator(KEY, TumblingEventTimeWindows.of(10), reduce_fn=lambda a, b: None))
    h.feed([("a", 1), ("a", 1)], [1, 2])
    with pytest.raises(InvalidResultError):
        h.snapshot()


def test_a_window_needs_exactly_one_way_of_combining():
    with pytest.raises(InvalidFunctionError):
        WindowOperator(KEY, TumblingEventTimeWindows.of(10))
    with pytest.raises(InvalidFunctionError):
        WindowOperator(KEY, TumblingEventTimeWindows.of(10), reduce_fn=min, aggregate_fn=Count())


def test_functions_with_state_are_opened(harness):
    class Opened(Whole):
        def open(self, runtime_context):
            self.seen = runtime_context.get_list_state(ListStateDescriptor("seen"))

        def process(self, key, context, elements):
            self.seen.add(len(list(elements)))
            yield list(self.seen.get())

    h = harness(WindowOperator(KEY, TumblingEventTimeWindows.of(10), window_fn=Opened()))
    h.feed([("a", 1), ("a", 1), ("a", 1)], [1, 2, 11])
    h.watermark(50)
    assert h.output.rows == [[2], [2, 1]]
