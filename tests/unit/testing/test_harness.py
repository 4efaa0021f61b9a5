"""The operator harness: what a user's test sees of keyed state, time, windows, side outputs."""

import asyncio
import time
from datetime import timedelta

import pyarrow as pa
import pytest

from lesto.common import Row, Time, Types, col
from lesto.common.expressions import count
from lesto.datastream import (
    CheckpointedFunction,
    CheckpointListener,
    FlatMapFunction,
    KeyedProcessFunction,
    OutputTag,
    ProcessFunction,
    ProcessWindowFunction,
)
from lesto.datastream.state import ListStateDescriptor, ValueStateDescriptor
from lesto.datastream.window import TumblingEventTimeWindows
from lesto.taskmanager.operators.errors import UserFunctionError
from lesto.testing import OperatorHarness, TestKitError

ODD = OutputTag("odd")


class Alarm(KeyedProcessFunction):
    """Gives a key's count when the key has been quiet for a second of processing time."""

    def open(self, runtime_context):
        self.seen = runtime_context.get_state(ValueStateDescriptor("seen", Types.LONG()))

    def process_element(self, value, ctx):
        self.seen.update((self.seen.value() or 0) + 1)
        service = ctx.timer_service()
        service.register_processing_time_timer(service.current_processing_time() + 1000)

    def on_timer(self, timestamp, ctx):
        yield ctx.get_current_key(), self.seen.value(), timestamp


def quiet(stream):
    return stream.key_by(lambda v: v).process(Alarm()).uid("quiet")


def test_timers_fire_in_virtual_time():
    with OperatorHarness(quiet, now_ms=50) as harness:
        harness.push("a", "a", "b")
        harness.advance(999)
        assert harness.results == []
        harness.advance(timedelta(milliseconds=1))
        assert sorted(harness.results) == [("a", 2, 1050), ("b", 1, 1050)]


@pytest.mark.parametrize(("before", "after"), [("hashmap", "rocksdb"), ("rocksdb", "hashmap")])
def test_state_and_timers_are_restored_on_either_backend(before, after):
    with OperatorHarness(quiet, backend=before) as harness:
        harness.push("a", "a")
        saved = harness.snapshot()
        harness.push("a")
    with OperatorHarness(quiet, backend=after, restore=saved, now_ms=10) as harness:
        harness.push("b")
        harness.advance(1000)
        assert harness.results == [("a", 2, 1000), ("b", 1, 1010)]


def test_windows_fire_by_watermarks_and_time_their_results():
    def sums(stream):
        windows = stream.key_by(lambda v: v[0]).window(TumblingEventTimeWindows.of(Time.seconds(1)))
        return windows.reduce(lambda a, b: (a[0], a[1] + b[1]))

    with OperatorHarness(sums) as harness:
        harness.push_timed([(("a", 1), 100), (("a", 2), 900), (("a", 4), 1100)])
        harness.watermark(999)
        assert harness.timed_results == [(("a", 3), 999)]
        harness.end()
        assert harness.take() == [("a", 3), ("a", 4)]
        assert harness.take() == []


class Split(ProcessFunction):
    def process_element(self, value, ctx):
        if value % 2:
            yield ODD, value
        else:
            yield value


def test_side_outputs_and_operators_behind_them():
    with OperatorHarness(lambda s: s.process(Split())) as harness:
        harness.push(1, 2, 3)
        assert harness.results == [2]
        assert harness.side_output(ODD) == [1, 3]
    with OperatorHarness(lambda s: s.process(Split()).get_side_output(ODD).map(str)) as harness:
        harness.push(1, 2, 3)
        assert harness.results == ["1", "3"]


def test_columns_go_through_expressions_and_functions():
    schema = pa.schema([("k", pa.string()), ("v", pa.int64())])

    def pipeline(stream):
        return stream.filter(col("v") > 1).key_by("k").agg(count().alias("n"))

    with OperatorHarness(pipeline, schema=schema) as harness:
        harness.push({"k": "a", "v": 1}, {"k": "a", "v": 2}, Row(k="a", v=3))
        assert [row.as_dict() for row in harness.results] == [
            {"k": "a", "n": 1},
            {"k": "a", "n": 2},
        ]


def test_a_union_takes_the_smaller_event_time_and_leaves_out_idle_inputs():
    with OperatorHarness(lambda a, b: a.union(b).map(lambda v: v)) as harness:
        harness.watermark(10, input=0)
        assert harness.watermarks == []
        harness.watermark(5, input=1)
        harness.idle(input=1)
        assert harness.watermarks == [5, 10]


def test_an_exception_of_a_user_function_reaches_the_test():
    with OperatorHarness(lambda s: s.map(lambda v: 1 / v)) as harness:
        with pytest.raises(UserFunctionError, match=r"operator 'Map' failed, record") as caught:
            harness.push(0)
        assert isinstance(caught.value.__cause__, ZeroDivisionError)


def test_a_pipeline_with_a_source_of_its_own_is_refused():
    def own(stream):
        env = stream.get_execution_environment()
        return stream.union(env.from_collection([1]))

    with pytest.raises(TestKitError, match="take every input of the pipeline as a parameter"):
        OperatorHarness(lambda s: own(s).map(str))
    with pytest.raises(TestKitError, match="not a stream"):
        OperatorHarness(lambda s: None)


def test_answers_of_asynchronous_functions_are_there_when_push_returns():
    async def slow(value):
        await asyncio.sleep(0.01)
        return value + 1

    with OperatorHarness(lambda s: s.map(slow).map(lambda v: v * 10)) as harness:
        harness.push(1, 2, 3)
        assert harness.results == [20, 30, 40]
        assert not harness.in_flight
        harness.push(4)
        harness.end()
        assert harness.results[-1] == 50


def test_windows_that_fire_in_steps_are_through_when_a_call_returns():
    def counts(stream):
        windows = stream.key_by(lambda v: v).window(TumblingEventTimeWindows.of(Time.seconds(1)))
        return windows.process(Slow())

    with OperatorHarness(counts) as harness:
        harness.push_timed([(n, 5) for n in range(50)])
        harness.watermark(2000)
        assert len(harness.results) == 50


class Slow(ProcessWindowFunction):
    def process(self, key, context, elements):
        time.sleep(0.001)
        yield key


class Buffer(FlatMapFunction, CheckpointedFunction, CheckpointListener):
    """Gives what it has held back when the checkpoint behind it is complete."""

    complete = ()

    def initialize_state(self, context):
        self.store = context.get_operator_state_store()
        self.restored = context.is_restored()

    def flat_map(self, value):
        held = self.store.get_list_state(ListStateDescriptor("held"))
        held.add(value)
        if value == "all":
            yield self.restored, held.get(), self.complete

    def snapshot_state(self, context):
        self.last = context.get_checkpoint_id()

    def notify_checkpoint_complete(self, checkpoint_id):
        self.complete = (*self.complete, checkpoint_id)


def test_operator_state_outlives_a_checkpoint_at_which_nobody_had_asked_for_it():
    pipeline = lambda s: s.flat_map(Buffer()).uid("buffer")  # noqa: E731
    with OperatorHarness(pipeline) as harness:
        harness.push("a", "b")
        saved = harness.snapshot()
    with OperatorHarness(pipeline, restore=saved) as harness:
        again = harness.snapshot()
    with OperatorHarness(pipeline, restore=again) as harness:
        harness.push("all")
        assert harness.results == [(True, ["a", "b", "all"], ())]
        harness.snapshot()
        harness.push("all")
        assert harness.results[-1] == (True, ["a", "b", "all", "all"], (1,))
