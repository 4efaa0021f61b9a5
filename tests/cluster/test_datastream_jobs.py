"""Each part of the DataStream API on a real cluster: one JobManager, slot processes, many jobs."""

import pytest

from lesto.client.minicluster import MiniCluster
from lesto.client.run_options import RunOptions
from lesto.common import (
    Configuration,
    OutputTag,
    RestartStrategies,
    Row,
    Types,
    WatermarkStrategy,
    col,
)
from lesto.common.expressions import count
from lesto.datastream import (
    AggregateFunction,
    KeyedProcessFunction,
    MapFunction,
    ProcessFunction,
    ProcessWindowFunction,
    StreamExecutionEnvironment,
    WindowFunction,
)
from lesto.datastream.state import ListStateDescriptor, MapStateDescriptor, ValueStateDescriptor
from lesto.datastream.window import (
    ContinuousEventTimeTrigger,
    CountTrigger,
    EventTimeSessionWindows,
    GlobalWindows,
    PurgingTrigger,
    SlidingEventTimeWindows,
    TumblingEventTimeWindows,
)

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.leaks_ok("one cluster serves the tests of this module; its end is checked there"),
]

TYPES = Types.ROW_NAMED(
    ["k", "v", "ts", "s"], [Types.STRING(), Types.LONG(), Types.LONG(), Types.STRING()]
)
DATA = [
    ("a", 1, 1_000, "x"),
    ("b", 2, 2_000, "y"),
    ("a", 3, 11_000, "z"),
    ("a", 5, 12_000, "w"),
    ("b", 7, 25_000, "q"),
    ("a", 9, 1_500, "late"),
]
TAG = OutputTag("odd", Types.LONG())


@pytest.fixture(scope="module")
def cluster():
    with MiniCluster(Configuration(), slots=2) as running:
        running.wait_ready()
        yield running


@pytest.fixture
def env(cluster):
    config = Configuration.from_dict({"security.token": cluster.token})
    environment = StreamExecutionEnvironment(config, RunOptions(jobmanager=cluster.address))
    environment.set_restart_strategy(RestartStrategies.no_restart())
    return environment


def columns(env):
    return env.from_collection(DATA, TYPES)


def timed(env):
    strategy = WatermarkStrategy.for_bounded_out_of_orderness("30s").with_timestamp_column("ts")
    return columns(env).assign_timestamps_and_watermarks(strategy)


class Sum(AggregateFunction):
    def create_accumulator(self):
        return 0

    def add(self, value, accumulator):
        return accumulator + value.v

    def get_result(self, accumulator):
        return accumulator

    def merge(self, acc_a, acc_b):
        return acc_a + acc_b


class StartAndValues(ProcessWindowFunction):
    def process(self, key, context, elements):
        yield key, context.window().start, [getattr(e, "v", e) for e in elements]


class StartAndList(WindowFunction):
    def apply(self, key, window, inputs):
        return [(key, getattr(window, "start", None), list(inputs))]


class OddAside(ProcessFunction):
    def process_element(self, value, ctx):
        if value % 2:
            yield TAG, value
        else:
            yield value


class CountAndTimer(KeyedProcessFunction):
    def open(self, runtime_context):
        self.count = runtime_context.get_state(ValueStateDescriptor("count", Types.LONG()))
        self.seen = runtime_context.get_list_state(ListStateDescriptor("seen", Types.LONG()))
        self.last = runtime_context.get_map_state(
            MapStateDescriptor("last", Types.STRING(), Types.LONG())
        )

    def process_element(self, value, ctx):
        number = (self.count.value() or 0) + 1
        self.count.update(number)
        self.seen.add(value.v)
        self.last.put(value.s, value.v)
        ctx.timer_service().register_event_time_timer(20_000)
        yield ctx.get_current_key(), number

    def on_timer(self, timestamp, ctx):
        yield (
            "timer",
            ctx.get_current_key(),
            timestamp,
            sorted(self.seen),
            len(list(self.last.keys())),
        )


class RunningSum(MapFunction):
    def open(self, runtime_context):
        self.total = runtime_context.get_state(ValueStateDescriptor("total", Types.LONG()))

    def map(self, value):
        total = (self.total.value() or 0) + value
        self.total.update(total)
        return total


def window_sum(windows):
    return windows.reduce(lambda a, b: Row(k=a.k, v=a.v + b.v, ts=b.ts, s=b.s)).map(
        lambda r: (r.k, r.v)
    )


