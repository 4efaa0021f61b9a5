"""T17: checkpoints under full backpressure, judged by ``verifier.py`` from outside.

    python -m tests.fault.unaligned --runs 3 --kills 2
    python -m tests.fault.unaligned --rescale

The sink's task takes a millisecond a record, a hundred times what the source needs; nine records of
ten have one key, so one subtask has nine tenths of the work and the other is done early. All
channels are full. Prints a line a run: how long checkpoints took (unaligned, with a timeout, and
aligned for comparison), what was in flight, and the verifier's counts. Exits 1 if a count that must
be zero is not, or unaligned checkpoints took longer than ``P99_SECONDS_MAX``.
"""

import argparse
import contextlib
import os
import random
import sys
import tempfile
import threading
import time
from pathlib import Path

import grpc

from lesto.client.minicluster import MiniCluster
from lesto.common import Configuration
from lesto.proto import client_pb2 as pb
from tests.fault.cluster import Cluster, kill
from tests.fault.exactly_once import JOB, PARALLELISM, judge_run, start_verifier, violations
from tests.golden.harness import Run
from tests.golden.test_unaligned import ORDERED, UNITED, chain

P99_SECONDS_MAX = 2.0  # on a machine whose cores have one process each to run
SLOW_US = 1_000
RATE = 100_000
POLL_SECONDS = 0.1
#: As Flink's UnalignedCheckpointRescaleITCase, at the size of two cores.
WIDTHS = [(1, 2), (2, 1), (2, 3), (3, 2), (1, 5), (5, 1), (4, 5), (5, 4), (3, 5, 2), (5, 3, 4)]
MODES = {
    "unaligned": {"execution.checkpointing.unaligned.enabled": "true"},
    "timeout": {
        "execution.checkpointing.unaligned.enabled": "true",
        "execution.checkpointing.aligned-checkpoint-timeout": "200 ms",
    },
    "aligned": {},
}


