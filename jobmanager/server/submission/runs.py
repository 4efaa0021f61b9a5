"""Runs uploaded files, each in a process and a folder of its own, until they have submitted."""

from __future__ import annotations

import json
import re
import shutil
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from lesto.common import options
from lesto.common.config import Configuration
from lesto.jobmanager.server.submission.errors import (
    NoJobSubmittedError,
    ScriptError,
    ScriptTimeoutError,
    SubmissionStoppedError,
    TooManyScriptsError,
)
from lesto.jobmanager.server.submission.process import ChildProcess, Ended
from lesto.jobmanager.server.submission.requests import RunRequest
from lesto.jobmanager.server.submission.store import ArtifactStore, writing
from lesto.proto import job_pb2

MODULE: Final = "lesto.client.submission.run_script"
#: Scripts that run at once: each is a Python process that imports Lesto.
MAX_AT_ONCE: Final = 4
#: Time that those that run get to be killed when the server stops.
STOP_SECONDS: Final = 3.0
#: Time that a script gets for more behind each job that it has submitted.
LINGER_SECONDS: Final = 5.0
POLL_SECONDS: Final = 0.05
#: What is read of a file that a script may have written.
MAX_OUTCOME_BYTES: Final = 256 * 1024
MAX_GRAPH_BYTES: Final = 64 << 20
MAX_JOBS: Final = 1_000
MAX_OUTPUT_CHARACTERS: Final = 16_384
_JOB_ID: Final = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class Target:
    """The cluster that jobs go to.

    Attributes:
        address: gives ``host:port`` of its JobManager now.
        token: what to show there.
        cancel: cancels a job there.
    """

    address: Callable[[], str]
    token: str | None
    cancel: Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Submitted:
    """What came of a script.

    Attributes:
        jobs: ids of the jobs that it has submitted, in order.
        ended: whether it ended by itself; else it was ended a while after its last job.
    """

    jobs: tuple[str, ...]
    ended: bool


class Scripts:
    """Runs uploaded files.

    Args:
        store: has them.
        folder: gives the folder below which each run has its own.
        config: the cluster's.
        target: where jobs go.
        timeout: time until a script has to have submitted its first job.
    """

    def __init__(
        self,
        store: Callable[[], ArtifactStore],
        folder: Callable[[], Path],
        config: Configuration,
        target: Target,
        timeout: timedelta,
    ) -> None:
        self._store = store
        self._folder = folder
        self._config = config
        self._target = target
        self._timeout = timeout.total_seconds()
        self._places = threading.BoundedSemaphore(MAX_AT_ONCE)
        self._stopped = threading.Event()

    def stop(self) -> None:
        """Kill the scripts that run; those who wait for them hear of it."""
        self._stopped.set()
        deadline = time.monotonic() + STOP_SECONDS
        for _ in range(MAX_AT_ONCE):  # each place that is free is one that does not run
            self._places.acquire(timeout=max(0.0, deadline - time.monotonic()))

    def run(self, request: RunRequest) -> Submitted:
        """Run a file until it has submitted its jobs.

        Raises:
            ScriptError: it failed; ``details`` has its traceback.
            NoJobSubmittedError: it ended without a job.
            ScriptTimeoutError: it submitted none in time.
            TooManyScriptsError: others run.
        """
        with self._place() as folder:
            process = self._start(request, folder)
            jobs: tuple[str, ...] = ()
            since, patience = time.monotonic(), self._timeout
            try:
                while (ended := process.wait(POLL_SECONDS)) is None:
                    self._check_stopped()
                    found = _jobs(folder)
                    if len(found) > len(jobs):
                        jobs, since, patience = found, time.monotonic(), LINGER_SECONDS
                    if time.monotonic() - since > patience:
                        break
            finally:
                killed = process.stop()
            jobs = _jobs(folder)
            if ended is None and not jobs:
                raise self._timed_out(killed)
            if ended is not None:
                _check_outcome(folder, ended, jobs)
                if not jobs:
                    raise _no_job(ended)
            return Submitted(jobs, ended is not None)

    def plan(self, request: RunRequest) -> job_pb2.JobGraph:
        """Run a file up to its first job; return that instead of submitting it.

        Raises:
            ScriptError: as of ``run``.
        """
        with self._place() as folder:
            process = self._start(request, folder, planning=True)
            deadline = time.monotonic() + self._timeout
            try:
                while (ended := process.wait(POLL_SECONDS)) is None:
                    self._check_stopped()
                    if time.monotonic() > deadline:
                        break
            finally:
                killed = process.stop()
            if ended is None:
                raise self._timed_out(killed)
            _check_outcome(folder, ended, ())
            content = _content(folder / "graph", MAX_GRAPH_BYTES)
            if content is None:
                raise _no_job(ended)
            return job_pb2.JobGraph.FromString(content)

    # --------------------------------------------------------------------------------------- parts

    @contextmanager
    def _place(self) -> Iterator[Path]:
        self._check_stopped()
        if not self._places.acquire(blocking=False):
            msg = f"{MAX_AT_ONCE} scripts run"
            raise TooManyScriptsError(msg, remedy="Wait for one to have submitted its jobs.")
        try:
            home = self._folder() / f"run-{uuid.uuid4().hex}"
            try:
                with writing("a program's folder"):
                    (home / "work").mkdir(mode=0o700, parents=True)
                yield home
            finally:
                shutil.rmtree(home, ignore_errors=True)
        finally:
            self._places.release()

    def _start(self, request: RunRequest, home: Path, *, planning: bool = False) -> ChildProcess:
        code = home / "code"
        paths = []
        for number, identifier in enumerate((request.artifact, *request.py_files)):
            own = code / str(number)  # files of the same name do not meet
            own.mkdir(mode=0o700, parents=True)
            with writing("a program's folder"):
                paths.append(str(self._store().copy(identifier, own)))
        config = {**self._config.to_dict(), **request.config}
        if self._target.token:
            config[options.SECURITY_TOKEN.key] = self._target.token
        if request.job_id:
            config[options.FIXED_JOB_ID.key] = request.job_id
        given: dict[str, Any] = {
            "program": paths[0],
            "py_files": paths[1:],
            "entry": request.entry,
            "module": request.module,
            "arguments": request.arguments,
            "code": str(code),
            "outcome": str(home / "outcome"),
            "run": {
                "jobmanager": self._target.address(),
                "parallelism": request.parallelism,
                "savepoint": request.savepoint,
                "allow_non_restored": request.allow_non_restored,
                "config": config,
                "submitted_path": str(home / "jobs"),
                "graph_path": str(home / "graph") if planning else "",
                "code_folders": [str(code)],
            },
        }
        return ChildProcess(MODULE, given, home / "work")

    def _check_stopped(self) -> None:
        if self._stopped.is_set():
            msg = "the JobManager is stopping"
            raise SubmissionStoppedError(msg, remedy="Ask the next one.")

    def _timed_out(self, killed: Ended) -> ScriptError:
        msg = f"the script submitted no job within {self._timeout:g} s"
        return ScriptTimeoutError(
            msg,
            remedy="Let it call env.execute() earlier, or raise web.submit.timeout.",
            details=_output(killed),
        )


