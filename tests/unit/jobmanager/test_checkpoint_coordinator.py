import pytest
from jobgraphs import pipeline

from lesto.jobmanager.core.checkpoint_coordinator import (
    FINAL_RETRY_PAUSE_MS,
    CheckpointCoordinator,
    CheckpointSettings,
)
from lesto.jobmanager.core.events import Moment
from lesto.jobmanager.core.instructions import (
    DiscardAll,
    DiscardCheckpoint,
    FailJob,
    NotifyCheckpoint,
    RequestFailed,
    RequestSucceeded,
    SnapshotEnumerators,
    TriggerBarriers,
    WriteMetadata,
)
from lesto.jobmanager.core.pending_checkpoint import CompletedCheckpoint, SavepointRequest
from lesto.jobmanager.errors import (
    CheckpointFailedError,
    JobStateError,
    TooManyCheckpointFailuresError,
)
from lesto.proto import checkpoint_pb2, runtime_pb2

TASKS = [("v-numbers", 0), ("v-numbers", 1), ("v-total", 0), ("v-total", 1)]


class Driver:
    """Drives a coordinator by hand; validates it after each step."""

    def __init__(self, **settings):
        defaults = {"interval_ms": 1_000, "timeout_ms": 500, "tolerable_failures": 0}
        self.coordinator = CheckpointCoordinator(
            pipeline(2), 1, CheckpointSettings(**{**defaults, **settings}), "/ck", "0"
        )
        self.ms = 0

    def __getattr__(self, name):
        method = getattr(self.coordinator, name)

        def call(*args, **kwargs):
            out = method(*args, **kwargs)
            self.coordinator.validate()
            return out

        return call

    @property
    def now(self):
        return Moment(self.ms, 10_000 + self.ms)

    def started(self, attempt=1):
        assert self.start(attempt, self.now) == []
        return self

    def at(self, ms):
        self.ms = ms
        return self.tick(self.now)

    def ack(self, task, checkpoint_id, uid=None):
        message = runtime_pb2.CheckpointAck(checkpoint_id=checkpoint_id)
        state = checkpoint_pb2.OperatorSubtaskState(state_bytes=5, uploaded_bytes=2)
        message.operators.add(uid=uid or task[0].removeprefix("v-"), state=state)
        return self.acknowledged(task, message, self.now)

    def begin(self, checkpoint_id, attempt=1):
        """Enumerators are snapshotted: barriers go out."""
        return self.enumerators_snapshotted(attempt, checkpoint_id, {"numbers": b"left"})

    def to_writing(self, checkpoint_id, attempt=1):
        self.begin(checkpoint_id, attempt)
        return [i for task in TASKS for i in self.ack(task, checkpoint_id)]

    def complete(self, checkpoint_id, attempt=1):
        self.to_writing(checkpoint_id, attempt)
        return self.metadata_written(checkpoint_id, f"/ck/chk-{checkpoint_id}", self.now)


def request(name="r", **kwargs):
    return SavepointRequest(name, kwargs.pop("target", "/sp"), kwargs.pop("stop", False), False)


def test_a_checkpoint_goes_enumerators_barriers_acks_metadata_notification():
    driver = Driver().started()
    assert driver.next_deadline_ms() == 1_000
    assert driver.at(999) == []
    assert driver.at(1_000) == [SnapshotEnumerators(1, 1)]
    (trigger,) = driver.begin(1)
    assert isinstance(trigger, TriggerBarriers)
    assert (trigger.checkpoint_id, trigger.timestamp_ms) == (1, 11_000)
    for task in TASKS[:-1]:
        assert driver.ack(task, 1) == []
    (write,) = driver.ack(TASKS[-1], 1)
    assert isinstance(write, WriteMetadata)
    assert [(o.uid, len(o.subtasks)) for o in write.metadata.operators] == [
        ("numbers", 2),
        ("total", 2),
    ]
    assert [s.subtask for s in write.metadata.operators[1].subtasks] == [0, 1]
    assert write.metadata.operators[0].coordinator_state == b"left"
    assert driver.coordinator.latest is None, "complete before its metadata is durable"
    assert driver.metadata_written(1, "/ck/chk-1", driver.now) == [NotifyCheckpoint(1, True)]
    assert driver.coordinator.latest.checkpoint_id == 1


def test_the_next_one_comes_an_interval_after_the_start_but_not_before_the_min_pause():
    driver = Driver(min_pause_ms=900).started()
    driver.at(1_000)
    driver.ms = 1_300
    driver.complete(1)
    assert driver.next_deadline_ms() == 2_200
    assert driver.at(2_199) == []
    assert driver.at(2_200) == [SnapshotEnumerators(1, 2)]


