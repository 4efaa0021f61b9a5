"""Real slot processes under a played JobManager: the straight path and the ways it breaks."""

import os
import signal
import time

import numpy as np
import pyarrow as pa
import pytest

from lesto.common.elements import ColumnarBatch, Form, RowBatch
from lesto.proto import job_pb2, runtime_pb2
from lesto.taskmanager.operators.base import Operator, OperatorSnapshot
from lesto.taskmanager.operators.source_api import END, IDLE, PROGRESS

pytestmark = pytest.mark.cluster

SCHEMA = pa.schema([("key", pa.string()), ("n", pa.int64())])
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
                found[ack.task.subtask] = eval(lst.items[0])  # noqa: S307 - our own repr
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
