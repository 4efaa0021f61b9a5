"""Functions that await: order, watermarks, capacity, limits of time, attempts, state, restores."""

import asyncio
import threading
import time

import pytest

from lesto.common.async_functions import AsyncCall, AsyncFunction, AsyncRetryStrategy
from lesto.common.elements import RowBatch
from lesto.common.functions import KeyedProcessFunction, MapFunction, OutputTag, ProcessFunction
from lesto.common.keys import KeySpec
from lesto.datastream.state import ReducingStateDescriptor, ValueStateDescriptor
from lesto.taskmanager.operators.async_keyed import AsyncKeyedOperator
from lesto.taskmanager.operators.async_wait import AsyncWaitOperator
from lesto.taskmanager.operators.errors import (
    AsyncLoopBlockedError,
    InvalidFunctionError,
    InvalidResultError,
    KeyedStateUnavailableError,
    UserFunctionError,
)

SECONDS = 10


class Gate(AsyncFunction):
    """Answers a value when the test lets it."""

    def __init__(self):
        self.events = {}
        self.asked = []

    def open(self, runtime_context):
        self.loop = None

    async def async_invoke(self, value):
        self.loop = asyncio.get_running_loop()
        event = self.events.setdefault(value, asyncio.Event())
        self.asked.append(value)
        await event.wait()
        return [value * 10]

    def answer(self, *values):
        for value in values:
            until(lambda value=value: value in self.asked)
            self.loop.call_soon_threadsafe(self.events[value].set)


def until(condition):
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.001)


def settle(h, rows):
    """Poll as a task would until so many results are there."""
    deadline = time.monotonic() + SECONDS
    while len(h.output.rows) < rows:
        assert time.monotonic() < deadline, h.output.rows
        h.context.woken.wait(0.01)
        h.context.woken.clear()
        h.operator.poll()
    return h.output.rows


def call(method="async_invoke", capacity=100, **settings):
    return AsyncCall(method, capacity, **settings)


def test_ordered_results_wait_for_the_first(harness):
    gate = Gate()
    h = harness(AsyncWaitOperator(gate, call()))
    h.feed_timed([(1, 5), (2, None), (3, 7)])
    gate.answer(3, 2)
    until(lambda: len(h.operator._runner._done) == 2)
    h.operator.poll()
    assert h.output.rows == []
    gate.answer(1)
    assert settle(h, 3) == [10, 20, 30]
    assert h.output.timestamps[0] == 5
    assert h.output.timestamps[2] == 7


def test_unordered_results_come_as_they_do_but_pass_no_watermark(harness):
    gate = Gate()
    h = harness(AsyncWaitOperator(gate, call(ordered=False)))
    h.feed([1, 2])
    h.watermark(100)
    h.feed([3, 4])
    h.watermark(200)
    h.operator.process_status(True)
    gate.answer(4, 2)
    assert settle(h, 1) == [20]
    gate.answer(3)
    until(lambda: len(h.operator._runner._done) == 1)
    h.operator.poll()
    assert h.output.log == [("rows", [20])]
    gate.answer(1)
    settle(h, 4)
    assert h.output.log[1:3] == [("rows", [10]), ("watermark", 100)]
    assert sorted(h.output.log[3][1]) == [30, 40]
    assert h.output.log[4:] == [("watermark", 200), ("idle", True)]
    assert not h.operator.in_flight()


def test_capacity_bounds_what_is_asked_and_then_input_is_refused(harness):
    gate = Gate()
    h = harness(AsyncWaitOperator(gate, call(capacity=4)))
    assert h.operator.room() == 4
    h.feed(range(7))
    until(lambda: len(gate.asked) == 4)
    assert h.operator.room() == 0
    gate.answer(0, 1)
    settle(h, 2)
    until(lambda: len(gate.asked) == 6)
    assert h.operator.room() > 0
    gate.answer(2, 3, 4, 5, 6) if len(gate.asked) == 7 else gate.answer(2, 3, 4, 5)
    settle(h, 6)
    gate.answer(6)
    assert settle(h, 7) == [v * 10 for v in range(7)]


def test_many_answers_at_one_time_wake_the_task_a_few_times(harness):
    async def function(value):
        await asyncio.sleep(0.02)
        return value

    h = harness(AsyncWaitOperator(function, call("map", capacity=1000)))
    wakes = []
    h.operator._runner._wake = lambda: wakes.append(1) or h.context.wake()
    h.feed(range(1000))
    assert settle(h, 1000) == list(range(1000))
    assert len(wakes) < 100


class Slow(AsyncFunction):
    async def async_invoke(self, value):
        await asyncio.sleep(60)

    def timeout(self, value):
        return [("late", value)]


class SlowAwaiting(Slow):
    async def timeout(self, value):
        await asyncio.sleep(0.001)
        return [("awaited", value)]


