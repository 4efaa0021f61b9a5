import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from operator_harness import Harness, owner

from lesto.common.functions import KeyedProcessFunction, OutputTag, ReduceFunction
from lesto.common.keys import KeySpec
from lesto.common.row import Row
from lesto.common.time import TimeDomain
from lesto.state.descriptors import ListStateDescriptor, ValueStateDescriptor
from lesto.taskmanager.operators.errors import UserFunctionError
from lesto.taskmanager.operators.keyed import (
    KeyedFieldAggregateOperator,
    KeyedProcessOperator,
    KeyedReduceOperator,
)

FIRST = KeySpec(selector=lambda v: v[0])
BACKENDS = ["hashmap", "rocksdb"]


class RunningSum(KeyedProcessFunction):
    def open(self, runtime_context):
        self.total = runtime_context.get_state(ValueStateDescriptor("total"))

    def process_element(self, value, ctx):
        total = (self.total.value() or 0) + value[1]
        self.total.update(total)
        yield value[0], total


class Timers(KeyedProcessFunction):
    """Sets timers as the records say and reports everything it sees."""

    def process_element(self, value, ctx):
        _, kind, *times = value
        timers = ctx.timer_service()
        act = {
            "event": timers.register_event_time_timer,
            "forget": timers.delete_event_time_timer,
            "wall": timers.register_processing_time_timer,
            "unwall": timers.delete_processing_time_timer,
        }[kind]
        for time in times:
            act(time)

    def on_timer(self, timestamp, ctx):
        yield (
            ctx.get_current_key(),
            timestamp,
            ctx.time_domain(),
            ctx.timestamp(),
            ctx.timer_service().current_watermark(),
        )


def model_sums(records):
    totals = {}
    out = []
    for key, value in records:
        totals[key] = totals.get(key, 0) + value
        out.append((key, totals[key]))
    return out


records_of = st.lists(st.tuples(st.sampled_from("abcde"), st.integers(-9, 9)), max_size=40)


def slices(records, cuts):
    edges = sorted({0, len(records), *(cut % (len(records) + 1) for cut in cuts)})
    return [records[a:b] for a, b in itertools.pairwise(edges)]


@given(records=records_of, cuts=st.lists(st.integers(0, 50), max_size=5))
@pytest.mark.parametrize(
    "make",
    [
        lambda: KeyedProcessOperator(RunningSum(), FIRST),
        lambda: KeyedReduceOperator(lambda a, b: (a[0], a[1] + b[1]), FIRST),
        lambda: KeyedFieldAggregateOperator("sum", 1, FIRST),
    ],
)
def test_running_sums_do_not_depend_on_batches(tmp_path_factory, make, records, cuts):
    h = Harness(make(), tmp_path_factory.getbasetemp())
    try:
        for batch in slices(records, cuts):
            h.feed(batch)
        assert h.output.rows == model_sums(records)
    finally:
        h.close()


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("canonical", [False, True])
def test_sums_survive_a_restore_at_another_parallelism(harness, backend, canonical):
    records = [(f"k{i % 50}", i) for i in range(500)]
    one = harness(KeyedProcessOperator(RunningSum(), FIRST), backend=backend)
    one.feed(records[:300])
    saved = one.snapshot(canonical=canonical)
    one.feed(records[300:400])  # lost with the failure
    two = [
        harness(
            KeyedProcessOperator(RunningSum(), FIRST),
            backend=backend,
            restore=[saved],
            parallelism=2,
            subtask=i,
        )
        for i in range(2)
    ]
    for i, h in enumerate(two):
        h.feed([r for r in records[300:] if owner(r[0], 2) == i])
    got = two[0].output.rows + two[1].output.rows
    assert two[0].output.rows
    assert two[1].output.rows
    assert sorted(got) == sorted(model_sums(records)[300:])
    # and back to one
    again = harness(
        KeyedProcessOperator(RunningSum(), FIRST),
        backend=backend,
        restore=[h.snapshot() for h in two],
    )
    again.feed([("k1", 0)])
    assert again.output.rows == [("k1", sum(v for k, v in records if k == "k1"))]


