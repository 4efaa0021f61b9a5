"""The graph of operators with two inputs, and what is refused when they are built."""

import pyarrow as pa
import pytest

from lesto.client.datastream.environment import StreamExecutionEnvironment
from lesto.client.datastream.errors import JobBuildError, WrongArgumentError
from lesto.client.run_options import RunOptions
from lesto.common import Configuration, Duration, OutputTag, Time, Types
from lesto.connectors.memory.blackhole import BlackholeSink
from lesto.datastream import (
    BroadcastProcessFunction,
    CoFlatMapFunction,
    CoMapFunction,
    CoProcessFunction,
    KeyedBroadcastProcessFunction,
    KeyedCoProcessFunction,
    MapFunction,
    ProcessJoinFunction,
)
from lesto.datastream.state import MapStateDescriptor, ValueStateDescriptor
from lesto.proto import job_pb2 as pb


def environment():
    made = StreamExecutionEnvironment(Configuration(), RunOptions())
    made.set_parallelism(2)
    return made


@pytest.fixture
def env():
    return environment()


PAIR = Types.ROW_NAMED(["k", "v"], [Types.LONG(), Types.STRING()])
OTHER = Types.ROW_NAMED(["id", "v"], [Types.STRING(), Types.STRING()])
RULES = MapStateDescriptor("rules")


def values(env, name="values"):
    return env.from_collection([1, 2]).map(lambda v: v).name(name)


def columns(env, type_info=PAIR):
    return env.from_collection([], type_info)


class Maps(CoMapFunction):
    def map1(self, value):
        return value

    map2 = map1


class FlatMaps(CoFlatMapFunction):
    def flat_map1(self, value):
        return [value]

    flat_map2 = flat_map1


class Process(CoProcessFunction):
    def process_element1(self, value, ctx):
        yield value

    process_element2 = process_element1


class KeyedProcess(KeyedCoProcessFunction):
    def process_element1(self, value, ctx):
        yield value

    process_element2 = process_element1


class Broadcast(BroadcastProcessFunction):
    def process_element(self, value, ctx):
        yield value

    process_broadcast_element = process_element


class KeyedBroadcast(KeyedBroadcastProcessFunction):
    def process_element(self, value, ctx):
        yield value

    process_broadcast_element = process_element


class Join(ProcessJoinFunction):
    def process_element(self, left, right, ctx):
        yield left, right


class Map(MapFunction):
    def map(self, value):
        return value


def identity(value):
    return value


def inputs(graph):
    """(source, partitioner, input) of the edges into the operator with two inputs."""
    target = next(v for v in graph.vertices if v.name.startswith("both"))
    names = {v.id: v.name for v in graph.vertices}
    return [
        (
            names[e.source_vertex].rpartition(" -> ")[2],
            pb.PartitionKind.Name(e.partitioner.kind).removeprefix("PARTITION_KIND_"),
            e.target_input,
        )
        for e in graph.edges
        if e.target_vertex == target.id
    ]


def built(env, stream):
    stream.name("both").map(identity).name("after").sink_to(BlackholeSink()).name("sink")
    return env.get_job_graph()


def test_each_stream_has_an_input_and_what_follows_is_chained(env):
    graph = built(env, values(env, "a").connect(values(env, "b")).process(Process()))
    assert inputs(graph) == [("a", "FORWARD", 0), ("b", "FORWARD", 1)]
    (chain,) = [v.name for v in graph.vertices if v.name.startswith("both")]
    assert chain == "both -> after -> sink"


def test_a_union_feeds_one_input(env):
    first = values(env, "a").union(values(env, "b"))
    graph = built(env, first.connect(values(env, "c")).map(Maps()))
    assert [edge[2] for edge in inputs(graph)] == [0, 0, 1]


def test_a_stream_may_be_connected_with_itself(env):
    stream = values(env, "a")
    graph = built(env, stream.connect(stream).flat_map((list, list)))
    assert [edge[2] for edge in inputs(graph)] == [0, 1]
    assert len({edge.id for edge in graph.edges}) == len(graph.edges)


