"""Windows of very many keys fire in steps, and a snapshot may come between two of them."""

import pytest
from operator_harness import Harness
from window_functions import Count

from lesto.common.evictors import CountEvictor
from lesto.common.functions import ProcessWindowFunction
from lesto.common.keys import KeySpec
from lesto.common.windowing import (
    EventTimeSessionWindows,
    GlobalWindows,
    ProcessingTimeSessionWindows,
    SlidingEventTimeWindows,
    SlidingProcessingTimeWindows,
    TumblingEventTimeWindows,
    TumblingProcessingTimeWindows,
    WindowStagger,
)
from lesto.state.descriptors import ValueStateDescriptor
from lesto.taskmanager.operators.partition_windows import MapPartition, PartitionWindowOperator
from lesto.taskmanager.operators.window import WindowOperator
from lesto.taskmanager.operators.window_aligned import AlignedWindows, EndWindows
from lesto.taskmanager.operators.window_general import GeneralWindows
from lesto.taskmanager.operators.window_sessions import RowSessions

KEYS = 3_000
KEY = KeySpec(selector=lambda v: v)


def slow(h, monkeypatch):
    """Each look at the clock finds that a step's time has passed."""
    real = h.clock.monotonic_ms
    monkeypatch.setattr(h.clock, "monotonic_ms", lambda: (h.clock.advance(30), real())[1])


