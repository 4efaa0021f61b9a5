"""What can be asked of a cluster; gRPC and REST are two faces of it.

Runs on the JobManager's event loop.
"""

from __future__ import annotations

import asyncio
import platform
from collections import Counter
from collections.abc import AsyncIterator
from concurrent.futures import Executor

import lesto
from lesto.common.clock import Clock
from lesto.common.errors import LestoError
from lesto.jobmanager.core.states import JobState
from lesto.jobmanager.server.dispatcher import Dispatcher
from lesto.jobmanager.server.results import fetch_results
from lesto.jobmanager.server.taskmanagers import TaskManagers
from lesto.proto import client_pb2

#: Shortest time between two messages of ``watch``.
WATCH_PAUSE_SECONDS = 0.05


class Cluster:
    """Dispatcher and TaskManagers in one place.

    Attributes:
        dispatcher: submit, cancel, savepoint and stop jobs.
        taskmanagers: sessions and slots.
        rest_address: where the REST server listens, for people; set by who starts it.
        leader_epoch: number of the leadership; 0: there is no election.
        lost: why this JobManager leads no more; streams end with it.
    """

    def __init__(
        self,
        jobmanager_id: str,
        dispatcher: Dispatcher,
        taskmanagers: TaskManagers,
        clock: Clock,
        io: Executor,
        *,
        leader_epoch: int = 0,
        high_availability: str = "NONE",
    ) -> None:
        self.jobmanager_id = jobmanager_id
        self.dispatcher = dispatcher
        self.taskmanagers = taskmanagers
        self.rest_address = ""
        self.clock = clock
        self.leader_epoch = leader_epoch
        self.lost: LestoError | None = None
        self._high_availability = high_availability
        self._io = io

    def info(self) -> client_pb2.ClusterInfo:
        """Counts, versions and TaskManagers."""
        states = Counter(job.summary().state for job in self.dispatcher.jobs.values())
        return client_pb2.ClusterInfo(
            jobmanager_id=self.jobmanager_id,
            lesto_version=lesto.__version__,
            python_version=platform.python_version(),
            slots_total=self.taskmanagers.pool.total,
            slots_available=self.taskmanagers.pool.available,
            jobs_running=sum(n for state, n in states.items() if not JobState(state).terminal),
            jobs_finished=states[client_pb2.JOB_STATE_FINISHED],
            jobs_cancelled=states[client_pb2.JOB_STATE_CANCELED],
            jobs_failed=states[client_pb2.JOB_STATE_FAILED],
            taskmanagers=self.taskmanagers.info(),
            rest_address=self.rest_address,
            high_availability=self._high_availability,
            leading=self.lost is None,
            leader_epoch=self.leader_epoch,
        )

    def jobs(self) -> list[client_pb2.JobSummary]:
        """All jobs that are known, oldest submission first."""
        found = [job.summary() for job in self.dispatcher.jobs.values()]
        return sorted(found, key=lambda summary: (summary.start_time_ms, summary.job_id))

    async def watch(self, job_id: str, interval_ms: int) -> AsyncIterator[client_pb2.JobDetails]:
        """Details at once, then at each change and each interval, until the job has ended.

        Raises:
            JobNotFoundError: there is none with this id.
        """
        job = self.dispatcher.get(job_id)
        while (runner := job.runner) is not None:
            revision, last = runner.revision, runner.ended.is_set()
            if self.lost is not None:
                raise self.lost
            if last or not runner.ending:  # its end is news once it is on record
                yield job.details()
            if last:  # looked at before: it may end while the consumer takes the news before
                return
            await asyncio.sleep(WATCH_PAUSE_SECONDS)
            await runner.changed_since(revision, interval_ms / 1000)
        yield job.details()

    async def results(
        self, job_id: str, operator_uid: str, *, keep: bool = False
    ) -> AsyncIterator[client_pb2.ResultBatch]:
        """Committed results of a collect sink.

        Args:
            job_id: the job.
            operator_uid: the sink.
            keep: do not delete them at the end.

        Raises:
            JobNotFoundError: no such job, or it has no such operator.
        """
        job = self.dispatcher.get(job_id)
        async for batch in fetch_results(job, operator_uid, self._io, keep=keep):
            if self.lost is not None:
                raise self.lost
            yield batch
        if self.lost is not None:
            raise self.lost

    async def discard_results(self, job_id: str, operator_uid: str) -> None:
        """Delete results that have arrived; those of a job that has not ended stay.

        Raises:
            JobNotFoundError: no such job.
        """
        job = self.dispatcher.get(job_id)
        if operator_uid in job.uids and job.runner is None:
            loop = asyncio.get_running_loop()
            await loop.run_in_executor(self._io, job.store.delete_results, operator_uid)
