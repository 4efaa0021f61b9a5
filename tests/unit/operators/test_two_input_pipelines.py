"""Whole pipelines of two streams: event time of both, idleness, and columns against rows."""

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis_profiles import examples

from lesto.common import Row
from lesto.datastream import KeyedCoProcessFunction
from lesto.testing import OperatorHarness


class Alarm(KeyedCoProcessFunction):
    def process_element1(self, value, ctx):
        ctx.timer_service().register_event_time_timer(value)

    def process_element2(self, value, ctx):
        yield value, ctx.timer_service().current_watermark()

    def on_timer(self, timestamp, ctx):
        yield "timer", timestamp


def alarms(first, second):
    return first.connect(second).key_by(lambda v: 0, lambda v: 0).process(Alarm())


def test_event_time_is_that_of_the_slower_input():
    with OperatorHarness(alarms) as harness:
        harness.push(5, 20, input=0)
        harness.watermark(30, input=0)
        assert harness.results == []
        harness.watermark(10, input=1)
        assert harness.take() == [("timer", 5)]
        harness.push("now", input=1)
        assert harness.take() == [("now", 10)]
        harness.watermark(40, input=1)
        assert harness.take() == [("timer", 20)]


def test_an_idle_input_does_not_hold_event_time():
    with OperatorHarness(alarms) as harness:
        harness.push(5, 20, 50, input=0)
        harness.watermark(10, input=1)
        harness.idle(input=1)
        harness.watermark(30, input=0)
        assert harness.take() == [("timer", 5), ("timer", 20)]
        harness.idle(False, input=1)
        harness.watermark(35, input=1)  # active again, and no more behind
        harness.watermark(60, input=0)
        assert harness.take() == []
        harness.watermark(55, input=1)
        assert harness.take() == [("timer", 50)]


LEFT = pa.schema([("k", pa.int64()), ("v", pa.string())])
RIGHT = pa.schema([("k", pa.int64()), ("w", pa.int64())])
events = st.lists(
    st.one_of(
        st.tuples(st.integers(0, 1), st.integers(0, 2), st.integers(0, 60)),
        st.integers(0, 50),
    ),
    max_size=40,
)


def play(pipeline, steps):
    """Results of a join, whatever their order, and watermarks."""
    with OperatorHarness(pipeline, schemas=(LEFT, RIGHT)) as harness:
        reached = -1
        for number, step in enumerate(steps):
            if isinstance(step, int):
                if step > reached:
                    reached = step
                    harness.watermark(step, input=0)
                    harness.watermark(step, input=1)
                continue
            side, key, time = step
            value = {"v": f"v{number}"} if side == 0 else {"w": number}
            harness.push({"k": key, **value}, timestamp=time, input=side)
        harness.end()
        found = [tuple(row.values()) if isinstance(row, dict) else tuple(row)
                 for row in harness.results]  # fmt: skip
        return sorted(found), harness.watermarks


def join(left, right):
    return left.key_by("k").interval_join(right.key_by("k")).between(-9, 5)


@settings(max_examples=examples(15))
@given(events)
def test_columns_join_as_rows_do(steps):
    columns, times = play(lambda a, b: join(a, b).join(), steps)
    rows, others = play(lambda a, b: join(a, b).apply(lambda x, y: Row(x.k, x.v, y.w)), steps)
    assert columns == rows
    assert times == others