class Stubborn(Slow):
    """Does not let itself be cancelled at once."""

    async def async_invoke(self, value):
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            await asyncio.sleep(0.01)
            return [("too late", value)]


@pytest.mark.parametrize(
    ("function", "word"), [(Slow(), "late"), (SlowAwaiting(), "awaited"), (Stubborn(), "late")]
)
def test_what_takes_too_long_is_given_to_the_timeout_callback(harness, function, word):
    h = harness(AsyncWaitOperator(function, call(timeout_ms=20)))
    h.feed([1, 2])
    assert settle(h, 2) == [(word, 1), (word, 2)]
    time.sleep(0.03)
    h.operator.poll()
    assert len(h.output.rows) == 2


def test_without_a_callback_a_timeout_names_the_record(harness):
    class Hanging(AsyncFunction):
        async def async_invoke(self, value):
            await asyncio.sleep(60)

    h = harness(AsyncWaitOperator(Hanging(), call(timeout_ms=10)))
    h.feed([{"id": 42}])
    with pytest.raises(UserFunctionError, match=r"record \{'id': 42\}.*TimeoutError.*too long"):
        settle(h, 1)


class Flaky(AsyncFunction):
    def __init__(self):
        self.attempts = {}

    async def async_invoke(self, value):
        n = self.attempts[value] = self.attempts.get(value, 0) + 1
        if value < 0:
            raise ConnectionError(value)
        return [value] if n >= value else []


def test_retries_by_result_and_by_exception(harness):
    strategy = AsyncRetryStrategy.exponential_backoff(
        3, 1, 4, 2.0, lambda results: not results, lambda e: isinstance(e, ConnectionError)
    )
    function = Flaky()
    h = harness(AsyncWaitOperator(function, call(timeout_ms=5_000, retry=strategy)))
    h.feed([1, 3, 4])
    assert settle(h, 3) == [1, 3, 4]
    assert function.attempts == {1: 1, 3: 3, 4: 4}
    h.feed([-1])
    with pytest.raises(UserFunctionError, match=r"for the record -1: ConnectionError: -1"):
        settle(h, 4)
    assert function.attempts[-1] == 4


def test_what_a_predicate_raises_fails_the_task(harness):
    strategy = AsyncRetryStrategy.fixed_delay(1, 1, lambda results: results.missing)
    h = harness(AsyncWaitOperator(Flaky(), call(timeout_ms=5_000, retry=strategy)))
    h.feed([1])
    with pytest.raises(UserFunctionError, match="AttributeError"):
        settle(h, 1)


def test_results_that_are_no_list_are_told(harness):
    class Nothing(AsyncFunction):
        async def async_invoke(self, value):
            return None

    h = harness(AsyncWaitOperator(Nothing(), call()))
    h.feed([1])
    with pytest.raises(InvalidResultError, match="returned None, not a list"):
        settle(h, 1)


class Sides(ProcessFunction):
    tag = OutputTag("odd")

    async def process_element(self, value, ctx):
        await asyncio.sleep(0)
        if value % 2:
            yield self.tag, value
        yield value, ctx.timestamp()


def test_async_process_functions_reach_side_outputs_and_time(harness):
    h = harness(AsyncWaitOperator(Sides(), call("process_element")))
    h.feed_timed([(1, 10), (2, 20)])
    assert settle(h, 2) == [(1, 10), (2, 20)]
    assert h.output.sides == {"odd": [1]}


def test_timers_need_a_key(harness):
    class Timer(ProcessFunction):
        async def process_element(self, value, ctx):
            ctx.timer_service().register_event_time_timer(1)

    h = harness(AsyncWaitOperator(Timer(), call("process_element")))
    h.feed([1])
    with pytest.raises(KeyedStateUnavailableError):
        settle(h, 1)


def test_map_and_filter_keep_row_kinds(harness):
    import numpy as np

    async def even(value):
        return value % 2 == 0

    h = harness(AsyncWaitOperator(even, call("filter")))
    kinds = np.array([0, 1, 2, 3], dtype=np.int8)
    h.operator.process_batch(RowBatch([0, 1, 2, 3], np.array([1, 2, 3, 4]), kinds))
    settle(h, 2)
    assert h.output.timed() == [(0, 1), (2, 3)]
    assert h.output.batches[0].kinds.tolist() == [0, 2]


def test_open_and_close_may_await_and_the_thread_ends(harness):
    class Client(MapFunction):
        async def open(self, runtime_context):
            self.loop = asyncio.get_running_loop()
            self.index = runtime_context.get_index_of_this_subtask()

        async def map(self, value):
            return value, asyncio.get_running_loop() is self.loop, self.index

        async def close(self):
            self.closed = asyncio.get_running_loop() is self.loop

    before = threading.active_count()
    function = Client()
    h = harness(AsyncWaitOperator(function, call("map")))
    h.feed([1])
    assert settle(h, 1) == [(1, True, 0)]
    h.feed([2])
    h.operator.close()
    h.operator.close()
    assert function.closed
    assert threading.active_count() == before