JOBS = {
    "map": (lambda e: e.from_collection([1, 2]).map(str), ["1", "2"]),
    "columns": (
        lambda e: columns(e).filter(col("v") > 5).with_columns(w=col("v") * 2).select("k", "w"),
        [Row(k="b", w=14), Row(k="a", w=18)],
    ),
    "columns to rows": (
        lambda e: columns(e).filter(col("v") > 5).map(lambda r: (r.k, r["v"], r[3])),
        [("b", 7, "q"), ("a", 9, "late")],
    ),
    "rows to columns": (
        lambda e: (
            e.from_collection([1, 2])
            .map(
                lambda v: Row(n=v, square=v * v),
                output_type=Types.ROW_NAMED(["n", "square"], [Types.LONG(), Types.LONG()]),
            )
            .filter(col("square") > 1)
        ),
        [Row(n=2, square=4)],
    ),
    "sum keeps the first record's fields": (
        lambda e: columns(e).key_by("k").sum("v").filter(lambda r: r.k == "b"),
        [Row(k="b", v=2, ts=2_000, s="y"), Row(k="b", v=9, ts=2_000, s="y")],
    ),
    "columnar sum does so too": (
        lambda e: columns(e).select("k", "v", "ts").key_by("k").sum("v").filter(col("k") == "b"),
        [Row(k="b", v=2, ts=2_000), Row(k="b", v=9, ts=2_000)],
    ),
    "max_by": (
        lambda e: columns(e).key_by(lambda r: r.k).max_by("v").map(lambda r: r.s),
        ["x", "y", "z", "w", "q", "late"],
    ),
    "sum of tuples": (
        lambda e: e.from_collection([("a", 1), ("a", 2)]).key_by(lambda t: t[0]).sum(1),
        [("a", 1), ("a", 3)],
    ),
    "running aggregates": (
        lambda e: (
            columns(e).key_by("k").agg(col("v").sum().alias("t"), count()).filter(col("k") == "b")
        ),
        [Row(k="b", t=2, count=1), Row(k="b", t=9, count=2)],
    ),
    "reduce": (
        lambda e: (
            e.from_collection([1, 2, 3, 4]).key_by(lambda v: v % 2).reduce(lambda a, b: a + b)
        ),
        [1, 2, 4, 6],
    ),
    "window agg": (
        lambda e: (
            timed(e)
            .key_by("k")
            .window(TumblingEventTimeWindows.of("10s"))
            .agg(count(), most=col("v").max())
        ),
        [
            Row(k="a", count=2, most=9),
            Row(k="b", count=1, most=2),
            Row(k="a", count=2, most=5),
            Row(k="b", count=1, most=7),
        ],
    ),
    "window reduce": (
        lambda e: window_sum(timed(e).key_by("k").window(TumblingEventTimeWindows.of("10s"))),
        [("a", 10), ("b", 2), ("a", 8), ("b", 7)],
    ),
    "window aggregate and function": (
        lambda e: (
            timed(e)
            .key_by(lambda r: r.k)
            .window(SlidingEventTimeWindows.of("10s", "5s"))
            .aggregate(Sum(), StartAndList())
        ),
        [
            ("a", -5_000, [10]),
            ("a", 0, [10]),
            ("a", 5_000, [8]),
            ("a", 10_000, [8]),
            ("b", -5_000, [2]),
            ("b", 0, [2]),
            ("b", 20_000, [7]),
            ("b", 25_000, [7]),
        ],
    ),
    "session process": (
        lambda e: (
            timed(e)
            .key_by("k")
            .window(EventTimeSessionWindows.with_gap("5s"))
            .process(StartAndValues())
        ),
        [
            ("a", 1_000, [1, 9]),
            ("b", 2_000, [2]),
            ("a", 11_000, [3, 5]),
            ("b", 25_000, [7]),
        ],
    ),
    "count windows": (
        lambda e: (
            e.from_collection(range(7))
            .key_by(lambda v: 0)
            .count_window(3)
            .reduce(lambda a, b: a + b)
        ),
        [3, 12],
    ),
    "sliding count windows": (
        lambda e: (
            e.from_collection(range(7)).key_by(lambda v: 0).count_window(4, 2).apply(StartAndList())
        ),
        [(0, None, [0, 1, 2, 3]), (0, None, [2, 3, 4, 5])],
    ),
    "continuous trigger": (
        lambda e: (
            timed(e)
            .filter(col("v") == 7)
            .key_by("k")
            .window(TumblingEventTimeWindows.of("10s"))
            .trigger(ContinuousEventTimeTrigger.of("2s"))
            .aggregate(Sum())
        ),
        [7, 7, 7],  # at 26 s, 28 s and the window's end
    ),
    "purging count trigger": (
        lambda e: (
            e.from_collection(range(5))
            .key_by(lambda v: 0)
            .window(GlobalWindows.create())
            .trigger(PurgingTrigger.of(CountTrigger.of(2)))
            .reduce(lambda a, b: a + b)
        ),
        [1, 5],
    ),
    "main beside side output": (
        lambda e: e.from_collection([1, 2, 3, 4]).process(OddAside()),
        [2, 4],
    ),
    "side output": (
        lambda e: e.from_collection([1, 2, 3, 4]).process(OddAside()).get_side_output(TAG),
        [1, 3],
    ),
    "keyed state and timers": (
        lambda e: timed(e).key_by("k").process(CountAndTimer()).filter(lambda t: t[0] in "b timer"),
        [
            ("b", 1),
            ("b", 2),
            ("timer", "a", 20_000, [1, 3, 5, 9], 4),
            ("timer", "b", 20_000, [2, 7], 2),
        ],
    ),
    "keyed map": (
        lambda e: e.from_collection([1, 2, 3]).key_by(lambda v: v % 2).map(RunningSum()),
        [1, 2, 4],
    ),
    "union": (
        lambda e: e.from_collection([1]).union(e.from_collection([2])).map(lambda v: v * 10),
        [10, 20],
    ),
    "sequence": (lambda e: e.from_sequence(1, 3).map(lambda n: n * 2), [2, 4, 6]),
    "project": (lambda e: columns(e).project(0, 3).filter(col("s") == "q"), [Row(k="b", s="q")]),
    "broadcast": (
        lambda e: e.set_parallelism(2).from_collection([1, 2]).broadcast().map(lambda v: v),
        [1, 1, 2, 2],
    ),
    "keyed over two slots": (
        lambda e: (
            e.set_parallelism(2)
            .from_collection(["a", "b", "a"])
            .map(lambda w: (w, 1))
            .key_by(lambda t: t[0])
            .reduce(lambda a, b: (a[0], a[1] + b[1]))
        ),
        [("a", 1), ("a", 2), ("b", 1)],
    ),
    "columns over two slots": (
        lambda e: (
            e.set_parallelism(2)
            .from_collection(DATA, TYPES)
            .key_by("k")
            .agg(t=col("v").sum())
            .filter(col("t") > 5)
        ),
        [Row(k="a", t=9), Row(k="a", t=18), Row(k="b", t=9)],
    ),
}


