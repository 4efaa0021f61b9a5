"""One run of a fault: cluster, job, verifier and observer around a scenario; and the table.

A scenario is a function of an ``Attack``. It strikes the running job and waits as it likes; when it
returns, the job is left in peace until its end and then judged.
"""

import contextlib
import json
import os
import random
import signal
import subprocess
import time
from dataclasses import dataclass

import grpc

from lesto.proto import client_pb2 as pb
from tests.fault.cluster import Cluster, Place, kill
from tests.fault.exactly_once import JOB, MUST_BE_ZERO, PARALLELISM, ROOT, start_verifier
from tests.fault.observer import Observer
from tests.fault.registry import Fault, add, nothing_needed

#: A TaskManager or slot that is silent for 2 s is given up: pauses and partitions stay short.
HEARTBEATS = {"heartbeat.interval": "500ms", "heartbeat.timeout": "2s"}
#: Longest time from the last fault healed to RUNNING (RELIABILITY.md: CONV).
CONVERGED_SECONDS_MAX = 20.0
END_SECONDS_MAX = 120.0
#: Environment variable: how many times longer a job may take to converge, on a busy machine.
PATIENCE = "LESTO_FAULT_PATIENCE"
COUNTS = ("lost", "duplicated", "reordered", "premature", "corrupted")


class Attack:
    """What a scenario may use.

    Attributes:
        cluster, job, observer: of the run.
        rng: seeded.
        form: the size of the run.
        folder: of the run.
        facts: what the scenario wants reported.
        wrong: what the scenario found that must not be.
    """

    def __init__(self, cluster, job, observer, *, seed, form, folder):
        self.cluster, self.job, self.observer = cluster, job, observer
        self.rng = random.Random(seed)
        self.form = form
        self.folder = folder
        self.facts = {}
        self.wrong = []

    def sleep(self, low, high):
        """A random pause, seconds."""
        time.sleep(self.rng.uniform(low, high))

    def strikes(self):
        """Indices of the faults to do, while the job has not ended."""
        for index in range(self.form.strikes):
            if self.observer.finished():
                self.facts["strikes_missed"] = self.form.strikes - index
                return
            yield index

    def strike(self, what):
        """Note a fault right before it is done."""
        return self.observer.strike(what)

    def pids(self, kind):
        """Processes of a kind: ``slot``, ``taskmanager`` or ``jobmanager``."""
        if kind == "jobmanager":
            return [self.cluster.jobmanager.pid]
        with contextlib.suppress(grpc.RpcError):
            return [pid for what, pid in self.cluster.victims() if what == kind]
        return []

    def taskmanager(self):
        """pids of one TaskManager and of its slots."""
        found = [t for t in self.cluster.info().taskmanagers if any(s.pid for s in t.slots)]
        one = self.rng.choice(found)
        return [one.pid, *(s.pid for s in one.slots if s.pid)]

    def kill(self, *kinds):
        """kill -9 one process of each kind; how many were there."""
        pids = [self.rng.choice(found) for k in kinds if (found := self.pids(k))]
        if not pids:
            return 0
        self.strike("kill " + "+".join(kinds))
        return sum(kill(pid) for pid in pids)

    @contextlib.contextmanager
    def stopped(self, pids):
        """SIGSTOP, and SIGCONT behind it."""
        try:
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGSTOP)
            yield
        finally:
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)

    def overcome(self, seconds=CONVERGED_SECONDS_MAX):
        """Wait until the job runs and publishes again after the last fault."""
        seconds *= float(os.environ.get(PATIENCE, "1"))
        if not self.observer.overcome(seconds):
            last = self.observer.strikes[-1]
            self.wrong.append(f"not converged {seconds:g} s after '{last.what}': {last.figures()}")


def job_options(form, backend="rocksdb"):
    """Options of a job under fault."""
    return {
        "execution.checkpointing.interval": form.interval,
        "state.backend.type": backend,
        "restart-strategy.type": "fixed-delay",
        "restart-strategy.fixed-delay.attempts": "10000",
        "restart-strategy.fixed-delay.delay": "100ms",
    }


@dataclass(frozen=True, slots=True)
class Setting:
    """What surrounds a scenario.

    Attributes:
        taskmanagers, slots: of the cluster.
        cluster: options of every process.
        job: options of the job.
        keep_jobmanager: the JobManager is started again when it dies.
        around: called with the folder and seed of the run, a context manager that gives a function
            from role and index to ``Place``; for networks, disks and clocks.
        peaceful: the fault must not restart the job.
        arguments: called with the folder, for the job's script.
    """

    taskmanagers: int = 2
    slots: int = 1
    cluster: tuple = tuple(HEARTBEATS.items())
    job: tuple = ()
    keep_jobmanager: bool = False
    around: object = None
    peaceful: bool = False
    arguments: object = None


@contextlib.contextmanager
def _here(_folder, _seed):
    yield lambda _role, _index: Place()


