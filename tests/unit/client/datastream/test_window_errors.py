"""Windows that cannot be are refused where they are written, with what to do instead."""

import pytest

from lesto.client.datastream.errors import (
    InvalidParallelismError,
    JobBuildError,
    NotSupportedError,
    SchemaRequiredError,
    WrongArgumentError,
)
from lesto.client.run_options import RunOptions
from lesto.common import Configuration, OutputTag, Types, col
from lesto.common.expressions import ExpressionError
from lesto.datastream import StreamExecutionEnvironment
from lesto.datastream.functions import AllWindowFunction, JoinFunction, WindowFunction
from lesto.datastream.window import (
    ContinuousEventTimeTrigger,
    CountEvictor,
    CountSlidingWindowAssigner,
    CountTrigger,
    CountTumblingWindowAssigner,
    DeltaEvictor,
    DeltaTrigger,
    EventTimeSessionWindows,
    EventTimeTrigger,
    GlobalWindows,
    MergingWindowAssigner,
    ProcessingTimeoutTrigger,
    SlidingEventTimeWindows,
    SlidingProcessingTimeWindows,
    TimeEvictor,
    TumblingEventTimeWindows,
    TumblingProcessingTimeWindows,
)
from lesto.taskmanager.operators.columnar.errors import UnsupportedWindowError

MOST = col("dep_delay").max()
SECOND = TumblingEventTimeWindows.of("1s")


@pytest.fixture
def env():
    return StreamExecutionEnvironment(Configuration(), RunOptions())


@pytest.fixture
def flights(env):
    types = Types.ROW_NAMED(["carrier", "dep_delay"], [Types.STRING(), Types.LONG()])
    return env.from_collection([("UA", 3)], types)


@pytest.fixture
def values(env):
    return env.from_collection([("UA", 3)])


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: TumblingEventTimeWindows.of(0), "size must be longer than zero"),
        (lambda: TumblingProcessingTimeWindows.of(-5), "size"),
        (lambda: TumblingEventTimeWindows.of(10, 10), "offset must be shorter"),
        (lambda: SlidingEventTimeWindows.of(10, 0), "slide must be longer than zero"),
        (lambda: SlidingProcessingTimeWindows.of(0, 5), "size must be longer than zero"),
        (lambda: EventTimeSessionWindows.with_gap(0), "gap must be longer than zero"),
        (lambda: CountTumblingWindowAssigner.of(0), "size of a count window"),
        (lambda: CountSlidingWindowAssigner.of(5, 0), "slide of a count window"),
        (lambda: CountTrigger.of(0), "count trigger needs"),
        (lambda: ContinuousEventTimeTrigger.of(0), "at least 1 ms"),
        (lambda: ProcessingTimeoutTrigger.of(EventTimeTrigger(), 0), "at least 1 ms"),
        (lambda: CountEvictor.of(0), "count evictor needs"),
        (lambda: TimeEvictor.of(0), "longer than zero"),
    ],
)
def test_sizes_of_nothing_are_refused(make, text):
    with pytest.raises(ValueError, match=text):
        make()


@pytest.mark.parametrize(
    "make", [lambda: DeltaTrigger.of(1, 2), lambda: DeltaEvictor.of(1, "x"),
             lambda: ProcessingTimeoutTrigger.of(None, 5),
             lambda: TumblingEventTimeWindows.of(10, 0, "natural")]
)  # fmt: skip
def test_what_is_no_function_is_refused(make):
    with pytest.raises(TypeError, match="not"):
        make()


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda s: s.window_all("1s"), "window_all takes a WindowAssigner"),
        (lambda s: s.count_window_all(0), "count_window_all takes a size of at least 1"),
        (lambda s: s.key_by("carrier").count_window(3, -1), "a slide of at least 0"),
        (lambda s: s.window_all(SECOND).evictor(3), "evictor takes an Evictor"),
        (lambda s: s.window_all(SECOND).trigger("x"), "trigger takes a Trigger"),
        (lambda s: s.window_all(SECOND).sum(5), "a position from 0 to 1"),
        (lambda s: s.window_all(SECOND).sum(True), "a field position or name"),
        (lambda s: s.window_all(SECOND).apply(KeyedOnly()), "apply takes a AllWindowFunction"),
        (
            lambda s: s.key_by("carrier").window(SECOND).apply(AllOnly()),
            "apply takes a WindowFunction",
        ),
        (
            lambda s: s.key_by("carrier").window(SECOND).reduce(min, AllOnly()),
            "WindowFunction or ProcessWindowFunction as second",
        ),
        (lambda s: s.join("x"), "join takes a DataStream"),
        (lambda s: s.co_group(None), "co_group takes a DataStream"),
        (lambda s: s.join(s).where(3), "where takes a KeySelector"),
        (
            lambda s: s.join(s).where("carrier").equal_to("carrier").window(3),
            "window takes a WindowAssigner",
        ),
        (lambda s: joined(s).apply(KeyedOnly()), "apply takes a JoinFunction or a callable"),
        (
            lambda s: grouped(s).apply(Pair()),
            "apply takes a CoGroupFunction or a callable",
        ),
        (lambda s: s.full_window_partition().sort_partition(True), "a field position or name"),
        (lambda s: s.full_window_partition().sort_partition(0, "up"), "takes an Order"),
        (lambda s: s.full_window_partition().map_partition(3), "takes a MapPartitionFunction"),
        (
            lambda s: s.join(s).where("carrier").equal_to("dep_delay").window(SECOND).columns(),
            "a column of string, the type of 'carrier'",
        ),
        (lambda s: joined(s).columns(suffix=""), "no two columns of one name"),
    ],
)  # fmt: skip
def test_wrong_arguments_are_named(flights, call, text):
    with pytest.raises(WrongArgumentError, match=text) as caught:
        call(flights)
    assert caught.value.location.startswith(__file__)


