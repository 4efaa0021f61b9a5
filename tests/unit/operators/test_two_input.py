import pytest
from operator_harness import owner

from lesto.common.co_functions import (
    CallablesCoFlatMap,
    CallablesCoMap,
    CallablesCoProcess,
    KeyedCoFlatMap,
    KeyedCoMap,
)
from lesto.common.functions import (
    CoFlatMapFunction,
    CoMapFunction,
    CoProcessFunction,
    KeyedCoProcessFunction,
    OutputTag,
)
from lesto.common.keys import KeySpec
from lesto.common.time import TimeDomain
from lesto.state.descriptors import ValueStateDescriptor
from lesto.taskmanager.operators.dead_letters import DeadLetterOperator
from lesto.taskmanager.operators.errors import KeyedStateUnavailableError, UserFunctionError
from lesto.taskmanager.operators.two_input import (
    CoFlatMapOperator,
    CoMapOperator,
    CoProcessOperator,
)
from lesto.taskmanager.operators.two_input_keyed import KeyedCoProcessOperator

FIRST = KeySpec(selector=lambda v: v[0])
SECOND = KeySpec(selector=lambda v: v["key"])
BACKENDS = ["hashmap", "rocksdb"]


class Doubled(CoMapFunction):
    def map1(self, value):
        return value * 2 if value else None

    def map2(self, value):
        return value.upper()


@pytest.mark.parametrize(
    "function", [Doubled(), CallablesCoMap(lambda v: v * 2 if v else None, str.upper)]
)
def test_co_map_has_a_function_a_side_and_none_is_no_result(harness, function):
    one = harness(CoMapOperator(function))
    one.feed([1, 0, 3], [10, 20, 30])
    one.feed(["a", "b"], input_index=1)
    one.feed([0, 0])
    assert one.output.timed() == [(2, 10), (6, 30), ("A", None), ("B", None)]


class Words(CoFlatMapFunction):
    def flat_map1(self, value):
        return value.split() if value else None

    def flat_map2(self, value):
        yield from range(value)


@pytest.mark.parametrize("function", [Words(), CallablesCoFlatMap(str.split, range)])
def test_co_flat_map_has_a_function_a_side(harness, function):
    one = harness(CoFlatMapOperator(function))
    one.feed(["a b", "", "c"], [1, 2, 3])
    one.feed([2, 0], [7, 8], input_index=1)
    assert one.output.timed() == [("a", 1), ("b", 1), ("c", 3), (0, 7), (1, 7)]


class Times(CoProcessFunction):
    def process_element1(self, value, ctx):
        yield "one", value, ctx.timestamp(), ctx.timer_service().current_watermark()

    def process_element2(self, value, ctx):
        if value:
            yield OutputTag("two"), (value, ctx.timestamp())


def test_co_process_sees_times_and_side_outputs(harness):
    one = harness(CoProcessOperator(Times()))
    one.watermark(4)
    one.feed(["a", "b"], [5, 6])
    one.feed([0, 9], [7, 8], input_index=1)
    assert one.output.rows == [("one", "a", 5, 4), ("one", "b", 6, 4)]
    assert one.output.sides == {"two": [(9, 8)]}


def test_timers_need_keys(harness):
    def register(value, ctx):
        ctx.timer_service().register_event_time_timer(value)

    one = harness(CoProcessOperator(CallablesCoProcess(register, register)))
    for side in (0, 1):
        with pytest.raises(KeyedStateUnavailableError, match="a timer for 5 in a process function"):
            one.feed([5], input_index=side)


