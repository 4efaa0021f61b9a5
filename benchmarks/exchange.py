"""Exchange between two slot processes: rows/s of a hash edge, and the latency of an idle hop.

    python benchmarks/exchange.py [--seconds 4] [--credit 256kb] [--rows 10000]

Batches of 10,000 rows with three columns (string, int64, int64) are made once and emitted again and
again by a source in each of two slots; half of the rows stay in their slot, half cross. The
consumers only count.
"""

import argparse
import os
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow as pa

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "plugins"))

from played_jobmanager import FakeJobManager, Host, JobBuilder

from lesto.common.elements import ColumnarBatch
from lesto.kernels import hashing, keygroups
from lesto.proto import job_pb2, runtime_pb2
from lesto.taskmanager.operators.base import Operator, OperatorSnapshot
from lesto.taskmanager.operators.source_api import PROGRESS, PollOutcome, PollStatus

SCHEMA = pa.schema([("key", pa.string()), ("a", pa.int64()), ("b", pa.int64())])
HASH = job_pb2.PARTITION_KIND_HASH


class Flood(Operator):
    """Emits the same batch as fast as it is taken."""

    def __init__(self, rows):
        self.rows = rows

    def open(self):
        n = np.arange(self.rows)
        keys = pa.array([f"key-{i % 5000:06d}" for i in range(self.rows)])
        data = pa.RecordBatch.from_arrays([keys, pa.array(n), pa.array(n)], schema=SCHEMA)
        self.batch = ColumnarBatch(data, n)

    def process_batch(self, batch, input_index=0):
        raise AssertionError

    def poll(self):
        self.output.emit(self.batch)
        return PROGRESS

    def add_splits(self, splits):
        pass

    def no_more_splits(self):
        pass

    def stop(self):
        pass


class Ticks(Flood):
    """One row every few ms, stamped with the monotonic clock."""

    def __init__(self, key, every_ms):
        self.key, self.every_ms = key, every_ms
        self.due_ms = 0

    def open(self):
        pass

    def poll(self):
        now_ms = time.monotonic_ns() // 1_000_000
        if now_ms < self.due_ms:
            return PollOutcome(PollStatus.IDLE, self.due_ms)
        self.due_ms = now_ms + self.every_ms
        stamp = pa.array([time.monotonic_ns()])
        data = pa.RecordBatch.from_arrays([pa.array([self.key]), stamp, stamp], schema=SCHEMA)
        self.output.emit(ColumnarBatch(data, None))
        return PROGRESS


class Count(Operator):
    """Counts rows; or, for ticks, keeps how old they are."""

    def __init__(self, ticks=False):
        self.ticks = ticks
        self.count = 0
        self.ages_us = []

    def process_batch(self, batch, input_index=0):
        self.count += len(batch)
        if self.ticks:
            self.ages_us.append((time.monotonic_ns() - batch.data.column(1)[0].as_py()) // 1000)

    def snapshot(self, checkpoint_id, canonical):
        said = [self.count, time.monotonic_ns(), sorted(self.ages_us)]
        return OperatorSnapshot(lists={"said": [repr(said).encode()]})


def said(jobmanager, built, checkpoint_id):
    """What the counters say at a checkpoint."""
    built.trigger(jobmanager, checkpoint_id, "source")
    tasks = len(built.refs())
    acks = jobmanager.wait_event("ack", lambda a: a.checkpoint_id == checkpoint_id, count=tasks)
    built.notify(jobmanager, checkpoint_id, complete=True)
    found = []
    for ack in acks:
        for operator in ack.operators:
            for lst in operator.state.lists:
                found.append(eval(lst.items[0]))
    return found


def run(jobmanager, slots, built, seconds):
    """Deploy, measure between two checkpoints, cancel."""
    jobmanager.events.clear()
    built.deploy(jobmanager)
    jobmanager.wait_state(runtime_pb2.TASK_STATE_RUNNING, len(built.refs()))
    time.sleep(1)
    before = said(jobmanager, built, 1)
    time.sleep(seconds)
    after = said(jobmanager, built, 2)
    built.cancel(jobmanager)
    jobmanager.wait_state(runtime_pb2.TASK_STATE_CANCELED, len(built.refs()))
    return before, after


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=4)
    parser.add_argument("--credit", default="")
    parser.add_argument("--rows", type=int, default=10_000)
    arguments = parser.parse_args()
    config = {"taskmanager.network.channel-credit": arguments.credit} if arguments.credit else {}
    os.environ.setdefault("LESTO_LOG_LEVEL", "WARNING")
    jobmanager = FakeJobManager()
    host = Host(jobmanager.port, 2)
    try:
        slots = jobmanager.ready_slots(2)
        flood = JobBuilder(slots, **config).vertex("source", 2, ("flood", Flood, arguments.rows))
        flood.vertex("count", 2, ("count", Count))
        flood.edge("source", "count", HASH, SCHEMA, key_columns=["key"])
        before, after = run(jobmanager, slots, flood, arguments.seconds)
        rows = sum(a[0] for a in after) - sum(b[0] for b in before)
        seconds = (np.mean([a[1] for a in after]) - np.mean([b[1] for b in before])) / 1e9
        print(f"hash exchange, 2 slots, both ways: {rows / seconds / 1e6:8.2f} M rows/s")
        print(f"   of which crossed a process:     {rows / seconds / 2e6:8.2f} M rows/s")
        key = next(
            k
            for k in map(str, range(100))
            if keygroups.channels(hashing.hash_column(pa.array([k])), 128, 2)[0] == 1
        )
        ticks = JobBuilder(slots, attempt=1, **config).vertex(
            "source", 1, ("ticks", Ticks, key, 10)
        )
        ticks.vertex("count", 2, ("count", Count, True))
        ticks.edge("source", "count", HASH, SCHEMA, key_columns=["key"])
        _, after = run(jobmanager, slots, ticks, min(arguments.seconds, 4))
        ages = np.array(sorted(age for a in after for age in a[2]))
        p50, p99 = np.percentile(ages, [50, 99])
        print(
            f"idle hop, source to consumer:      {p50:8.0f} us p50, {p99:.0f} us p99 ({len(ages)})"
        )
    finally:
        host.stop()
        jobmanager.stop()


if __name__ == "__main__":
    main()
