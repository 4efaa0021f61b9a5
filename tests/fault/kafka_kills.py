"""Kafka to Kafka under kill -9 of random processes, judged by a concurrent read_committed consumer.

    python -m tests.fault.kafka_kills --kills 100 --rate 20000
    python -m tests.fault.kafka_kills --kills 10 --only slot,taskmanager

A feeder writes records at a rate; ``tests/kafka/job.py`` counts them by key in state and writes
them on in transactions; ``kafka_verifier.py`` reads the output while all this happens. Faults:
``slot``, ``taskmanager``, ``jobmanager`` (started again at its address), ``both`` (a slot while the
job recovers from another), ``broker`` (kill -9 of the broker, started again on its data),
``broker-clean`` (the same with SIGTERM) and ``broker-pause`` (SIGSTOP for a second or two). Prints
a line a fault, then the table, and exits 1 if any count that must be zero is not.
"""

import argparse
import json
import mmap
import os
import random
import signal
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import grpc

from lesto.proto import client_pb2 as pb
from tests.fault.cluster import Cluster, kill
from tests.fault.observer import Observer
from tests.support.kafka_broker import KafkaBroker, missing

ROOT = Path(__file__).parent.parent.parent
JOB = ROOT / "tests" / "kafka" / "job.py"
KINDS = ("slot", "taskmanager", "jobmanager", "both", "broker", "broker-pause", "broker-clean")
MUST_BE_ZERO = ("lost", "duplicated", "reordered", "wrong_state", "invented")
KEYS = 1_000
PARALLELISM = 2
OVERCOME_SECONDS_MAX = 90.0  # a quiet machine needs about five
OPTIONS = {
    "restart-strategy.type": "fixed-delay",
    "restart-strategy.fixed-delay.attempts": "100000",
    "restart-strategy.fixed-delay.delay": "100ms",
}
HEARTBEATS = {"heartbeat.interval": "500ms", "heartbeat.timeout": "4s"}


class Progress:
    """Records that the verifier has seen; what the observer takes for output."""

    def __init__(self, path):
        deadline = time.monotonic() + 60
        while not path.exists() or path.stat().st_size < 8:
            assert time.monotonic() < deadline, "the verifier does not start"
            time.sleep(0.05)
        with path.open("rb") as file:
            self._map = mmap.mmap(file.fileno(), 8, access=mmap.ACCESS_READ)

    def newest(self):
        return struct.unpack("<q", self._map[:8])[0]


