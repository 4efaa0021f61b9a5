"""JobClient: a submitted job, from outside."""

from __future__ import annotations

import enum
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from lesto.client.errors import JobCanceledError, JobExecutionError
from lesto.client.jobmanager_client import JobManagerClient
from lesto.common.errors import LestoError
from lesto.proto import client_pb2 as pb

if TYPE_CHECKING:
    from lesto.client.minicluster import MiniCluster

T = TypeVar("T")
WATCH_INTERVAL = timedelta(milliseconds=500)


class JobStatus(enum.Enum):
    """State of a job; names and values are Flink's."""

    CREATED = 0
    RUNNING = 1
    FAILING = 2
    FAILED = 3
    CANCELLING = 4
    CANCELED = 5
    FINISHED = 6
    RESTARTING = 7
    SUSPENDED = 8
    RECONCILING = 9

    def is_globally_terminal_state(self) -> bool:
        """Whether the job has ended."""
        return self in {JobStatus.FAILED, JobStatus.CANCELED, JobStatus.FINISHED}

    def is_terminal_state(self) -> bool:
        """Whether the job has ended, or is suspended."""
        return self.is_globally_terminal_state() or self is JobStatus.SUSPENDED


_STATUS = {
    number: JobStatus[name.removeprefix("JOB_STATE_")]
    for name, number in pb.JobState.items()
    if number != pb.JOB_STATE_UNSPECIFIED
}


@dataclass(frozen=True, slots=True)
class JobID:
    """Identity of a job: 32 hexadecimal digits."""

    value: str

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True, slots=True)
class JobExecutionResult:
    """What is left of a job.

    Attributes:
        job_id: its identity.
        net_runtime_ms: from its start to its end; 0 when it was not waited for.
        details: the JobManager's last word on it, or None when it was not waited for.
    """

    job_id: str
    net_runtime_ms: int = 0
    details: Any = field(default=None, repr=False)

    def get_job_id(self) -> JobID:
        """Its identity."""
        return JobID(self.job_id)

    def get_net_runtime(self) -> int:
        """Ms from start to end."""
        return self.net_runtime_ms

    def get_accumulator_result(self, accumulator_name: str) -> Any:
        """Value of an accumulator over all subtasks; None when there was none of that name."""
        return self.get_all_accumulator_results().get(accumulator_name)

    def get_all_accumulator_results(self) -> dict[str, Any]:
        """Values of all accumulators, by name; empty when the job was not waited for."""
        return {} if self.details is None else accumulators_of(self.details)


def accumulators_of(details: pb.JobDetails) -> dict[str, Any]:
    """Values over all subtasks, by name."""
    from lesto.common.accumulators import of_reports

    return of_reports(subtask.report for vertex in details.vertices for subtask in vertex.subtasks)


class CompletableFuture(Generic[T]):
    """A result to come; a view on :class:`concurrent.futures.Future`."""

    def __init__(self, future: Future[T]) -> None:
        self._future = future

    def result(self, timeout: float | None = None) -> T:
        """Wait for the result (``timeout`` in seconds); raises what the work raised."""
        return self._future.result(timeout)

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """Wait, and give what the work raised."""
        return self._future.exception(timeout)

    def done(self) -> bool:
        """Whether the result is there."""
        return self._future.done()

    def cancel(self) -> bool:
        """Give up waiting; the work itself is not undone."""
        return self._future.cancel()

    def cancelled(self) -> bool:
        """Whether it was given up."""
        return self._future.cancelled()


def _start(work: Callable[[], T], name: str) -> CompletableFuture[T]:
    """Run work on a thread of its own; it ends with the work, and never keeps the process alive."""
    future: Future[T] = Future()

    def run() -> None:
        if not future.set_running_or_notify_cancel():
            return
        try:
            future.set_result(work())
        except BaseException as error:  # noqa: BLE001 - handed to whoever asks for the result
            future.set_exception(error)

    threading.Thread(target=run, name=name, daemon=True).start()
    return CompletableFuture(future)


