"""Rescaling in place under load, judged from outside (T20).

    python -m tests.fault.live_rescale --rows 400000 --rate 20000 --steps 3,1,2 --runs 3

``job.py`` runs with parallelism 2; at random times it is rescaled to each of the steps. Prints each
pause, and exits 1 when the verifier finds a record lost, doubled or reordered, or a pause is longer
than ``PAUSE_SECONDS_MAX``.
"""

import argparse
import random
import sys
import tempfile
import time
from pathlib import Path

from lesto.proto import client_pb2 as pb
from tests.fault.cluster import Cluster
from tests.fault.exactly_once import JOB, PARALLELISM, judge_run, start_verifier, violations

#: What a user is promised on two cores.
PAUSE_SECONDS_MAX = 3.0
RESCALE_SECONDS_MAX = 60


def rescale(cluster, job_id, parallelism):
    """Ask for it and wait; the answer."""
    request = pb.RescaleJobRequest(job_id=job_id, parallelism=parallelism)
    return cluster.stub.RescaleJob(
        request, metadata=cluster.metadata(), timeout=RESCALE_SECONDS_MAX
    )


def one_run(folder, *, rows, rate, steps, seed, interval="1s", slots=3):
    """One run; the verifier's report with the pauses in ms."""
    rng = random.Random(seed)
    output = folder / "output"
    output.mkdir(parents=True)
    options = {"execution.checkpointing.interval": interval, "restart-strategy.type": "none"}
    pauses = []
    with Cluster(folder, taskmanagers=1, slots=slots) as cluster:
        job = cluster.submit(
            JOB, "--rows", rows, "--rate", rate, "--output", output,
            parallelism=PARALLELISM, options=options,
        )  # fmt: skip
        verifier = start_verifier(folder, cluster, output, rows)
        try:
            cluster.wait_for(job, pb.JOB_STATE_RUNNING, 30)
            pids = {pid for kind, pid in cluster.victims() if kind == "slot"}
            for step in steps:
                time.sleep(rng.uniform(0.8, 2.0))
                answer = rescale(cluster, job, step)
                pauses.append(answer.pause_ms)
                widths = {v.parallelism for v in cluster.job(job).vertices}
                assert widths == set(answer.vertices.values()) == {step}
            details = cluster.wait_for(job, pb.JOB_STATE_FINISHED, rows / rate + 90)
            stayed = pids == {pid for kind, pid in cluster.victims() if kind == "slot"}
            verdict, _ = verifier.communicate("", timeout=120)
        finally:
            verifier.kill()
            verifier.wait()
    report = judge_run(verdict, details, seed=seed, killed=[])
    return {**report, "steps": list(steps), "pauses_ms": pauses, "processes_stayed": stayed}


def main():
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--rows", type=int, default=400_000)
    parser.add_argument("--rate", type=float, default=20_000)
    parser.add_argument("--steps", default="3,1,2")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    steps = [int(step) for step in args.steps.split(",")]
    failed = 0
    for run in range(args.runs):
        with tempfile.TemporaryDirectory(prefix="lesto-fault-") as folder:
            report = one_run(
                Path(folder), rows=args.rows, rate=args.rate, steps=steps, seed=args.seed + run
            )
        slow = max(report["pauses_ms"]) > PAUSE_SECONDS_MAX * 1000
        bad = violations(report)
        failed += bool(bad or slow)
        words = "VIOLATED" if bad else "SLOW" if slow else "exact"
        print(f"run {run + 1}/{args.runs}: {words} {bad or ''} {report}", flush=True)
    print(f"{args.runs - failed} of {args.runs} runs exact")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
