"""What a dispatcher needs of the durable job store, off the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import TypeVar

from lesto.common.errors import LestoError
from lesto.common.logs import get_logger
from lesto.jobmanager.errors import DuplicateJobError, JobLogError
from lesto.jobmanager.server.ha.job_log import JobLog
from lesto.jobmanager.server.ha.job_store import JobStore, digest, graph_content
from lesto.jobmanager.server.ha.recovery import FoundJob, find_job
from lesto.proto import client_pb2, job_pb2
from lesto.state.errors import StorageError

logger = get_logger("lesto.jobmanager.durable_jobs")
R = TypeVar("R")

#: Tries to read a job while the storage refuses; then the leadership is given up. About 10 s.
TRIES_MAX = 6
FIRST_PAUSE_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class Leadership:
    """Of this JobManager.

    Attributes:
        leader: its id.
        term: number of the leadership.
    """

    leader: str
    term: int


class DurableJobs:
    """The jobs of one leadership.

    Args:
        store: where they are.
        leadership: whose.
        io: threads.
        checkpoint_dir: where a job keeps its checkpoints.
        retained: completed checkpoints that a job keeps.
    """

    def __init__(
        self,
        store: JobStore,
        leadership: Leadership,
        io: Executor,
        *,
        checkpoint_dir: Callable[[job_pb2.JobGraph], str],
        retained: Callable[[job_pb2.JobGraph], int],
    ) -> None:
        self._store = store
        self._leadership = leadership
        self._io = io
        self._checkpoint_dir = checkpoint_dir
        self._retained = retained

    async def submit(self, graph: job_pb2.JobGraph) -> tuple[JobLog, bool]:
        """Make a job durable; its log, and whether it is new.

        Raises:
            DuplicateJobError: another job was submitted with its id.
            LestoError: the storage refused, or this JobManager leads no more.
        """
        log, new = await self._off_loop(lambda: self._store.submit(graph))
        first = log.state.submitted
        if not new and (first is None or first.graph != digest(graph_content(graph))):
            msg = f"another job with id {graph.job_id} was submitted before"
            raise DuplicateJobError(msg, remedy="submit it with a new id")
        return log, new

    async def claim(self, log: JobLog) -> int:
        """Claim the next epoch of a new job.

        Raises:
            LestoError: as above.
        """
        own = self._leadership
        return await self._off_loop(lambda: log.claim(own.leader, own.term))

    async def job_ids(self) -> list[str]:
        """Every job that the storage lists; one that was made a moment ago may be missing.

        Raises:
            LestoError: the storage refuses again and again.
        """
        return await self._patiently(self._store.job_ids)

    async def find(self, job_ids: Sequence[str]) -> list[FoundJob]:
        """Read jobs; those that have not ended are claimed for this leader.

        Raises:
            LestoError: the storage refuses again and again, or a later leader is at work.
        """
        # Those that cannot be read hide no other.
        found = await asyncio.gather(*(self._find(job_id) for job_id in job_ids))
        return [job for job in found if job is not None]

    async def _find(self, job_id: str) -> FoundJob | None:
        own = self._leadership
        try:
            return await self._patiently(
                lambda: find_job(
                    self._store,
                    job_id,
                    leader=own.leader,
                    term=own.term,
                    checkpoint_dir=self._checkpoint_dir,
                    retained=self._retained,
                )
            )
        except JobLogError as error:
            logger.error("job.unrecoverable", job=job_id, error=str(error))
            return unrecoverable(self._store.log(job_id), job_id, error)

    async def forget(self, job_id: str, log: JobLog) -> None:
        """Delete an ended job that has left the archive; what cannot be deleted costs space."""
        try:
            await self._off_loop(log.check_leading)
            await self._off_loop(lambda: self._store.forget(job_id))
        except LestoError as error:
            logger.warning("job.not_forgotten", job=job_id, error=str(error))

    async def _patiently(self, work: Callable[[], R]) -> R:
        pause = FIRST_PAUSE_SECONDS
        for _ in range(TRIES_MAX - 1):
            try:
                return await self._off_loop(work)
            except StorageError as error:
                logger.warning("recovery.storage_failed", error=str(error))
            await asyncio.sleep(pause)
            pause *= 2
        return await self._off_loop(work)

    async def _off_loop(self, work: Callable[[], R]) -> R:
        return await asyncio.get_running_loop().run_in_executor(self._io, work)


def unrecoverable(log: JobLog, job_id: str, error: LestoError) -> FoundJob:
    """A job of which too little can be read to run it: shown, not run, and left as it is."""
    summary = client_pb2.JobSummary(
        job_id=job_id, name="(unreadable)", state=client_pb2.JOB_STATE_FAILED
    )
    details = client_pb2.JobDetails(summary=summary)
    failure = details.failures.add(task_name="recovery").failure
    failure.code, failure.message, failure.remedy = error.code, error.message, error.remedy
    return FoundJob(log, job_pb2.JobGraph(job_id=job_id, name=summary.name), ended=details)