class CheckpointTimes:
    """Follows a job's checkpoints; the coordinator remembers only the newest."""

    def __init__(self, cluster, job):
        self.cluster, self.job = cluster, job
        self.seen = {}  # id -> (duration in ms, bytes in flight, unaligned)
        self.pending = {}  # id -> ms since its trigger, for those that never end
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self._follow)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        self.thread.join()

    def _follow(self):
        while not self.stop.wait(POLL_SECONDS):
            with contextlib.suppress(grpc.RpcError):
                self.look()

    def look(self):
        """Note what is complete and what is under way."""
        for entry in self.cluster.job(self.job).checkpoints.history:
            if entry.type != 1:
                continue
            if entry.status == "COMPLETED":
                self.pending.pop(entry.checkpoint_id, None)
                self.seen[entry.checkpoint_id] = (
                    entry.duration_ms, entry.in_flight_bytes, entry.unaligned,
                )  # fmt: skip
            elif entry.status == "IN_PROGRESS":
                age = int(time.time() * 1000) - entry.trigger_timestamp_ms
                self.pending[entry.checkpoint_id] = age
            else:  # given up, by a restart for example
                self.pending.pop(entry.checkpoint_id, None)

    def report(self):
        """Figures; a checkpoint that was under way for long counts with its age."""
        times = sorted([d for d, _, _ in self.seen.values()] + list(self.pending.values()))
        if not times:
            return {"checkpoints": 0}
        at = min(len(times) - 1, int(len(times) * 0.99))
        return {
            "checkpoints_seen": len(self.seen),
            "p50_ms": times[len(times) // 2],
            "p99_ms": times[at],
            "in_flight_max_bytes": max((b for _, b, _ in self.seen.values()), default=0),
            "with_in_flight": sum(b > 0 for _, b, _ in self.seen.values()),
            "unaligned": sum(u for _, _, u in self.seen.values()),
        }


def one_run(folder, *, mode, rows, kills, seed, hot=True, credit="64 kb", backend="hashmap"):
    """One run; the verifier's report with the times of checkpoints."""
    rng = random.Random(seed)
    output = folder / "output"
    output.mkdir(parents=True)
    options = {
        "execution.checkpointing.interval": "250ms",
        "taskmanager.network.channel-credit": credit,
        "taskmanager.batch.bytes": "16 kb",
        "state.backend.type": backend,
        "restart-strategy.type": "fixed-delay",
        "restart-strategy.fixed-delay.attempts": "1000",
        "restart-strategy.fixed-delay.delay": "100ms",
        **MODES[mode],
    }
    flags = ["--hot"] if hot else []
    with Cluster(folder, taskmanagers=2, slots=1) as cluster:
        job = cluster.submit(
            JOB, "--rows", rows, "--rate", RATE, "--output", output, "--slow-us", SLOW_US, *flags,
            parallelism=PARALLELISM, options=options,
        )  # fmt: skip
        verifier = start_verifier(folder, cluster, output, rows, *flags)
        killed = []
        try:
            cluster.wait_for(job, pb.JOB_STATE_RUNNING, 30)
            with CheckpointTimes(cluster, job) as times:
                for _ in range(kills):
                    time.sleep(rng.uniform(1.0, 3.0))
                    if cluster.job(job).summary.state == pb.JOB_STATE_FINISHED:
                        break
                    kind, pid = rng.choice(cluster.victims() or [("", 0)])
                    if pid and kill(pid):
                        killed.append(kind)
                seconds = rows * SLOW_US / 1_000_000
                details = cluster.wait_for(job, pb.JOB_STATE_FINISHED, 3 * seconds + 90)
            verdict, _ = verifier.communicate("", timeout=120)
        finally:
            verifier.kill()
            verifier.wait()
    return {
        **judge_run(verdict, details, seed=seed, killed=killed),
        **times.report(),
        "mode": mode,
        "load": round(os.getloadavg()[0] / (os.cpu_count() or 1), 1),
    }


def wrong(report):
    """What must not be, by name."""
    found = dict(violations(report))
    if report["mode"] != "aligned":
        if report["p99_ms"] > P99_SECONDS_MAX * 1000 * max(1.0, report["load"]):
            found["p99_ms"] = report["p99_ms"]
        if not report["with_in_flight"]:
            found["with_in_flight"] = 0
    return found


def rescaled():
    """Every pair of parallelisms, a pipeline and a union, with in-flight data; how many failed."""
    config = Configuration.from_dict({"log.level": "ERROR"})
    bad = 0
    with MiniCluster(config, slots=max(map(max, WIDTHS))) as cluster:
        cluster.wait_ready()
        for golden in (ORDERED, UNITED):
            for widths in WIDTHS:
                with tempfile.TemporaryDirectory(prefix="lesto-unaligned-") as folder:
                    try:
                        results = chain(cluster, golden, Path(folder), widths, {})
                        Run(cluster, golden, Path(folder)).check(results)
                        verdict = "exact"
                    except AssertionError as error:
                        bad += 1
                        verdict = f"VIOLATED {error}"
                print(f"{golden} {' -> '.join(map(str, widths))}: {verdict}", flush=True)
    return bad


def main():
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--kills", type=int, default=2)
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rescale", action="store_true", help="pairs of parallelisms instead")
    args = parser.parse_args()
    if args.rescale:
        return 1 if rescaled() else 0
    bad = 0
    for run in range(args.runs):
        for mode in MODES:
            with tempfile.TemporaryDirectory(prefix="lesto-unaligned-") as folder:
                report = one_run(
                    Path(folder), mode=mode, rows=args.rows, seed=args.seed + run,
                    kills=0 if mode == "aligned" else args.kills,
                )  # fmt: skip
            found = wrong(report)
            bad += bool(found)
            verdict = f"VIOLATED {found}" if found else "exact"
            figures = (
                f"checkpoints {report['checkpoints_seen']}, p50 {report['p50_ms']} ms, "
                f"p99 {report['p99_ms']} ms, in flight up to {report['in_flight_max_bytes']} bytes"
            )
            print(f"run {run + 1}, {mode}: {verdict}; {figures}; {report}", flush=True)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