def run_scenario(scenario, setting, folder, form, seed, more):
    """One run; its report."""
    output = folder / "output"
    output.mkdir(parents=True)
    options = {**job_options(form, more.pop("backend", "rocksdb")), **dict(setting.job), **more}
    with (
        (setting.around or _here)(folder, seed) as place,
        Cluster(
            folder, taskmanagers=setting.taskmanagers, slots=setting.slots,
            options=dict(setting.cluster), place=place, keep_jobmanager=setting.keep_jobmanager,
        ) as cluster,
    ):  # fmt: skip
        arguments = setting.arguments(folder) if setting.arguments else ()
        job = cluster.submit(
            JOB, "--rows", form.rows, "--rate", form.rate, "--output", output, *arguments,
            parallelism=PARALLELISM, options=options,
        )  # fmt: skip
        verifier = start_verifier(folder, cluster, output, form.rows)
        folders = [output / "running", output / "windows"]
        try:
            with Observer(cluster, job, folders) as observer:
                attack = Attack(cluster, job, observer, seed=seed, form=form, folder=folder)
                attack.place = place
                cluster.wait_for(job, pb.JOB_STATE_RUNNING, 60)
                scenario(attack)
                details = cluster.wait_for(
                    job, pb.JOB_STATE_FINISHED, form.seconds + END_SECONDS_MAX
                )
            verdict, _ = verifier.communicate("", timeout=300)
        finally:
            verifier.kill()
            verifier.wait()
    return _report(json.loads(verdict), details, attack, setting)


def _report(verdict, details, attack, setting):
    wrong = list(attack.wrong)
    wrong += [f"{name} {verdict[name]}" for name in MUST_BE_ZERO if verdict.get(name)]
    if verdict.get("stale_writes"):
        wrong.append(f"stale_writes {verdict['stale_writes']}: {verdict.get('stale_names')}")
    if not attack.observer.strikes:
        wrong.append("nothing was done to the job")
    if setting.peaceful and details.summary.restarts:
        causes = [f.failure.message for f in details.failures][:3]
        wrong.append(f"{details.summary.restarts} restarts, wanted none: {causes}")
    return {
        **verdict,
        "restarts": details.summary.restarts,
        "checkpoints": details.checkpoints.completed,
        "checkpoints_failed": details.checkpoints.failed,
        "strikes": [s.figures() for s in attack.observer.strikes],
        "silent_seconds_max": round(attack.observer.silent_seconds_max, 3),
        **attack.facts,
        "wrong": wrong,
    }


def scenario(name, test, *, short, long, setting=None, needs=nothing_needed, summary=""):
    """Register a function of an ``Attack`` as a fault; its docstring is the summary by default."""
    setting = setting or Setting()

    def register(function):
        def run(folder, form, seed, more):
            return run_scenario(function, setting, folder, form, seed, dict(more))

        about = summary or (function.__doc__ or "").strip().partition("\n")[0]
        add(Fault(name, test, run, short, long, needs, about, function))
        return function

    return register


# ----------------------------------------------------------------------------------------- table


def row(fault, reports):
    """A line of the table, from the reports of a fault's runs."""
    strikes = [s for r in reports for s in r.get("strikes", ())]
    line = {"fault": fault.name, "test": fault.test, "runs": len(reports), "strikes": len(strikes)}
    for name in COUNTS:
        line[name] = sum(r.get(name, 0) for r in reports)
    line["duplicated"] += sum(r.get("windows_duplicated", 0) for r in reports)
    line["lost"] += sum(r.get("windows_lost", 0) for r in reports)
    line["wrong_state"] = sum(r.get("wrong_state", 0) + r.get("windows_wrong", 0) for r in reports)
    for name in ("detected", "running", "output", "resumed"):
        values = sorted(s[name] for s in strikes if s.get(name) is not None)
        line[name] = [_percentile(values, q) for q in (0.5, 0.95, 1.0)] if values else None
    line["conv"] = not any("not converged" in w for r in reports for w in r["wrong"])
    line["ok"] = bool(reports) and not any(r["wrong"] for r in reports)
    return line


def _percentile(values, q):
    return values[min(len(values) - 1, int(q * len(values)))]


def render(lines):
    """The table as text. Times are seconds since the fault: median / p95 / largest."""
    heads = ["fault", "test", "runs", "faults", "lost", "dup", "reord", "premat", "corrupt",
             "state", "detection s", "to RUNNING s", "to output s", "healed to output s", "CONV",
             "result"]  # fmt: skip
    body = [heads]
    for x in lines:
        if "skipped" in x:
            body.append([x["fault"], x["test"], *["-"] * 13, f"SKIPPED: {x['skipped']}"])
            continue
        times = [_times(x[name]) for name in ("detected", "running", "output", "resumed")]
        body.append([
            x["fault"], x["test"], x["runs"], x["strikes"], x["lost"], x["duplicated"],
            x["reordered"], x["premature"], x["corrupted"], x["wrong_state"], *times,
            "yes" if x["conv"] else "NO", "exact" if x["ok"] else "FAILED",
        ])  # fmt: skip
    widths = [max(len(str(line[i])) for line in body) for i in range(len(heads) - 1)]
    return "\n".join(
        "  ".join([*(str(c).ljust(w) for c, w in zip(line, widths, strict=False)), str(line[-1])])
        for line in body
    )


def _times(values):
    return "-" if values is None else " / ".join(f"{v:.2f}" for v in values)


def commit():
    """The commit of the checkout, and whether it was changed."""
    done = subprocess.run(
        ["git", "describe", "--always", "--dirty", "--abbrev=10", "--exclude", "*"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    return done.stdout.strip() or "unknown"
