"""The job master driven by hand; whole runs are in test_random_runs."""

import pytest
from jobgraphs import edge, job, pipeline, vertex
from masterdriver import Driver

from lesto.jobmanager.core import events as ev
from lesto.jobmanager.core import instructions as do
from lesto.jobmanager.core.job_master import KILL_GRACE_MS
from lesto.jobmanager.core.states import JobState, TaskState
from lesto.jobmanager.errors import NoResourceAvailableError, RestoreFailedError
from lesto.proto import checkpoint_pb2, runtime_pb2


def commands(out, kind):
    return [
        getattr(i.command, kind)
        for i in out
        if isinstance(i, do.SendCommand) and i.command.WhichOneof("command") == kind
    ]


def kinds(out):
    return [type(i) for i in out]


def test_a_job_asks_for_its_slots_then_starts_enumerators_before_it_deploys():
    driver = Driver()
    assert driver.tell(ev.JobStarted()) == [do.RequestSlots(1)]
    assert driver.master.state is JobState.CREATED
    assert kinds(driver.slots("s0")) == [do.StartEnumerators, do.SendCommand]
    assert driver.master.state is JobState.RUNNING


def test_no_checkpoint_is_triggered_before_all_tasks_are_running():
    driver = Driver(interval_ms=100)
    driver.tell(ev.JobStarted())
    driver.slots("s0")
    driver.state("numbers", TaskState.INITIALIZING)
    driver.state("numbers", TaskState.RUNNING)
    assert driver.tick(1_000) == []
    driver.state("total", TaskState.INITIALIZING)
    driver.state("total", TaskState.RUNNING)
    assert driver.master.next_deadline_ms() == 1_100
    assert driver.tick(1_100) == [do.SnapshotEnumerators(1, 1)]


def test_splits_are_sent_to_their_reader_and_barriers_only_to_sources():
    driver = Driver()
    driver.running()
    out = driver.tell(ev.SplitsAssigned(1, "numbers", 0, (b"a",), no_more_splits=False))
    (assign,) = commands(out, "splits")
    assert (assign.task.vertex_id, list(assign.splits)) == ("v-numbers", [b"a"])
    assert driver.tell(ev.SplitsAssigned(9, "numbers", 0, (b"a",), no_more_splits=False)) == []
    driver.tell(ev.SavepointRequested("r", "/sp"))
    (trigger,) = commands(driver.tell(ev.EnumeratorsSnapshotted(1, 1, {})), "trigger")
    assert [t.vertex_id for t in trigger.tasks] == ["v-numbers"]


def test_when_all_data_is_processed_a_final_checkpoint_finishes_the_job():
    driver = Driver()
    driver.running()
    assert driver.task("numbers", end_of_data={}) == []
    assert driver.task("total", end_of_data={}) == [do.SnapshotEnumerators(1, 1)]
    (trigger,) = commands(driver.tell(ev.EnumeratorsSnapshotted(1, 1, {})), "trigger")
    assert trigger.type == checkpoint_pb2.CHECKPOINT_TYPE_FINAL
    driver.ack("numbers", 1)
    assert kinds(driver.ack("total", 1)) == [do.WriteMetadata]
    (notify,) = commands(driver.tell(ev.MetadataWritten(1, "/ck/chk-1")), "notify")
    assert notify.complete
    assert notify.finish
    driver.state("numbers", TaskState.FINISHED)
    out = driver.state("total", TaskState.FINISHED)
    assert out[-2:] == [do.ReleaseSlots(), do.JobEnded(JobState.FINISHED)]
    assert do.DiscardAll() in out, "a finished job needs no checkpoint"


def test_a_task_that_finishes_unasked_is_a_failure():
    driver = Driver()
    driver.running()
    driver.state("total", TaskState.FINISHED)
    assert driver.master.state is JobState.RESTARTING
    assert "reported FINISHED while it was RUNNING" in driver.master.failures[0].failure.message


def test_a_failure_cancels_all_tasks_waits_for_them_and_the_delay_then_redeploys():
    driver = Driver()
    driver.running()
    out = driver.fail("total")
    (cancel,) = commands(out, "cancel")
    assert [t.vertex_id for t in cancel.tasks] == ["v-numbers"]
    assert do.StopEnumerators in kinds(out)
    assert driver.tick(1_500) == [], "the source has not confirmed its end"
    out = driver.state("numbers", TaskState.CANCELED)
    (deploy,) = commands(out, "deploy")
    assert {t.task.attempt for t in deploy.tasks} == {2}
    assert driver.master.restarts == 1