def test_keys_of_both_sides_are_hash_edges(env):
    first, second = values(env, "a"), columns(env)
    graph = built(env, first.connect(second).key_by(identity, "k").process(KeyedProcess()))
    assert [edge[1:] for edge in inputs(graph)] == [("HASH", 0), ("HASH", 1)]
    (operator,) = [o for v in graph.vertices for o in v.operators if o.name == "both"]
    assert operator.keyed


def test_keys_before_connect_do_as_well_and_key_by_replaces_them(env):
    keyed = values(env, "a").key_by(identity).connect(columns(env).key_by("v"))
    assert keyed._is_keyed_stream()
    again = keyed.key_by(lambda v: "x", ["k", "v"])
    assert again.stream2._key.columns == ("k", "v")
    built(env, again.map(Maps()))


@pytest.mark.parametrize(
    ("declared", "columns_of_key"),
    [
        (Types.TUPLE([Types.INT(), Types.STRING()]), ["k", "v"]),
        (Types.DOUBLE(), ["k"]),
        (Types.PICKLED_BYTE_ARRAY(), ["v"]),
        (None, ["k", "v"]),
    ],
)
def test_a_declared_key_type_may_meet_columns(env, declared, columns_of_key):
    keyed = values(env).key_by(identity, declared)
    assert keyed.connect(columns(env).key_by(*columns_of_key))._is_keyed_stream()


def test_a_broadcast_stream_goes_to_all_as_the_second_input(env):
    broadcast = values(env, "b").broadcast(RULES, MapStateDescriptor("more"))
    assert [d.name for d in broadcast.broadcast_state_descriptors] == ["rules", "more"]
    graph = built(env, values(env, "a").connect(broadcast).process(Broadcast()))
    assert inputs(graph) == [("a", "FORWARD", 0), ("b", "BROADCAST", 1)]


def test_a_keyed_stream_meets_a_broadcast_stream(env):
    keyed = values(env, "a").key_by(identity)
    graph = built(env, keyed.connect(values(env, "b").broadcast(RULES)).process(KeyedBroadcast()))
    assert inputs(graph) == [("a", "HASH", 0), ("b", "BROADCAST", 1)]


def test_the_identity_of_an_operator_depends_on_which_input_is_which():
    def uid(swapped):
        env = environment()
        a, b = values(env), values(env)
        one, two = (b, a) if swapped else (a, b)
        graph = built(env, one.connect(two).process(Process()))
        return next(o.uid for v in graph.vertices for o in v.operators if o.name == "both")

    assert uid(False) == uid(False)
    assert uid(False) != uid(True)


def test_names_are_pyflinks(env):
    a, b = values(env), values(env)
    keyed = a.connect(b).key_by(identity, identity)
    broadcast = b.broadcast(RULES)
    assert [
        a.connect(b).map(Maps()).get_name(),
        keyed.flat_map(FlatMaps()).get_name(),
        a.connect(b).process(Process()).get_name(),
        keyed.process(KeyedProcess()).get_name(),
        a.connect(broadcast).process(Broadcast()).get_name(),
        a.key_by(identity).connect(broadcast).process(KeyedBroadcast()).get_name(),
    ] == [
        "Co-Map",
        "Co-Flat Map",
        "Co-Process",
        "Keyed Co-Process",
        "Co-Process-Broadcast",
        "Keyed-Co-Process-Broadcast",
    ]


# ------------------------------------------------------------------------------- interval joins


def interval_join(env, **types):
    left = columns(env, types.get("left", PAIR)).key_by("k")
    return left.interval_join(columns(env, types.get("right", PAIR)).key_by("k"))


@pytest.mark.parametrize(
    ("lower", "upper", "bounds"),
    [
        (-5, 5, (-5, 5)),
        ("-2s", "1min", (-2_000, 60_000)),
        (Time.seconds(-1), Time.seconds(0), (-1_000, 0)),
        (Duration.of_millis(3), Duration.of_seconds(1), (3, 1_000)),
    ],
)
def test_bounds_are_any_durations(env, lower, upper, bounds):
    joined = interval_join(env).between(lower, upper)
    assert joined._bounds("") == bounds
    assert joined.lower_bound_exclusive()._bounds("") == (bounds[0] + 1, bounds[1])
    assert joined.upper_bound_exclusive()._bounds("") == (bounds[0] + 1, bounds[1] - 1)


