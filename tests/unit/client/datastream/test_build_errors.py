"""What a user meets when a job is built wrongly: what, where in the user's file, what to do."""

import subprocess
import sys
import threading

import cloudpickle
import pytest

from lesto.client.datastream.environment import StreamExecutionEnvironment
from lesto.client.datastream.errors import (
    DuplicateUidError,
    InvalidParallelismError,
    JobBuildError,
    NoSinkError,
    NotSupportedError,
    SchemaConflictError,
    SchemaRequiredError,
    UnpicklableFunctionError,
    WrongArgumentError,
)
from lesto.client.run_options import RunOptions
from lesto.common import Configuration, Types, WatermarkStrategy, col
from lesto.common.expressions import ExpressionError
from lesto.datastream import MapFunction, ReduceFunction
from lesto.datastream.window import EventTimeSessionWindows, TumblingEventTimeWindows

LOCK = threading.Lock()


@pytest.fixture
def env():
    return StreamExecutionEnvironment(Configuration(), RunOptions())


@pytest.fixture
def flights(env):
    types = Types.ROW_NAMED(["carrier", "dep_delay"], [Types.STRING(), Types.LONG()])
    return env.from_collection([("UA", 3)], types)


def line_of(error):
    file, _, line = error.location.rpartition(":")
    assert file == __file__
    with open(file, encoding="utf-8") as source:
        return source.read().splitlines()[int(line) - 1]


@pytest.mark.parametrize(
    "call",
    [
        lambda s: s.filter(col("dep_dealy") > 15),
        lambda s: s.select("dep_dealy"),
        lambda s: s.with_columns(x=col("dep_dealy") + 1),
        lambda s: s.key_by("dep_dealy"),
        lambda s: s.key_by("carrier").sum("dep_dealy"),
        lambda s: s.key_by("carrier").agg(col("dep_dealy").sum()),
        lambda s: (
            s.key_by("carrier")
            .window(TumblingEventTimeWindows.of("1s"))
            .agg(col("dep_dealy").max())
        ),
        lambda s: s.assign_timestamps_and_watermarks(
            WatermarkStrategy.no_watermarks().with_timestamp_column("dep_dealy")
        ),
    ],
)
def test_a_wrong_column_names_the_nearest_and_the_users_line(flights, call):
    with pytest.raises(ExpressionError) as caught:
        call(flights)
    assert "column 'dep_dealy' does not exist" in str(caught.value)
    assert "did you mean 'dep_delay'?" in str(caught.value)
    assert "s." in line_of(caught.value) or ".agg(" in line_of(caught.value)


@pytest.mark.parametrize(
    ("call", "part"),
    [
        (lambda s: s.map(3), "map takes a MapFunction or a callable, not 3 (int)"),
        (lambda s: s.map(Counting), "pass an instance: Counting()"),
        (lambda s: s.map(Adding()), "map takes a MapFunction or a callable"),
        (lambda s: s.process(lambda v: v), "process takes a ProcessFunction"),
        (lambda s: s.map(len, output_type=Types.STRING), "call it: Types.STRING()"),
        (lambda s: s.sink_to("out"), "sink_to takes a Sink, not 'out' (str)"),
        (lambda s: s.union([1]), "union takes DataStreams"),
        (lambda s: s.key_by(7), "key_by takes a KeySelector or a callable"),
        (lambda s: s.key_by("carrier").window("1s"), "window takes a WindowAssigner"),
        (lambda s: s.set_parallelism("2"), "set_parallelism takes a whole number"),
        (lambda s: s.uid(""), "uid takes a non-empty text"),
        (lambda s: s.select(), "select takes at least one column"),
        (lambda s: s.assign_timestamps_and_watermarks(5), "takes a WatermarkStrategy"),
        (lambda s: s.execute_and_collect(limit=0), "a positive limit"),
    ],
)
def test_an_argument_of_the_wrong_type_is_refused_at_the_call(flights, call, part):
    with pytest.raises(WrongArgumentError) as caught:
        call(flights)
    assert part in str(caught.value)
    assert "lambda s:" in line_of(caught.value)


class Counting(MapFunction):
    def map(self, value):
        return value


class Adding(ReduceFunction):
    def reduce(self, value1, value2):
        return value1 + value2


class Holding(MapFunction):
    def __init__(self):
        self.connection = LOCK

    def map(self, value):
        return value


def using_a_global(value):
    with LOCK:
        return value


def test_a_captured_variable_that_cannot_be_sent_is_named(env):
    lock = threading.Lock()
    env.from_collection([1]).map(lambda v: (lock, v)).print()
    with pytest.raises(UnpicklableFunctionError) as caught:
        env.get_job_graph()
    text = str(caught.value)
    assert "operator 'Map': the lambda" in text
    assert "the captured variable 'lock' (a _thread.lock)" in text
    assert "create it in open()" in text
    assert "lambda v: (lock, v)" in line_of(caught.value)


