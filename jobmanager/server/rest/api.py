"""What the REST server needs of a JobManager."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from lesto.proto import client_pb2 as pb
from lesto.proto import runtime_pb2


class JobManagerApi(Protocol):
    """Blocking and thread-safe; raises ``LestoError``. A gRPC client of the JobManager is one."""

    def cluster(self) -> pb.ClusterInfo:
        """Return counts, versions and TaskManagers."""
        ...

    def jobs(self) -> list[pb.JobSummary]:
        """Return all jobs the JobManager remembers."""
        ...

    def job(self, job_id: str, *, include_graph: bool = False) -> pb.JobDetails:
        """Return everything known about one job."""
        ...

    def submit(self, request: pb.SubmitJobRequest) -> str:
        """Take a job graph; return the job's id. Repeated, it is one job all the same."""
        ...

    def cancel(self, job_id: str) -> None:
        """Ask for a job's cancellation."""
        ...

    def savepoint(self, job_id: str, target: str = "") -> str:
        """Take a savepoint; return its path once it is complete."""
        ...

    def checkpoint(self, job_id: str, *, full: bool = False) -> tuple[int, str]:
        """Take a checkpoint now; return its number and path once it is complete."""
        ...

    def dispose(self, path: str) -> int:
        """Delete a savepoint; return the number of its files."""
        ...

    def rescale(
        self,
        job_id: str,
        parallelism: int = 0,
        vertices: Mapping[str, tuple[int, int]] | None = None,
    ) -> pb.RescaleJobResponse:
        """Change the parallelism in place; returns once all tasks run with it."""
        ...

    def stop(self, job_id: str, target: str = "", *, drain: bool = False) -> str:
        """Stop with a savepoint; return its path once the job has finished."""
        ...

    def inspect(
        self, question: runtime_pb2.Question, taskmanager_id: str = "", slot_id: str = ""
    ) -> runtime_pb2.Answer:
        """Ask a running process; blocks for the question's own time at most.

        Args:
            question: what to know.
            taskmanager_id: whom to ask; empty: the JobManager.
            slot_id: which of its slots; empty: the TaskManager itself.

        Raises:
            LestoError: there is no such process, it is silent, or it cannot answer.
        """
        ...