def test_a_join_of_columns_has_the_columns_of_both(env):
    right = Types.ROW_NAMED(["k", "v", "w"], [Types.LONG(), Types.STRING(), Types.DOUBLE()])
    joined = interval_join(env, right=right).between(-1, 1)
    assert joined.join().schema == pa.schema(
        [("k", pa.int64()), ("v", pa.string()), ("v_right", pa.string()), ("w", pa.float64())]
    )
    assert joined.join(suffixes=("_a", "_b")).schema.names == ["k", "v_a", "v_b", "w"]
    built(env, joined.join())


def test_keys_of_different_names_are_both_kept(env):
    numbers = Types.ROW_NAMED(["id", "v"], [Types.INT(), Types.STRING()])
    left = columns(env).key_by("k").interval_join(columns(env, numbers).key_by("id"))
    assert left.between(0, 1).join().schema.names == ["k", "v", "id", "v_right"]


def test_a_join_of_values_gives_pairs_or_what_a_function_makes(env):
    a, b = values(env).key_by(identity), values(env).key_by(identity)
    joined = a.interval_join(b).between(-1, 1)
    tag = OutputTag("late")
    joined.side_output_left_late_data(tag).side_output_right_late_data(tag)
    assert joined.join().schema is None
    assert joined.join(lambda x, y: (x, y), PAIR).schema == PAIR.arrow_schema()
    assert joined.apply(max).get_name() == "Interval Join"
    assert joined.process(Join(), PAIR).schema == PAIR.arrow_schema()
    processing = a.interval_join(b).in_processing_time().between(0, 1)
    assert not processing._event_time
    assert a.interval_join(b).in_processing_time().in_event_time()._event_time


# ------------------------------------------------------------------------------------- mistakes


async def waits(*_):
    return None


class Waits(KeyedProcess):
    async def on_timer(self, timestamp, ctx):
        return []


class WaitsForRules(Broadcast):
    async def process_broadcast_element(self, value, ctx):
        return []


