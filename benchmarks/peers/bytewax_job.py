"""The benchmarks' jobs on Bytewax: two processes, recovery on, snapshots every 10 s.

python bytewax_job.py JOB --rows N: prints one line of JSON.
"""

import argparse
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import bytewax.operators as op
import bytewax.operators.windowing as w
import numpy as np
from bytewax._bytewax import cluster_main
from bytewax.dataflow import Dataflow
from bytewax.inputs import FixedPartitionedSource, StatefulSourcePartition
from bytewax.outputs import DynamicSink, StatelessSinkPartition
from bytewax.recovery import RecoveryConfig, init_db_dir
from cpu import CpuSampler

JOBS = ("running_sum", "window_count", "keyed_reduce", "process_timer")
KEYS = 100_000
EVENTS_PER_SECOND = 10_000
PROCESSES = 2
BATCH_ROWS = 1024
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
GOLDEN, MASK = 0x9E3779B97F4A7C15, (1 << 64) - 1


def mix(positions, seed):
    """splitmix64, as in lesto.connectors.datagen."""
    z = positions + np.uint64((seed * GOLDEN + GOLDEN) & MASK)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


class Lane(StatefulSourcePartition):
    """Every n-th position, in batches."""

    def __init__(self, lane, rows, notes, start):
        self.lane, self.notes = lane, notes
        self.next, self.end = start or 0, rows // PROCESSES
        self.pool = [f"key-{i:05d}" for i in range(KEYS)]

    def next_batch(self):
        if self.next >= self.end:
            raise StopIteration
        if self.next == 0:
            self.notes.write("first", time.monotonic())
        stop = min(self.next + BATCH_ROWS, self.end)
        positions = np.arange(self.next, stop, dtype=np.uint64) * np.uint64(PROCESSES)
        positions += np.uint64(self.lane)
        self.next = stop
        keys = (mix(positions, 3) % np.uint64(KEYS)).tolist()
        values = (mix(positions, 1) % np.uint64(100)).tolist()
        times = (positions * np.uint64(1000) // np.uint64(EVENTS_PER_SECOND)).tolist()
        pool = self.pool
        return [(pool[k], v, t) for k, v, t in zip(keys, values, times, strict=True)]

    def snapshot(self):
        return self.next


class Records(FixedPartitionedSource):
    def __init__(self, rows, notes):
        self.rows, self.notes = rows, notes

    def list_parts(self):
        return [str(lane) for lane in range(PROCESSES)]

    def build_part(self, step_id, for_part, resume_state):
        return Lane(int(for_part), self.rows, self.notes, resume_state)


class Drop(DynamicSink):
    """Counts and adds up what it drops."""

    def __init__(self, notes):
        self.notes = notes

    def build(self, step_id, worker_index, worker_count):
        return Dropped(self.notes)


class Dropped(StatelessSinkPartition):
    def __init__(self, notes):
        self.notes, self.records, self.total = notes, 0, 0

    def write_batch(self, items):
        self.records += len(items)
        if items and type(items[0]) is tuple:
            self.total += sum(item[1] for item in items)
        else:
            self.total += sum(items)

    def close(self):
        self.notes.write("last", (time.monotonic(), self.records, self.total))


class Notes:
    """Files by which the processes tell what they saw."""

    def __init__(self, folder):
        self.folder = Path(folder)

    def write(self, name, content):
        (self.folder / f"{name}-{os.getpid()}").write_text(json.dumps(content))

    def read(self, name):
        return [json.loads(p.read_text()) for p in self.folder.glob(f"{name}-*")]


def running(total, record):
    total = (total or 0) + record[1]
    return total, total


def reduced(so_far, record):
    if so_far is not None:
        record = (so_far[0], so_far[1] + record[1], record[2])
    return record, record


class MinuteTotal(op.StatefulLogic):
    """The total of a key's minute of event time.

    Bytewax has notifications by the wall clock only, so the next minute's first record of the key
    takes the place of the timer, which is less work.
    """

    def __init__(self, resumed):
        self.minute, self.total = resumed or (None, 0)

    def on_item(self, record):
        minute = record[2] // 60_000
        if minute == self.minute:
            self.total += record[1]
            return (), op.StatefulLogic.RETAIN
        done = () if self.minute is None else (self.total,)
        self.minute, self.total = minute, record[1]
        return done, op.StatefulLogic.RETAIN

    def on_eof(self):
        return (self.total,), op.StatefulLogic.DISCARD

    def snapshot(self):
        return self.minute, self.total


def build(job, rows, notes):
    flow = Dataflow("peers")
    records = op.input("records", flow, Records(rows, notes))
    if job == "running_sum":
        keyed = op.key_on("key", records, lambda record: record[0])
        results = op.map("total", op.stateful_map("sum", keyed, running), lambda pair: pair[1])
    elif job == "keyed_reduce":
        keyed = op.key_on("key", records, lambda record: record[0])
        results = op.map("record", op.stateful_map("reduce", keyed, reduced), lambda p: p[1])
    elif job == "process_timer":
        keyed = op.key_on("key", records, lambda record: record[0])
        results = op.map("total", op.stateful("minute", keyed, MinuteTotal), lambda p: p[1])
    else:
        # Event time alone: left to the defaults, a key's clock also runs with the wall clock, and
        # records of 1970 wake every key all the time (1,400 records/s, a tenth of them dropped).
        # There are no watermarks between the processes: a record older than the wait is dropped
        # even when its window is open, so the wait must cover what the processes drift apart.
        clock = w.EventClock(
            lambda record: EPOCH + timedelta(milliseconds=record[2]),
            wait_for_system_duration=timedelta(seconds=60),
            now_getter=lambda: EPOCH,
            to_system_utc=lambda _: None,
        )
        windower = w.TumblingWindower(length=timedelta(seconds=60), align_to=EPOCH)
        counted = w.count_window("count", records, clock, windower, lambda record: record[0])
        results = op.map("count_only", counted.down, lambda pair: pair[1][1])
    op.output("drop", results, Drop(notes))
    return flow


def worker(args):
    cluster_main(
        build(args.job, args.rows, Notes(args.folder)),
        args.addresses.split(";"),
        args.worker,
        epoch_interval=timedelta(seconds=args.interval),
        recovery_config=RecoveryConfig(args.folder),
    )


def free_ports(n):
    sockets = [socket.socket() for _ in range(n)]
    for s in sockets:
        s.bind(("127.0.0.1", 0))
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("job", choices=JOBS)
    parser.add_argument("--rows", type=int, required=True)
    parser.add_argument("--interval", type=float, default=10.0, help="seconds between snapshots")
    parser.add_argument("--worker", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--folder", help=argparse.SUPPRESS)
    parser.add_argument("--addresses", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.worker is not None:
        worker(args)
        return
    with tempfile.TemporaryDirectory(prefix="peers-bytewax-") as folder:
        init_db_dir(Path(folder), PROCESSES)
        addresses = ";".join(f"127.0.0.1:{port}" for port in free_ports(PROCESSES))
        sampler = CpuSampler()
        sampler.start()
        more = ["--folder", folder, "--addresses", addresses]
        workers = [
            subprocess.Popen([sys.executable, __file__, *sys.argv[1:], *more, "--worker", str(i)])
            for i in range(PROCESSES)
        ]
        codes = [process.wait() for process in workers]
        sampler.stop()
        if any(codes):
            sys.exit(f"bytewax processes ended with {codes}")
        first = min(Notes(folder).read("first"))
        lasts = Notes(folder).read("last")
    last = max(moment for moment, _, _ in lasts)
    print(
        json.dumps(
            {
                "engine": "bytewax",
                "job": args.job,
                "rows": args.rows,
                "seconds": round(last - first, 3),
                "rows_per_second": round(args.rows / (last - first)),
                "cpu_seconds": round(sampler.between(first, last), 2),
                "outputs": sum(n for _, n, _ in lasts),
                "output_total": sum(total for _, _, total in lasts),
            }
        )
    )


if __name__ == "__main__":
    main()
