"""JobManagers that die or stop under a running job, judged by ``verifier.py`` (T6, T9).

    python -m tests.fault.jobmanager_kills --runs 30
    python -m tests.fault.jobmanager_kills --only pause --runs 5

``restart``: kill -9 of the only JobManager, which starts again at its address. ``standby``: kill -9
of the leader beside a standby. ``pause``: the leader stops for longer than its lease and comes back
while another one leads: it must not write anything. Prints a line a run, then the times: detection
(another JobManager leads), all tasks RUNNING, and the first file published behind the fault.
"""

import argparse
import json
import random
import sys
import tempfile
import time
from pathlib import Path

from lesto.proto import client_pb2 as pb
from tests.fault.cluster import kill
from tests.fault.exactly_once import JOB, PARALLELISM, judge_run, start_verifier, violations
from tests.fault.ha_cluster import HaCluster, published, quietly

#: Of a failover: RELIABILITY.md.
RUNNING_P95_SECONDS = 5.0
OPTIONS = {
    "execution.checkpointing.interval": "300ms",
    "restart-strategy.type": "fixed-delay",
    "restart-strategy.fixed-delay.attempts": "1000",
    "restart-strategy.fixed-delay.delay": "100ms",
}
HEARTBEATS = {"heartbeat.interval": "500ms", "heartbeat.timeout": "2s"}


class Times:
    """Seconds from a fault to what follows."""

    def __init__(self, cluster, job, output):
        self.cluster, self.job, self.output = cluster, job, output
        self.before = published(output)
        self.restarts = cluster.job(job).summary.restarts
        self.begin = time.monotonic()
        self.figures = {}

    def wait(self, *not_leading, seconds=30):
        """Wait for everything; the figures."""
        self.leader = self.cluster.wait_for_leader(*not_leading, seconds=seconds)
        self._note("detected")
        self._until("running", self._runs, seconds)
        self._until("output", lambda: self._finished() or self._new_files(), seconds)
        return self.figures

    def _new_files(self):
        return published(self.output) - self.before

    def _finished(self):
        details = quietly(lambda: self.cluster.ask(self.leader, self.job))
        return details is not None and details.summary.state == pb.JOB_STATE_FINISHED

    def _runs(self):
        # Not through the client: it may be waiting for an answer of the one that is paused.
        details = quietly(lambda: self.cluster.ask(self.leader, self.job))
        if details is None:
            return False
        summary = details.summary
        done = summary.state == pb.JOB_STATE_FINISHED
        return done or (
            summary.restarts > self.restarts and summary.tasks_running == summary.tasks_total
        )

    def _until(self, name, condition, seconds):
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                log = (self.cluster.folder / "cluster.log").read_text()[-6000:]
                raise AssertionError(f"{name} not within {seconds} s:\n{log}")
            time.sleep(0.02)
        self._note(name)
        if name == "running":
            self.before = published(self.output)

    def _note(self, name):
        self.figures[name] = round(time.monotonic() - self.begin, 3)


def restart(cluster, job, output):
    """kill -9 of the only JobManager; it is started again at once."""
    times = Times(cluster, job, output)
    pid = cluster.members[0].pid
    assert kill(pid)
    cluster.members[0].wait()
    return times.wait()


def standby(cluster, job, output):
    """kill -9 of the leader, beside a standby."""
    cluster.wait_for_standby()
    times = Times(cluster, job, output)
    return times.wait(cluster.kill_leader())


def pause(cluster, job, output):
    """The leader stops until another one has taken over and published, then it goes on."""
    cluster.wait_for_standby()
    old = cluster.leader()
    info = cluster.told_by(old)
    epoch = max(e["epoch"] for e in cluster.log(job))
    times = Times(cluster, job, output)
    pid = cluster.members[old].pid
    cluster.pause(pid)
    figures = times.wait(old)
    before = cluster.written_by(job, epoch, info.leader_epoch)
    cluster.resume(pid)
    seen = time.monotonic()
    while time.monotonic() < seen + 1.5:
        told = cluster.told_by(old)
        if told is not None and told.leader_epoch >= info.leader_epoch:
            assert not (told.leading and told.leader_epoch == info.leader_epoch), "it still leads"
        time.sleep(0.02)
    after = cluster.written_by(job, epoch, info.leader_epoch)
    # Its successor deletes what is too old; what the old one adds or changes is what counts.
    wrote = {name for name, what in after.items() if before.get(name) != what}
    assert not wrote, f"the old leader wrote {sorted(wrote)}"
    check_log(cluster.log(job))
    alive = cluster.members[old].poll() is None
    assert not alive or not cluster.told_by(old).leading, "two leaders"
    return figures


SCENARIOS = {"restart": restart, "standby": standby, "pause": pause}