def test_a_failure_while_tasks_are_cancelled_is_no_second_failure():
    driver = Driver(attempts=1)
    driver.running()
    driver.fail("total")
    driver.fail("numbers", "channel closed")
    assert [f.failure.message for f in driver.master.failures] == ["boom"]
    assert commands(driver.tick(1_000), "deploy")


def test_a_failure_that_a_restart_cannot_mend_fails_the_job():
    driver = Driver()
    driver.running()
    driver.fail("total", retryable=False)
    assert driver.master.state is JobState.FAILING
    out = driver.state("numbers", TaskState.CANCELED)
    assert out[-1] == do.JobEnded(JobState.FAILED)


def test_an_exception_of_the_users_ends_a_job_that_asks_for_that_but_a_lost_slot_does_not():
    driver = Driver()
    driver.master.settings.restart_on_user_errors = False
    driver.running()
    driver.fail("total", code="LESTO-4105")
    assert driver.master.state is JobState.RESTARTING
    driver = Driver()
    driver.master.settings.restart_on_user_errors = False
    driver.running()
    driver.fail("total", code="LESTO-6001")
    assert driver.master.state is JobState.FAILING


def test_a_job_fails_when_its_restarts_are_used_up_and_says_so():
    driver = Driver(attempts=0)
    driver.running()
    driver.fail("total")
    assert "all 0 restarts" in driver.master.states.story[-1].cause


def test_tasks_that_do_not_cancel_are_killed_and_then_given_up():
    driver = Driver()
    driver.running()
    driver.fail("total")
    assert driver.master.next_deadline_ms() == 2_000
    (kill,) = driver.tick(2_000)
    assert kill == do.KillSlot("s0", "cancellation took over 2 s")
    assert driver.master.next_deadline_ms() == 2_000 + KILL_GRACE_MS
    assert driver.tick(2_000 + KILL_GRACE_MS) == [do.RequestSlots(1)]
    assert commands(driver.slots("s1"), "deploy")


def test_a_killed_slot_that_is_reported_lost_is_not_the_cause():
    driver = Driver()
    driver.running()
    driver.fail("total")
    driver.tick(2_000)
    out = driver.tell(ev.SlotLost("s0", "killed"))
    assert out == [do.RequestSlots(1)]
    assert [f.failure.message for f in driver.master.failures] == ["boom"]


def test_a_slot_lost_while_waiting_for_others_is_asked_for_again():
    graph = job([vertex("numbers", 2, source=b"x"), vertex("total", 2)], [edge("numbers", "total")])
    driver = Driver(graph)
    driver.tell(ev.JobStarted())
    driver.slots("s0", "s1")
    driver.tell(ev.SlotLost("s1", "killed by signal 9"))
    for name in ("numbers", "total"):
        driver.state(name, TaskState.CANCELED)
    assert driver.tick(1_000) == [do.RequestSlots(1)]
    assert driver.tell(ev.SlotLost("s0", "killed by signal 9")) == []
    assert driver.slots("s2") == [do.RequestSlots(1)]
    assert commands(driver.slots("s3"), "deploy")


def test_too_few_slots_fail_a_new_job_but_a_running_one_goes_on_trying():
    refused = ev.SlotsRefused(NoResourceAvailableError("too few"))
    driver = Driver()
    driver.tell(ev.JobStarted())
    assert driver.tell(refused)[-1] == do.JobEnded(JobState.FAILED)
    driver = Driver()
    driver.running()
    driver.tell(ev.SlotLost("s0", "killed by signal 9"))
    assert driver.tick(1_000) == [do.RequestSlots(1)]
    assert driver.tell(refused) == []
    assert driver.master.state is JobState.RESTARTING
    assert driver.tick(2_000) == [do.RequestSlots(1)]


def test_a_restart_goes_on_from_the_latest_complete_checkpoint():
    driver = Driver()
    driver.running()
    driver.tell(ev.SavepointRequested("r", "/sp"))
    driver.tell(ev.EnumeratorsSnapshotted(1, 1, {"numbers": b"three left"}))
    for name in ("numbers", "total"):
        driver.ack(name, 1)
    driver.tell(ev.MetadataWritten(1, "/sp"))
    driver.fail("total")
    driver.state("numbers", TaskState.CANCELED)
    out = driver.tick(1_000)
    assert do.StartEnumerators(2, {"numbers": b"three left"}) in out
    (deploy,) = commands(out, "deploy")
    assert {(t.restored_checkpoint_id, t.restore_root) for t in deploy.tasks} == {(1, "/sp")}


