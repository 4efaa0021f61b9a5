"""Another parallelism: what may be asked for, what fits, and the master's steps by hand."""

import pytest
from jobgraphs import edge, job, vertex

from lesto.jobmanager.core import events as ev
from lesto.jobmanager.core import instructions as do
from lesto.jobmanager.core.job_rescale import RESCALE_SLOT_WAIT_MS
from lesto.jobmanager.core.rescaling import (
    Bounds,
    bounds_of,
    fit,
    forward_edges,
    set_parallelism,
    widths_of,
)
from lesto.jobmanager.core.states import JobState, TaskState
from lesto.jobmanager.errors import JobLogError, NoResourceAvailableError, RescaleRefusedError
from lesto.proto import job_pb2
from tests.unit.jobmanager.test_job_master import Driver, commands, kinds

FORWARD, REBALANCE = job_pb2.PARTITION_KIND_FORWARD, job_pb2.PARTITION_KIND_REBALANCE


def graph():
    return job(
        [
            vertex("a", 2, source=b"x", max_parallelism=8),
            vertex("b", 2, max_parallelism=8),
            vertex("one", 1, max_parallelism=1),
        ],
        [edge("a", "b", FORWARD), edge("b", "one")],
    )


def test_every_parallel_vertex_is_asked_for_and_vertices_by_name_or_id_on_top():
    bounds = bounds_of(graph(), 3, {"b": (1, 5), "v-a": (4, 4)})
    assert bounds == {"v-a": Bounds(4, 4), "v-b": Bounds(1, 5), "v-one": Bounds(1, 1)}


@pytest.mark.parametrize(
    ("parallelism", "vertices", "message"),
    [
        (9, {}, "'a' cannot have parallelism 9: its max parallelism is 8"),
        (0, {"b": (1, 9)}, "'b' cannot have parallelism 9"),
        (0, {"one": (1, 2)}, "'one' is not parallel"),
        (0, {"bb": (1, 2)}, "no vertex 'bb'.*did you mean 'b'"),
        (0, {"b": (1, -1)}, "'b' cannot have parallelism -1"),
        (-1, {}, "-1 is none"),
        (0, {}, "nothing is to change"),
    ],
)
def test_what_a_job_cannot_have_is_refused_by_name(parallelism, vertices, message):
    with pytest.raises(RescaleRefusedError, match=message) as caught:
        bounds_of(graph(), parallelism, vertices)
    assert caught.value.remedy


def test_two_vertices_of_one_name_are_told_apart_by_id():
    two = job([vertex("a", 1, source=b"x"), vertex("b", 1)], [edge("a", "b")])
    two.vertices[1].name = "a"
    with pytest.raises(RescaleRefusedError, match="2 vertices are named 'a'") as caught:
        bounds_of(two, 0, {"a": (1, 2)})
    assert "v-a, v-b" in caught.value.remedy


@pytest.mark.parametrize(
    ("slots", "expected"), [(9, (5, 3)), (5, (5, 3)), (4, (4, 3)), (2, (2, 2)), (1, None)]
)
def test_the_widest_vertices_give_way_first(slots, expected):
    two = job([vertex("a", 2, source=b"x"), vertex("b", 2)], [edge("a", "b")])
    found = fit(two, {"v-a": Bounds(1, 5), "v-b": Bounds(2, 3)}, slots)
    assert found == (expected and dict(zip(("v-a", "v-b"), expected, strict=True)))


def test_forward_edges_are_forward_only_between_equal_widths():
    made = graph()
    forward = forward_edges(made)
    set_parallelism(made, {"v-b": 3}, forward)
    assert widths_of(made) == {"v-a": 2, "v-b": 3, "v-one": 1}
    assert made.edges[0].partitioner.kind == REBALANCE
    set_parallelism(made, {"v-a": 3}, forward)
    assert made.edges[0].partitioner.kind == FORWARD
    assert made.edges[1].partitioner.kind == job_pb2.PARTITION_KIND_HASH


# -------------------------------------------------------------------------------- the job master