def check_log(entries):
    """What must hold of every log, whatever happened to its leaders."""
    epochs = [entry["epoch"] for entry in entries]
    assert epochs == sorted(epochs), f"an ex-leader wrote behind its successor: {entries}"
    kinds = [entry["kind"] for entry in entries]
    assert kinds[0] == "submitted", kinds
    assert kinds.count("submitted") == 1, kinds
    assert kinds.count("ended") <= 1, kinds
    assert "ended" not in kinds[:-1], kinds
    numbers = [entry["checkpoint_id"] for entry in entries if entry["kind"] == "checkpoint"]
    assert len(set(numbers)) == len(numbers), f"a checkpoint completed twice: {numbers}"


def one_run(folder, scenarios, *, rows, rate, seed, more=()):
    """One run with these faults one after another; the verifier's report with facts of the run."""
    rng = random.Random(seed)
    output = folder / "output"
    output.mkdir(parents=True)
    options = {**HEARTBEATS, **dict(more)}
    members = 1 if restart in scenarios else 2
    with HaCluster(
        folder, jobmanagers=members, taskmanagers=2, slots=1, options=options, keep_jobmanager=True
    ) as cluster:
        job = cluster.submit(
            JOB, "--rows", rows, "--rate", rate, "--output", output,
            parallelism=PARALLELISM, options=OPTIONS,
        )  # fmt: skip
        verifier = start_verifier(folder, cluster, output, rows)
        figures = []
        try:
            cluster.wait_for(job, pb.JOB_STATE_RUNNING, 30)
            for scenario in scenarios:
                time.sleep(rng.uniform(0.5, 2.0))
                if cluster.job(job).summary.state == pb.JOB_STATE_FINISHED:
                    break
                figures.append(scenario(cluster, job, output))
            details = cluster.wait_for(job, pb.JOB_STATE_FINISHED, rows / rate + 90)
            verdict, _ = verifier.communicate("", timeout=120)
        finally:
            verifier.kill()
            verifier.wait()
        check_log(cluster.log(job))
        assert cluster.log(job)[-1]["state"] == "FINISHED"
        finished_stays_finished(cluster, job)
        pids = running_tasks(cluster)
    names = [scenario.__name__ for scenario in scenarios[: len(figures)]]
    report = judge_run(verdict, details, seed=seed, killed=names)
    report.update(figures=figures, tasks_left=pids)
    return report


def finished_stays_finished(cluster, job):
    """A job that has ended is shown by the next leader, and not run again."""
    before = cluster.log(job)
    old = cluster.kill_leader()
    if len(cluster.ports) == 1:
        cluster.members[old].wait()
        cluster.wait_for_leader()
    else:
        cluster.wait_for_leader(old)
    summary = cluster.job(job).summary
    assert summary.state == pb.JOB_STATE_FINISHED, summary
    cluster.wait_for_slots(2)
    time.sleep(0.3)
    assert cluster.log(job) == before, "a finished job has gone on"


def running_tasks(cluster):
    """Slots that are not free although no job runs."""
    info = cluster.info()
    return sum(len(t.slots) - t.free_slots for t in info.taskmanagers)


def summary(all_figures):
    """Median, p95 and largest of each time."""
    lines = []
    for name in ("detected", "running", "output"):
        values = sorted(f[name] for f in all_figures)
        p95 = values[min(len(values) - 1, int(0.95 * len(values)))]
        median = values[len(values) // 2]
        lines.append(f"{name}: median {median:.2f} s, p95 {p95:.2f} s, largest {values[-1]:.2f} s")
    return lines


def main():
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=30)
    parser.add_argument("--faults", type=int, default=3, help="in each run")
    parser.add_argument("--only", default=",".join(SCENARIOS))
    parser.add_argument("--rows", type=int, default=300_000)
    parser.add_argument("--rate", type=float, default=15_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("-D", action="append", default=[], metavar="key=value")
    args = parser.parse_args()
    names = args.only.split(",")
    failed, figures = 0, {name: [] for name in names}
    for run in range(args.runs):
        name = names[run % len(names)]
        with tempfile.TemporaryDirectory(prefix="lesto-ha-", ignore_cleanup_errors=True) as folder:
            try:
                report = one_run(
                    Path(folder), [SCENARIOS[name]] * args.faults, rows=args.rows,
                    rate=args.rate, seed=args.seed + run,
                    more=[pair.split("=", 1) for pair in args.D],
                )  # fmt: skip
            except AssertionError as error:
                failed += 1
                print(f"run {run + 1} {name}: FAILED {error}", flush=True)
                continue
        bad = violations(report)
        failed += bool(bad)
        figures[name] += report["figures"]
        print(
            f"run {run + 1}/{args.runs} {name}: {'VIOLATED ' + str(bad) if bad else 'exact'} "
            f"{json.dumps(report)}",
            flush=True,
        )
    for name, found in figures.items():
        if found:
            print(f"{name}, {len(found)} faults: {'; '.join(summary(found))}")
    print(f"{args.runs - failed} of {args.runs} runs exact")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