def test_an_open_that_never_ends_is_told(harness, monkeypatch):
    class Hanging(MapFunction):
        async def open(self, runtime_context):
            await asyncio.sleep(60)

        def map(self, value):
            return value

    monkeypatch.setattr("lesto.taskmanager.operators.async_wait.OPEN_SECONDS_MAX", 0.02)
    h = harness(AsyncWaitOperator(Hanging(), call("map")), open=False)
    with pytest.raises(AsyncLoopBlockedError, match=r"Hanging\.open has not ended"):
        h.operator.open()


def test_requests_under_way_are_made_again_behind_a_restore(harness):
    gate = Gate()
    first = harness(AsyncWaitOperator(gate, call(capacity=3, ordered=False)))
    first.feed_timed([(v, v) for v in range(5)])
    gate.answer(1)
    settle(first, 1)
    saved = first.snapshot()
    first.operator.close()
    asked = []
    for subtask in range(2):
        again = Gate()
        h = harness(
            AsyncWaitOperator(again, call(capacity=3)),
            restore=[saved],
            parallelism=2,
            subtask=subtask,
        )
        again.answer(*[v for v in (0, 2, 3, 4)[subtask::2]])
        settle(h, 2)
        asked += h.output.timed()
    assert sorted(asked) == [(0, 0), (20, 2), (30, 3), (40, 4)]


# --------------------------------------------------------------------------------------- by key

KEY = KeySpec(selector=lambda value: value[0])


class Counting(KeyedProcessFunction):
    """Reads its key's count, waits for the test, writes it."""

    def __init__(self):
        self.gate = Gate()

    def open(self, runtime_context):
        self.count = runtime_context.get_state(ValueStateDescriptor("count", None))
        self.sum = runtime_context.get_reducing_state(
            ReducingStateDescriptor("sum", lambda a, b: a + b, None)
        )

    async def process_element(self, value, ctx):
        count = self.count.value() or 0
        self.count.update(count + 1)
        await self.gate.async_invoke(value)
        yield ctx.get_current_key(), count + 1, self.count.value()


def test_one_record_of_a_key_at_a_time(harness):
    function = Counting()
    h = harness(AsyncKeyedOperator(function, call("process_element"), KEY))
    h.feed([("a", 1), ("a", 2), ("b", 1)])
    until(lambda: len(function.gate.asked) == 2)
    assert function.gate.asked == [("a", 1), ("b", 1)]
    function.gate.answer(("b", 1))
    until(lambda: len(h.operator._runner._done) == 1)
    h.operator.poll()
    assert h.output.rows == []  # in the order of the records
    function.gate.answer(("a", 1))
    settle(h, 1)
    function.gate.answer(("a", 2))
    assert settle(h, 3) == [("a", 1, 1), ("a", 2, 2), ("b", 1, 1)]


def test_state_of_a_record_under_way_is_not_in_the_snapshot(harness):
    function = Counting()
    h = harness(AsyncKeyedOperator(function, call("process_element"), KEY))
    h.feed([("a", 1), ("b", 1), ("a", 2)])
    function.gate.answer(("a", 1))
    settle(h, 1)
    until(lambda: ("a", 2) in function.gate.asked)
    saved = h.snapshot()
    h.operator.close()
    results = []
    for subtask in range(3):
        again = Counting()
        restored = harness(
            AsyncKeyedOperator(again, call("process_element"), KEY),
            restore=[saved],
            parallelism=3,
            subtask=subtask,
        )
        mine = [("b", 1), ("a", 2)]
        mine = [v for v in mine if v in [r.value for r in restored.operator._queue.unfinished()]]
        again.gate.answer(*mine)
        results += settle(restored, len(mine))
    assert sorted(results) == [("a", 2, 2), ("b", 1, 1)]


def test_values_read_are_the_records_own(harness):
    class Growing(MapFunction):
        def open(self, runtime_context):
            self.items = runtime_context.get_state(ValueStateDescriptor("items", None))
            self.fail = True

        async def map(self, value):
            items = self.items.value() or []
            items.append(value[1])  # in place, and then something goes wrong
            if value[1] == 2:
                raise ValueError
            self.items.update(items)
            return list(items)

    h = harness(AsyncKeyedOperator(Growing(), call("map"), KEY))
    h.feed([("a", 1)])
    assert settle(h, 1) == [[1]]
    h.feed([("a", 2)])
    with pytest.raises(UserFunctionError, match=r"\('a', 2\)"):
        settle(h, 2)
    h.operator._state.backend.current_key = "a"
    assert h.operator._function.items.value() == [1]