class JobClient:
    """A submitted job.

    Args:
        client: connection to the JobManager; closed with this object.
        job_id: the job.
        cluster: embedded cluster that exists for this job alone; stopped when the job has ended or
            this
            object is closed.
    """

    def __init__(
        self,
        client: JobManagerClient,
        job_id: str,
        job_name: str,
        cluster: MiniCluster | None = None,
    ) -> None:
        self.client = client
        self.job_id = job_id
        self.job_name = job_name
        self._cluster = cluster
        self._ended: pb.JobDetails | None = None
        self._lock = threading.Lock()

    # ------------------------------------------------------------------------------------- PyFlink

    def get_job_id(self) -> JobID:
        """Identity of the job."""
        return JobID(self.job_id)

    def get_job_status(self) -> CompletableFuture[JobStatus]:
        """State of the job now."""
        return _start(self.status, "job-status")

    def cancel(self) -> CompletableFuture[None]:
        """Cancel the job; the result comes when the JobManager has taken the order."""
        return _start(lambda: self.client.cancel(self.job_id), "job-cancel")

    def stop_with_savepoint(
        self, advance_to_end_of_event_time: bool, savepoint_directory: str | None = None
    ) -> CompletableFuture[str]:
        """Stop with a savepoint; the result is its path. The flag: fire all windows first
        (drain).
        """
        target, drain = savepoint_directory or "", bool(advance_to_end_of_event_time)
        return _start(lambda: self.client.stop(self.job_id, target, drain=drain), "job-stop")

    def trigger_savepoint(self, savepoint_directory: str | None = None) -> CompletableFuture[str]:
        """Take a savepoint; the result is its path."""
        target = savepoint_directory or ""
        return _start(lambda: self.client.savepoint(self.job_id, target), "job-savepoint")

    def get_accumulators(self) -> CompletableFuture[dict[str, Any]]:
        """Values of all accumulators by name, as the tasks last told them (once a second)."""

        def get() -> dict[str, Any]:
            return accumulators_of(self._ended or self.client.job(self.job_id))

        return _start(get, "job-accumulators")

    def get_job_execution_result(self) -> CompletableFuture[JobExecutionResult]:
        """The result, once the job has ended; raises JobExecutionError when it failed."""
        return _start(self.wait, "job-result")

    # ------------------------------------------------------------------------------------- waiting

    def status(self) -> JobStatus:
        """State of the job now."""
        details = self._ended or self.client.job(self.job_id)
        return _STATUS[details.summary.state]

    def details(self) -> Iterator[pb.JobDetails]:
        """The job's details, at each change, until it has ended."""
        if self._ended is not None:
            yield self._ended
            return
        for details in self.client.watch(self.job_id, WATCH_INTERVAL):
            if _STATUS[details.summary.state].is_globally_terminal_state():
                self._ended = details
            yield details

    def wait(self) -> JobExecutionResult:
        """Wait for the job's end.

        Raises:
            JobExecutionError: it failed for good.
            JobCanceledError: it was cancelled.
        """
        for _ in self.details():
            pass
        return self.ended_result()

    def ended_result(self) -> JobExecutionResult:
        """The result of a job that has ended; raises as :meth:`wait`."""
        details = self._ended or self.client.job(self.job_id)
        summary = details.summary
        status = _STATUS[summary.state]
        self._ended = details if status.is_globally_terminal_state() else None
        with suppress(OSError):
            self.close()
        if status is JobStatus.FAILED:
            raise failure_error(details)
        if status is JobStatus.CANCELED:
            msg = f"the job '{summary.name}' ({self.job_id}) was cancelled"
            raise JobCanceledError(msg)
        if status is not JobStatus.FINISHED:
            msg = f"the JobManager stopped reporting on the job '{summary.name}' ({status.name})"
            raise JobExecutionError(msg, remedy="look at the JobManager's log, and `lesto list`")
        return JobExecutionResult(
            self.job_id, int(summary.end_time_ms - summary.start_time_ms), details
        )

    def detached_result(self) -> JobExecutionResult:
        """A result without waiting."""
        return JobExecutionResult(self.job_id)

    def cancel_and_wait(self, timeout: timedelta = timedelta(seconds=30)) -> None:
        """Cancel a job that has not ended, and wait until it has."""
        deadline = time.monotonic() + timeout.total_seconds()
        self.client.cancel(self.job_id)
        while not self.status().is_globally_terminal_state() and time.monotonic() < deadline:
            time.sleep(0.02)

    def close(self) -> None:
        """Release the connection, and stop the embedded cluster if there is one. May be called
        twice.
        """
        with self._lock:
            cluster, self._cluster = self._cluster, None
            self.client.close()
            if cluster is not None:
                cluster.stop()

    def __enter__(self) -> JobClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def embedded(self) -> bool:
        """Whether the job runs on a cluster of its own in this process."""
        return self._cluster is not None


def failure_error(details: pb.JobDetails) -> LestoError:
    """The error of a failed job."""
    summary = details.summary
    if not details.failures:
        msg = f"the job '{summary.name}' ({summary.job_id}) failed; the JobManager gave no cause"
        return JobExecutionError(msg, remedy="look at the JobManager's log")
    failure = details.failures[0].failure
    operator = f" in '{failure.operator_name}'" if failure.operator_name else ""
    code = f" [{failure.code}]" if failure.code else ""
    after = f" after {summary.restarts} restarts" if summary.restarts else ""
    msg = f"the job '{summary.name}' failed{operator}{after}: {failure.message}{code}"
    error = JobExecutionError(msg, remedy=failure.remedy, location=failure.location)
    error.user_traceback = failure.user_traceback
    error.full_traceback = failure.full_traceback
    error.failure_code = failure.code
    return error