def test_one_checkpoint_at_a_time():
    driver = Driver(timeout_ms=10_000).started()
    driver.at(1_000)
    assert driver.at(3_000) == []


def test_a_slow_checkpoint_expires_and_names_who_is_missing():
    driver = Driver(tolerable_failures=1).started()
    driver.at(1_000)
    driver.begin(1)
    driver.ack(TASKS[0], 1)
    assert driver.next_deadline_ms() == 1_500
    assert driver.at(1_500) == [NotifyCheckpoint(1, False)]
    (entry,) = driver.coordinator.statistics.history
    assert entry.status == "FAILED"
    assert "v-numbers[1], v-total[0], v-total[1]" in entry.failure


def test_a_decline_aborts_and_says_whose():
    driver = Driver(tolerable_failures=1).started()
    driver.at(1_000)
    driver.begin(1)
    decline = runtime_pb2.CheckpointDecline(checkpoint_id=1, reason="no disk")
    assert driver.declined("total (1/2)", decline, driver.now) == [NotifyCheckpoint(1, False)]
    assert "total (1/2): no disk" in driver.coordinator.statistics.history[0].failure


def test_answers_about_any_other_checkpoint_are_stale():
    driver = Driver(tolerable_failures=5).started()
    driver.at(1_000)
    driver.begin(1)
    driver.at(1_500)
    assert driver.ack(TASKS[0], 1) == []
    late = runtime_pb2.CheckpointDecline(checkpoint_id=1)
    assert driver.declined("x", late, driver.now) == []
    assert driver.begin(1) == []
    assert driver.coordinator.stale_messages == 2
    driver.at(2_000)
    assert driver.enumerators_snapshotted(9, 2, {}) == [], "of another attempt"
    driver.begin(2)
    driver.ack(TASKS[0], 2)
    assert driver.ack(TASKS[0], 2) == []
    assert driver.coordinator.stale_messages == 3


def test_failures_in_a_row_beyond_the_tolerable_fail_the_job():
    driver = Driver(tolerable_failures=2).started()
    outcomes = []
    for number in range(1, 4):
        driver.at(number * 1_000)
        outcomes += driver.at(number * 1_000 + 500)
    (failure,) = [o for o in outcomes if isinstance(o, FailJob)]
    assert isinstance(failure.error, TooManyCheckpointFailuresError)
    assert "3 checkpoints failed one after another, 2 are tolerated" in failure.error.message


def test_a_completed_checkpoint_forgives_the_failures_before_it():
    driver = Driver(tolerable_failures=1).started()
    driver.at(1_000)
    driver.at(1_500)
    driver.at(2_000)
    driver.complete(2)
    driver.at(3_000)
    assert not [i for i in driver.at(3_500) if isinstance(i, FailJob)]


def test_metadata_that_cannot_be_written_is_a_failed_checkpoint():
    driver = Driver(tolerable_failures=1).started()
    driver.at(1_000)
    driver.to_writing(1)
    out = driver.metadata_failed(1, CheckpointFailedError("disk full"), driver.now)
    assert out == [NotifyCheckpoint(1, False)]
    assert driver.coordinator.latest is None
    assert "disk full" in driver.coordinator.statistics.history[0].failure


def test_an_acknowledgement_with_state_of_a_stranger_aborts():
    driver = Driver(tolerable_failures=1).started()
    driver.at(1_000)
    driver.begin(1)
    assert driver.ack(TASKS[0], 1, uid="total") == [NotifyCheckpoint(1, False)]


def test_the_oldest_goes_when_more_than_retained_are_complete():
    driver = Driver(retained=2).started()
    discards = []
    for number in range(1, 5):
        driver.at(number * 1_000)
        discards += [i for i in driver.complete(number) if isinstance(i, DiscardCheckpoint)]
    assert [d.checkpoint_id for d in discards] == [1, 2]
    assert [m.checkpoint_id for m in discards[-1].retained] == [3, 4]


def test_what_an_aborted_checkpoint_left_goes_after_a_later_one_is_complete():
    driver = Driver(tolerable_failures=1).started()
    driver.at(1_000)
    driver.begin(1)
    assert not [i for i in driver.at(1_500) if isinstance(i, DiscardCheckpoint)]
    driver.at(2_000)
    (discard,) = [i for i in driver.complete(2) if isinstance(i, DiscardCheckpoint)]
    assert (discard.checkpoint_id, discard.metadata) == (1, None)