@pytest.mark.parametrize("backend", BACKENDS)
def test_event_timers_fire_once_each_in_time_order_before_the_watermark(harness, backend):
    h = harness(KeyedProcessOperator(Timers(), FIRST), backend=backend)
    h.feed([("a", "event", 30, 10, 30), ("b", "event", 20), ("a", "event", 10, 99)])
    h.feed([("b", "event", 25), ("b", "forget", 25), ("a", "forget", 20)])
    h.watermark(30)
    event = TimeDomain.EVENT_TIME
    expected = [
        ("a", 10, event, 10, 30),
        ("b", 20, event, 20, 30),
        ("a", 30, event, 30, 30),
    ]
    assert h.output.timed() == [(row, row[1]) for row in expected]
    assert h.output.log == [("rows", expected), ("watermark", 30)]
    h.watermark(98)
    assert len(h.output.rows) == 3
    h.watermark(99)
    assert h.output.rows[-1] == ("a", 99, event, 99, 99)


def test_timers_set_by_timers_fire_with_the_same_watermark(harness):
    class Chain(Timers):
        def on_timer(self, timestamp, ctx):
            if timestamp < 5:
                ctx.timer_service().register_event_time_timer(timestamp + 1)
            yield timestamp

    h = harness(KeyedProcessOperator(Chain(), FIRST))
    h.feed([("a", "event", 1)])
    h.watermark(4)
    assert h.output.rows == [1, 2, 3, 4]
    h.watermark(9)
    assert h.output.rows == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("backend", BACKENDS)
def test_timers_of_both_kinds_are_in_the_checkpoint(harness, backend):
    h = harness(KeyedProcessOperator(Timers(), FIRST), backend=backend)
    now = h.clock.now_ms()
    h.feed([("a", "event", 10), ("b", "event", 20), ("c", "wall", now + 50), ("c", "event", 5)])
    h.feed([("c", "forget", 5)])
    saved = h.snapshot()
    r = harness(KeyedProcessOperator(Timers(), FIRST), backend=backend, restore=[saved])
    r.watermark(100)
    assert [row[:2] for row in r.output.rows] == [("a", 10), ("b", 20)]
    r.advance(60)
    assert r.output.rows[-1][:3] == ("c", now + 50, TimeDomain.PROCESSING_TIME)


def test_processing_timers_have_one_alarm_at_the_earliest(harness):
    h = harness(KeyedProcessOperator(Timers(), FIRST))
    now = h.clock.now_ms()
    h.feed([("a", "wall", now + 50, now + 20), ("b", "wall", now + 30), ("a", "wall", now + 40)])
    assert [at for at, _ in h.alarms] == [now + 20]
    h.advance(35)
    assert [(r[0], r[1] - now) for r in h.output.rows] == [("a", 20), ("b", 30)]
    assert h.output.timestamps == [None, None]
    h.feed([("a", "unwall", now + 40)])
    h.advance(100)
    assert [(r[0], r[1] - now) for r in h.output.rows[2:]] == [("a", 50)]
    assert h.alarms == []


def test_closing_takes_the_alarm_back(harness):
    h = harness(KeyedProcessOperator(Timers(), FIRST))
    h.feed([("a", "wall", h.clock.now_ms() + 50)])
    h.operator.close()
    assert h.alarms == []


def test_process_yields_to_side_outputs_with_key_and_time(harness):
    tag = OutputTag("big")

    def process(value, ctx):
        if value[1] > 5:
            yield tag, (ctx.get_current_key(), ctx.timestamp())
        return
        yield

    h = harness(KeyedProcessOperator(process, FIRST))
    h.feed([("a", 1), ("b", 9)], [100, 200])
    assert h.output.rows == []
    assert h.output.sides == {"big": [("b", 200)]}


def test_results_may_be_a_list_or_none(harness):
    h = harness(KeyedProcessOperator(lambda v, ctx: [v[1]] * v[1] or None, FIRST))
    h.feed([("a", 2), ("a", 0), ("b", 1)], [7, 8, 9])
    assert h.output.timed() == [(2, 7), (2, 7), (1, 9)]
    h.feed([("a", 0), ("b", 1)])
    assert h.output.timed()[3:] == [(1, None)]


