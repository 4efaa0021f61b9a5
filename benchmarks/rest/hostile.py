"""What hostile clients of REST cost a job: its checkpoints, and the JobManager's event loop.

    python benchmarks/rest/hostile.py --seconds 20 --rounds 2

A job of parallelism 2 with a checkpoint each 200 ms, on a real cluster; REST in a process of its
own and in a thread of the JobManager. Milliseconds of checkpoints, and of a small gRPC call each
20 ms (the event loop's delay and the call itself), without clients and with each kind of
``attack.py``. One line of JSON a form, kind and round, into benchmarks/results/rest.jsonl.
"""

import argparse
import os
import subprocess
import sys
import threading
import time

from cluster import HERE, BenchmarkCluster, quantile, record

KINDS = ("none", "slow", "flood", "bodies", "garbage", "all")
PROBE_SECONDS = 0.02
SETTLE_SECONDS = 2.0


class Probe(threading.Thread):
    """Calls the JobManager now and then."""

    def __init__(self, client):
        super().__init__(daemon=True)
        self._client, self._over = client, threading.Event()
        self.delays = []

    def run(self):
        while not self._over.wait(PROBE_SECONDS):
            begin = time.perf_counter()
            self._client.cluster()
            self.delays.append(1000 * (time.perf_counter() - begin))

    def stop(self):
        self._over.set()
        self.join()
        return self.delays


def measure(cluster, job_id, seconds):
    """Durations of the checkpoints that begin meanwhile, and delays of calls."""
    durations, began_ms = {}, time.time() * 1000
    probe = Probe(cluster.client)
    probe.start()
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        time.sleep(0.8)
        for stats in cluster.client.job(job_id).checkpoints.history:
            if stats.status != "IN_PROGRESS" and stats.trigger_timestamp_ms >= began_ms:
                durations[stats.checkpoint_id] = (stats.duration_ms, stats.status)
    delays = probe.stop()
    good = [duration for duration, status in durations.values() if status == "COMPLETED"]
    return {
        "checkpoints": len(good),
        "checkpoints_failed": len(durations) - len(good),
        "checkpoint_ms": figures(good),
        "call_ms": figures(delays),
    }


def figures(values):
    return {
        name: round(quantile(values, share), 2)
        for name, share in (("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("max", 1.0))
    }


def run(form, kinds, seconds, round_number):
    options = {"rest.server.process": str(form == "process").lower()}
    with BenchmarkCluster(2, **options) as cluster:
        job_id = cluster.submit(
            "steady_job.py", parallelism=2, **{"execution.checkpointing.interval": "200 ms"}
        )
        time.sleep(5)
        for kind in kinds:
            attack = None
            if kind != "none":
                arguments = [kind, *cluster.rest.split(":"), job_id]
                attack = subprocess.Popen([sys.executable, HERE / "attack.py", *arguments])
            try:
                time.sleep(SETTLE_SECONDS)
                found = measure(cluster, job_id, seconds)
            finally:
                if attack is not None:
                    attack.kill()
                    attack.wait()
            record("hostile", {"form": form, "clients": kind, "round": round_number, **found})


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--forms", nargs="+", default=["process", "thread"])
    parser.add_argument("--kinds", nargs="+", default=list(KINDS))
    parser.add_argument(
        "--nice", type=int, default=0, help="of the cluster, where the machine has other work"
    )
    args = parser.parse_args()
    os.nice(args.nice)
    for number in range(args.rounds):
        for form in args.forms:
            run(form, args.kinds, args.seconds, number)


if __name__ == "__main__":
    main()