def started(module, *arguments):
    """A process of ours that answers on standard output when its input says or ends."""
    return subprocess.Popen(
        [sys.executable, "-m", module, *map(str, arguments)],
        cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip


class Faults:
    """Does one fault of a kind; the description of what was done, or None when it could not."""

    def __init__(self, cluster, broker, rng):
        self.cluster, self.broker, self.rng = cluster, broker, rng

    def _victim(self, kind):
        try:
            found = [pid for what, pid in self.cluster.victims() if what == kind]
        except grpc.RpcError:
            return None
        return self.rng.choice(found) if found else None

    def do(self, kind, strike):
        if kind in {"slot", "taskmanager", "both"}:
            first = "slot" if kind == "both" else kind
            pid = self._victim(first)
            if pid is None:
                return False
            strike(kind)
            kill(pid)
            if kind == "both":
                time.sleep(self.rng.uniform(0.1, 1.0))
                second = self._victim(self.rng.choice(["slot", "taskmanager"]))
                if second is not None:
                    kill(second)
        elif kind == "jobmanager":
            strike(kind)
            self.cluster.jobmanager.send_signal(signal.SIGKILL)
        elif kind == "broker":
            strike(kind)
            self.broker.kill()
            self.broker.start()
        elif kind == "broker-clean":
            strike(kind)
            self.broker.stop()
            self.broker.start()
        else:
            strike(kind)
            self.broker.pause()
            time.sleep(self.rng.uniform(0.5, 2.5))
            self.broker.resume()
        return True


def one_run(folder, *, kills, rate, kinds, seed, interval="1s", pause=(0.5, 4.0), quiet=False,
            rows_min=0):  # fmt: skip
    """The verifier's verdict with the strikes of the run."""
    rng = random.Random(seed)
    processes = []
    options = {**OPTIONS, "execution.checkpointing.interval": interval}
    with (
        KafkaBroker(folder / "kafka") as broker,
        Cluster(
            folder / "cluster", taskmanagers=2, slots=1, options=HEARTBEATS, keep_jobmanager=True
        ) as cluster,
    ):
        broker.create_topic("input", 4, {"retention.ms": -1})
        broker.create_topic("output", 4, {"retention.ms": -1})
        try:
            verifier = started(
                "tests.fault.kafka_verifier", broker.address, "output", folder / "ledger.db",
                folder / "progress",
            )  # fmt: skip
            processes.append(verifier)
            progress = Progress(folder / "progress")
            job = cluster.submit(
                JOB, "--bootstrap", broker.address, "--input", "input", "--output", "output",
                parallelism=PARALLELISM, options=options,
            )  # fmt: skip
            cluster.wait_for(job, pb.JOB_STATE_RUNNING, 60)
            feeder = started(
                "tests.fault.kafka_feeder", broker.address, "input", "--rate", rate, "--keys", KEYS
            )
            processes.append(feeder)
            with Observer(cluster, job, progress) as observer:
                strike_all(
                    Faults(cluster, broker, rng), observer, kinds, kills, rng, pause, quiet=quiet
                )
                observer.until(lambda: progress.newest() >= rows_min, 300)
                fed, _ = feeder.communicate("", timeout=600)
                assert feeder.returncode == 0, "the feeder failed"
                facts = json.loads(fed)
                verdict, _ = verifier.communicate(f"{facts['fed']}\n", timeout=900)
                assert verifier.returncode == 0, "the verifier failed"
                details = observer.details
            cluster_ended(cluster, job)
        finally:
            for process in processes:
                process.kill()
                process.wait()
                process.stdin.close()
                process.stdout.close()
    return {
        **json.loads(verdict), **facts, "seed": seed, "restarts": details.summary.restarts,
        "checkpoints": details.checkpoints.completed, "strikes": observer.strikes,
    }  # fmt: skip


def strike_all(faults, observer, kinds, kills, rng, pause, *, quiet):
    """One fault after the other, in random order of kinds, each kind about as often."""
    todo = [kinds[i % len(kinds)] for i in range(kills)]
    rng.shuffle(todo)
    assert observer.until(lambda: observer.output.newest() > 0, 120), "no output before the faults"
    for number, kind in enumerate(todo):
        time.sleep(rng.uniform(*pause))
        while not faults.do(kind, observer.strike):
            time.sleep(0.1)
        last = observer.strikes[-1]
        # Half of the faults come before the one before is overcome.
        if rng.random() < 0.5 or number == len(todo) - 1:
            observer.heal()
            assert observer.overcome(OVERCOME_SECONDS_MAX), not_overcome(faults, observer)
        if not quiet:
            print(f"{number + 1}/{kills} {last.figures()} seen {observer.output.newest():,}",
                  flush=True)  # fmt: skip


def not_overcome(faults, observer):
    """Everything that is known when a job does not come back."""
    details = observer.details
    log = (faults.cluster.folder / "cluster.log").read_text()[-12_000:]
    newest = [(c.checkpoint_id, c.status, c.failure) for c in details.checkpoints.history[:8]]
    return (
        f"{observer.strikes[-1]} is not overcome; restarts {details.summary.restarts}, state "
        f"{pb.JobState.Name(details.summary.state)}, checkpoints {newest}, load "
        f"{os.getloadavg()}\n{log}"
    )


def cluster_ended(cluster, job):
    """Cancel: the job has no end of its own."""
    cluster.stub.CancelJob(pb.CancelJobRequest(job_id=job), metadata=cluster.metadata(), timeout=30)
    cluster.wait_for(job, pb.JOB_STATE_CANCELED, 60)


def violations(report):
    """The counts that should be zero and are not."""
    return {name: report[name] for name in MUST_BE_ZERO if report[name]}


def table(report):
    """Lines of the table of RELIABILITY.md."""
    counts = f"{report['lost']:>5} {report['duplicated']:>10}"
    lines = [f"{'fault':<14} {'runs':>5} {'lost':>5} {'duplicated':>10} {'detected p50/max s':>20} "
             f"{'running p50/max s':>20}"]  # fmt: skip
    for kind in KINDS:
        strikes = [s for s in report["strikes"] if s.what == kind]
        if strikes:
            lines.append(
                f"{kind:<14} {len(strikes):>5} {counts} "
                f"{_spread([s.detected for s in strikes]):>20} "
                f"{_spread([s.running for s in strikes]):>20}"
            )
    return lines


def _spread(values):
    known = [v for v in values if v is not None]
    return f"{statistics.median(known):.2f} / {max(known):.2f}" if known else "not noticed"


def main():
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--rate", type=float, default=20_000)
    parser.add_argument("--only", default=",".join(KINDS), help="kinds of faults, with commas")
    parser.add_argument("--interval", default="1s", help="of checkpoints")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    kinds = args.only.split(",")
    if unknown := set(kinds) - set(KINDS):
        raise SystemExit(f"no such fault: {unknown}; there are {KINDS}")
    if why := missing():
        raise SystemExit(why)
    with tempfile.TemporaryDirectory(prefix="lesto-fault-") as folder:
        report = one_run(
            Path(folder), kills=args.kills, rate=args.rate, kinds=kinds, seed=args.seed,
            interval=args.interval,
        )  # fmt: skip
    print("\n".join(table(report)))
    bad = violations(report)
    shown = {k: v for k, v in report.items() if k != "strikes"}
    print(f"{'VIOLATED ' + str(bad) if bad else 'exact'} {shown}")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
