"""Seconds from kill -9 to output again.

    python benchmarks/recovery.py --runs 5

A job with 100,000 keys of state in RocksDB, checkpoints every second and the default restart
strategy runs on real processes. Three deaths: of one slot process; of a TaskManager while another
one stands by; of the only TaskManager, which is started again at once. Output counts as back when
every sink writer of the new attempt has written. Prints one line of JSON a death.
"""

import argparse
import contextlib
import json
import shutil
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from instruments import Notes, spread

from lesto.proto import client_pb2 as pb
from tests.fault.cluster import Cluster, kill

JOB = Path(__file__).parent / "recovery_job.py"
PARALLELISM = 2
CHECKPOINTS_BEFORE = 4
TIMEOUT_SECONDS = 60
POLL_SECONDS = 0.02
OPTIONS = {"execution.checkpointing.interval": "1 s", "state.backend.type": "rocksdb"}
#: TaskManagers of two slots each; the job takes two slots, so that of two TaskManagers one alone
#: could run it.
DEATHS = {"slot": 1, "taskmanager_standby": 2, "taskmanager_replaced": 1}


def until(condition, what):
    """The condition's first true value."""
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while not (value := condition()):
        if time.monotonic() > deadline:
            sys.exit(f"no {what} within {TIMEOUT_SECONDS} s")
        time.sleep(POLL_SECONDS)
    return value


def victim(cluster, job, death):
    """Process to kill."""
    used = {s.taskmanager_id for v in cluster.job(job).vertices for s in v.subtasks}
    taskmanager = next(t for t in cluster.info().taskmanagers if t.taskmanager_id in used)
    return taskmanager.slots[0].pid if death == "slot" else taskmanager.pid


def outputs_after(notes, moment):
    """When each writer that started after ``moment`` first wrote; empty until all have."""
    first = {}
    for subtask, written in notes.read("output"):
        if written > moment:
            first[subtask] = max(written, first.get(subtask, 0.0))
    return sorted(first.values()) if len(first) == PARALLELISM else []


def one_run(folder, death, rate):
    """Seconds from the kill to output from all writers."""
    notes = Notes(folder / "notes")
    Path(notes.folder).mkdir(parents=True)
    cluster = Cluster(folder, taskmanagers=DEATHS[death], slots=PARALLELISM, options=OPTIONS)
    with contextlib.ExitStack() as stack:
        stack.push(cluster)  # first: a cluster that does not come up must go down as well
        cluster.__enter__()
        job = cluster.submit(
            JOB, "--rate", rate, "--notes", notes.folder, parallelism=PARALLELISM, options=OPTIONS
        )
        until(
            lambda: cluster.job(job).checkpoints.completed >= CHECKPOINTS_BEFORE,
            f"{CHECKPOINTS_BEFORE} checkpoints",
        )
        pid = victim(cluster, job, death)
        moment = time.monotonic()
        if not kill(pid):
            sys.exit(f"process {pid} is gone before it was killed")
        written = until(lambda: outputs_after(notes, moment), "output after the kill")
        details = cluster.wait_for(job, pb.JOB_STATE_RUNNING, TIMEOUT_SECONDS)
        if not details.summary.restarts or not details.checkpoints.restored:
            sys.exit(f"the job was not restored: {details.summary}")
        cluster.stub.CancelJob(
            pb.CancelJobRequest(job_id=job), metadata=cluster.metadata(), timeout=10
        )
    return written[-1] - moment


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--rate", type=float, default=20_000, help="records a second")
    parser.add_argument("--death", choices=list(DEATHS), action="append")
    args = parser.parse_args()
    for death in args.death or DEATHS:
        seconds = []
        for _ in range(args.runs):
            folder = Path(tempfile.mkdtemp(prefix="lesto-bench-"))
            try:
                seconds.append(one_run(folder, death, args.rate))
            finally:
                shutil.rmtree(folder, ignore_errors=True)
        figures = {"benchmark": "recovery", "death": death, **spread(seconds)}
        print(json.dumps(figures), flush=True)


if __name__ == "__main__":
    main()
