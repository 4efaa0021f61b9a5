"""Real slot processes under a played JobManager: the straight path and the ways it breaks."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from lesto.common.elements import ColumnarBatch, Form, RowBatch
from lesto.proto import job_pb2, runtime_pb2
from lesto.taskmanager.operators.base import Operator, OperatorSnapshot
from lesto.taskmanager.operators.source_api import END, IDLE, PROGRESS

pytestmark = pytest.mark.cluster

SCHEMA = pa.schema([("key", pa.string()), ("n", pa.int64())])
GONE_SECONDS_MAX = 30.0  # processes end at once, on a machine that is not busy
HASH, FORWARD = job_pb2.PARTITION_KIND_HASH, job_pb2.PARTITION_KIND_FORWARD


class Numbers(Operator):
    """Batches of (key, n): ``count`` rows for each subtask, then end; or without end when 0."""

    def __init__(self, count, rows=1000, columnar=True):
        self.count, self.rows, self.columnar = count, rows, columnar
        self.next = 0
        self.stopped = False

    def open(self):
        restored = self.context.restored_list("next")
        if restored:
            self.next = int(restored[0])

    def process_batch(self, batch, input_index=0):
        raise AssertionError

    def poll(self):
        if self.stopped:
            return IDLE
        if self.count and self.next >= self.count:
            return END
        n = np.arange(self.next, self.next + self.rows)
        self.next += self.rows
        ts = n.astype(np.int64)
        keys = [f"k{i % 100}" for i in n.tolist()]
        if self.columnar:
            data = pa.record_batch([pa.array(keys), pa.array(n)], schema=SCHEMA)
            self.output.emit(ColumnarBatch(data, ts))
        else:
            self.output.emit(RowBatch(list(zip(keys, n.tolist(), strict=True)), ts))
        self.output.emit_watermark(int(ts[-1]))
        return PROGRESS

    def add_splits(self, splits):
        pass

    def no_more_splits(self):
        pass

    def drain(self):
        pass

    def stop(self):
        self.stopped = True

    def snapshot(self, checkpoint_id, canonical):
        return OperatorSnapshot(lists={"next": [str(self.next).encode()]})


class Total(Operator):
    """Counts rows and sums n; its state at each barrier is in the snapshot."""

    input_form = Form.ANY

    def __init__(self):
        self.rows = self.sum = 0
        self.keys = set()
        self.watermark = None
        self.ended = False

    def process_batch(self, batch, input_index=0):
        self.rows += len(batch)
        if isinstance(batch, ColumnarBatch):
            keys, values = batch.data.column(0).to_pylist(), batch.data.column(1).to_pylist()
        else:
            keys, values = zip(*batch.values, strict=True)
        self.keys.update(keys)
        self.sum += sum(values)
        assert batch.timestamps.tolist() == list(values)

    def process_watermark(self, timestamp):
        self.watermark = timestamp

    def end_input(self, input_index=0):
        self.ended = True

    def snapshot(self, checkpoint_id, canonical):
        state = [self.rows, self.sum, self.watermark, int(self.ended), sorted(self.keys)]
        return OperatorSnapshot(lists={"total": [repr(state).encode()]})


def totals(acks, uid):
    """Snapshots of the Total operators by subtask."""
    found = {}
    for ack in acks:
        for operator in ack.operators:
            if operator.uid == uid:
                (lst,) = operator.state.lists
                found[ack.task.subtask] = eval(lst.items[0])
    return found


def states(jobmanager, count, state):
    return jobmanager.wait_state(state, count)


@pytest.mark.parametrize("columnar", [True, False])
def test_a_hash_job_over_two_slots_checkpoints_ends_and_finishes(cluster, job, columnar):
    jobmanager, slots = cluster(2)
    count = 50_000
    schema = SCHEMA if columnar else None
    key = {"key_columns": ["key"]} if columnar else {}
    if not columnar:
        import cloudpickle

        key = {"key_selector_pickle": cloudpickle.dumps(lambda value: value[0])}
    built = job(slots).vertex("source", 2, ("numbers", Numbers, count, 1000, columnar))
    built.vertex("total", 2, ("total", Total)).edge("source", "total", HASH, schema, **key)
    built.deploy(jobmanager)
    states(jobmanager, 4, runtime_pb2.TASK_STATE_RUNNING)
    jobmanager.wait_event("end_of_data", count=4)
    built.trigger(jobmanager, 1, "source", type=3)
    acks = jobmanager.wait_event("ack", count=4)
    found = totals(acks, "total-total")
    expected = 2 * sum(range(count))
    assert found[0][0] + found[1][0] == 2 * count
    assert found[0][1] + found[1][1] == expected
    assert not set(found[0][4]) & set(found[1][4])
    assert len(found[0][4]) + len(found[1][4]) == 100
    assert all(f[2] == 2**63 - 1 and f[3] for f in found.values())
    built.notify(jobmanager, 1, complete=True, finish=True)
    states(jobmanager, 4, runtime_pb2.TASK_STATE_FINISHED)


class Failing(Total):
    """Raises at the n-th row."""

    def __init__(self, at):
        super().__init__()
        self.at = at

    def process_batch(self, batch, input_index=0):
        super().process_batch(batch, input_index)
        if self.rows >= self.at:
            self.blow_up()

    def blow_up(self):
        raise ValueError("row too much")


class FailingOpen(Total):
    def open(self):
        raise RuntimeError("no database")


class Sleeper(Total):
    """Blocks the mailbox thread for good, and leaves a file that says so."""

    def __init__(self, asleep):
        super().__init__()
        self.asleep = asleep

    def process_batch(self, batch, input_index=0):
        Path(self.asleep).touch()
        time.sleep(600)


class Slow(Total):
    """A consumer that takes its time."""

    def process_batch(self, batch, input_index=0):
        super().process_batch(batch, input_index)
        time.sleep(0.02)


def running_job(jobmanager, slots, job, *total, source=(0,), **options):
    built = job(slots, **options).vertex("source", 2, ("numbers", Numbers, *source))
    built.vertex("total", 2, ("total", *(total or (Total,))))
    built.edge("source", "total", HASH, SCHEMA, key_columns=["key"])
    built.deploy(jobmanager)
    return built


def test_checkpoints_of_an_endless_job_are_consistent_cuts(cluster, job):
    jobmanager, slots = cluster(2)
    built = running_job(jobmanager, slots, job)
    states(jobmanager, 4, runtime_pb2.TASK_STATE_RUNNING)
    for checkpoint_id in (1, 2, 3):
        built.trigger(jobmanager, checkpoint_id, "source")
        acks = jobmanager.wait_event(
            "ack", lambda a, n=checkpoint_id: a.checkpoint_id == n, count=4
        )
        positions = [
            int(o.state.lists[0].items[0])
            for a in acks
            for o in a.operators
            if o.uid == "source-numbers"
        ]
        found = totals(acks, "total-total")
        # Every record before the barriers and none behind them: the sum tells which ones.
        assert sum(f[0] for f in found.values()) == sum(positions)
        assert sum(f[1] for f in found.values()) == sum(p * (p - 1) // 2 for p in positions)
        built.notify(jobmanager, checkpoint_id, complete=True)
        time.sleep(0.1)
    jobmanager.wait_event(
        "report", lambda r: r.task.vertex_id == "total" and r.operators[0].records_in > 0
    )
    built.cancel(jobmanager)
    states(jobmanager, 4, runtime_pb2.TASK_STATE_CANCELED)


def test_an_aborted_checkpoint_is_forgotten_and_the_next_one_works(cluster, job):
    jobmanager, slots = cluster(2)
    built = running_job(jobmanager, slots, job)
    states(jobmanager, 4, runtime_pb2.TASK_STATE_RUNNING)
    # Only one source brings barrier 1: both consumers block its channels.
    one = runtime_pb2.TriggerCheckpoint(
        tasks=[built.ref("source", 0)], checkpoint_id=1, timestamp_ms=1, type=1
    )
    jobmanager.command(built.slot_of(0).slot_id, trigger=one)
    jobmanager.wait_event("ack", count=1)
    built.notify(jobmanager, 1, complete=False)
    built.trigger(jobmanager, 2, "source")
    acks = jobmanager.wait_event("ack", lambda a: a.checkpoint_id == 2, count=4)
    assert len(totals(acks, "total-total")) == 2
    built.cancel(jobmanager)
    states(jobmanager, 4, runtime_pb2.TASK_STATE_CANCELED)


def test_a_slow_consumer_holds_back_its_producers_and_checkpoints_still_pass(cluster, job):
    jobmanager, slots = cluster(2)
    built = running_job(jobmanager, slots, job, Slow)
    states(jobmanager, 4, runtime_pb2.TASK_STATE_RUNNING)
    source_reports = jobmanager.wait_event(
        "report",
        lambda r: r.task.vertex_id == "source" and r.backpressured_ratio > 0.5,
        count=2,
    )
    assert source_reports
    built.trigger(jobmanager, 1, "source")
    acks = jobmanager.wait_event("ack", count=4)
    assert sum(f[0] for f in totals(acks, "total-total").values()) > 0
    built.cancel(jobmanager)
    states(jobmanager, 4, runtime_pb2.TASK_STATE_CANCELED)


def test_a_users_exception_reports_their_frames_first(cluster, job):
    jobmanager, slots = cluster(2)
    running_job(jobmanager, slots, job, Failing, 5_000)
    failures = jobmanager.wait_event("failure")
    failure = failures[0]
    assert failure.code == "LESTO-6001"
    assert failure.message == "ValueError: row too much"
    assert failure.operator_name == "total"
    assert failure.user_traceback.splitlines()[0] == "Traceback (most recent call last):"
    assert "in blow_up" in failure.user_traceback
    assert "lesto/taskmanager" not in failure.user_traceback
    assert "lesto/taskmanager" in failure.full_traceback
    path, _, line = failure.location.rpartition(":")
    assert path == __file__
    assert 'raise ValueError("row too much")' in Path(path).read_text().splitlines()[int(line) - 1]
    assert failure.retryable


def test_the_failing_task_is_reported_before_its_neighbours_broken_channels(cluster, job):
    jobmanager, slots = cluster(2)
    built = running_job(jobmanager, slots, job, Failing, 5_000)
    jobmanager.wait_event("failure", lambda f: f.code == "LESTO-6001")
    time.sleep(0.5)
    codes = [f.code for f in jobmanager.wait_event("failure")]
    assert set(codes) == {"LESTO-6001"}
    built.cancel(jobmanager)
    jobmanager.wait_event("state", lambda s: s.state == runtime_pb2.TASK_STATE_CANCELED, count=2)


def test_an_operator_that_cannot_open_fails_its_task(cluster, job):
    jobmanager, slots = cluster(1)
    job(slots).vertex("source", 1, ("numbers", Numbers, 0), ("total", FailingOpen)).deploy(
        jobmanager
    )
    (failure,) = jobmanager.wait_event("failure")
    assert failure.message == "RuntimeError: no database"
    assert failure.operator_name == "total"


def test_kill_9_of_a_slot_is_noticed_at_once_and_the_slot_is_replaced(cluster, job):
    patience = {"heartbeat.timeout": "120 s"}  # what comes sooner was not a missed heartbeat
    jobmanager, slots = cluster(2, **patience)
    built = running_job(jobmanager, slots, job)
    states(jobmanager, 4, runtime_pb2.TASK_STATE_RUNNING)
    killed_at = time.monotonic()
    os.kill(slots[1].pid, signal.SIGKILL)
    lost = jobmanager.wait(
        lambda: [s for s in jobmanager.slot_reports if s.status == runtime_pb2.SLOT_STATUS_LOST],
        "the loss",
    )
    assert lost[0].slot_id == slots[1].slot_id
    assert lost[0].lost_reason == "killed by signal 9 (SIGKILL)"
    failures = jobmanager.wait_event("failure", lambda f: f.code == "LESTO-4201")
    assert all(f.retryable for f in failures)
    assert time.monotonic() - killed_at < 60
    built.cancel(jobmanager)
    again = jobmanager.ready_slots(2)
    assert [s.index for s in again] == [0, 1]
    assert again[1].slot_id != slots[1].slot_id
    # The next attempt runs on the old and the new process.
    jobmanager.events.clear()
    second = running_job(jobmanager, again, job, source=(20_000,), attempt=1)
    jobmanager.wait_event("end_of_data", count=4)
    second.cancel(jobmanager)
    states(jobmanager, 4, runtime_pb2.TASK_STATE_CANCELED)


def test_a_slot_killed_on_command_names_the_reason(cluster):
    jobmanager, slots = cluster(1)
    jobmanager.kill_slot(slots[0].slot_id, "a task did not cancel")
    lost = jobmanager.wait(
        lambda: [s for s in jobmanager.slot_reports if s.status == runtime_pb2.SLOT_STATUS_LOST],
        "the loss",
    )
    assert lost[0].lost_reason == "killed by the JobManager: a task did not cancel"


def test_a_silent_slot_is_killed(cluster):
    options = {"heartbeat.interval": "100 ms", "heartbeat.timeout": "3 s"}
    jobmanager, slots = cluster(1, **options)
    os.kill(slots[0].pid, signal.SIGSTOP)
    lost = jobmanager.wait(
        lambda: [s for s in jobmanager.slot_reports if s.status == runtime_pb2.SLOT_STATUS_LOST],
        "the loss",
    )
    assert lost[0].lost_reason.startswith("silent for")


def test_a_task_that_does_not_cancel_costs_its_process(cluster, job, tmp_path):
    options = {"heartbeat.interval": "100 ms", "task.cancellation.timeout": "500 ms"}
    jobmanager, slots = cluster(2, **options)
    asleep = tmp_path / "asleep"
    built = running_job(jobmanager, slots, job, Sleeper, str(asleep))
    states(jobmanager, 4, runtime_pb2.TASK_STATE_RUNNING)
    jobmanager.wait(asleep.exists, "a blocked task")
    built.cancel(jobmanager)
    lost = jobmanager.wait(
        lambda: [s for s in jobmanager.slot_reports if s.status == runtime_pb2.SLOT_STATUS_LOST],
        "the loss",
    )
    assert lost[0].lost_reason == "exited with 72"


def test_when_the_jobmanager_is_lost_tasks_stop_and_slots_come_back(fake_jobmanager, host, job):
    first = fake_jobmanager()
    started = host(first.port, 2)
    try:
        slots = first.ready_slots(2)
        running_job(first, slots, job)
        states(first, 4, runtime_pb2.TASK_STATE_RUNNING)
        first.stop()
        second = fake_jobmanager(first.port)
        try:
            again = second.ready_slots(2)
            assert {s.slot_id for s in again} == {s.slot_id for s in slots}
            built = running_job(second, again, job, source=(20_000,), epoch=2)
            second.wait_event("end_of_data", lambda e: e.task.epoch == 2, count=4)
            stale = [e for _, e in second.events if e.WhichOneof("event") == "report"]
            assert all(e.report.task.epoch == 2 for e in stale)
            built.cancel(second)
            second.wait_event(
                "state",
                lambda s: s.state == runtime_pb2.TASK_STATE_CANCELED and s.task.epoch == 2,
                count=4,
            )
        finally:
            second.stop()
    finally:
        started.stop()


def test_stop_with_savepoint_without_drain_ends_without_end_of_data(cluster, job, tmp_path):
    jobmanager, slots = cluster(2)
    built = running_job(jobmanager, slots, job)
    states(jobmanager, 4, runtime_pb2.TASK_STATE_RUNNING)
    built.trigger(jobmanager, 1, "source", type=2, stop=True, target=str(tmp_path))
    acks = jobmanager.wait_event("ack", count=4)
    found = totals(acks, "total-total")
    assert not any(f[3] for f in found.values())
    built.notify(jobmanager, 1, complete=True, finish=True)
    states(jobmanager, 4, runtime_pb2.TASK_STATE_FINISHED)
    assert not [e for _, e in jobmanager.events if e.WhichOneof("event") == "end_of_data"]


def test_stop_with_drain_moves_event_time_to_its_end(cluster, job, tmp_path):
    jobmanager, slots = cluster(2)
    built = running_job(jobmanager, slots, job)
    states(jobmanager, 4, runtime_pb2.TASK_STATE_RUNNING)
    fields = {"type": 2, "stop": True, "drain": True, "target": str(tmp_path)}
    built.trigger(jobmanager, 1, "source", **fields)
    found = totals(jobmanager.wait_event("ack", count=4), "total-total")
    assert all(f[2] == 2**63 - 1 and f[3] for f in found.values())
    built.notify(jobmanager, 1, complete=True, finish=True)
    states(jobmanager, 4, runtime_pb2.TASK_STATE_FINISHED)


def test_a_cancel_for_an_unknown_task_is_answered(cluster, job):
    jobmanager, slots = cluster(1)
    built = job(slots).vertex("total", 1, ("total", Total))
    built.cancel(jobmanager)
    states(jobmanager, 1, runtime_pb2.TASK_STATE_CANCELED)


SUPERVISOR = """
import sys
from lesto.common.config import Configuration
from lesto.taskmanager.runtime.supervisor import run_taskmanager
run_taskmanager(Configuration(), jobmanager_address=sys.argv[1], slots=2)
"""


@pytest.fixture
def supervisor_process(jobmanager, tmp_path):
    """A TaskManager as a process of its own."""
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    command = [sys.executable, "-c", SUPERVISOR, f"127.0.0.1:{jobmanager.port}"]
    process = subprocess.Popen(command, env=environment)
    yield process
    if process.poll() is None:
        process.kill()
    process.wait()


def gone(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def wait_gone(pids):
    deadline = time.monotonic() + GONE_SECONDS_MAX
    while left := [pid for pid in pids if not gone(pid)]:
        assert time.monotonic() < deadline, f"still there: {left}"
        time.sleep(0.02)


def test_kill_9_of_the_supervisor_leaves_no_orphan(supervisor_process, jobmanager, job):
    slots = jobmanager.ready_slots(2)
    running_job(jobmanager, slots, job)
    states(jobmanager, 4, runtime_pb2.TASK_STATE_RUNNING)
    supervisor_process.kill()
    wait_gone([s.pid for s in slots])


def test_sigterm_ends_the_supervisor_and_its_slots_cleanly(
    supervisor_process, jobmanager, tmp_path
):
    slots = jobmanager.ready_slots(2)
    supervisor_process.terminate()
    assert supervisor_process.wait(60) == 0
    wait_gone([s.pid for s in slots])
    assert list(tmp_path.glob("lesto-tm-*")) == []