@pytest.mark.parametrize("lateness", [0, 50])
@pytest.mark.parametrize(
    ("assigner", "evictor", "engine"),
    [
        (TumblingEventTimeWindows.of(10), None, AlignedWindows),
        (SlidingEventTimeWindows.of(10, 5), None, AlignedWindows),
        (EventTimeSessionWindows.with_gap(10), None, RowSessions),
        (TumblingEventTimeWindows.of(10), CountEvictor.of(9), GeneralWindows),
    ],
    ids=["tumbling", "sliding", "session", "general"],
)
def test_a_snapshot_between_two_steps_neither_loses_nor_repeats(
    tmp_path, monkeypatch, assigner, evictor, engine, lateness
):
    def make(**options):
        operator = WindowOperator(
            KEY,
            assigner,
            None,
            lateness,
            aggregate_fn=Count(),
            window_fn=lambda key, window, elements: [(key, window.start, *elements)],
            evictor=evictor,
        )
        return Harness(operator, tmp_path, **options)

    h = make()
    slow(h, monkeypatch)
    assert type(h.operator._engine) is engine
    h.feed(range(KEYS), [7] * KEYS)
    h.snapshot()
    h.feed(range(0, KEYS, 2), [8] * (KEYS // 2))
    h.operator.process_watermark(40)
    assert h.operator.in_flight()
    assert h.operator.room() == 0
    first = len(h.output.rows)
    assert 0 < first < KEYS
    assert h.output.watermarks == []
    h.operator.process_watermark(41)  # it waits for its turn
    h.operator.process_status(True)
    assert h.output.statuses == []
    saved = h.snapshot()
    back = make(restore=[saved])
    back.watermark(41)
    while h.operator.in_flight():
        assert h.operator.poll()
    assert h.output.log[-3:] == [("watermark", 40), ("watermark", 41), ("idle", True)]
    assert h.operator.room() > KEYS
    whole = sorted(h.output.rows)
    windows = 2 if isinstance(assigner, SlidingEventTimeWindows) else 1
    assert len(whole) == len(set(whole)) == KEYS * windows
    assert sum(count for *_, count in whole) == KEYS * 3 // 2 * windows
    assert sorted(h.output.rows[:first] + back.output.rows) == whole
    for one in (h, back):
        one.watermark(2**62)
        while one.operator.in_flight():
            one.operator.poll()
        assert list(one.snapshot().union_lists.get("windows", ())) == []
        assert len(one.output.rows) in {len(whole), len(whole) - first}
        one.close()


class Numbered(ProcessWindowFunction):
    def process(self, key, context, elements):
        state = context.window_state().get_state(ValueStateDescriptor("n"))
        state.update((state.value() or 0) + 1)
        yield key, state.value(), sorted(elements)

    def clear(self, context):
        context.window_state().get_state(ValueStateDescriptor("n")).clear()


@pytest.mark.parametrize("backend", ["hashmap", "rocksdb"])
def test_a_window_that_has_fired_in_one_subtask_only_is_restored_so(tmp_path, backend):
    """Watermarks of two subtasks differ; with lateness the window lives on in both."""

    def make(**options):
        operator = WindowOperator(
            KeySpec(selector=lambda v: v[0]),
            TumblingEventTimeWindows.of(10),
            None,
            50,
            window_fn=Numbered(),
        )
        return Harness(operator, tmp_path, backend=backend, **options)

    from operator_harness import owner

    halves = [make(parallelism=2, subtask=i) for i in range(2)]
    keys = [[k for k in range(40) if owner(k, 2) == i][:2] for i in range(2)]
    for h, own in zip(halves, keys, strict=True):
        h.feed([(key, 1) for key in own], [5] * len(own))
    halves[0].watermark(9)
    assert len(halves[0].output.rows) == 2
    one = make(restore=[h.snapshot() for h in halves])
    one.watermark(9)
    assert sorted(one.output.take()) == [(key, 1, [(key, 1)]) for key in sorted(keys[1])]
    one.feed([(keys[0][0], 2)], [6])
    assert one.output.take() == [(keys[0][0], 2, [(keys[0][0], 1), (keys[0][0], 2)])]
    again = make(restore=[one.snapshot()])
    again.watermark(30)
    assert again.output.rows == []
    again.feed([(keys[1][0], 3)], [7])
    assert len(again.output.take()) == 1
    again.watermark(59)
    again.snapshot()
    assert list(again.backend().keys("_window_contents", (0, 10))) == []
    assert list(again.backend().keys("n", (0, 10))) == []
    for h in (*halves, one, again):
        h.close()


@pytest.mark.parametrize(
    ("assigner", "expected"),
    [
        (TumblingProcessingTimeWindows.of(10), [2, 1]),
        (SlidingProcessingTimeWindows.of(20, 10), [2, 3, 1]),
        (ProcessingTimeSessionWindows.with_gap(10), [2, 1]),
    ],
)
def test_windows_by_the_clock_fire_in_steps_and_go_on_after_a_restore(tmp_path, assigner, expected):
    def make(**options):
        return Harness(WindowOperator(KEY, assigner, aggregate_fn=Count()), tmp_path, **options)

    h = make()
    h.feed(["a", "a"])
    h.advance(15)
    h.feed(["a"])
    back = make(restore=[h.snapshot()], clock=h.clock)
    back.advance(100)
    assert h.output.rows + back.output.rows == expected
    assert back.alarms == []
    h.close()
    back.close()


@pytest.mark.parametrize("general", [False, True])
def test_a_global_window_fires_at_the_end_of_the_input(tmp_path, general):
    def make(**options):
        evictor = CountEvictor.of(100) if general else None
        assigner = GlobalWindows.create_with_end_of_stream_trigger()
        operator = WindowOperator(KEY, assigner, aggregate_fn=Count(), evictor=evictor)
        return Harness(operator, tmp_path, **options)

    h = make()
    assert type(h.operator._engine) is (GeneralWindows if general else EndWindows)
    h.feed(["a", "b"])
    h.watermark(2**62)
    h.feed(["a"])
    assert h.output.rows == []
    h.watermark(2**63 - 1)
    assert sorted(h.output.rows) == [1, 2]
    h.close()


@pytest.mark.parametrize("stagger", [WindowStagger.RANDOM, WindowStagger.NATURAL])
def test_staggered_windows_are_as_long_and_shifted(tmp_path, stagger):
    assigner = TumblingEventTimeWindows.of(1_000, window_stagger=stagger)
    operator = WindowOperator(
        KEY, assigner, window_fn=lambda key, window, elements: [(window.start, window.end)]
    )
    h = Harness(operator, tmp_path)
    h.clock.advance(123)
    h.feed(["a"] * 3, [0, 1_000, 2_000])
    h.watermark(10_000)
    assert len(h.output.rows) == 3
    assert {end - start for start, end in h.output.rows} == {1_000}
    (shift,) = {start % 1_000 for start, _ in h.output.rows}
    assert shift == 123 or stagger is WindowStagger.RANDOM
    h.close()


def test_a_partition_gives_its_results_in_steps(tmp_path, monkeypatch):
    def make(**options):
        operator = PartitionWindowOperator("apply", MapPartition(iter))
        return Harness(operator, tmp_path, **options)

    h = make()
    h.feed(range(10_000))
    saved = [h.snapshot()]
    slow(h, monkeypatch)
    h.operator.end_input()
    assert 0 < len(h.output.rows) < 10_000
    while h.operator.in_flight():
        h.operator.poll()
    assert h.output.rows == list(range(10_000))
    halves = [make(restore=saved, parallelism=2, subtask=i) for i in range(2)]
    for half in halves:
        half.operator.end_input()
        assert half.output.rows
    assert sorted(halves[0].output.rows + halves[1].output.rows) == list(range(10_000))
    for one in (h, *halves):
        one.close()