def test_a_savepoint_starts_beside_a_checkpoint_under_way_and_is_never_deleted():
    driver = Driver(retained=1).started()
    driver.at(1_000)
    driver.begin(1)
    assert driver.request_savepoint(request(), driver.now) == [SnapshotEnumerators(1, 2)]
    (trigger,) = driver.begin(2)
    assert trigger.kind == checkpoint_pb2.CHECKPOINT_TYPE_SAVEPOINT
    assert trigger.target == "/sp"
    for task in TASKS:
        write = driver.ack(task, 2)
    assert write[0].target == "/sp"
    out = driver.metadata_written(2, "/sp", driver.now)
    assert RequestSucceeded("r", "/sp") in out
    assert list(driver.coordinator.under_way) == [1], "a savepoint replaces no checkpoint"
    for task in TASKS:
        driver.ack(task, 1)
    assert NotifyCheckpoint(1, True) in driver.metadata_written(1, "/ck/chk-1", driver.now)
    assert driver.coordinator.latest.checkpoint_id == 2
    assert driver.coordinator.latest.root == "/sp"
    driver.at(9_000)
    (discard,) = [i for i in driver.complete(3) if isinstance(i, DiscardCheckpoint)]
    assert discard.checkpoint_id == 1


def test_a_savepoint_that_fails_is_told_and_does_not_count_against_the_job():
    driver = Driver(interval_ms=None).started()
    driver.request_savepoint(request(), driver.now)
    driver.begin(1)
    out = driver.at(500)
    assert [type(i) for i in out] == [NotifyCheckpoint, RequestFailed]


def test_a_stop_finishes_the_job_and_answers_at_its_end():
    driver = Driver(interval_ms=None).started()
    driver.request_savepoint(request(stop=True), driver.now)
    out = driver.complete(1)
    assert out == [NotifyCheckpoint(1, True, finish=True)]
    assert driver.next_deadline_ms() is None
    (refused,) = driver.request_savepoint(request("late"), driver.now)
    assert isinstance(refused.error, JobStateError)
    assert driver.close(discard_retained=True)[0] == RequestSucceeded("r", "/ck/chk-1")


def test_a_stop_that_fails_after_its_barriers_restarts_the_job():
    driver = Driver(interval_ms=None).started()
    driver.request_savepoint(request(stop=True), driver.now)
    driver.begin(1)
    kinds = [type(i) for i in driver.at(500)]
    assert kinds == [NotifyCheckpoint, RequestFailed, FailJob]


def test_a_stop_that_fails_before_its_barriers_leaves_the_job_alone():
    driver = Driver(interval_ms=None).started()
    driver.request_savepoint(request(stop=True), driver.now)
    assert [type(i) for i in driver.at(500)] == [RequestFailed]


def test_a_job_that_fails_while_it_stops_tells_the_client_where_the_savepoint_is():
    driver = Driver(interval_ms=None).started()
    driver.request_savepoint(request(stop=True), driver.now)
    driver.complete(1)
    (told,) = driver.stop("a commit failed", driver.now)
    assert "/ck/chk-1 is complete, but the job failed" in told.error.message
    assert driver.coordinator.latest.checkpoint_id == 1


def test_the_final_checkpoint_comes_at_once_also_without_an_interval():
    driver = Driver(interval_ms=None).started()
    assert driver.request_final(driver.now) == [SnapshotEnumerators(1, 1)]
    assert driver.request_final(driver.now) == []
    assert driver.complete(1) == [NotifyCheckpoint(1, True, finish=True)]
    assert driver.at(10_000) == []


def test_the_final_checkpoint_waits_for_a_periodic_one_under_way():
    driver = Driver().started()
    driver.at(1_000)
    assert driver.request_final(driver.now) == []
    assert driver.complete(1)[-1] == SnapshotEnumerators(1, 2)
    assert driver.complete(2)[0] == NotifyCheckpoint(2, True, finish=True)


def test_a_final_checkpoint_that_fails_is_tried_again_after_a_pause():
    driver = Driver(tolerable_failures=1, interval_ms=None).started()
    driver.request_final(driver.now)
    driver.begin(1)
    driver.at(500)
    assert driver.next_deadline_ms() == 500 + FINAL_RETRY_PAUSE_MS
    assert driver.at(500 + FINAL_RETRY_PAUSE_MS) == [SnapshotEnumerators(1, 2)]


def test_a_stopped_attempt_aborts_what_is_under_way_and_answers_who_waits():
    driver = Driver().started()
    driver.at(1_000)
    driver.begin(1)
    driver.request_savepoint(request(), driver.now)
    (told,) = driver.stop("a task failed", driver.now)
    assert isinstance(told, RequestFailed)
    assert driver.ack(TASKS[0], 1) == []
    driver.started(attempt=2)
    assert driver.at(2_000) == [SnapshotEnumerators(2, 3)]


