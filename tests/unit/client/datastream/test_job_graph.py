"""Golden tests of chaining, partitioners and identities: the graph that reaches the JobManager."""

import pyarrow as pa
import pytest

from lesto.client.datastream.environment import StreamExecutionEnvironment
from lesto.client.datastream.job_graph import derived_max_parallelism
from lesto.client.run_options import RunOptions
from lesto.common import Configuration, OutputTag, Types, WatermarkStrategy, col
from lesto.common.expressions import count, window_start
from lesto.connectors.datagen import DataGenSource, random_int, sequence
from lesto.connectors.memory.blackhole import BlackholeSink
from lesto.datastream import KeyedProcessFunction, MapFunction, ProcessFunction
from lesto.datastream.window import TumblingEventTimeWindows
from lesto.proto import job_pb2 as pb


@pytest.fixture
def env():
    environment = StreamExecutionEnvironment(Configuration(), RunOptions())
    environment.set_parallelism(2)
    return environment


def numbers(env):
    source = DataGenSource({"key": random_int(0, 9), "v": sequence(), "ts": sequence()}, rows=10)
    strategy = WatermarkStrategy.for_monotonous_timestamps().with_timestamp_column("ts")
    return env.from_source(source, strategy, "numbers")


class Double(MapFunction):
    def map(self, value):
        return value * 2


class Split(ProcessFunction):
    def process_element(self, value, ctx):
        yield value


class PerKey(KeyedProcessFunction):
    def process_element(self, value, ctx):
        yield value


def vertices(graph):
    return [v.name for v in graph.vertices]


def edges(graph):
    names = {v.id: v.name for v in graph.vertices}
    return [
        (
            names[e.source_vertex],
            e.source_operator,
            pb.PartitionKind.Name(e.partitioner.kind).removeprefix("PARTITION_KIND_"),
            names[e.target_vertex],
        )
        for e in graph.edges
    ]


def test_forward_operators_of_equal_parallelism_become_one_vertex(env):
    numbers(env).filter(col("v") > 1).select("key", "v").sink_to(BlackholeSink())
    graph = env.get_job_graph("job")
    assert vertices(graph) == ["Source: numbers -> Filter -> Select -> Sink: BlackholeSink"]
    operators = graph.vertices[0].operators
    assert [[c.target_operator for c in o.chained] for o in operators] == [[1], [2], [3], []]
    assert [o.kind for o in operators] == [1, 2, 2, 3]
    assert operators[0].source_pickle
    assert not graph.edges


def test_a_chain_branches_where_two_operators_read_one(env):
    stream = numbers(env)
    stream.filter(col("v") > 1).sink_to(BlackholeSink())
    stream.filter(col("v") < 1).sink_to(BlackholeSink())
    (vertex,) = env.get_job_graph().vertices
    assert [[c.target_operator for c in o.chained] for o in vertex.operators] == [
        [1, 3],
        [2],
        [],
        [4],
        [],
    ]


def test_key_by_columns_is_a_hash_edge_with_the_schema(env):
    numbers(env).key_by("key").agg(col("v").sum().alias("total")).sink_to(BlackholeSink())
    graph = env.get_job_graph()
    assert edges(graph) == [("Source: numbers", 0, "HASH", "Aggregate -> Sink: BlackholeSink")]
    edge = graph.edges[0]
    assert list(edge.partitioner.key_columns) == ["key"]
    schema = pa.ipc.read_schema(pa.py_buffer(edge.schema))
    assert schema.names == ["key", "v", "ts"]
    assert graph.vertices[1].operators[0].keyed
    result = pa.ipc.read_schema(pa.py_buffer(graph.vertices[1].operators[0].output_schema))
    assert result == pa.schema([("key", pa.int64()), ("total", pa.int64())])


def test_key_by_a_function_ships_the_selector(env):
    import cloudpickle

    env.from_collection([1, 2, 3]).key_by(lambda v: v % 2).process(PerKey()).print()
    graph = env.get_job_graph()
    selector = cloudpickle.loads(graph.edges[0].partitioner.key_selector_pickle)
    assert selector(3) == 1
    assert graph.edges[0].schema == b""


