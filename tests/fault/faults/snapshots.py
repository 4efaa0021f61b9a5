"""Damaged snapshot files under a real job: torn, flipped, deleted, swapped between two failures.

The job restarts from the damaged checkpoint and must refuse it by a precise error: it may not go
on from wrong state, and not restart for ever. Then a person falls back: the same job from the
checkpoint before, its output rolled back to there, and every record counts once again.
"""

import json
import os
import random
import re
import signal
import time
from pathlib import Path

from lesto.proto import client_pb2 as pb
from lesto.state import metadata_file
from lesto.state.cleanup import referenced_paths
from tests.fault.cluster import Cluster, kill
from tests.fault.exactly_once import JOB, MUST_BE_ZERO, PARALLELISM, start_verifier
from tests.fault.harness import HEARTBEATS, job_options
from tests.fault.registry import Fault, Form, add, nothing_needed

KINDS = ("torn", "flipped", "deleted", "swapped")
#: Errors that say what is wrong with a file of a checkpoint.
NAMED = {"LESTO-5001", "LESTO-5002"}
REFUSED_SECONDS_MAX = 20.0
_CHECKPOINT = re.compile(r"-(\d{8})-\d+\.\w+$")


def damage(kind, files, rng):
    """Damage one of the files (two are swapped); the paths."""
    path = rng.choice(files)
    content = path.read_bytes()
    match kind:
        case "torn":
            path.write_bytes(content[: rng.randrange(len(content))])
        case "flipped":
            at = rng.randrange(len(content))
            flipped = content[at] ^ 1 << rng.randrange(8)
            path.write_bytes(content[:at] + bytes([flipped]) + content[at + 1 :])
        case "deleted":
            path.unlink()
        case "swapped":
            others = [p for p in files if p.read_bytes() != content]
            # One of the same length is the hardest to notice.
            other = min(others, key=lambda p: abs(p.stat().st_size - len(content)))
            path.write_bytes(other.read_bytes())
            other.write_bytes(content)
            return [path, other]
    return [path]


class _Run:
    def __init__(self, cluster, folder, form, rng, options):
        self.cluster, self.folder, self.form, self.rng = cluster, folder, form, rng
        self.options = options
        self.output = folder / "output"
        self.output.mkdir(parents=True)

    def submit(self, savepoint=None):
        return self.cluster.submit(
            JOB, "--rows", self.form.rows, "--rate", self.form.rate, "--output", self.output,
            parallelism=PARALLELISM, options=self.options, savepoint=savepoint,
        )  # fmt: skip

    def damaged_restart(self, kind):
        """Damage the newest checkpoint of a running job and make it restart; what happened."""
        job = self.submit()
        self.cluster.wait_for(job, pb.JOB_STATE_RUNNING, 30)
        self._until(lambda: self.cluster.job(job).checkpoints.completed >= 5, 30)
        jobmanager = self.cluster.jobmanager.pid
        slots = [pid for what, pid in self.cluster.victims() if what == "slot"]
        os.kill(jobmanager, signal.SIGSTOP)  # the newest stays the newest until we are done
        try:
            newest = self.complete(job)[0]
            files = self.files(job, newest)
            damaged = damage(kind, files, self.rng)
            begin = time.monotonic()
            for pid in slots:
                kill(pid)
        finally:
            os.kill(jobmanager, signal.SIGCONT)
        ended = {pb.JOB_STATE_FAILED, pb.JOB_STATE_FINISHED}
        refused = self._until(
            lambda: self.cluster.job(job).summary.state in ended, REFUSED_SECONDS_MAX
        )
        seconds = time.monotonic() - begin
        return job, damaged, refused, seconds

    def complete(self, job):
        """Numbers of the complete checkpoints in storage, newest first."""
        found = (self.cluster.checkpoints / job).glob("chk-*/_metadata")
        return sorted((int(path.parent.name[4:]) for path in found), reverse=True)

    def intact(self, job, damaged):
        """The newest checkpoint that needs none of the damaged files; 0: only the beginning."""
        for number in self.complete(job):
            if not set(damaged) & set(self.files(job, number)):
                return number
        return 0

    def files(self, job, checkpoint):
        """Files that a checkpoint references."""
        root = self.cluster.checkpoints / job
        metadata = metadata_file.load(str(root / f"chk-{checkpoint}"))
        paths = (Path(p) if p.startswith("/") else root / p for p in referenced_paths(metadata))
        return sorted(p for p in paths if not p.exists() or p.stat().st_size > 0)

    def roll_back(self, checkpoint):
        """Take away what was published after a checkpoint, as its restore asks of a person."""
        for path in self.output.glob("*/part-*"):
            if int(_CHECKPOINT.search(path.name)[1]) > checkpoint:
                path.unlink()

    def _until(self, condition, seconds):
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if condition():
                return True
            time.sleep(0.02)
        return False