def test_an_attribute_or_global_that_cannot_be_sent_is_named(env):
    env.from_collection([1]).map(Holding()).print()
    with pytest.raises(UnpicklableFunctionError, match="the attribute 'connection'"):
        env.get_job_graph()
    env.close()
    env.from_collection([1]).map(using_a_global).print()
    with pytest.raises(
        UnpicklableFunctionError, match=r"function 'using_a_global' .*the global variable 'LOCK'"
    ):
        env.get_job_graph()


def test_two_operators_with_one_uid_are_both_named(env):
    stream = env.from_collection([1])
    stream.map(len).name("first").uid("x").print()
    stream.map(len).name("second").uid("x").print()
    with pytest.raises(DuplicateUidError, match=r"'second' and 'first' .*same uid 'x'"):
        env.get_job_graph()


def test_a_job_without_a_sink_is_refused(env):
    env.from_collection([1]).map(len)
    with pytest.raises(NoSinkError, match=r"'Map' at .*test_build_errors.py:\d+"):
        env.execute("job")


def test_an_empty_job_is_refused(env):
    with pytest.raises(NoSinkError, match="no operator at all"):
        env.execute()


def test_expressions_on_opaque_values_say_how_to_get_columns(env):
    with pytest.raises(SchemaRequiredError, match=r"output_type=Types\.ROW_NAMED"):
        env.from_collection([1]).filter(col("x") > 1)


def test_column_aggregates_need_a_key_of_columns(flights):
    with pytest.raises(SchemaRequiredError, match="key made of columns"):
        flights.key_by(lambda r: r.carrier).agg(col("dep_delay").sum())


def test_union_of_different_columns_shows_both(flights):
    with pytest.raises(SchemaConflictError, match=r"dep_delay: int64\) and \(carrier: string\)"):
        flights.union(flights.select("carrier"))


def test_forward_between_different_parallelism_is_refused(env):
    env.set_parallelism(2)
    env.from_collection([1]).forward().map(len).print()
    with pytest.raises(
        InvalidParallelismError, match=r"forward from .*parallelism 1.*parallelism 2"
    ):
        env.get_job_graph()


def test_parallelism_above_the_key_groups_is_refused(env):
    env.from_sequence(1, 3).map(len).set_parallelism(200).set_max_parallelism(100).print()
    with pytest.raises(InvalidParallelismError, match="200, above its max parallelism 100"):
        env.get_job_graph()


def test_a_source_that_cannot_be_parallel_stays_so(env):
    with pytest.raises(InvalidParallelismError, match="always runs with parallelism 1"):
        env.from_collection([1]).set_parallelism(2)


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda e, s: s.add_sink(None), "add_sink"),
        (lambda e, s: s.cache(), "cache"),
        (lambda e, s: e.add_source(None), "add_source"),
    ],
)
def test_what_flink_has_and_lesto_has_not_is_named(env, flights, call, name):
    with pytest.raises(NotSupportedError, match=f"{name}.* is not supported yet"):
        call(env, flights)


def test_a_trigger_that_cannot_merge_is_refused_for_sessions(flights):
    from lesto.datastream.window import NeverTrigger

    windows = flights.key_by("carrier").window(EventTimeSessionWindows.with_gap("1s"))
    with pytest.raises(JobBuildError, match="NeverTrigger cannot merge"):
        windows.trigger(NeverTrigger())


def test_a_setting_of_an_operator_is_refused_on_a_union(flights):
    with pytest.raises(JobBuildError, match="union is none"):
        flights.union(flights).uid("x")


def test_modules_beside_the_script_need_no_path_on_the_workers(tmp_path):
    (tmp_path / "helper_beside.py").write_text(
        "FACTOR = 3\ndef triple(v):\n    return v * FACTOR\n"
    )
    (tmp_path / "job.py").write_text(
        "import sys\n"
        "from helper_beside import triple\n"
        "from lesto.datastream import StreamExecutionEnvironment\n"
        "env = StreamExecutionEnvironment.get_execution_environment()\n"
        "env.from_collection([1, 2]).map(triple).print()\n"
        "graph = env.get_job_graph('job')\n"
        "sys.stdout.buffer.write(graph.vertices[0].operators[1].factory_pickle)\n"
    )
    done = subprocess.run(
        [sys.executable, tmp_path / "job.py"], capture_output=True, check=False, cwd="/"
    )
    assert done.returncode == 0, done.stderr.decode()
    factory = cloudpickle.loads(done.stdout)
    assert "helper_beside" not in sys.modules
    (function,) = factory.args
    assert function(4) == 12