def test_different_parallelism_rebalances_instead_of_chaining(env):
    env.from_collection([1, 2]).map(Double()).print()
    graph = env.get_job_graph()
    assert edges(graph) == [
        ("Source: Collection Source", 0, "REBALANCE", "Map -> Print to Std. Out")
    ]
    assert [v.parallelism for v in graph.vertices] == [1, 2]


@pytest.mark.parametrize(
    ("method", "kind"),
    [
        ("rebalance", "REBALANCE"),
        ("rescale", "RESCALE"),
        ("shuffle", "SHUFFLE"),
        ("broadcast", "BROADCAST"),
        ("global_", "GLOBAL"),
    ],
)
def test_an_explicit_partitioner_is_kept_and_breaks_the_chain(env, method, kind):
    getattr(numbers(env), method)().sink_to(BlackholeSink())
    assert edges(env.get_job_graph()) == [("Source: numbers", 0, kind, "Sink: BlackholeSink")]


def test_partition_custom_ships_partitioner_and_key(env):
    import cloudpickle

    numbers(env).partition_custom(lambda key, n: key % n, "key").sink_to(BlackholeSink())
    partitioner = env.get_job_graph().edges[0].partitioner
    assert partitioner.kind == pb.PARTITION_KIND_CUSTOM
    assert list(partitioner.key_columns) == ["key"]
    assert cloudpickle.loads(partitioner.partitioner_pickle)(7, 4) == 3


def test_union_is_several_edges_to_one_input(env):
    numbers(env).union(numbers(env)).filter(col("v") > 0).sink_to(BlackholeSink())
    graph = env.get_job_graph()
    assert vertices(graph) == [
        "Source: numbers",
        "Source: numbers",
        "Filter -> Sink: BlackholeSink",
    ]
    assert [(e.source_vertex, e.target_input) for e in graph.edges] == [
        (graph.vertices[0].id, 0),
        (graph.vertices[1].id, 0),
    ]


def test_side_outputs_carry_their_tag_on_edges_and_in_chains(env):
    tag = OutputTag("odd", Types.LONG())
    main = numbers(env).process(Split())
    main.sink_to(BlackholeSink())
    main.get_side_output(tag).key_by(lambda v: v).process(PerKey()).sink_to(BlackholeSink())
    main.get_side_output(tag).map(Double()).sink_to(BlackholeSink())
    graph = env.get_job_graph()
    split = graph.vertices[0].operators[1]
    assert [c.side_tag for c in split.chained] == ["", "odd"]
    assert [e.side_tag for e in graph.edges] == ["odd"]


@pytest.mark.parametrize(
    ("change", "names"),
    [
        (
            lambda s: s.start_new_chain(),
            ["Source: numbers", "Filter -> Sink: BlackholeSink"],
        ),
        (
            lambda s: s.disable_chaining(),
            ["Source: numbers", "Filter", "Sink: BlackholeSink"],
        ),
        (
            lambda s: s.slot_sharing_group("other"),
            ["Source: numbers", "Filter -> Sink: BlackholeSink"],
        ),
    ],
)
def test_chaining_can_be_steered(env, change, names):
    change(numbers(env).filter(col("v") > 0)).sink_to(BlackholeSink())
    assert vertices(env.get_job_graph()) == names


def test_disabling_chaining_gives_each_operator_a_vertex(env):
    env.disable_operator_chaining()
    numbers(env).filter(col("v") > 0).sink_to(BlackholeSink())
    graph = env.get_job_graph()
    assert len(graph.vertices) == 3
    assert [kind for _, _, kind, _ in edges(graph)] == ["FORWARD", "FORWARD"]


# ------------------------------------------------------------------------------------ identities


def uids(env):
    return {o.name: o.uid for v in env.get_job_graph().vertices for o in v.operators}


def test_generated_uids_are_the_same_in_every_build_and_known():
    def build():
        env = StreamExecutionEnvironment(Configuration(), RunOptions())
        numbers(env).filter(col("v") > 0).sink_to(BlackholeSink())
        return uids(env)

    assert build() == build()
    # A change of this value breaks the restore of every savepoint of jobs without uids.
    assert build()["Source: numbers"] == "1cdaa6709db7759965921f95a14abb9f"


