"""Faults aimed at the seams: pauses, double kills, kills in recovery and at both ends of a job.

    python -m tests.fault.hostile --only pause_taskmanager,double --backend hashmap

A scenario acts on a running job. The judge is ``verifier.py``, as in ``exactly_once.py``.
"""

import argparse
import contextlib
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from lesto.proto import checkpoint_pb2
from lesto.proto import client_pb2 as pb
from tests.fault.cluster import Cluster, kill
from tests.fault.exactly_once import (
    JOB,
    PARALLELISM,
    judge_run,
    start_verifier,
    violations,
)

FINAL = checkpoint_pb2.CHECKPOINT_TYPE_FINAL


class Attack:
    """What a scenario may use."""

    def __init__(self, cluster, job, rng):
        self.cluster, self.job, self.rng = cluster, job, rng
        self.told = []

    def sleep(self, low, high):
        """A random pause."""
        time.sleep(self.rng.uniform(low, high))

    def pids(self, kind):
        """Processes of a kind: ``slot`` or ``taskmanager``."""
        return [pid for what, pid in self.cluster.victims() if what == kind]

    def kill(self, kind):
        """Kill one."""
        found = self.pids(kind)
        if found and kill(self.rng.choice(found)):
            self.told.append(f"kill {kind}")

    @contextlib.contextmanager
    def paused(self, pids):
        """SIGSTOP, and SIGCONT behind it."""
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP)
        self.told.append(f"pause {len(pids)}")
        try:
            yield
        finally:
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)

    def state(self):
        """The job's state."""
        return self.cluster.job(self.job).summary.state

    def until(self, condition, seconds=20.0):
        """Poll quickly; whether it came true."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if condition():
                return True
            time.sleep(0.005)
        return False


def pause_taskmanager(a):
    """A whole TaskManager sleeps beyond the heartbeat timeout, and wakes as a zombie."""
    a.sleep(1, 2)
    taskmanager = a.rng.choice(a.cluster.info().taskmanagers)
    with a.paused([taskmanager.pid, *(s.pid for s in taskmanager.slots if s.pid)]):
        time.sleep(6)
    time.sleep(1)


def pause_supervisor(a):
    """Only the supervisor sleeps; its slots go on and notice."""
    a.sleep(1, 2)
    with a.paused([a.rng.choice(a.pids("taskmanager"))]):
        time.sleep(6)
    time.sleep(1)


def pause_slot(a):
    """Only a slot sleeps; its supervisor ends it."""
    a.sleep(1, 2)
    with a.paused([a.rng.choice(a.pids("slot"))]):
        time.sleep(6)


def pause_short(a):
    """Pauses below the timeout: nobody restarts, nothing is lost."""
    for _ in range(4):
        a.sleep(0.3, 1)
        with a.paused([a.rng.choice(a.pids(a.rng.choice(["slot", "taskmanager"])))]):
            a.sleep(0.2, 1.2)


def disk_full(a):
    """Checkpoint storage is full for a while; needs root for a small tmpfs."""
    a.sleep(1, 2)
    filler = a.cluster.checkpoints / "filler"
    try:
        with contextlib.suppress(OSError), filler.open("wb") as out:
            while True:
                out.write(b"x" * (1 << 20))
        a.told.append("disk full")
        time.sleep(3)
    finally:
        filler.unlink(missing_ok=True)


def pause_jobmanager(a):
    """The JobManager sleeps beyond the timeout; the TaskManagers leave it and come back."""
    a.sleep(1, 2)
    with a.paused([a.cluster.jobmanager.pid]):
        time.sleep(6)


def double(a):
    """Both TaskManagers at once, twice."""
    for _ in range(2):
        a.sleep(1, 2)
        for pid in a.pids("taskmanager"):
            kill(pid)
        a.told.append("kill both")
        a.until(lambda: a.state() == pb.JOB_STATE_RUNNING, 30)


def in_recovery(a):
    """Kill, and again as soon as the job is being deployed anew."""
    for _ in range(3):
        a.sleep(0.8, 1.5)
        before = a.cluster.job(a.job).summary.restarts
        a.kill(a.rng.choice(["slot", "taskmanager"]))
        a.until(lambda b=before: a.cluster.job(a.job).summary.restarts > b, 30)
        a.sleep(0, 0.4)
        a.kill("slot")
        a.until(lambda: a.state() == pb.JOB_STATE_RUNNING, 30)


def at_start(a):
    """Kill right after the job was submitted."""
    for _ in range(3):
        a.sleep(0, 0.3)
        a.kill("slot")
        a.until(lambda: a.state() == pb.JOB_STATE_RUNNING, 30)


def at_end(a):
    """Kill around each final checkpoint, until the job has finished."""
    seen = set()

    def final():
        job = a.cluster.job(a.job)
        if job.summary.state == pb.JOB_STATE_FINISHED:
            return True
        newest = [c for c in job.checkpoints.history[:1] if c.type == FINAL]
        return bool(newest) and newest[0].checkpoint_id not in seen

    for _ in range(5):
        assert a.until(final, 60), "the job does not come to its end"
        job = a.cluster.job(a.job)
        if job.summary.state == pb.JOB_STATE_FINISHED:
            return
        seen.add(job.checkpoints.history[0].checkpoint_id)
        a.sleep(0, 0.08)
        a.kill("slot")


SCENARIOS = {
    f.__name__: f
    for f in (
        pause_taskmanager, pause_supervisor, pause_slot, pause_short, pause_jobmanager, double,
        in_recovery, at_start, at_end, disk_full,
    )
}  # fmt: skip


@contextlib.contextmanager
def small_disk(path, size="48m"):
    """A file system of its own in memory."""
    path.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", path], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", path], check=True)


def attack(folder, scenario, *, rows, rate, seed, interval="200ms", backend="rocksdb", more=None):
    """One run of a scenario; the verifier's report."""
    output = folder / "output"
    output.mkdir(parents=True)
    options = {
        "execution.checkpointing.interval": interval,
        "state.backend.type": backend,
        "restart-strategy.type": "fixed-delay",
        "restart-strategy.fixed-delay.attempts": "1000",
        "restart-strategy.fixed-delay.delay": "100ms",
        **(more or {}),
    }
    beat = {"heartbeat.interval": "500ms", "heartbeat.timeout": "2s"}
    small = (
        small_disk(folder / "checkpoints") if scenario is disk_full else contextlib.nullcontext()
    )
    with small, Cluster(folder, taskmanagers=2, slots=1, options=beat) as cluster:
        job = cluster.submit(
            JOB, "--rows", rows, "--rate", rate, "--output", output,
            parallelism=PARALLELISM, options=options,
        )  # fmt: skip
        verifier = start_verifier(folder, cluster, output, rows)
        try:
            a = Attack(cluster, job, random.Random(seed))
            a.rows = rows
            if scenario is not at_start:
                cluster.wait_for(job, pb.JOB_STATE_RUNNING, 30)
            scenario(a)
            details = cluster.wait_for(job, pb.JOB_STATE_FINISHED, rows / rate + 90)
            verdict, _ = verifier.communicate("", timeout=120)
        finally:
            verifier.kill()
            verifier.wait()
        cluster.wait_for_slots(2)
        free = sum(t.free_slots for t in cluster.info().taskmanagers)
    report = judge_run(verdict, details, seed=seed, killed=a.told)
    left = [p.name for s in ("running", "windows") for p in (output / s).glob(".pending/*")]
    report.update(free_slots=free, pending_left=len(left))
    return report


def main():
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default=",".join(SCENARIOS))
    parser.add_argument("--rows", type=int, default=160_000)
    parser.add_argument("--rate", type=float, default=16_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--interval", default="200ms")
    parser.add_argument("--backend", default="rocksdb")
    parser.add_argument("-D", action="append", default=[], metavar="key=value")
    args = parser.parse_args()
    failed = 0
    for name in args.only.split(","):
        with tempfile.TemporaryDirectory(prefix="lesto-hostile-") as folder:
            try:
                report = attack(
                    Path(folder), SCENARIOS[name], rows=args.rows, rate=args.rate, seed=args.seed,
                    interval=args.interval, backend=args.backend,
                    more=dict(pair.split("=", 1) for pair in args.D),
                )  # fmt: skip
            except AssertionError as error:
                failed += 1
                print(f"{name}: FAILED {error}", flush=True)
                continue
        bad = violations(report)
        failed += bool(bad)
        print(f"{name}: {'VIOLATED ' + str(bad) if bad else 'exact'} {report}", flush=True)
    print(f"{failed} scenarios failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