def divide(value, ctx=None):
    return [6 // value]


@pytest.mark.parametrize(
    "make",
    [
        lambda: CoMapOperator(CallablesCoMap(divide, divide)),
        lambda: CoFlatMapOperator(CallablesCoFlatMap(divide, divide)),
        lambda: CoProcessOperator(CallablesCoProcess(divide, divide)),
        lambda: KeyedCoProcessOperator(
            CallablesCoProcess(divide, divide), KeySpec(selector=abs), KeySpec(selector=abs)
        ),
        lambda: KeyedCoProcessOperator(
            CallablesCoProcess(divide, divide), None, KeySpec(selector=abs)
        ),
    ],
    ids=["map", "flat_map", "process", "keyed", "one keyed"],
)
@pytest.mark.parametrize("side", [0, 1])
def test_an_error_names_function_and_record(harness, make, side):
    one = harness(make())
    with pytest.raises(
        UserFunctionError, match="of operator 'op' failed, record 2 of its batch: ZeroDivisionError"
    ):
        one.feed([1, 2, 0, 3], input_index=side)


class Ledger(KeyedCoProcessFunction):
    """Deposits of one side, questions of the other; a timer gives the balance."""

    def open(self, runtime_context):
        self.total = runtime_context.get_state(ValueStateDescriptor("total"))

    def process_element1(self, value, ctx):
        self.total.update((self.total.value() or 0) + value[1])
        ctx.timer_service().register_event_time_timer(100)

    def process_element2(self, value, ctx):
        assert ctx.get_current_key() == value["key"]
        yield "asked", value["key"], self.total.value(), ctx.timestamp()
        if value.get("wall"):
            now = ctx.timer_service().current_processing_time()
            ctx.timer_service().register_processing_time_timer(now + 50)

    def on_timer(self, timestamp, ctx):
        yield ctx.time_domain(), ctx.get_current_key(), timestamp, self.total.value()


def ledger():
    return KeyedCoProcessOperator(Ledger(), FIRST, SECOND)


@pytest.mark.parametrize("backend", BACKENDS)
def test_both_sides_share_the_state_and_timers_of_a_key(harness, backend):
    one = harness(ledger(), backend=backend)
    one.feed([("a", 1), ("b", 5), ("a", 2)], [1, 2, 3])
    one.feed([{"key": "a"}, {"key": "c"}, {"key": "b", "wall": True}], [4, 5, 6], input_index=1)
    assert one.output.take() == [
        ("asked", "a", 3, 4),
        ("asked", "c", None, 5),
        ("asked", "b", 5, 6),
    ]
    one.advance(60)
    now = 1_000_050
    assert one.output.timed() == [((TimeDomain.PROCESSING_TIME, "b", now, 5), None)]
    one.output.take()
    one.watermark(100)
    event = TimeDomain.EVENT_TIME
    assert one.output.timed() == [((event, "a", 100, 3), 100), ((event, "b", 100, 5), 100)]


@pytest.mark.parametrize("backend", BACKENDS)
def test_state_and_timers_are_restored_at_another_parallelism(harness, backend):
    keys = [f"k{i}" for i in range(40)]
    first = [harness(ledger(), backend=backend, parallelism=2, subtask=i) for i in range(2)]
    for subtask, one in enumerate(first):
        one.feed([(k, 7) for k in keys if owner(k, 2) == subtask])
    saved = [one.snapshot() for one in first]
    second = [
        harness(ledger(), backend=backend, parallelism=3, subtask=i, restore=saved)
        for i in range(3)
    ]
    for subtask, one in enumerate(second):
        one.feed([{"key": k} for k in keys if owner(k, 3) == subtask], input_index=1)
        one.watermark(200)
    rows = [row for one in second for row in one.output.rows]
    asked = [("asked", k, 7, None) for k in keys]
    fired = [(TimeDomain.EVENT_TIME, k, 100, 7) for k in keys]
    assert sorted(rows, key=repr) == sorted(asked + fired, key=repr)


class Rules(CoProcessFunction):
    """State and timers on the first side; the second does what it is told."""

    def open(self, runtime_context):
        self.seen = runtime_context.get_state(ValueStateDescriptor("seen"))

    def process_element1(self, value, ctx):
        self.seen.update((self.seen.value() or 0) + 1)
        ctx.timer_service().register_event_time_timer(50)
        yield value[0], self.seen.value()

    def process_element2(self, value, ctx):
        if value == "read":
            self.seen.value()
        elif value == "write":
            self.seen.update(1)
        elif value == "timer":
            ctx.timer_service().register_event_time_timer(60)
        elif value == "delete":
            ctx.timer_service().delete_processing_time_timer(60)
        yield value, ctx.timestamp(), ctx.timer_service().current_watermark()

    def on_timer(self, timestamp, ctx):
        yield "timer", ctx.get_current_key(), self.seen.value()


@pytest.mark.parametrize("backend", BACKENDS)
def test_with_one_side_keyed_that_side_has_state_and_timers(harness, backend):
    one = harness(KeyedCoProcessOperator(Rules(), FIRST, None), backend=backend)
    one.watermark(7)
    one.feed([("a",), ("a",), ("b",)], [1, 2, 3])
    one.feed(["fine"], [4], input_index=1)
    one.watermark(55)
    assert one.output.rows == [
        ("a", 1), ("a", 2), ("b", 1), ("fine", 4, 7), ("timer", "a", 2), ("timer", "b", 1),
    ]  # fmt: skip


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("what", ["read", "write", "timer", "delete"])
def test_the_side_without_a_key_has_no_state_and_no_timers(harness, backend, what):
    one = harness(KeyedCoProcessOperator(Rules(), FIRST, None), backend=backend)
    one.feed([("a",)])
    with pytest.raises(KeyedStateUnavailableError, match="the second input of operator 'op'") as e:
        one.feed([what], input_index=1)
    assert "key_by" in e.value.remedy


def test_the_second_side_may_be_the_keyed_one(harness):
    class Swapped(Rules):
        process_element1 = Rules.process_element2
        process_element2 = Rules.process_element1

    one = harness(KeyedCoProcessOperator(Swapped(), None, FIRST))
    one.feed([("a",)], input_index=1)
    assert one.output.rows == [("a", 1)]
    with pytest.raises(KeyedStateUnavailableError, match="the first input"):
        one.feed(["read"])


class Numbered(CoMapFunction):
    def open(self, runtime_context):
        self.count = runtime_context.get_state(ValueStateDescriptor("count"))
        self.closed = False

    def map1(self, value):
        number = (self.count.value() or 0) + 1
        self.count.update(number)
        return None if number == 2 else (value[0], number)

    def map2(self, value):
        return value["key"], -(self.count.value() or 0)

    def close(self):
        self.closed = True


def test_a_co_map_function_reaches_keyed_state(harness):
    function = Numbered()
    one = harness(KeyedCoProcessOperator(KeyedCoMap(function), FIRST, SECOND))
    one.feed([("a",), ("a",), ("a",), ("b",)])
    one.feed([{"key": "a"}, {"key": "x"}], input_index=1)
    assert one.output.rows == [("a", 1), ("a", 3), ("b", 1), ("a", -3), ("x", 0)]
    one.close()
    assert function.closed


def test_a_co_flat_map_function_reaches_keyed_state(harness):
    class Some(CoFlatMapFunction):
        def open(self, runtime_context):
            self.last = runtime_context.get_state(ValueStateDescriptor("last"))

        def flat_map1(self, value):
            self.last.update(value[1])

        def flat_map2(self, value):
            return [self.last.value()] * 2

    one = harness(KeyedCoProcessOperator(KeyedCoFlatMap(Some()), FIRST, SECOND))
    one.feed([("a", 4)])
    one.feed([{"key": "a"}], input_index=1)
    assert one.output.rows == [4, 4]


def test_records_that_fail_are_set_aside_on_either_side(harness):
    function = CallablesCoMap(lambda v: 10 // v, lambda v: v + "!")
    one = harness(DeadLetterOperator(CoMapOperator(function), "dead"))
    one.feed([5, 0, 2])
    one.feed(["a", 7], input_index=1)
    assert one.output.rows == [2, 5, "a!"]
    assert [letter.record for letter in one.output.sides["dead"]] == [0, 7]