def rescaling(width=2):
    """A driver whose job of one slot has been asked for two."""
    driver = Driver()
    driver.running()
    out = driver.tell(ev.RescaleRequested("r", width))
    return driver, out


def checkpointed(driver):
    driver.tell(ev.EnumeratorsSnapshotted(1, 1, {}))
    driver.ack("numbers", 1)
    driver.ack("total", 1)
    return driver.tell(ev.MetadataWritten(1, "/ck/chk-1"))


def stopped(driver):
    out = []
    for name in ("numbers", "total"):
        out += driver.state(name, TaskState.CANCELED)
    return out


def test_slots_a_checkpoint_the_stop_the_record_and_then_the_start():
    driver, out = rescaling()
    assert out == [do.RequestSlots(1, RESCALE_SLOT_WAIT_MS)]
    assert driver.slots("s1") == [do.SnapshotEnumerators(1, 1)]
    driver.ms = 700
    assert len(commands(checkpointed(driver), "cancel")) == 1
    assert driver.master.state is JobState.RESTARTING
    assert stopped(driver) == [do.RecordParallelism({"v-numbers": 2, "v-total": 2})]
    out = driver.tell(ev.ParallelismRecorded())
    deployed = [t for c in commands(out, "deploy") for t in c.tasks]
    assert {(t.vertex.parallelism, t.restored_checkpoint_id, t.task.attempt) for t in deployed} == {
        (2, 1, 2)
    }
    driver.ms = 1_000
    for index, slot in enumerate(("s0", "s1")):
        for name in ("numbers", "total"):
            for state in (TaskState.INITIALIZING, TaskState.RUNNING):
                out = driver.task(name, slot, index, state={"state": int(state)})
    assert out[0] == do.Rescaled("r", {"v-numbers": 2, "v-total": 2}, 300)
    assert (driver.master.restarts, driver.master.rescales) == (0, 1)


def test_without_the_slots_the_job_goes_on_as_it_was_and_says_why():
    driver, _ = rescaling()
    (failed,) = driver.tell(ev.SlotsRefused(NoResourceAvailableError("too few slots")))
    assert failed.request_id == "r"
    assert "too few slots; the job goes on as it was" in failed.error.message
    assert driver.master.state is JobState.RUNNING


def test_as_many_slots_as_suffice_are_taken_when_not_all_come():
    driver = Driver()
    driver.running()
    driver.tell(ev.RescaleRequested("r", 0, {"numbers": (1, 4), "total": (1, 4)}))
    out = driver.tell(ev.SlotsRefused(NoResourceAvailableError("too few slots"), available=1))
    assert out == [do.RequestSlots(1, RESCALE_SLOT_WAIT_MS)]


def test_what_cannot_be_recorded_does_not_happen():
    driver, _ = rescaling()
    driver.slots("s1")
    checkpointed(driver)
    stopped(driver)
    out = driver.tell(ev.ParallelismNotRecorded(JobLogError("disk full")))
    assert out[0].error.message == "disk full"
    assert do.ReleaseSlot("s1") in out
    (deploy,) = commands(out, "deploy")
    assert {t.vertex.parallelism for t in deploy.tasks} == {1}


def test_a_failure_before_the_stop_ends_the_rescale_not_the_job():
    driver, _ = rescaling()
    out = driver.fail("total")
    assert do.WithdrawRequest() in out
    assert [i.request_id for i in out if isinstance(i, do.RequestFailed)] == ["r"]
    assert driver.master.state is JobState.RESTARTING


def test_a_checkpoint_that_fails_is_replaced_by_the_newest_and_without_one_all_stays():
    driver, _ = rescaling()
    driver.slots("s1")
    out = driver.task("total", decline={"checkpoint_id": 1, "reason": "not now"})
    assert out == []  # not under way yet
    driver.tell(ev.EnumeratorsSnapshotted(1, 1, {}))
    out = driver.task("total", decline={"checkpoint_id": 1, "reason": "not now"})
    (failed,) = [i for i in out if isinstance(i, do.RequestFailed)]
    assert "no complete checkpoint" in failed.error.message
    assert driver.master.state is JobState.RUNNING