def sorted_by_text(values):
    return sorted(values, key=repr)


@pytest.mark.parametrize("name", JOBS)
def test_job_gives_what_flink_gives(env, name):
    build, expected = JOBS[name]
    found = list(build(env).execute_and_collect(name))
    # Order is kept for a key, not between keys and slots.
    assert sorted_by_text(found) == sorted_by_text(expected)


def divide(value):
    return 1 // value


def test_a_users_exception_leads_the_error(env):
    from lesto.client.errors import JobExecutionError

    env.from_collection([1, 0]).map(divide).print()
    with pytest.raises(JobExecutionError) as caught:
        env.execute("failing")
    lines = str(caught.value).splitlines()
    assert lines[0].startswith("Traceback")
    assert __file__ in lines[1]
    assert "in divide" in lines[1]
    assert any(line.startswith("ZeroDivisionError") for line in lines[:5])


def test_a_limit_ends_an_unbounded_job(env):
    from lesto.connectors.datagen import DataGenSource, sequence

    env.enable_checkpointing(200)
    source = DataGenSource({"n": sequence()}, rows_per_second=1_000)
    stream = env.from_source(source, WatermarkStrategy.no_watermarks(), "endless")
    assert [row.n for row in stream.execute_and_collect("endless", limit=3)] == [0, 1, 2]


def test_execute_async_gives_a_client_of_the_running_job(env):
    from lesto.client.job_client import JobStatus
    from lesto.connectors.datagen import DataGenSource, sequence
    from lesto.connectors.memory.blackhole import BlackholeSink

    source = DataGenSource({"n": sequence()}, rows_per_second=1_000)
    env.from_source(source, WatermarkStrategy.no_watermarks(), "endless").sink_to(BlackholeSink())
    with env.execute_async("endless") as job:
        assert job.get_job_status().result() in {JobStatus.CREATED, JobStatus.RUNNING}
        job.cancel_and_wait()
        assert job.get_job_status().result() is JobStatus.CANCELED
