import pickle

import numpy as np
import pytest

from lesto.common.elements import RowBatch
from lesto.common.functions import (
    FilterFunction,
    FlatMapFunction,
    MapFunction,
    OutputTag,
    ProcessFunction,
)
from lesto.taskmanager.operators.errors import (
    InvalidFunctionError,
    KeyedStateUnavailableError,
    UserFunctionError,
)
from lesto.taskmanager.operators.stateless import (
    FilterOperator,
    FlatMapOperator,
    MapOperator,
    ProcessOperator,
)


class Double(MapFunction):
    def __init__(self):
        self.calls = []

    def open(self, runtime_context):
        self.calls.append(runtime_context.get_index_of_this_subtask())

    def close(self):
        self.calls.append("closed")

    def map(self, value):
        return 2 * value


def test_map_keeps_times_and_kinds(harness):
    h = harness(MapOperator(lambda v: v + 1))
    kinds = np.array([0, 3], dtype=np.int8)
    h.operator.process_batch(RowBatch([1, 2], np.array([10, 20]), kinds))
    assert h.output.timed() == [(2, 10), (3, 20)]
    assert h.output.batches[0].kinds.tolist() == [0, 3]


def test_function_objects_are_opened_once_and_closed_once(harness):
    function = Double()
    h = harness(MapOperator(function))
    h.feed([1, 2])
    h.operator.close()
    h.operator.close()
    assert h.output.rows == [2, 4]
    assert function.calls == [0, "closed"]


@pytest.mark.parametrize("times", [None, [1, 2, 3, 4]])
def test_filter_takes_any_truth_value(harness, times):
    class Odd(FilterFunction):
        def filter(self, value):
            return value % 2

    h = harness(FilterOperator(Odd()))
    h.feed([1, 2, 3, 4], times)
    assert h.output.timed() == [
        (1, None if times is None else 1),
        (3, None if times is None else 3),
    ]


def test_filter_that_drops_all_emits_nothing(harness):
    h = harness(FilterOperator(lambda v: False))
    h.feed([1, 2], [1, 2])
    assert h.output.batches == []


def test_flat_map_results_have_the_time_of_their_record(harness):
    class Split(FlatMapFunction):
        def flat_map(self, value):
            return value.split() if value else None

    h = harness(FlatMapOperator(Split()))
    h.feed(["a b", "", "c"], [1, 2, 3])
    assert h.output.timed() == [("a", 1), ("b", 1), ("c", 3)]
    h.feed(["d e"])
    assert h.output.timed()[-2:] == [("d", None), ("e", None)]


def test_process_sends_tagged_values_to_side_outputs(harness):
    odd = OutputTag("odd")

    class Route(ProcessFunction):
        def process_element(self, value, ctx):
            if value % 2:
                yield odd, (value, ctx.timestamp())
            else:
                yield value
                yield (value, "tuple")

    h = harness(ProcessOperator(Route()))
    h.feed([1, 2, 3], [10, 20, 30])
    assert h.output.timed() == [(2, 20), ((2, "tuple"), 20)]
    assert h.output.sides == {"odd": [(1, 10), (3, 30)]}


def test_process_sees_the_times(harness):
    seen = []

    def process(value, ctx):
        seen.append((ctx.timestamp(), ctx.timer_service().current_watermark()))

    h = harness(ProcessOperator(process))
    h.watermark(5)
    h.feed_timed([("a", 7), ("b", None)])
    h.feed(["c"])
    assert seen == [(7, 5), (None, 5), (None, 5)]
    assert h.output.watermarks == [5]


def test_an_exception_names_function_and_record_and_keeps_its_traceback(harness):
    def reciprocal(value):
        return 1 / value

    h = harness(MapOperator(reciprocal), name="ratio")
    with pytest.raises(UserFunctionError) as caught:
        h.feed([1, 2, 0, 3])
    error = caught.value
    assert error.code == "LESTO-6001"
    assert error.record_index == 2
    assert error.operator == "ratio"
    assert "reciprocal" in error.function
    assert isinstance(error.__cause__, ZeroDivisionError)
    assert error.__cause__.__traceback__.tb_next.tb_frame.f_code.co_name in {
        "<listcomp>",
        "reciprocal",
    }
    copy = pickle.loads(pickle.dumps(error))
    assert (str(copy), copy.record_index, copy.function) == (str(error), 2, error.function)


@pytest.mark.parametrize("make", [MapOperator, FilterOperator, FlatMapOperator, ProcessOperator])
@pytest.mark.parametrize("times", [None, [1, 2, 3]])
def test_each_operator_reports_the_failing_record(harness, make, times):
    def fail(value, ctx=None):
        if value == "bad":
            raise RuntimeError
        return [value]

    h = harness(make(fail))
    with pytest.raises(UserFunctionError) as caught:
        h.feed(["a", "bad", "b"], times)
    assert caught.value.record_index == 1


def test_what_cannot_be_called_is_refused():
    with pytest.raises(InvalidFunctionError, match="map"):
        MapOperator(3)


def test_state_and_timers_need_a_keyed_stream(harness):
    class WantsState(MapFunction):
        def open(self, runtime_context):
            from lesto.state.descriptors import ValueStateDescriptor

            runtime_context.get_state(ValueStateDescriptor("count"))

        def map(self, value):
            return value

    with pytest.raises(KeyedStateUnavailableError, match="count"):
        harness(MapOperator(WantsState()))

    def timer(value, ctx):
        ctx.timer_service().register_event_time_timer(1)

    h = harness(ProcessOperator(timer))
    with pytest.raises(KeyedStateUnavailableError):
        h.feed([1])


def test_runtime_context_tells_about_the_task(harness):
    seen = {}

    class Look(MapFunction):
        def open(self, runtime_context):
            group = runtime_context.get_metrics_group()
            counter = group.counter("seen")
            counter.inc(3)
            counter.dec()
            assert group.counter("seen") is counter
            assert counter.get_count() == 2
            seen.update(
                name=runtime_context.get_task_name_with_subtasks(),
                parallelism=runtime_context.get_number_of_parallel_subtasks(),
                attempt=runtime_context.get_attempt_number(),
            )

        def map(self, value):
            return value

    harness(MapOperator(Look()), parallelism=4, subtask=1)
    assert seen == {"name": "task (2/4)", "parallelism": 4, "attempt": 0}
