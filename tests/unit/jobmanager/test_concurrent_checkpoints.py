"""Several checkpoints under way, claims, requests by hand, counting of failures."""

import pytest
from jobgraphs import pipeline

from lesto.jobmanager.core.checkpoint_coordinator import CheckpointCoordinator, CheckpointSettings
from lesto.jobmanager.core.checkpoint_settings import ClaimMode
from lesto.jobmanager.core.completed_checkpoints import SWEEP_EVERY_MS
from lesto.jobmanager.core.events import Moment
from lesto.jobmanager.core.instructions import (
    CollectOrphans,
    DiscardAll,
    DiscardCheckpoint,
    DiscardClaimed,
    DiscardSavepoint,
    FailJob,
    NotifyCheckpoint,
    RequestFailed,
    RequestSucceeded,
    SnapshotEnumerators,
    TriggerBarriers,
    WriteMetadata,
)
from lesto.jobmanager.core.pending_checkpoint import (
    CheckpointRequest,
    CompletedCheckpoint,
    SavepointRequest,
)
from lesto.jobmanager.errors import CheckpointFailedError, JobStateError
from lesto.proto import checkpoint_pb2, runtime_pb2

TASKS = [("v-numbers", 0), ("v-total", 0)]


class Driver:
    """Drives a coordinator by hand; validates it after each step."""

    def __init__(self, **settings):
        defaults = {"interval_ms": 1_000, "timeout_ms": 60_000, "max_concurrent": 2}
        self.coordinator = CheckpointCoordinator(
            pipeline(1), 7, CheckpointSettings(**{**defaults, **settings}), "/ck", "0"
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
        self.start(attempt, self.now)
        return self

    def at(self, ms):
        self.ms = ms
        return self.tick(self.now)

    def begin(self, checkpoint_id, attempt=1):
        return self.enumerators_snapshotted(attempt, checkpoint_id, {}, self.now)

    def ack(self, task, checkpoint_id, *shared, in_flight=0):
        message = runtime_pb2.CheckpointAck(
            checkpoint_id=checkpoint_id,
            sync_us=3,
            async_us=4,
            alignment_us=5,
            start_delay_us=6,
            in_flight_bytes=in_flight,
            unaligned=bool(in_flight),
        )
        state = checkpoint_pb2.OperatorSubtaskState(state_bytes=5, uploaded_bytes=2)
        handle = state.keyed.add(format="rocksdb")
        for path in shared:
            handle.files.add(name=path, file=checkpoint_pb2.FileHandle(path=path), shared=True)
        message.operators.add(uid=task[0].removeprefix("v-"), state=state)
        return self.acknowledged(task, message, self.now)

    def acks(self, checkpoint_id, *shared):
        return [i for task in TASKS for i in self.ack(task, checkpoint_id, *shared)]

    def written(self, checkpoint_id):
        return self.metadata_written(checkpoint_id, f"/ck/chk-{checkpoint_id}", self.now)

    def complete(self, checkpoint_id, *shared):
        self.begin(checkpoint_id)
        self.acks(checkpoint_id, *shared)
        return self.written(checkpoint_id)


def file_of(checkpoint_id):
    return f"shared/c{checkpoint_id}-e7-a1-{checkpoint_id:016x}.sst"


def of(kind, instructions):
    return [i for i in instructions if isinstance(i, kind)]


def two_under_way(**settings):
    driver = Driver(**settings).started()
    driver.at(1_000)
    driver.begin(1)
    assert driver.at(2_000) == [SnapshotEnumerators(1, 2)]
    driver.begin(2)
    return driver


def test_as_many_run_at_once_as_allowed_and_the_next_starts_when_there_is_room():
    driver = two_under_way()
    assert driver.at(3_000) == []
    assert driver.next_deadline_ms() == 61_000, "no tick is wanted while there is no room"
    driver.acks(1)
    assert driver.written(1)[-1] == SnapshotEnumerators(1, 3)


def test_a_min_pause_leaves_room_for_one():
    driver = Driver(min_pause_ms=100, max_concurrent=5).started()
    driver.at(1_000)
    driver.begin(1)
    assert driver.at(5_000) == []
    driver.acks(1)
    assert driver.written(1)[-1] != SnapshotEnumerators(1, 2)
    assert driver.at(5_099) == []
    assert driver.at(5_100) == [SnapshotEnumerators(1, 2)]


def test_barriers_leave_in_the_order_of_ids():
    driver = Driver().started()
    driver.at(1_000)
    assert driver.at(2_500) == [], "the first one has not even started"
    out = driver.begin(1)
    assert isinstance(out[0], TriggerBarriers)
    assert out[1] == SnapshotEnumerators(1, 2)


def test_a_completed_checkpoint_ends_older_ones_and_that_counts_as_no_failure():
    driver = two_under_way(tolerable_failures=0)
    driver.acks(2)
    out = driver.written(2)
    assert out[:2] == [NotifyCheckpoint(2, True), NotifyCheckpoint(1, False)]
    assert not of(FailJob, out)
    assert "subsumed by checkpoint 2" in driver.coordinator.statistics.history[1].failure
    assert driver.ack(TASKS[0], 1) == []
    assert driver.coordinator.stale_messages == 1


def test_one_metadata_is_written_at_a_time_in_order():
    driver = two_under_way()
    assert [type(i) for i in driver.acks(1)] == [WriteMetadata]
    assert driver.acks(2) == []
    (write,) = of(WriteMetadata, driver.written(1))
    assert write.metadata.checkpoint_id == 2


def test_behind_an_abandoned_write_nothing_is_written_before_it_is_over():
    driver = two_under_way(timeout_ms=5_000, tolerable_failures=9)
    driver.acks(1)
    driver.at(6_000)  # the first expires while its metadata is written
    assert driver.acks(2) == []
    out = driver.metadata_failed(1, CheckpointFailedError("slow disk"), driver.now)
    assert [w.metadata.checkpoint_id for w in of(WriteMetadata, out)] == [2]


def test_files_stay_while_one_under_way_may_build_on_them():
    driver = Driver(retained=1).started()
    driver.at(1_000)
    driver.complete(1, file_of(1))
    driver.at(2_000)
    driver.begin(2)
    driver.at(3_000)
    driver.begin(3)
    driver.acks(2, file_of(2))
    out = driver.written(2)
    assert not of(DiscardCheckpoint, out), "the third may be built on the first"
    (write,) = of(WriteMetadata, driver.acks(3, file_of(1), file_of(3)))
    assert not write.metadata.full
    discards = of(DiscardCheckpoint, driver.written(3))
    assert sorted(d.checkpoint_id for d in discards) == [1, 2]
    assert [m.checkpoint_id for m in discards[-1].retained] == [3]


def test_failures_count_once_a_checkpoint_and_older_ones_not_at_all():
    driver = two_under_way(tolerable_failures=0)
    decline = runtime_pb2.CheckpointDecline(checkpoint_id=1, reason="no disk")
    driver.acks(2)
    driver.written(2)
    assert driver.declined("x", decline, driver.now) == []
    driver.at(3_000)
    driver.begin(3)
    decline.checkpoint_id = 3
    out = driver.declined("x", decline, driver.now)
    assert [type(i) for i in out[:2]] == [NotifyCheckpoint, FailJob]


def test_where_barriers_must_not_meet_a_savepoint_waits_and_nothing_overtakes_it():
    driver = Driver(overlapping=False, max_concurrent=1).started()
    driver.at(1_000)
    driver.begin(1)
    assert driver.request_savepoint(SavepointRequest("s", "/sp", False, False), driver.now) == []
    assert driver.request_checkpoint(CheckpointRequest("c"), driver.now) == []
    driver.ms = 5_000
    driver.acks(1)
    assert driver.written(1)[-1] == SnapshotEnumerators(1, 2)
    (trigger,) = of(TriggerBarriers, driver.begin(2))
    assert trigger.target == "/sp"


# ------------------------------------------------------------------------------------ by hand


@pytest.mark.parametrize("full", [True, False])
def test_a_checkpoint_by_hand_is_taken_at_once_and_is_full_when_asked(full):
    driver = Driver(interval_ms=None).started()
    out = driver.request_checkpoint(CheckpointRequest("r", full), driver.now)
    assert out == [SnapshotEnumerators(1, 1)]
    (trigger,) = driver.begin(1)
    assert (trigger.full, trigger.target) == (full, "")
    driver.acks(1)
    assert RequestSucceeded("r", "/ck/chk-1") in driver.written(1)
    assert [c.checkpoint_id for c in driver.coordinator.retained] == [1]


def test_a_checkpoint_by_hand_waits_for_room_but_for_no_pause():
    driver = Driver(min_pause_ms=10_000).started()
    driver.at(1_000)
    driver.begin(1)
    assert driver.request_checkpoint(CheckpointRequest("r"), driver.now) == []
    driver.acks(1)
    assert driver.written(1)[-1] == SnapshotEnumerators(1, 2)


def test_a_full_checkpoint_that_builds_on_an_earlier_one_is_refused():
    driver = Driver().started()
    driver.at(1_000)
    driver.complete(1, file_of(1))
    driver.request_checkpoint(CheckpointRequest("r", full=True), driver.now)
    driver.begin(2)
    out = driver.acks(2, file_of(1))
    assert not of(WriteMetadata, out)
    (told,) = of(RequestFailed, out)
    assert "should be full" in told.error.message


def test_a_checkpoint_by_hand_needs_running_tasks():
    driver = Driver()
    (told,) = driver.request_checkpoint(CheckpointRequest("r"), driver.now)
    assert isinstance(told.error, JobStateError)


# ------------------------------------------------------------------------------------- claims


def foreign():
    metadata = checkpoint_pb2.CheckpointMetadata(checkpoint_id=41)
    metadata.operators.add(uid="total").subtasks.add().keyed.add().files.add(
        name="a", file=checkpoint_pb2.FileHandle(path=file_of(40)), shared=True
    )
    return CompletedCheckpoint(metadata, "/other/chk-41", "/other")


def test_without_a_claim_the_first_checkpoint_is_full_until_one_is_complete():
    driver = Driver(claim_mode=ClaimMode.NO_CLAIM, retained=1)
    driver.restore(foreign())
    driver.started()
    driver.at(1_000)
    (trigger,) = of(TriggerBarriers, driver.begin(42))
    assert trigger.full
    decline = runtime_pb2.CheckpointDecline(checkpoint_id=42, reason="no disk")
    driver.declined("x", decline, driver.now)
    driver.at(2_000)
    (again,) = of(TriggerBarriers, driver.begin(43))
    assert again.full
    assert not of(WriteMetadata, driver.acks(43, file_of(40))), "it would need foreign files"
    driver.at(3_000)
    driver.complete(44, file_of(44))
    driver.at(4_000)
    (third,) = of(TriggerBarriers, driver.begin(45))
    assert not third.full
    driver.acks(45)
    assert not of(DiscardClaimed, driver.written(45))
    assert driver.close(discard_retained=True)[-1] == DiscardAll()


def test_a_claimed_snapshot_is_retained_and_deleted_like_an_own_one():
    driver = Driver(claim_mode=ClaimMode.CLAIM, retained=2)
    driver.restore(foreign())
    driver.started()
    driver.at(1_000)
    (trigger,) = of(TriggerBarriers, driver.begin(42))
    assert not trigger.full
    driver.acks(42)
    assert not of(DiscardClaimed, driver.written(42))
    driver.at(2_000)
    (discard,) = of(DiscardClaimed, driver.complete(43))
    assert (discard.path, discard.root) == ("/other/chk-41", "/other")


def test_the_end_of_a_job_deletes_what_it_had_claimed():
    driver = Driver(claim_mode=ClaimMode.CLAIM)
    driver.restore(foreign())
    driver.started()
    kinds = [type(i) for i in driver.close(discard_retained=True)]
    assert kinds == [DiscardClaimed, DiscardAll]


# ------------------------------------------------------------------------------------- orphans


def test_orphans_are_collected_behind_an_abort_and_from_time_to_time():
    driver = Driver(tolerable_failures=9).started()
    driver.at(1_000)
    assert not of(CollectOrphans, driver.complete(1))
    driver.at(2_000)
    driver.begin(2)
    driver.declined("x", runtime_pb2.CheckpointDecline(checkpoint_id=2), driver.now)
    driver.at(3_000)
    (collect,) = of(CollectOrphans, driver.complete(3))
    assert (collect.first_checkpoint_id, collect.before_checkpoint_id) == (1, 4)
    assert collect.first_epoch == 7, "earlier epochs are somebody else's until recovered"
    driver.at(4_000)
    assert not of(CollectOrphans, driver.complete(4))
    driver.at(4_000 + SWEEP_EVERY_MS)
    assert of(CollectOrphans, driver.complete(5))


def test_what_is_under_way_is_no_orphan():
    driver = Driver(tolerable_failures=9, max_concurrent=3).started()
    driver.at(1_000)
    driver.begin(1)
    driver.declined("x", runtime_pb2.CheckpointDecline(checkpoint_id=1), driver.now)
    for ms, number in ((2_000, 2), (3_000, 3)):
        driver.at(ms)
        driver.begin(number)
    driver.acks(2)
    (collect,) = of(CollectOrphans, driver.written(2))
    assert collect.before_checkpoint_id == 3


def test_the_first_checkpoint_of_a_new_epoch_collects_what_the_old_one_left():
    driver = Driver(retained=1)
    kept = []
    for number in (3, 5):
        metadata = checkpoint_pb2.CheckpointMetadata(checkpoint_id=number)
        kept.append(CompletedCheckpoint(metadata, f"/ck/chk-{number}", "/ck"))
    driver.recover(kept, first_id=9)
    assert driver.coordinator.latest.checkpoint_id == 5
    driver.started()
    driver.at(1_000)
    out = driver.complete(9)
    (collect,) = of(CollectOrphans, out)
    assert (collect.first_checkpoint_id, collect.first_epoch) == (0, 0)
    assert [m.checkpoint_id for m in collect.retained] == [9]
    assert sorted(d.checkpoint_id for d in of(DiscardCheckpoint, out)) == [3, 5]


def test_what_was_claimed_under_an_earlier_epoch_is_told_to_the_sweep():
    driver = Driver(claim_mode=ClaimMode.CLAIM)
    driver.coordinator._graph.restore_path = "/other/chk-41"
    metadata = checkpoint_pb2.CheckpointMetadata(checkpoint_id=42)
    driver.recover([CompletedCheckpoint(metadata, "/ck/chk-42", "/ck")])
    driver.started()
    driver.at(1_000)
    (collect,) = of(CollectOrphans, driver.complete(43))
    assert (collect.claimed_path, collect.epoch) == ("/other/chk-41", 7)


def test_a_savepoint_that_failed_leaves_nothing_behind():
    driver = Driver(interval_ms=None, timeout_ms=500).started()
    driver.request_savepoint(SavepointRequest("r", "/sp", False, False), driver.now)
    driver.begin(1)
    driver.at(500)
    driver.request_checkpoint(CheckpointRequest("r"), driver.now)
    assert of(DiscardSavepoint, driver.complete(2)) == [DiscardSavepoint("/sp")]


def test_periodic_checkpoints_end_with_the_first_source_when_asked():
    driver = Driver(after_tasks_finish=False).started()
    driver.data_ended()
    assert driver.next_deadline_ms() is None
    assert driver.at(5_000) == []
    assert driver.request_final(driver.now) == [SnapshotEnumerators(1, 1)]


# ---------------------------------------------------------------------------------- statistics


def test_each_subtask_has_its_part_in_the_statistics():
    driver = Driver().started()
    driver.at(1_000)
    driver.begin(1)
    driver.ms = 1_020
    driver.ack(TASKS[0], 1, in_flight=9)
    (entry,) = driver.coordinator.statistics.history
    assert (entry.state_bytes, entry.uploaded_bytes, entry.in_flight_bytes) == (14, 11, 9)
    assert entry.unaligned
    first, second = entry.subtasks
    assert (first.vertex_id, first.status, second.status) == (
        "v-numbers",
        "ACKNOWLEDGED",
        "PENDING",
    )
    assert (first.end_to_end_us, first.ack_timestamp_ms) == (20_000, 11_020)
    times = (first.sync_us, first.async_us, first.alignment_us, first.start_delay_us)
    assert times == (3, 4, 5, 6)


def test_parts_are_kept_of_the_newest_checkpoints_only():
    driver = Driver(max_concurrent=1).started()
    for number in range(1, 31):
        driver.at(number * 1_000)
        driver.complete(number)
    history = driver.coordinator.statistics.history
    assert [entry.checkpoint_id for entry in history] == list(range(30, 10, -1))
    assert [len(entry.subtasks) for entry in history] == [2] * 10 + [0] * 10
    assert not driver.coordinator.statistics._parts
    assert len(driver.coordinator.statistics._entries) == 20
