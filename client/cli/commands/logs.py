"""`lesto logs JOB`: what the processes that run a job have written, in order of time."""

from __future__ import annotations

import argparse
import re
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from lesto.client.cli.exit_codes import ExitCode
from lesto.client.cli.output import format_time
from lesto.client.cli.target import connect
from lesto.client.errors import UsageError
from lesto.client.jobmanager_client import ENDED_STATES, JobManagerClient
from lesto.common.errors import LestoError, did_you_mean
from lesto.proto import client_pb2 as pb
from lesto.proto import runtime_pb2

#: Bytes of each file that are looked at first, from its end.
WINDOW_BYTES: Final = 1 << 20
FOLLOW_SECONDS: Final = 1.0
TAIL_LINES: Final = 200
JOBMANAGER_LOG: Final = "jobmanager.log"
_TIME: Final = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z?")
_JOB: Final = re.compile(r"\bjob(?:_id)?=([0-9a-f]{32})\b")


@dataclass(slots=True)
class LogSource:
    """A file of a process.

    Attributes:
        label: in front of its lines.
        taskmanager_id: whose; empty: the JobManager's.
        name: of the file.
        only_job: show only lines that name the job: the process serves others too.
        offset: bytes that were read; negative: so many from the end.
        rest: the beginning of a line that is not complete yet.
    """

    label: str
    taskmanager_id: str
    name: str
    only_job: bool
    offset: int = -WINDOW_BYTES
    rest: bytes = b""
    time: str = ""
    shown: bool = field(default=True)

    def lines(self, content: bytes, job_id: str, *, cut: bool) -> list[tuple[str, str, str]]:
        """Complete lines of a piece that belong to the job: (time, label, text).

        A line without a time (a traceback, what a function printed) belongs to the one before.

        Args:
            content: the piece.
            job_id: the job.
            cut: whether it may begin within a line.
        """
        *whole, self.rest = (self.rest + content).split(b"\n")
        if cut:
            whole = whole[1:]
        found = []
        for raw in whole:
            text = raw.decode("utf-8", "replace")
            if stamp := _TIME.match(text):
                self.time = stamp[0]
                job = _JOB.search(text)
                self.shown = job[1] == job_id if job else not self.only_job
            if self.shown:
                found.append((self.time, self.label, text))
        return found


def logs(arguments: argparse.Namespace) -> int:
    """Print logs of a job, and go on with --follow until it ends.

    Raises:
        UsageError: the job has no task of that name.
    """
    with connect(arguments) as client:
        job_id = client.resolve_job(arguments.job)
        details = client.job(job_id)
        sources: dict[tuple[str, str], LogSource] = {}
        lines = _read_new(client, job_id, details, arguments.task, sources)
        for line in sorted(lines, key=lambda line: line[0])[-arguments.tail :]:
            _show(line)
        if not lines and not arguments.follow:
            print(_nothing(details), file=sys.stderr)
        while arguments.follow and details.summary.state not in ENDED_STATES:
            time.sleep(FOLLOW_SECONDS)
            details = client.job(job_id)
            for line in _read_new(client, job_id, details, arguments.task, sources):
                _show(line)
    return ExitCode.OK


def _show(line: tuple[str, str, str]) -> None:
    print(f"{line[1]}  {line[2]}", flush=True)


def _nothing(details: pb.JobDetails) -> str:
    if details.summary.state in ENDED_STATES:
        return (
            "No lines: the job has ended, and its processes' temporary logs may be gone. Set "
            "env.log.dir to keep them."
        )
    return "No lines yet. With --follow they are shown as they come."


def _read_new(
    client: JobManagerClient,
    job_id: str,
    details: pb.JobDetails,
    task: str,
    sources: dict[tuple[str, str], LogSource],
) -> list[tuple[str, str, str]]:
    """What has been added since the last look, files that have appeared meanwhile included."""
    for source in _sources(client, details, task):
        sources.setdefault((source.taskmanager_id, source.name), source)
    found: list[tuple[str, str, str]] = []
    for source in sources.values():
        found += _read(client, job_id, source)
    return sorted(found, key=lambda line: line[0])


def _read(client: JobManagerClient, job_id: str, source: LogSource) -> list[tuple[str, str, str]]:
    found: list[tuple[str, str, str]] = []
    while True:
        question = runtime_pb2.Question(
            read_log=runtime_pb2.ReadLogQuestion(name=source.name, offset=source.offset)
        )
        try:
            piece = client.inspect(question, source.taskmanager_id).read_log
        except LestoError:
            return found  # the process or its file has gone since it was listed
        if 0 <= piece.size_bytes < source.offset:  # it was set aside, and begins anew
            source.offset, source.rest = 0, b""
            continue
        cut = source.offset < 0 < piece.offset
        found += source.lines(piece.content, job_id, cut=cut)
        source.offset = piece.offset + len(piece.content)
        if not piece.content or source.offset >= piece.size_bytes:
            return found


def _sources(client: JobManagerClient, details: pb.JobDetails, task: str) -> list[LogSource]:
    """The files of the processes that run the job now, and the JobManager's."""
    places = _places(details, task)
    found = [] if task else [LogSource("jobmanager", "", JOBMANAGER_LOG, only_job=True)]
    workers = {w.taskmanager_id: w for w in client.cluster().taskmanagers}
    for worker_id in sorted({worker for worker, _ in places}):
        worker = workers.get(worker_id)
        if worker is None:
            continue
        indices = {s.index for s in worker.slots if (worker_id, s.slot_id) in places}
        short = worker_id[:8]
        listed = client.inspect(
            runtime_pb2.Question(list_logs=runtime_pb2.ListLogsQuestion()), worker_id
        ).list_logs.files
        names = {file.name: file.modified_ms for file in listed}
        if not task and "taskmanager.log" in names:
            found.append(LogSource(short, worker_id, "taskmanager.log", only_job=True))
        for index in sorted(indices):
            for name in (f"slot-{index}.log", f"slot-{index}.out"):
                if name in names:
                    label = f"{short}/{name.removesuffix('.log')}"
                    source = LogSource(label, worker_id, name, only_job=False)
                    if name.endswith(".out"):  # has no times of its own: about when it was written
                        source.time = format_time(names[name]) or ""
                    found.append(source)
    return found


def _places(details: pb.JobDetails, task: str) -> set[tuple[str, str]]:
    """TaskManager and slot of each subtask of the job, or of one task."""
    vertices: Iterable[pb.VertexDetails] = details.vertices
    if task:
        named = [vertex for vertex in details.vertices if task in (vertex.id, vertex.name)]
        named = named or [v for v in details.vertices if task.lower() in v.name.lower()]
        if not named:
            names = [vertex.name for vertex in details.vertices]
            msg = f"the job has no task '{task}'{did_you_mean(task, names)}"
            raise UsageError(msg, remedy=f"Its tasks: {', '.join(names)}.")
        vertices = named
    return {
        (subtask.taskmanager_id, subtask.slot_id)
        for vertex in vertices
        for subtask in vertex.subtasks
        if subtask.taskmanager_id
    }