def test_generated_uids_survive_renaming_reparallelising_and_other_branches(env):
    stream = numbers(env)
    stream.filter(col("v") > 0).name("kept").sink_to(BlackholeSink()).name("out")
    before = uids(env)
    stream.map(Double()).disable_chaining().sink_to(BlackholeSink()).name("second")
    stream._upstreams[0].node.parallelism = 4
    after = uids(env)
    assert before == {name: after[name] for name in before}


def test_equal_siblings_get_different_uids(env):
    stream = numbers(env)
    stream.sink_to(BlackholeSink()).name("a")
    stream.sink_to(BlackholeSink()).name("b")
    found = uids(env)
    assert found["a"] != found["b"]


def test_a_users_uid_fixes_the_identity_wherever_the_operator_stands(env):
    numbers(env).filter(col("v") > 0).uid("mine").sink_to(BlackholeSink())
    first = uids(env)["Filter"]
    other = StreamExecutionEnvironment(Configuration(), RunOptions())
    stream = numbers(other).select("v").map(Double()).filter(lambda v: v).uid("mine")
    stream.sink_to(BlackholeSink())
    assert uids(other)["Filter"] == first


def test_set_uid_hash_is_taken_as_it_is(env):
    numbers(env).sink_to(BlackholeSink()).set_uid_hash("ab" * 16)
    assert uids(env)["Sink: BlackholeSink"] == "ab" * 16


# ------------------------------------------------------------------------------------- the rest


def test_max_parallelism_follows_flinks_formula():
    assert [derived_max_parallelism(p) for p in (1, 85, 86, 128, 171, 32768)] == [
        128,
        128,
        256,
        256,
        256,
        32768,
    ]


def test_an_operators_location_is_the_users_line(env):
    numbers(env).filter(col("v") > 0).sink_to(BlackholeSink())
    for operator in env.get_job_graph().vertices[0].operators:
        file, _, line = operator.location.rpartition(":")
        assert file == __file__
        assert int(line) > 0


def test_windowed_aggregates_of_columns_name_key_columns_first(env):
    stream = (
        numbers(env)
        .key_by("key")
        .window(TumblingEventTimeWindows.of("10s"))
        .agg(window_start(), n=count())
    )
    assert stream.schema.names == ["key", "window_start", "n"]


def test_keyed_sum_of_columns_keeps_all_columns(env):
    stream = numbers(env).key_by("key").sum("v")
    assert stream.schema.names == ["key", "v", "ts"]
    stream.sink_to(BlackholeSink())
    factory = env.get_job_graph().vertices[1].operators[0].factory_pickle
    assert b"RunningAggregateOperator" in factory


def test_a_named_row_type_makes_columns_of_a_function_s_results(env):
    types = Types.ROW_NAMED(["a", "b"], [Types.LONG(), Types.STRING()])
    stream = numbers(env).map(lambda r: (r.v, "x"), output_type=types)
    assert stream.schema == pa.schema([("a", pa.int64()), ("b", pa.string())])
    assert stream.filter(col("a") > 1).schema == stream.schema


def test_the_graph_carries_run_options_but_never_the_token():
    options = RunOptions(savepoint="/s/1", allow_non_restored=True, parallelism=3)
    config = Configuration.from_dict(
        {"security.token": "secret", "s3.secret-key": "secret", "pipeline.name": "named"}
    )
    env = StreamExecutionEnvironment(config, options)
    numbers(env).sink_to(BlackholeSink())
    graph = env.get_job_graph()
    assert graph.restore_path == "/s/1"
    assert graph.allow_non_restored_state
    assert graph.name == "named"
    assert graph.vertices[0].parallelism == 3
    assert "secret" not in str(graph)


def test_factories_make_operators(env):
    import cloudpickle

    from lesto.taskmanager.operators.base import Operator

    stream = numbers(env).filter(col("v") > 0)
    stream.map(Double()).key_by(lambda v: v).reduce(lambda a, b: a + b).print()
    stream.key_by("key").process(PerKey()).filter(bool).flat_map(lambda v: [v]).print()
    stream.key_by("key").window(TumblingEventTimeWindows.of("1s")).reduce(max).print()
    stream.with_columns(w=col("v") * 2).key_by("key").agg(count()).sink_to(BlackholeSink())
    for vertex in env.get_job_graph().vertices:
        for node in vertex.operators:
            assert isinstance(cloudpickle.loads(node.factory_pickle).create(), Operator)