def test_failures_name_record_key_selector_and_timer(harness):
    class Bad(KeyedProcessFunction):
        def process_element(self, value, ctx):
            ctx.timer_service().register_event_time_timer(5)
            yield 1 / value[1]

        def on_timer(self, timestamp, ctx):
            raise RuntimeError("late")

    h = harness(KeyedProcessOperator(Bad(), FIRST))
    with pytest.raises(UserFunctionError) as caught:
        h.feed([("a", 1), ("a", 0)])
    assert caught.value.record_index == 1
    with pytest.raises(UserFunctionError, match="key selector"):
        h.feed([5])
    with pytest.raises(UserFunctionError, match="on_timer"):
        h.watermark(10)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("sum", [("a", 3, "x"), ("a", 4, "x"), ("a", 5, "x"), ("a", 9, "x")]),
        ("min", [("a", 3, "x"), ("a", 1, "x"), ("a", 1, "x"), ("a", 1, "x")]),
        ("max", [("a", 3, "x"), ("a", 3, "x"), ("a", 3, "x"), ("a", 4, "x")]),
        ("min_by", [("a", 3, "x"), ("a", 1, "y"), ("a", 1, "y"), ("a", 1, "y")]),
        ("max_by", [("a", 3, "x"), ("a", 3, "x"), ("a", 3, "x"), ("a", 4, "w")]),
    ],
)
def test_field_aggregates_are_flinks(harness, kind, expected):
    h = harness(KeyedFieldAggregateOperator(kind, 1, FIRST))
    h.feed([("a", 3, "x"), ("a", 1, "y"), ("a", 1, "z"), ("a", 4, "w")])
    assert h.output.rows == expected


def test_field_aggregates_read_rows_by_name_and_leave_emitted_rows_alone(harness):
    h = harness(KeyedFieldAggregateOperator("sum", "n", KeySpec(columns=("k",))))
    h.feed([Row(k="a", n=1), Row(k="b", n=5), Row(k="a", n=2)])
    assert h.output.rows == [Row(k="a", n=1), Row(k="b", n=5), Row(k="a", n=3)]
    plain = harness(KeyedFieldAggregateOperator("max", 0, KeySpec(selector=lambda v: v % 2)))
    plain.feed([1, 2, 5, 4, 3])
    assert plain.output.rows == [1, 2, 5, 4, 5]


def test_reduce_takes_function_objects_and_keeps_times(harness):
    class Longest(ReduceFunction):
        def reduce(self, value1, value2):
            return max(value1, value2, key=len)

    h = harness(KeyedReduceOperator(Longest(), KeySpec(selector=lambda v: v[0])))
    h.feed(["aa", "b", "a", "aaa"], [1, 2, 3, 4])
    assert h.output.timed() == [("aa", 1), ("b", 2), ("aa", 3), ("aaa", 4)]


@pytest.mark.parametrize(
    "rows",
    [
        [Row(a=1, b="x"), Row(a=2, b="y")],
        [{"a": 1, "b": "x"}, {"a": 2, "b": "y"}],
        [Row(a=1, b="x"), Row(b="y", a=2)],
        [Row(a=1, b="x"), {"a": 2, "b": "y"}],
    ],
)
def test_key_columns_of_any_kind_of_record(harness, rows):
    for columns, keys in ((("a",), [1, 2]), (("b", "a"), [("x", 1), ("y", 2)])):
        h = harness(
            KeyedProcessOperator(lambda v, ctx: [ctx.get_current_key()], KeySpec(columns=columns))
        )
        h.feed(rows)
        assert h.output.rows == keys


def test_list_state_of_a_function(harness):
    class Collect(KeyedProcessFunction):
        def open(self, runtime_context):
            self.seen = runtime_context.get_list_state(ListStateDescriptor("seen"))

        def process_element(self, value, ctx):
            self.seen.add(value[1])
            yield list(self.seen.get())

    h = harness(KeyedProcessOperator(Collect(), FIRST))
    h.feed([("a", 1), ("b", 2), ("a", 3)])
    assert h.output.rows == [[1], [2], [1, 3]]