def _one(run, kind, wrong):
    """One damage; facts about it."""
    job, damaged, refused, seconds = run.damaged_restart(kind)
    details = run.cluster.job(job)
    state = pb.JobState.Name(details.summary.state)
    fact = {"what": kind, "detected": round(seconds, 3), "state": state}
    names = [path.name for path in damaged]
    if not refused or details.summary.state != pb.JOB_STATE_FAILED:
        wrong.append(f"{kind} {names}: the job is {state} instead of refusing it")
        run.cluster.stub.CancelJob(
            pb.CancelJobRequest(job_id=job), metadata=run.cluster.metadata(), timeout=30
        )
        return fact, {}
    told = [f.failure for f in details.failures if f.failure.code in NAMED]
    if not any(name in failure.message for failure in told for name in names):
        wrong.append(
            f"{kind} {names}: no precise error, but "
            f"{[(f.failure.code, f.failure.message) for f in details.failures][:3]}"
        )
    older = run.intact(job, damaged)
    fact["fell_back_to"] = older
    run.roll_back(older)
    begin = time.monotonic()
    path = run.cluster.checkpoints / job / f"chk-{older}"
    again = run.submit(savepoint=str(path) if older else None)
    run.cluster.wait_for(again, pb.JOB_STATE_RUNNING, 30)
    fact["running"] = round(time.monotonic() - begin, 3)
    run.cluster.wait_for(again, pb.JOB_STATE_FINISHED, run.form.seconds + 60)
    # Judged when all is over: checkpoints are gone by then, so nothing is said about premature.
    verifier = start_verifier(run.folder, run.cluster, run.output, run.form.rows)
    verdict = json.loads(verifier.communicate("", timeout=120)[0])
    verdict["premature"] = 0
    wrong += [f"{kind}: {name} {verdict[name]}" for name in MUST_BE_ZERO if verdict[name]]
    return fact, verdict


def run(folder, form, seed, more):
    """Damage one checkpoint after the other, each of a new job."""
    rng = random.Random(seed)
    kinds = [KINDS[(seed + n) % len(KINDS)] for n in range(form.strikes)]
    options = {
        **job_options(form), "execution.checkpointing.num-retained": "10", **more,
    }  # fmt: skip
    report = {"strikes": [], "wrong": []}
    with Cluster(folder, taskmanagers=2, options=HEARTBEATS) as cluster:
        for number, kind in enumerate(kinds):
            one = _Run(cluster, folder / str(number), form, rng, options)
            fact, verdict = _one(one, kind, report["wrong"])
            report["strikes"].append(fact)
            for name, value in verdict.items():
                if isinstance(value, int):
                    report[name] = report.get(name, 0) + value
            cluster.wait_for_slots(2)
    return report


add(
    Fault(
        "snapshot-damage", "T13", run,
        Form(seconds=4, strikes=1), Form(seconds=5, strikes=40, interval="200ms"),
        nothing_needed,
        "A file of the newest checkpoint is torn, flipped, deleted or swapped, then tasks die.",
    )
)  # fmt: skip
