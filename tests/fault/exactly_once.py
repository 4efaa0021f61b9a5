"""Runs of ``job.py`` under kill -9, judged by ``verifier.py``.

    python -m tests.fault.exactly_once --runs 20 --kills 3

Each run kills random slot processes or TaskManagers at random times under load. Prints a line a
run and
exits 1 if any count that must be zero is not. The seed is printed and reproduces the choices (not
the
timing of the machine).
"""

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from lesto.proto import client_pb2 as pb
from tests.fault.cluster import Cluster, kill

JOB = Path(__file__).parent / "job.py"
ROOT = Path(__file__).parent.parent.parent
MUST_BE_ZERO = (
    "lost", "duplicated", "corrupted", "premature", "reordered", "wrong_state",
    "changed_after_publishing", "windows_lost", "windows_duplicated", "windows_wrong",
)  # fmt: skip
PARALLELISM = 2


def start_verifier(folder, cluster, output, rows, *more):
    """The verifier's process; closing its standard input asks for the verdict."""
    command = [sys.executable, "-m", "tests.fault.verifier", str(output), str(cluster.checkpoints)]
    command += [str(folder / "ledger.db"), "--rows", str(rows), "--lanes", str(PARALLELISM), *more]
    return subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def one_run(folder, *, rows, rate, kills, seed, interval="500ms", backend="rocksdb", mutate=None):
    """One run; the verifier's report with facts of the run."""
    rng = random.Random(seed)
    output = folder / "output"
    output.mkdir(parents=True)
    options = {
        "execution.checkpointing.interval": interval,
        "state.backend.type": backend,
        "restart-strategy.type": "fixed-delay",
        "restart-strategy.fixed-delay.attempts": "1000",
        "restart-strategy.fixed-delay.delay": "100ms",
    }
    with Cluster(folder, taskmanagers=2, slots=1) as cluster:
        job = cluster.submit(
            JOB, "--rows", rows, "--rate", rate, "--output", output,
            parallelism=PARALLELISM, options=options,
        )  # fmt: skip
        verifier = start_verifier(folder, cluster, output, rows)
        try:
            cluster.wait_for(job, pb.JOB_STATE_RUNNING, 30)
            killed = []
            for _ in range(kills):
                time.sleep(rng.uniform(0.3, 3.0))
                if cluster.job(job).summary.state == pb.JOB_STATE_FINISHED:
                    break
                victims = cluster.victims()  # none for a moment when all have been killed
                kind, pid = rng.choice(victims or [("", 0)])
                if pid and kill(pid):
                    killed.append(kind)
            details = cluster.wait_for(job, pb.JOB_STATE_FINISHED, rows / rate + 90)
            verdict, _ = verifier.communicate("", timeout=120)
        finally:
            verifier.kill()
            verifier.wait()
    return judge_run(verdict, details, seed=seed, killed=killed)


def judge_run(verdict, details, *, seed, killed):
    """The verifier's counts with facts of the run."""
    return {
        **json.loads(verdict),
        "seed": seed,
        "killed": killed,
        "restarts": details.summary.restarts,
        "checkpoints": details.checkpoints.completed,
    }


def violations(report):
    """The counts that should be zero and are not."""
    return {name: report[name] for name in MUST_BE_ZERO if report[name]}


def main():
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--kills", type=int, default=3)
    parser.add_argument("--rows", type=int, default=400_000)
    parser.add_argument("--rate", type=float, default=40_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--backend", default="rocksdb")
    args = parser.parse_args()
    failed = 0
    for run in range(args.runs):
        with tempfile.TemporaryDirectory(prefix="lesto-fault-") as folder:
            report = one_run(
                Path(folder), rows=args.rows, rate=args.rate, kills=args.kills,
                seed=args.seed + run, backend=args.backend,
            )  # fmt: skip
        bad = violations(report)
        failed += bool(bad)
        print(
            f"run {run + 1}/{args.runs}: {'VIOLATED ' + str(bad) if bad else 'exact'} {report}",
            flush=True,
        )
    print(f"{args.runs - failed} of {args.runs} runs exact")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