def test_a_write_that_succeeds_before_the_redeployment_counts_without_notifying():
    driver = Driver().started()
    driver.at(1_000)
    driver.to_writing(1)
    driver.stop("a task failed", driver.now)
    assert driver.metadata_written(1, "/ck/chk-1", driver.now) == []
    assert driver.coordinator.latest.checkpoint_id == 1


def test_a_write_that_succeeds_after_the_redeployment_does_not_count_and_is_deleted():
    driver = Driver().started()
    driver.at(1_000)
    driver.to_writing(1)
    driver.stop("a task failed", driver.now)
    driver.abandon_write(driver.now)
    driver.started(attempt=2)
    assert driver.metadata_written(1, "/ck/chk-1", driver.now) == []
    assert driver.coordinator.latest is None
    driver.at(3_000)
    (discard,) = [i for i in driver.complete(2, 2) if isinstance(i, DiscardCheckpoint)]
    assert discard.checkpoint_id == 1


def test_ids_go_on_after_the_restored_checkpoint_which_is_never_deleted():
    driver = Driver(retained=1)
    metadata = checkpoint_pb2.CheckpointMetadata(checkpoint_id=41)
    driver.restore(CompletedCheckpoint(metadata, "/other/chk-41", "/other"))
    driver.started()
    for number in (1, 2):
        driver.at(number * 1_000)
        out = driver.complete(41 + number)
    assert [i.checkpoint_id for i in out if isinstance(i, DiscardCheckpoint)] == [42]


@pytest.mark.parametrize("keep", [True, False])
def test_the_end_of_a_job_deletes_its_checkpoints_or_keeps_them(keep):
    driver = Driver().started()
    driver.at(1_000)
    driver.complete(1)
    out = driver.close(discard_retained=not keep)
    assert out == ([] if keep else [DiscardAll()])


def test_requests_under_way_and_waiting_are_bounded():
    driver = Driver(timeout_ms=10_000, interval_ms=None).started()
    answers = [driver.request_savepoint(request(f"r{n}"), driver.now) for n in range(18)]
    assert answers[:17] == [[SnapshotEnumerators(1, 1)], *([[]] * 16)]
    assert isinstance(answers[17][0], RequestFailed)


def test_what_a_failed_write_left_goes_after_a_later_one_is_complete():
    """Its files, and a metadata file that appeared although the storage reported a failure."""
    driver = Driver(tolerable_failures=1).started()
    driver.at(1_000)
    driver.to_writing(1)
    driver.metadata_failed(1, CheckpointFailedError("no answer"), driver.now)
    driver.at(2_000)
    (discard,) = [i for i in driver.complete(2) if isinstance(i, DiscardCheckpoint)]
    assert (discard.checkpoint_id, discard.metadata) == (1, None)


def file_of(checkpoint_id):
    return f"shared/c{checkpoint_id}-e1-a1-{checkpoint_id:016x}.sst"


def shared_ack(driver, task, checkpoint_id, path):
    message = runtime_pb2.CheckpointAck(checkpoint_id=checkpoint_id)
    state = checkpoint_pb2.OperatorSubtaskState()
    handle = state.keyed.add(format="rocksdb")
    handle.files.add(name="9.sst", file=checkpoint_pb2.FileHandle(path=path), shared=True)
    message.operators.add(uid=task[0].removeprefix("v-"), state=state)
    return driver.acknowledged(task, message, driver.now)


def test_a_checkpoint_that_builds_on_files_already_given_up_is_aborted():
    """A task that hears late of completed checkpoints builds on one that is not kept any more."""
    driver = Driver(tolerable_failures=1, retained=1).started()
    for number in (1, 2):
        driver.at(number * 1_000)
        driver.begin(number)
        for task in TASKS:
            out = shared_ack(driver, task, number, file_of(number))
        assert isinstance(out[0], WriteMetadata)
        driver.metadata_written(number, f"/ck/chk-{number}", driver.now)
    driver.at(3_000)
    driver.begin(3)
    for task in TASKS[:-1]:
        shared_ack(driver, task, 3, file_of(2))
    out = shared_ack(driver, TASKS[-1], 3, file_of(1))
    assert out == [NotifyCheckpoint(3, False)]
    assert file_of(1) in driver.coordinator.statistics.history[0].failure
    driver.at(4_000)
    driver.begin(4)
    for task in TASKS:
        out = shared_ack(driver, task, 4, file_of(2))
    assert isinstance(out[0], WriteMetadata)


def test_an_acknowledgement_without_all_operators_aborts():
    driver = Driver(tolerable_failures=1).started()
    driver.at(1_000)
    driver.begin(1)
    empty = runtime_pb2.CheckpointAck(checkpoint_id=1)
    assert driver.acknowledged(TASKS[0], empty, driver.now) == [NotifyCheckpoint(1, False)]