class KeyedOnly(WindowFunction):
    def apply(self, key, window, inputs):
        return inputs


class AllOnly(AllWindowFunction):
    def apply(self, window, inputs):
        return inputs


class Pair(JoinFunction):
    def join(self, first, second):
        return first, second


def grouped(stream):
    return stream.co_group(stream).where("carrier").equal_to("carrier").window(SECOND)


def joined(stream):
    return stream.join(stream).where("carrier").equal_to("carrier").window(SECOND)


@pytest.mark.parametrize(
    "call",
    [
        lambda s: s.window_all(SECOND).sum("dep_dealy"),
        lambda s: s.join(s).where("dep_dealy"),
        lambda s: s.full_window_partition().sort_partition("dep_dealy"),
    ],
)
def test_a_wrong_column_names_the_nearest(flights, call):
    with pytest.raises(ExpressionError, match="did you mean 'dep_delay'"):
        call(flights)


class Unmerged(MergingWindowAssigner):
    """Merges, and has a trigger that cannot."""

    def __init__(self, trigger):
        self.made = trigger

    def assign_windows(self, element, timestamp, context):
        return []

    def get_default_trigger(self, env):
        return self.made

    def is_event_time(self):
        return True

    def merge_windows(self, windows, callback):
        pass


def test_windows_that_merge_with_a_trigger_that_cannot(flights):
    windows = flights.key_by("carrier").window(EventTimeSessionWindows.with_gap("1s"))
    with pytest.raises(JobBuildError, match="DeltaTrigger cannot merge") as caught:
        windows.trigger(DeltaTrigger.of(1, min))
    assert "on_merge" in caught.value.remedy
    own = flights.key_by("carrier").window(Unmerged(DeltaTrigger.of(1, min)))
    with pytest.raises(JobBuildError, match="DeltaTrigger cannot merge"):
        own.sum(1)
    with pytest.raises(WrongArgumentError, match=r"Unmerged\.get_default_trigger"):
        flights.key_by("carrier").window(Unmerged(None)).sum(1)


def test_windows_that_never_fire(flights):
    with pytest.raises(JobBuildError, match="never give a result") as caught:
        flights.key_by("carrier").window(GlobalWindows.create()).sum(1)
    assert "CountTrigger" in caught.value.remedy
    flights.key_by("carrier").window(GlobalWindows.create()).trigger(CountTrigger.of(3)).sum(1)
    flights.window_all(GlobalWindows.create_with_end_of_stream_trigger()).sum(1)


def test_windows_of_a_whole_stream_run_in_one_subtask(flights):
    with pytest.raises(InvalidParallelismError, match="always runs with parallelism 1"):
        flights.window_all(SECOND).sum(1).set_parallelism(2)


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda w: w.trigger(EventTimeTrigger()).agg(MOST), "agg with a trigger"),
        (lambda w: w.evictor(CountEvictor.of(1)).agg(MOST), "agg with an evictor"),
    ],
)  # fmt: skip
def test_what_does_not_go_by_column(flights, call, text):
    with pytest.raises(NotSupportedError, match=text):
        call(flights.key_by("carrier").window(SECOND))


def test_joins_of_columns(flights, values):
    with pytest.raises(SchemaRequiredError, match="columns needs columns"):
        values.join(values).where("a").equal_to("a").window(SECOND).columns()
    by_function = flights.join(flights).where(lambda r: r[0]).equal_to("carrier").window(SECOND)
    with pytest.raises(SchemaRequiredError, match="keys made of columns"):
        by_function.columns()
    with pytest.raises(NotSupportedError, match="a join of columns with an evictor"):
        joined(flights).evictor(CountEvictor.of(1)).columns()
    sessions = EventTimeSessionWindows.with_gap("1s")
    with pytest.raises(UnsupportedWindowError, match="EventTimeSessionWindows") as caught:
        flights.join(flights).where("carrier").equal_to("carrier").window(sessions).columns()
    assert caught.value.location.startswith(__file__)
    assert joined(flights).columns().schema.names == ["carrier", "dep_delay", "dep_delay_right"]


def test_late_records_of_a_join(flights):
    with pytest.raises(NotSupportedError, match="side_output_late_data of a join"):
        joined(flights).side_output_late_data(OutputTag("late"))


def test_streams_of_two_environments(flights):
    other = StreamExecutionEnvironment(Configuration(), RunOptions()).from_collection([1])
    with pytest.raises(JobBuildError, match=r"co_group: .* different environments"):
        flights.co_group(other)


def test_windows_of_a_join_without_the_second_key(flights):
    pair = flights.join(flights).where(lambda row: row.carrier)
    with pytest.raises(JobBuildError, match=r"comes behind equal_to") as caught:
        pair.window(SECOND)
    assert "where(key).equal_to(key).window" in caught.value.remedy
    assert __file__ in caught.value.location