def _no_job(ended: Ended) -> ScriptError:
    return NoJobSubmittedError(
        "the script ended without submitting a job",
        remedy="Call env.execute() at its end.",
        details=_output(ended),
    )


def _output(ended: Ended) -> dict[str, Any]:
    text = ended.output
    half = MAX_OUTPUT_CHARACTERS // 2
    if len(text) > MAX_OUTPUT_CHARACTERS:
        text = f"{text[:half]}\n...\n{text[-half:]}"
    return {"output": text} if text else {}


def _content(path: Path, most: int) -> bytes | None:
    """What a script has left in a file; None: nothing, or more than it may."""
    try:
        with path.open("rb") as file:
            content = file.read(most + 1)
    except OSError:
        return None
    return content if content and len(content) <= most else None


def _jobs(home: Path) -> tuple[str, ...]:
    content = _content(home / "jobs", MAX_OUTCOME_BYTES) or b""
    lines = content.decode("ascii", errors="replace").split("\n")[:-1]  # the last may be a half
    return tuple(line for line in lines if _JOB_ID.fullmatch(line))[:MAX_JOBS]


def _check_outcome(home: Path, ended: Ended, jobs: tuple[str, ...]) -> None:
    """Raise what the script has raised.

    Raises:
        ScriptError: it has; jobs that it submitted before go on and are named.
    """
    details: dict[str, Any] = _output(ended)
    also = f"; it had submitted {', '.join(jobs)}, which goes on" if jobs else ""
    if jobs:
        details["jobs"] = list(jobs)
    told = _told(home / "outcome")
    if told is not None:
        details |= {k: told[k] for k in ("traceback", "exception") if told.get(k)}
        error = ScriptError(
            told["message"] + also,
            remedy=told["remedy"],
            location=told["location"],
            details={**details, "location": told["location"]},
        )
        error.code = told["code"] or ScriptError.code  # type: ignore[misc]
        raise error
    if ended.code:
        msg = f"the script {ended.text}{also}"
        raise ScriptError(msg, remedy="Look at its output.", details=details)


def _told(path: Path) -> dict[str, str] | None:
    content = _content(path, MAX_OUTCOME_BYTES)
    if content is None:
        return None
    try:
        told = json.loads(content)
        found = {k: str(told[k]) for k in ("code", "message", "remedy", "location")}
        found |= {k: str(told[k]) for k in ("traceback", "exception") if k in told}
    except (ValueError, KeyError, TypeError):
        return None
    found["code"] = found["code"] if re.fullmatch(r"LESTO-\d{4}", found["code"]) else ""
    return found