def test_merging_state_behind_an_add_is_refused(harness):
    class Adding(MapFunction):
        def open(self, runtime_context):
            self.sum = runtime_context.get_reducing_state(
                ReducingStateDescriptor("sum", lambda a, b: a + b, None)
            )

        async def map(self, value):
            before = self.sum.get()
            self.sum.add(value[1])
            return before if value[1] < 3 else self.sum.get()

    h = harness(AsyncKeyedOperator(Adding(), call("map"), KEY))
    h.feed([("a", 1), ("a", 2), ("b", 1)])
    assert settle(h, 3) == [None, 1, None]
    h.feed([("a", 3)])
    with pytest.raises(InvalidFunctionError, match="read behind an add"):
        settle(h, 4)


class Timed(KeyedProcessFunction):
    def __init__(self):
        self.gate = Gate()
        self.fired = []

    async def process_element(self, value, ctx):
        await self.gate.async_invoke(value)
        service = ctx.timer_service()
        if value[1] < 0:
            service.register_processing_time_timer(ctx.timer_service().current_processing_time())
        else:
            service.register_event_time_timer(value[1] + 5)
        return [value]

    def on_timer(self, timestamp, ctx):
        return [(ctx.get_current_key(), "timer", ctx.time_domain().name)]


def test_event_timers_fire_between_the_records_before_and_behind(harness):
    function = Timed()
    h = harness(AsyncKeyedOperator(function, call("process_element"), KEY))
    h.feed_timed([(("a", 1), 1)])
    h.watermark(10)
    h.feed_timed([(("a", 11), 11), (("b", 11), 11)])
    until(lambda: function.gate.asked == [("a", 1)])
    time.sleep(0.02)
    assert function.gate.asked == [("a", 1)]  # those behind the watermark wait for the timers
    function.gate.answer(("a", 1))
    settle(h, 2)
    assert h.output.rows == [("a", 1), ("a", "timer", "EVENT_TIME")]
    assert h.output.watermarks == [10]
    function.gate.answer(("a", 11), ("b", 11))
    settle(h, 4)
    assert not h.operator.in_flight()


def test_a_processing_timer_waits_for_the_record_of_its_key(harness):
    function = Timed()
    h = harness(AsyncKeyedOperator(function, call("process_element"), KEY))
    h.feed([("a", -1)])
    function.gate.answer(("a", -1))
    settle(h, 1)
    h.feed([("a", 7)])
    until(lambda: ("a", 7) in function.gate.asked)
    h.advance(10)
    assert len(h.output.rows) == 1
    h.snapshot()
    function.gate.answer(("a", 7))
    settle(h, 3)
    assert sorted(h.output.rows, key=repr)[0] == ("a", "timer", "PROCESSING_TIME")


def test_a_processing_timer_fires_once_though_checkpoints_and_other_timers_come_before(harness):
    class Later(Timed):
        def on_timer(self, timestamp, ctx):
            return [(ctx.get_current_key(), timestamp)]

    function = Later()
    h = harness(AsyncKeyedOperator(function, call("process_element"), KEY))
    start = h.clock.now_ms()
    h.feed([("a", -1), ("b", -1)])
    function.gate.answer(("a", -1), ("b", -1))
    settle(h, 2)
    h.feed([("a", 7)])
    until(lambda: ("a", 7) in function.gate.asked)
    h.advance(1)
    h.snapshot()  # with the timer of the key that is busy
    h.feed([("b", -2)])
    function.gate.answer(("b", -2))
    function.gate.answer(("a", 7))
    until(lambda: len(h.operator._runner._done) == 2)
    h.operator._timers._ring(start + 1)  # another alarm
    settle(h, 6)
    h.advance(5)
    fired = [row for row in h.output.rows if row[1] >= start and row[0] == "a"]
    assert fired == [("a", start)]


def test_a_record_removes_a_processing_timer_that_waits_for_it(harness):
    class Removing(Timed):
        async def process_element(self, value, ctx):
            await self.gate.async_invoke(value)
            service = ctx.timer_service()
            if value[1] == 0:
                service.register_processing_time_timer(value[2])
            else:
                service.delete_processing_time_timer(value[2])
            return [value]

    function = Removing()
    h = harness(AsyncKeyedOperator(function, call("process_element"), KEY))
    at = h.clock.now_ms() + 5
    h.feed([("a", 0, at)])
    function.gate.answer(("a", 0, at))
    settle(h, 1)
    h.feed([("a", 1, at)])
    until(lambda: ("a", 1, at) in function.gate.asked)
    h.advance(10)
    h.snapshot()
    function.gate.answer(("a", 1, at))
    settle(h, 2)
    h.advance(10)
    assert h.output.rows == [("a", 0, at), ("a", 1, at)]
    assert len(h.operator._timers.processing) == 0
