"""Exactly-once sinks with an error at each phase of the commit: files, and PostgreSQL."""

import contextlib
import threading
from pathlib import Path

import numpy as np

from lesto.proto import client_pb2 as pb
from tests.fault import postgres
from tests.fault.cluster import Cluster, kill
from tests.fault.exactly_once import PARALLELISM
from tests.fault.harness import HEARTBEATS, Attack, job_options
from tests.fault.observer import Observer
from tests.fault.registry import Fault, Form, add, nothing_needed
from tests.fault.sink_job import PHASES
from tests.fault.verifier import Ledger, Watcher, judge_records

JOB = Path(__file__).parent.parent / "sink_job.py"
#: The engine tries a commit again by itself: these need not restart the job.
QUIET = {"commit", "half-commit", "post-commit", "repeated-commit"}
COORDINATOR = "dead-coordinator"


def attack_phases(a, script):
    """Errors at each phase, until the strikes are done; what was not reached is wrong."""
    phases = [*PHASES, COORDINATOR]
    a.rng.shuffle(phases)
    a.facts["phases"] = {}
    for index in a.strikes():
        phase = phases[index % len(phases)]
        a.sleep(0.1, 0.6)
        last = a.strike(phase)
        if phase == COORDINATOR:
            # When something is prepared: killed between the phases.
            a.observer.until(a.facts_prepared, 5)
            kill(a.cluster.jobmanager.pid)
        else:
            path = script / phase
            path.touch()
            if not a.observer.until(lambda p=path: not p.exists() or a.observer.finished(), 20):
                a.wrong.append(f"{phase} was not reached in 20 s")
        a.facts["phases"][phase] = a.facts["phases"].get(phase, 0) + 1
        if phase not in QUIET:
            a.overcome()
        else:
            a.observer.until(lambda s=last: s.detected is not None, 0.5)
            if last.detected is not None:
                a.overcome()


def run_with(folder, form, seed, more, *, sink, prepared, output):
    """A run over one kind of sink; its report without the records' counts."""
    script = folder / "script"
    script.mkdir(parents=True)
    options = {**job_options(form), **more}
    with Cluster(folder, taskmanagers=2, options=HEARTBEATS, keep_jobmanager=True) as cluster:
        job = cluster.submit(
            JOB, "--rows", form.rows, "--rate", form.rate, "--script", script, *sink,
            parallelism=PARALLELISM, options=options,
        )  # fmt: skip
        with Observer(cluster, job, output) as observer:
            a = Attack(cluster, job, observer, seed=seed, form=form, folder=folder)
            a.facts_prepared = prepared
            cluster.wait_for(job, pb.JOB_STATE_RUNNING, 60)
            attack_phases(a, script)
            details = cluster.wait_for(job, pb.JOB_STATE_FINISHED, form.seconds + 120)
    return a, {
        "restarts": details.summary.restarts,
        "checkpoints": details.checkpoints.completed,
        "strikes": [s.figures() for s in observer.strikes],
        **a.facts,
    }


def judged(report, a, counts):
    """The report with counts, and what is wrong."""
    report.update(counts)
    names = ("lost", "duplicated", "corrupted", "premature", "reordered", "wrong_state")
    a.wrong += [f"{name} {counts[name]}" for name in names if counts[name]]
    return {**report, "wrong": a.wrong}


@contextlib.contextmanager
def looking(step, seconds=0.02):
    """Call a function over and over beside the run, and once behind it."""
    ended = threading.Event()
    problems = []

    def look():
        while not ended.wait(seconds):
            try:
                step()
            except Exception as error:
                problems.append(error)
                return

    thread = threading.Thread(target=look, name="sink-reader")
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
    if problems:
        raise problems[0]
    step()


def run_files(folder, form, seed, more):
    """The file sink."""
    output = folder / "output" / "running"
    watcher = Watcher(folder / "output", folder / "checkpoints", Ledger(folder / "ledger.db"))
    pending = output / ".pending"
    with looking(watcher.step), looking(watcher.latest_checkpoint, 0.005):
        a, report = run_with(
            folder, form, seed, more, sink=("--output", output), output=[output],
            prepared=lambda: pending.exists() and any(pending.iterdir()),
        )  # fmt: skip
    counts = judge_records(watcher.ledger.records(), form.rows, PARALLELISM)
    counts["premature"] = watcher.ledger.premature()
    return judged(report, a, counts)


def run_postgres(folder, form, seed, more):
    """A sink of a user's, with prepared transactions."""
    import psycopg

    with postgres.server() as dsn, psycopg.connect(dsn, autocommit=True) as connection:
        seen, premature = set(), []
        watcher = Watcher(folder / "output", folder / "checkpoints", None)

        def look():
            for name, checkpoint in connection.execute("SELECT * FROM commits").fetchall():
                if name not in seen:
                    seen.add(name)
                    if watcher.latest_checkpoint() < checkpoint:
                        premature.append(name)

        def prepared():
            with psycopg.connect(dsn, autocommit=True) as own:
                return own.execute("SELECT 1 FROM pg_prepared_xacts").fetchone() is not None

        with looking(look), looking(watcher.latest_checkpoint, 0.005):
            a, report = run_with(
                folder, form, seed, more, sink=("--postgres", dsn), prepared=prepared,
                output=_Commits(dsn),
            )  # fmt: skip
        rows = connection.execute(
            "SELECT id, key, value, number, total FROM records"
            " ORDER BY checkpoint_id, subtask, part, position"
        ).fetchall()
        left = connection.execute("SELECT count(*) FROM pg_prepared_xacts").fetchone()[0]
    counts = judge_records(np.array(rows, np.int64).reshape(-1, 5), form.rows, PARALLELISM)
    counts["premature"] = len(premature)
    if left:
        a.wrong.append(f"{left} prepared transactions were left behind")
    return judged(report, a, counts)


class _Commits:
    """For the observer: the newest checkpoint that was published."""

    def __init__(self, dsn):
        self._dsn = dsn

    def newest(self):
        import psycopg

        with psycopg.connect(self._dsn, autocommit=True) as connection:
            query = "SELECT coalesce(max(checkpoint_id), 0) FROM commits"
            return connection.execute(query).fetchone()[0]


LONG = Form(seconds=100, rate=1_000, strikes=60, interval="500ms")
add(
    Fault(
        "sink-files", "T21", run_files, Form(seconds=9, rate=5_000, strikes=8), LONG,
        nothing_needed, "An error at each phase of the file sink's commit.",
    )
)  # fmt: skip
add(
    Fault(
        "sink-postgres", "T21", run_postgres, Form(seconds=9, rate=5_000, strikes=8), LONG,
        postgres.missing, "An error at each phase of a user's two-phase sink on PostgreSQL.",
    )
)  # fmt: skip