MISTAKES = {
    "async def in a pair": (
        lambda e: values(e).connect(values(e)).map((identity, waits)),
        r"'async def' in connect\(...\).map \(waits\) is not supported",
    ),
    "async def in a keyed function": (
        lambda e: values(e).connect(values(e)).key_by(identity, identity).process(Waits()),
        r"'async def' in connect\(...\).process \(on_timer\)",
    ),
    "async def beside rules": (
        lambda e: values(e).connect(values(e).broadcast(RULES)).process(WaitsForRules()),
        r"'async def' in connect\(broadcast\).process",
    ),
    "async def in a join": (
        lambda e: interval_join(e).between(0, 1).apply(waits),
        r"'async def' in interval_join\(...\).apply \(waits\)",
    ),
    "connect of no stream": (
        lambda e: values(e).connect([1]),
        r"connect takes a DataStream or a BroadcastStream, not \[1\]",
    ),
    "connect across environments": (
        lambda e: values(e).connect(values(environment())),
        "connect: the streams belong to different environments",
    ),
    "broadcast across environments": (
        lambda e: values(e).connect(values(environment()).broadcast(RULES)),
        "connect: the streams belong to different environments",
    ),
    "keys of different types": (
        lambda e: columns(e).key_by("k").connect(columns(e, OTHER).key_by("id")),
        "connect: the keys have different types, int64 and string",
    ),
    "keys of different types later": (
        lambda e: columns(e).connect(columns(e, OTHER)).key_by("k", "id"),
        "connect: the keys have different types, int64 and string",
    ),
    "keys of different widths": (
        lambda e: columns(e).connect(columns(e)).key_by(["k", "v"], "k"),
        "connect: the keys have 2 and 1 parts",
    ),
    "no key names": (
        lambda e: columns(e).connect(columns(e)).key_by([], "k"),
        "key_by takes at least one name",
    ),
    "a keyed function without keys": (
        lambda e: values(e).connect(values(e)).process(KeyedProcess()),
        "needs keys on both streams, but neither stream is keyed",
    ),
    "a keyed function with a key on one side": (
        lambda e: values(e).key_by(identity).connect(values(e)).process(KeyedProcess()),
        "needs keys on both streams, but the second stream is not keyed",
    ),
    "a keyed function with a key on the other side": (
        lambda e: values(e).connect(values(e).key_by(identity)).process(KeyedProcess()),
        "needs keys on both streams, but the first stream is not keyed",
    ),
    "a map function": (
        lambda e: values(e).connect(values(e)).map(Map()),
        "map takes a CoMapFunction or a pair of callables",
    ),
    "one callable": (
        lambda e: values(e).connect(values(e)).map(identity),
        "map takes a CoMapFunction or a pair of callables",
    ),
    "three callables": (
        lambda e: values(e).connect(values(e)).flat_map((list, list, list)),
        "flat_map takes a CoFlatMapFunction or a pair of callables",
    ),
    "a pair of other things": (
        lambda e: values(e).connect(values(e)).process((identity, 5)),
        "process takes a CoProcessFunction or a pair of callables, not 5",
    ),
    "a class": (
        lambda e: values(e).connect(values(e)).process(Process),
        "not the class Process",
    ),
    "broadcast of another state": (
        lambda e: values(e).broadcast(ValueStateDescriptor("x")),
        "broadcast takes MapStateDescriptors",
    ),
    "broadcast of one state twice": (
        lambda e: values(e).broadcast(RULES, MapStateDescriptor("rules")),
        "two states have the name 'rules'",
    ),
    "a keyed broadcast function without a key": (
        lambda e: values(e).connect(values(e).broadcast(RULES)).process(KeyedBroadcast()),
        "process takes a BroadcastProcessFunction here, not a KeyedBroadcastProcessFunction",
    ),
    "a broadcast function with a key": (
        lambda e: (
            values(e).key_by(identity).connect(values(e).broadcast(RULES)).process(Broadcast())
        ),
        "process takes a KeyedBroadcastProcessFunction here, not a BroadcastProcessFunction",
    ),
    "another function with a broadcast stream": (
        lambda e: values(e).connect(values(e).broadcast(RULES)).process(Process()),
        "process takes a BroadcastProcessFunction, not",
    ),
    "join of a stream that is not keyed": (
        lambda e: values(e).key_by(identity).interval_join(values(e)),
        "interval_join: the other stream is not keyed",
    ),
    "join of no stream": (
        lambda e: values(e).key_by(identity).interval_join([1]),
        "interval_join takes a KeyedStream, not",
    ),
    "join of keys of different types": (
        lambda e: columns(e).key_by("k").interval_join(columns(e, OTHER).key_by("id")),
        "interval_join: the keys have different types, int64 and string",
    ),
    "bounds the wrong way": (
        lambda e: interval_join(e).between(5, -5),
        "between: no record lies between 5 ms and -5 ms",
    ),
    "exclusive bounds that leave nothing": (
        lambda e: interval_join(e).between(5, 5).upper_bound_exclusive(),
        "upper_bound_exclusive: no record lies between 5 ms and 5 ms",
    ),
    "bounds that are none": (
        lambda e: interval_join(e).between("soon", 5),
        "between: not a duration: 'soon'",
    ),
    "a join function that is none": (
        lambda e: interval_join(e).between(0, 1).process(identity),
        "process takes a ProcessJoinFunction",
    ),
    "a process function to apply": (
        lambda e: interval_join(e).between(0, 1).apply(Map()),
        "apply takes a callable, or an object with join",
    ),
    "a tag that is none": (
        lambda e: interval_join(e).between(0, 1).side_output_left_late_data("late"),
        "side_output_left_late_data takes an OutputTag",
    ),
    "suffixes that do not help": (
        lambda e: interval_join(e).between(0, 1).join(suffixes=("", "")),
        "two columns of the result would have the name 'v'",
    ),
    "suffixes that are none": (
        lambda e: interval_join(e).between(0, 1).join(suffixes="_right"),
        "join takes a pair of texts as suffixes",
    ),
}


@pytest.mark.parametrize(("build", "message"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_told_where_it_is_made(env, build, message):
    with pytest.raises((JobBuildError, WrongArgumentError), match=message) as told:
        build(env)
    file, _, _ = told.value.location.rpartition(":")
    assert file == __file__