def test_a_job_starts_from_the_checkpoint_it_names():
    driver = Driver(pipeline(1, restore_path="/old/chk-7"))
    assert driver.tell(ev.JobStarted()) == [do.LoadCheckpoint("/old/chk-7")]
    metadata = checkpoint_pb2.CheckpointMetadata(checkpoint_id=7)
    assert driver.tell(ev.CheckpointLoaded(metadata, "/old/chk-7", "/old")) == [do.RequestSlots(1)]
    (deploy,) = commands(driver.slots("s0"), "deploy")
    assert {t.restored_checkpoint_id for t in deploy.tasks} == {7}
    assert driver.master.coordinator.statistics.latest_restored.path == "/old/chk-7"


@pytest.mark.parametrize(
    "event",
    [
        ev.CheckpointLoadFailed(RestoreFailedError("damaged")),
        ev.CheckpointLoaded(
            checkpoint_pb2.CheckpointMetadata(
                operators=[checkpoint_pb2.OperatorState(uid="gone", coordinator_state=b"x")]
            ),
            "/p",
            "/p",
        ),
    ],
)
def test_a_checkpoint_that_cannot_be_restored_fails_the_job_before_it_deploys(event):
    driver = Driver(pipeline(1, restore_path="/p"))
    driver.tell(ev.JobStarted())
    out = driver.tell(event)
    assert out[-1] == do.JobEnded(JobState.FAILED)
    assert not commands(out, "deploy")


def test_an_error_of_an_enumerator_is_a_failure_unless_it_is_of_an_older_attempt():
    driver = Driver()
    driver.running()
    failure = runtime_pb2.TaskFailure(message="no bucket", retryable=True)
    assert driver.tell(ev.EnumeratorFailed(9, "numbers", failure)) == []
    driver.tell(ev.EnumeratorFailed(1, "numbers", failure))
    assert driver.master.state is JobState.RESTARTING


@pytest.mark.parametrize("phase", ["created", "running", "restarting"])
def test_a_job_can_be_cancelled_in_any_phase(phase):
    driver = Driver()
    if phase == "created":
        driver.tell(ev.JobStarted())
    else:
        driver.running()
    if phase == "restarting":
        driver.fail("total")
        driver.state("numbers", TaskState.CANCELED)
    out = driver.tell(ev.CancelRequested())
    if phase == "running":
        assert len(commands(out, "cancel")) == 1
        driver.state("numbers", TaskState.CANCELED)
        out = driver.state("total", TaskState.CANCELED)
    assert out[-1] == do.JobEnded(JobState.CANCELED)
    assert driver.master.next_deadline_ms() is None


def test_after_the_end_requests_are_answered_and_the_rest_is_ignored():
    driver = Driver()
    driver.tell(ev.JobStarted())
    driver.tell(ev.CancelRequested())
    assert driver.slots("s0") == []
    (answer,) = driver.tell(ev.SavepointRequested("r", "/sp"))
    assert "CANCELED" in str(answer.error)


def test_a_savepoint_of_a_job_that_does_not_run_is_refused():
    driver = Driver()
    driver.tell(ev.JobStarted())
    (answer,) = driver.tell(ev.SavepointRequested("r", "/sp"))
    assert "RUNNING" in str(answer.error)


def test_histories_are_bounded():
    driver = Driver(attempts=10**6)
    driver.running()
    for number in range(60):
        driver.fail("total", f"failure {number}")
        driver.state("numbers", TaskState.CANCELED)
        driver.tick(driver.ms + 1_000)
        driver.tasks_running()
    assert len(driver.master.failures) == 16
    assert driver.master.failures[0].failure.message == "failure 59"
    assert len(driver.master.states.story) == 100
    assert driver.master.restarts == 60


def limit_told(driver, watermark):
    report = {
        "operator_uid": "numbers",
        "group": "g",
        "watermark": watermark,
        "max_drift_ms": 100,
    }
    (told,) = driver.task("numbers", watermark=report)
    assert told.slot_id == "s0"
    assert told.command.align.operator_uid == "numbers"
    return told.command.align.max_watermark


def test_a_reader_of_an_alignment_group_is_told_how_far_it_may_go():
    driver = Driver()
    driver.running()
    assert limit_told(driver, 1_000) == 1_100
    driver.master._alignment.report("g", ("others", 1), 500, max_drift_ms=100)
    assert limit_told(driver, 1_100) == 600
    assert limit_told(driver, 2**63 - 1) == 600  # at its end; the other one goes on
    # The whole job starts again: nobody is held back by readers that are no more.
    driver.master._enumerators += 1
    assert limit_told(driver, 1_100) == 1_200
    assert limit_told(driver, 2**63 - 1) == 2**63 - 1