def test_a_second_rescale_and_one_of_an_ended_job_are_refused():
    driver, _ = rescaling()
    (failed,) = driver.tell(ev.RescaleRequested("q", 3))
    assert "being rescaled already: waiting for slots" in failed.error.message
    driver.tell(ev.CancelRequested())
    stopped(driver)
    (failed,) = driver.tell(ev.RescaleRequested("p", 3))
    assert "CANCELED" in failed.error.message


def test_asking_for_what_is_there_is_done_at_once():
    driver = Driver()
    driver.running()
    same = {"v-numbers": 1, "v-total": 1}
    assert driver.tell(ev.RescaleRequested("r", 1)) == [do.Rescaled("r", same, 0)]


# ------------------------------------------------------------------------------------- regions


def forward_driver():
    made = job(
        [vertex("numbers", 2, source=b"x"), vertex("total", 2)], [edge("numbers", "total", FORWARD)]
    )
    driver = Driver(made)
    driver.tell(ev.JobStarted())
    driver.slots("s0", "s1")
    for index, slot in enumerate(("s0", "s1")):
        for name in ("numbers", "total"):
            for state in (TaskState.INITIALIZING, TaskState.RUNNING):
                driver.task(name, slot, index, state={"state": int(state)})
    return driver


def test_only_the_failed_region_is_cancelled_and_deployed_and_its_reader_reset():
    driver = forward_driver()
    out = driver.task("total", "s1", 1, failure={"message": "boom", "retryable": True})
    (cancel,) = commands(out, "cancel")
    assert [(t.vertex_id, t.subtask) for t in cancel.tasks] == [("v-numbers", 1)]
    assert do.StopEnumerators() not in out
    driver.task("numbers", "s1", 1, state={"state": int(TaskState.CANCELED)})
    out = driver.tick(1_000)
    assert out[0] == do.ResetReaders(1, 2, 0, (("numbers", 1),))
    (deploy,) = commands(out, "deploy")
    assert {(t.task.subtask, t.task.attempt) for t in deploy.tasks} == {(1, 2)}
    assert driver.master.execution.subtasks["v-numbers", 0].attempt.number == 1


def test_splits_for_an_earlier_attempt_of_a_reader_are_not_passed_on():
    driver = forward_driver()
    driver.task("total", "s1", 1, failure={"message": "boom", "retryable": True})
    driver.task("numbers", "s1", 1, state={"state": int(TaskState.CANCELED)})
    driver.tick(1_000)
    assert driver.tell(ev.SplitsAssigned(1, "numbers", 1, (b"a",), no_more_splits=False)) == []
    (to_new,) = driver.tell(ev.SplitsAssigned(2, "numbers", 1, (b"a",), no_more_splits=False))
    (to_old,) = driver.tell(ev.SplitsAssigned(1, "numbers", 0, (b"b",), no_more_splits=False))
    assert (to_new.slot_id, to_old.slot_id) == ("s1", "s0")


def test_a_failure_of_another_region_joins_the_restart():
    driver = forward_driver()
    driver.task("total", "s1", 1, failure={"message": "boom", "retryable": True})
    out = driver.task("numbers", "s0", 0, failure={"message": "boom too", "retryable": True})
    assert do.StopEnumerators() in out, "now all restart"
    driver.task("numbers", "s1", 1, state={"state": int(TaskState.CANCELED)})
    driver.task("total", "s0", 0, state={"state": int(TaskState.CANCELED)})
    out = driver.tick(1_000)
    assert kinds(out)[0] is do.StartEnumerators
    assert sum(len(d.tasks) for d in commands(out, "deploy")) == 4


def test_the_running_checkpoint_is_aborted_for_those_that_run_on():
    driver = forward_driver()
    driver.tell(ev.SavepointRequested("s", "/sp"))
    driver.tell(ev.EnumeratorsSnapshotted(1, 1, {}))
    out = driver.task("total", "s1", 1, failure={"message": "boom", "retryable": True})
    aborted = [n for n in commands(out, "notify") if not n.complete]
    assert [n.checkpoint_id for n in aborted] == [1, 1], "both slots have live tasks"
