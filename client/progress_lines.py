"""A job's progress as lines: for logs and pipes, and news between frames of the live display."""

from __future__ import annotations

import time
from typing import IO, TYPE_CHECKING

from lesto.client.cli.output import format_bytes, format_count, format_elapsed
from lesto.proto import client_pb2 as pb

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lesto.client.job_client import JobClient, JobExecutionResult

LINE_EVERY_SECONDS = 10.0
#: A job that has not got its slots by then is waiting for them.
SLOTS_WAIT_SECONDS = 3.0
TRACEBACK_LINES_MAX = 12
WAITS_FOR_SLOTS = "waits for slots; `lesto taskmanager --slots N` adds some, -p asks for fewer"
# Nothing has happened yet, or the summary says it.
_SILENT = frozenset(
    {pb.JOB_STATE_CREATED, pb.JOB_STATE_FINISHED, pb.JOB_STATE_FAILED, pb.JOB_STATE_CANCELED}
)
_ENDING = frozenset({pb.JOB_STATE_FAILING, pb.JOB_STATE_FAILED})


class Failures:
    """Tells each failure of a running job once: a job that restarts must not do so in silence."""

    def __init__(self) -> None:
        self._last_ms = 0
        self._last_told: tuple[str, str] = ("", "")

    def news(self, details: pb.JobDetails) -> Iterator[str]:
        """Yield the failures since the last call, oldest first; not the one that ended the job."""
        fresh = [f for f in details.failures if f.timestamp_ms > self._last_ms]
        if details.failures:
            self._last_ms = max(self._last_ms, *(f.timestamp_ms for f in details.failures))
        if details.summary.state in _ENDING and fresh:
            fresh = fresh[1:]  # newest first: that one is the error of the run
        for info in reversed(fresh):
            failure = info.failure
            told = (failure.message, failure.location)
            if told == self._last_told:
                yield f"the same failure again, the job restarts: [{failure.code}]"
                continue
            self._last_told = told
            where = f" in '{failure.operator_name}'" if failure.operator_name else ""
            at = f" at {failure.location}" if failure.location else ""
            yield f"failure{where}, the job restarts: [{failure.code}] {failure.message}{at}"
            if failure.remedy:
                yield f"  what to do: {failure.remedy}"
            yield from failure.user_traceback.rstrip().splitlines()[-TRACEBACK_LINES_MAX:]


def watch_lines(job_client: JobClient, stream: IO[str]) -> JobExecutionResult:
    """Wait for the job's end; write a line at each change of state and every 10 s.

    Raises:
        JobExecutionError: it failed for good.
        JobCanceledError: it was cancelled.
    """
    failures = Failures()
    state, written_at = -1, 0.0
    last: pb.JobDetails | None = None
    waits_told_at = time.monotonic() + SLOTS_WAIT_SECONDS
    for details in job_client.details():
        last = details
        if details.summary.state == pb.JOB_STATE_CREATED and time.monotonic() >= waits_told_at:
            waits_told_at = float("inf")
            _write(stream, f"CREATED {details.summary.name}: {WAITS_FOR_SLOTS}")
        for line in failures.news(details):
            _write(stream, line)
        now = time.monotonic()
        if details.summary.state != state or now - written_at >= LINE_EVERY_SECONDS:
            state, written_at = details.summary.state, now
            if state not in _SILENT:
                _write(stream, progress_line(details))
    if last is not None:
        _write(stream, summary_line(last))
    return job_client.ended_result()


def wait_telling(job_client: JobClient, stream: IO[str]) -> JobExecutionResult:
    """Wait for the job's end; write nothing but failures after which it restarts.

    Raises:
        JobExecutionError: it failed for good.
        JobCanceledError: it was cancelled.
    """
    failures = Failures()
    for details in job_client.details():
        for line in failures.news(details):
            _write(stream, line)
    return job_client.ended_result()


def _write(stream: IO[str], line: str) -> None:
    stream.write(line + "\n")
    stream.flush()


def records_read(details: pb.JobDetails) -> int:
    """Return records that the sources have emitted in this attempt."""
    total = 0
    for vertex in details.vertices:
        heads = [s.report.operators[0] for s in vertex.subtasks if s.report.operators]
        if vertex.records_in and any(head.records_in for head in heads):
            continue  # fed by others
        total += sum(head.records_out for head in heads) or vertex.records_out
    return total


def progress_line(details: pb.JobDetails) -> str:
    """Return where a job stands."""
    return f"{_state(details)} {details.summary.name}: {_counts(details)}"


def summary_line(details: pb.JobDetails) -> str:
    """Return one line that sums up a job that has ended."""
    job = details.summary
    elapsed_ms = max(0, (job.end_time_ms or time.time_ns() // 1_000_000) - job.start_time_ms)
    rate = ""
    if elapsed_ms and (count := records_read(details)):
        rate = f" ({format_count(count * 1000 / elapsed_ms)}/s)"
    restarts = f", {job.restarts} restarts" if job.restarts else ""
    head = f"{_state(details)} {job.name} ({job.job_id[:8]}) in {format_elapsed(elapsed_ms)}"
    return f"{head}: {_counts(details, rate)}{restarts}"


def _state(details: pb.JobDetails) -> str:
    return pb.JobState.Name(details.summary.state).removeprefix("JOB_STATE_")


def _counts(details: pb.JobDetails, rate: str = "") -> str:
    checkpoints = details.checkpoints
    text = f"{records_read(details):,} records{rate}, {checkpoints.completed} checkpoints"
    if checkpoints.HasField("latest_completed"):
        latest = checkpoints.latest_completed
        text += f" (last {latest.duration_ms} ms, {format_bytes(latest.state_bytes)})"
    return text + (f", {checkpoints.failed} failed" if checkpoints.failed else "")
