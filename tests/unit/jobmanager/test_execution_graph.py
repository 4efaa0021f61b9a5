import pytest
from hypothesis import given
from hypothesis import strategies as st
from jobgraphs import edge, job, pipeline, vertex

from lesto.jobmanager.core.execution_graph import DeploymentContext, ExecutionGraph
from lesto.jobmanager.core.graph_validation import validate_graph
from lesto.jobmanager.core.slots import Slot
from lesto.jobmanager.core.states import TaskState
from lesto.jobmanager.core.wiring import consumers_of, producers_of
from lesto.jobmanager.errors import InvalidJobGraphError
from lesto.proto import job_pb2

FORWARD, RESCALE = job_pb2.PARTITION_KIND_FORWARD, job_pb2.PARTITION_KIND_RESCALE
HASH = job_pb2.PARTITION_KIND_HASH


def slots(count):
    return [Slot(f"s{i}", "tm", f"grpc://127.0.0.1:{i}") for i in range(count)]


def deployments(graph, count, **context):
    execution = ExecutionGraph(graph, epoch=3, now_ms=1)
    batches = execution.deploy(slots(count), DeploymentContext("/ck/job", "secret", **context), 2)
    execution.validate()
    found = {(t.vertex.name, t.task.subtask): t for b in batches.values() for t in b.tasks}
    return execution, batches, found


def test_subtask_i_of_every_vertex_of_a_group_shares_a_slot():
    _, batches, _ = deployments(pipeline(2), 2)
    for slot_id, batch in batches.items():
        assert [t.vertex.name for t in batch.tasks] == ["numbers", "total"]
        assert {t.task.subtask for t in batch.tasks} == {int(slot_id[1])}


def test_groups_do_not_share_slots():
    graph = job([vertex("a", 1, source=b"x"), vertex("b", 2, group="other")], [edge("a", "b")])
    _, batches, _ = deployments(graph, 3)
    assert sorted(len(batch.tasks) for batch in batches.values()) == [1, 1, 1]


def test_a_deployment_names_epoch_attempt_roots_and_both_ends_of_each_channel():
    graph = pipeline(2, config={"parallelism.default": "2"})
    _, _, found = deployments(graph, 2, restored_checkpoint_id=7, restore_root="/old")
    task = found["total", 1]
    assert (task.task.epoch, task.task.attempt, task.restored_checkpoint_id) == (3, 1, 7)
    assert (task.checkpoint_root, task.restore_root) == ("/ck/job", "/old")
    assert task.data_token == "secret"
    assert dict(task.config) == {"parallelism.default": "2"}
    (gate,) = task.inputs
    assert [(p.subtask, p.slot_id, p.flight_uri) for p in gate.producers] == [
        (0, "s0", "grpc://127.0.0.1:0"),
        (1, "s1", "grpc://127.0.0.1:1"),
    ]
    (output,) = found["numbers", 0].outputs
    assert [c.slot_id for c in output.consumers] == ["s0", "s1"]
    assert (output.consumer_parallelism, output.consumer_max_parallelism) == (2, 128)


def test_a_forward_edge_connects_equal_subtasks_only():
    graph = job([vertex("a", 2, source=b"x"), vertex("b", 2)], [edge("a", "b", FORWARD)])
    _, _, found = deployments(graph, 2)
    assert [p.subtask for p in found["b", 1].inputs[0].producers] == [1]
    assert [c.subtask for c in found["a", 0].outputs[0].consumers] == [0]


@given(st.sampled_from([FORWARD, RESCALE, HASH]), st.integers(1, 12), st.integers(1, 12))
def test_both_ends_agree_on_the_channels_and_none_is_left_out(kind, producers, consumers):
    if kind == FORWARD:
        consumers = producers
    there = {(p, c) for p in range(producers) for c in consumers_of(kind, producers, consumers, p)}
    back = {(p, c) for c in range(consumers) for p in producers_of(kind, producers, consumers, c)}
    assert there == back
    assert {p for p, _ in there} == set(range(producers))
    assert {c for _, c in there} == set(range(consumers))
    if kind == RESCALE:
        assert len(there) == max(producers, consumers)


def test_a_new_attempt_while_one_is_live_is_refused():
    execution, _, _ = deployments(pipeline(1), 1)
    with pytest.raises(AssertionError, match="live attempt"):
        execution.deploy(slots(1), DeploymentContext("", ""), 3)


def test_messages_of_another_epoch_attempt_slot_or_job_do_not_resolve():
    execution, _, found = deployments(pipeline(1), 1)
    ref = found["total", 0].task
    assert execution.resolve(ref, "s0").name == "total (1/1)"
    assert execution.resolve(ref, "s9") is None
    for field, value in (("epoch", 2), ("attempt", 2), ("job_id", "x"), ("subtask", 5)):
        stale = type(ref)()
        stale.CopyFrom(ref)
        setattr(stale, field, value)
        assert execution.resolve(stale, "s0") is None, field


def test_the_state_of_a_vertex_is_that_of_its_slowest_subtask():
    execution, _, _ = deployments(pipeline(2), 2)
    execution.subtasks["v-total", 0].advance(TaskState.RUNNING, 3)
    assert execution.vertex_state("v-total") is TaskState.DEPLOYING


SOURCE = vertex("a", 2, source=b"x")


@pytest.mark.parametrize(
    ("graph", "message"),
    [
        (job([SOURCE], [], job_id="x"), "not 32 lower-case hex"),
        (job([], []), "no operators"),
        (job([SOURCE, SOURCE], []), "vertex id 'v-a' is used twice"),
        (job([SOURCE, vertex("b", uids=("a",))], [edge("a", "b")]), "uid 'a' is used twice"),
        (job([SOURCE, vertex("b")], [edge("a", "b"), edge("c", "b")]), "vertex 'v-c'"),
        (job([SOURCE, vertex("b")], []), "'b' has no input"),
        (job([SOURCE, vertex("b", 3)], [edge("a", "b", FORWARD)]), "parallelism 3"),
        (
            job(
                [SOURCE, vertex("b"), vertex("c")],
                [edge("a", "b"), edge("b", "c"), edge("c", "b")],
            ),
            "form a cycle: b, c",
        ),
        (job([vertex("a", 0, source=b"x")], []), "parallelism 0"),
        (job([vertex("a", 9, source=b"x", max_parallelism=8)], []), "max parallelism 8"),
        (job([SOURCE, vertex("b")], [edge("a", "b", 0)]), "no partitioner"),
    ],
)
def test_a_graph_that_contradicts_itself_is_refused_by_name(graph, message):
    with pytest.raises(InvalidJobGraphError, match=message):
        validate_graph(graph)
