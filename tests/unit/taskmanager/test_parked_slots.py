"""Slots whose tasks are all parked without credit: their part of a checkpoint waits for nobody."""

import time

import cloudpickle
import pytest

from lesto.common.elements import RowBatch
from lesto.proto import job_pb2, runtime_pb2
from lesto.state.storage import SnapshotStore
from lesto.taskmanager.operators.base import Operator, OperatorSnapshot
from lesto.taskmanager.operators.source_api import PROGRESS
from lesto.taskmanager.runtime.exchange.partition import HashRows
from lesto.taskmanager.runtime.in_flight_file import InFlightFiles

pytestmark = pytest.mark.cluster

HASH = job_pb2.PARTITION_KIND_HASH
OPTIONS = {
    "execution.checkpointing.unaligned.enabled": "true",
    "taskmanager.network.channel-credit": "4 kb",
}


class Endless(Operator):
    """Numbers without end."""

    def __init__(self):
        self.next = 0

    def process_batch(self, batch, input_index=0):
        raise AssertionError

    def poll(self):
        self.output.emit(RowBatch(list(range(self.next, self.next + 100))))
        self.next += 100
        return PROGRESS

    def add_splits(self, splits):
        pass

    def no_more_splits(self):
        pass

    def drain(self):
        pass

    def stop(self):
        pass

    def snapshot(self, checkpoint_id, canonical):
        return OperatorSnapshot(lists={"next": [str(self.next).encode()]})


class Sum(Operator):
    """Passes on; how many it has seen is in the snapshot. Waits for a file when given one."""

    def __init__(self, gate=""):
        self.gate = gate
        self.rows = 0

    def process_batch(self, batch, input_index=0):
        import os

        while self.gate and not os.path.exists(self.gate):
            time.sleep(0.01)
        self.rows += len(batch)
        self.output.emit(batch)

    def snapshot(self, checkpoint_id, canonical):
        return OperatorSnapshot(lists={"rows": [str(self.rows).encode()]})


def number(ack):
    """The number in a task's snapshot."""
    return int(ack.operators[0].state.lists[0].items[0])


def key_of_subtask(subtask):
    """A key that the hash edge sends there, of two."""
    keys = list(range(100))
    channels = HashRows(2, 128, lambda key: key).channels(RowBatch(keys)).tolist()
    return keys[channels.index(subtask)]


def test_a_slot_without_credit_takes_its_part_at_once(cluster, job, tmp_path):
    """Source and middle answer while the only consumer of their data is stuck in user code."""
    jobmanager, slots = cluster(2, **{"heartbeat.timeout": "120 s"})
    gate = tmp_path / "gate"
    built = job(slots, checkpoint_root=str(tmp_path / "chk"), **OPTIONS)
    any_key = {"key_selector_pickle": cloudpickle.dumps(lambda value: value)}
    hot = key_of_subtask(1)
    one_key = {"key_selector_pickle": cloudpickle.dumps(lambda value: hot)}
    built.vertex("source", 1, ("numbers", Endless)).vertex("middle", 1, ("sum", Sum))
    built.vertex("sink", 2, ("sum", Sum, str(gate)))  # subtask 0 gets nothing, 1 is in slot 1
    built.edge("source", "middle", HASH, None, **any_key)
    built.edge("middle", "sink", HASH, None, **one_key)
    built.deploy(jobmanager)
    jobmanager.wait_state(runtime_pb2.TASK_STATE_RUNNING, 4)
    jobmanager.wait_event("report", lambda r: parked(r, "source"))
    built.trigger(jobmanager, 1, "source")
    jobmanager.wait_event("ack", count=3)
    gate.touch()
    acks = jobmanager.wait_event("ack", count=4)
    by_task = {(a.task.vertex_id, a.task.subtask): a for a in acks}
    assert acks[-1].task == by_task["sink", 1].task, "it was stuck"
    # The cut: what the source has emitted is in the states and in flight, once.
    middle, sink = by_task["middle", 0], by_task["sink", 1]
    assert in_flight(middle, tmp_path)
    assert in_flight(sink, tmp_path)
    assert number(by_task["source", 0]) == number(middle) + len(in_flight(middle, tmp_path))
    behind = in_flight(sink, tmp_path) + in_flight(middle, tmp_path, at_producer=True)
    assert [*range(number(sink)), *behind] == list(range(number(middle)))


def parked(report, vertex_id):
    return report.task.vertex_id == vertex_id and report.backpressured_ratio > 0.8


def in_flight(ack, folder, at_producer=False):
    """Values in flight in one task's acknowledgement, in order."""
    files = InFlightFiles(SnapshotStore(str(folder / "chk"), epoch=1))
    elements = [
        e
        for handle in ack.in_flight
        if handle.at_producer == at_producer
        for e in files.read(handle, None, "test")
    ]
    return [value for batch in elements for value in batch.values]
