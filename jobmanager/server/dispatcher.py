"""All jobs of the cluster by id: those that run, and a bounded archive of those that have ended."""

from __future__ import annotations

import asyncio
import sys
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from lesto.common import options
from lesto.common.config import Configuration
from lesto.common.errors import LestoError, did_you_mean
from lesto.common.locations import absolute
from lesto.common.logs import get_logger
from lesto.jobmanager.core import instructions as do
from lesto.jobmanager.core.graph_validation import validate_graph
from lesto.jobmanager.errors import (
    ClusterStoppedError,
    DuplicateJobError,
    InvalidJobGraphError,
    JobNotFoundError,
    JobStateError,
    PythonVersionError,
)
from lesto.jobmanager.server.checkpoint_store import CheckpointStore
from lesto.jobmanager.server.details import (
    job_details,
    job_summary,
    without_history,
    without_payloads,
)
from lesto.jobmanager.server.disposal import check_unused, dispose_snapshot
from lesto.jobmanager.server.ha.durable_jobs import DurableJobs, unrecoverable
from lesto.jobmanager.server.ha.job_log import JobLog
from lesto.jobmanager.server.ha.recovery import FoundJob
from lesto.jobmanager.server.job_runner import JobRunner, Services
from lesto.jobmanager.server.settings import (
    checkpoint_config,
    job_config,
    job_settings,
    shown_config,
)
from lesto.proto import client_pb2, job_pb2

logger = get_logger("lesto.jobmanager.dispatcher")

#: A new leader lists the jobs again after these pauses: what NFS or an object store lists may be up
#: to a minute old.
LISTED_AGAIN_SECONDS: Final = (2, 10, 60)


@dataclass(slots=True)
class Job:
    """A job and, once it has ended, what remains of it.

    Attributes:
        runner: runs it; None in the archive.
        graph: without pickled code.
        uids: of its operators.
        store: its durable names.
        config: the cluster's with the job's on top.
        archived: its last details.
        archived_ms: monotonic ms.
        log: its durable log; None: it ends with this JobManager.
    """

    graph: job_pb2.JobGraph
    uids: frozenset[str]
    store: CheckpointStore
    config: Configuration
    runner: JobRunner | None = None
    archived: client_pb2.JobDetails | None = None
    archived_ms: int = 0
    log: JobLog | None = None

    def details(self, *, include_graph: bool = False) -> client_pb2.JobDetails:
        """Everything about it."""
        if self.runner is not None:
            master, collapsed = self.runner.master, self.runner.collapsed
            found = job_details(master, collapsed=collapsed, full=include_graph)
        else:
            assert self.archived is not None
            found = client_pb2.JobDetails()
            found.CopyFrom(self.archived)
            if not include_graph:
                without_history(found)
        found.checkpoints.config.update(checkpoint_config(self.config))
        if include_graph:
            found.config.update(shown_config(self.config))
            found.graph.CopyFrom(self.graph)
            now = {vertex.id: vertex.parallelism for vertex in found.vertices}
            for vertex in found.graph.vertices:
                vertex.parallelism = now.get(vertex.id, vertex.parallelism)
        return found

    def summary(self) -> client_pb2.JobSummary:
        """One line about it."""
        if self.runner is not None:
            return job_summary(self.runner.master, collapsed=self.runner.collapsed)
        assert self.archived is not None
        return self.archived.summary


class Dispatcher:
    """Takes submissions and keeps jobs.

    Args:
        config: the cluster's.
        checkpoint_dir: where jobs that say nothing put their checkpoints.
        owner: the JobManager's id.
        services: what jobs use.
        durable: makes the store that jobs outlive this JobManager in; None: they do not.
    """

    def __init__(
        self,
        config: Configuration,
        checkpoint_dir: str,
        owner: str,
        services: Services,
        durable: Callable[[Dispatcher], DurableJobs] | None = None,
    ) -> None:
        self.jobs: OrderedDict[str, Job] = OrderedDict()
        self._config = config
        self._checkpoint_dir = checkpoint_dir
        self._owner = owner
        self._services = services
        self._durable = durable(self) if durable is not None else None
        self._submitting: dict[str, asyncio.Event] = {}
        self._watchers: set[asyncio.Task[None]] = set()
        self._looking: asyncio.Task[None] | None = None
        self._stopped = False
        self._lost: LestoError | None = None

    async def submit(self, graph: job_pb2.JobGraph) -> str:
        """Take a job; its id.

        Raises:
            InvalidJobGraphError: the graph contradicts itself.
            DuplicateJobError: its id was used before.
            PythonVersionError: its code was pickled by another Python.
            LestoError: a setting is wrong, or checkpoint storage refuses.
        """
        if self._stopped:
            raise self._lost or ClusterStoppedError("the JobManager is stopping")
        _check_python(graph)
        _check_uids(graph)
        validate_graph(graph)
        while self._durable is not None and graph.job_id in self._submitting:
            await self._submitting[graph.job_id].wait()  # the same submission, sent again
        if self._durable is None and (
            graph.job_id in self.jobs or graph.job_id in self._submitting
        ):
            msg = f"a job with id {graph.job_id} was submitted before"
            raise DuplicateJobError(msg, remedy="submit it with a new id")
        job_settings(job_config(self._config, graph), graph)  # wrong settings leave nothing behind
        self._submitting[graph.job_id] = asyncio.Event()
        try:
            log = await self._make_durable(graph)
            ended = log is not None and log.state.ended is not None
            if ended or graph.job_id in self.jobs:
                return graph.job_id
            job = await self._prepare(graph, log)
        finally:
            self._submitting.pop(graph.job_id).set()
        if self._stopped:  # meanwhile; the next leader finds the job
            raise self._lost or ClusterStoppedError("the JobManager is stopping")
        self._start(job)
        logger.info("job.submitted", job=graph.job_id, job_name=graph.name)
        return graph.job_id

    async def _make_durable(self, graph: job_pb2.JobGraph) -> JobLog | None:
        """Behind this, the job survives this JobManager. It may have been made so before."""
        if self._durable is None:
            return None
        log, _ = await self._durable.submit(graph)
        return log

    async def recover(self) -> None:
        """Take over the jobs of earlier leaders.

        Raises:
            LestoError: the storage refuses, or a later leader is at work.
        """
        if self._durable is None:
            return
        await self._take_over_unknown(self._durable)
        await self._forget()
        self._looking = asyncio.create_task(self._look_again(self._durable))

    async def _look_again(self, durable: DurableJobs) -> None:
        """A listing may be old: a job that it does not show yet would be nobody's."""
        for seconds in LISTED_AGAIN_SECONDS:
            await asyncio.sleep(seconds)
            if self._stopped:
                return
            try:
                await self._take_over_unknown(durable)
            except LestoError as error:  # what is known runs; who leads is decided elsewhere
                logger.warning("recovery.not_listed_again", error=str(error))

    async def _take_over_unknown(self, durable: DurableJobs) -> None:
        ids = await durable.job_ids()
        unknown = [i for i in ids if i not in self.jobs and i not in self._submitting]
        # A client that sends its submission again waits.
        self._submitting.update((job_id, asyncio.Event()) for job_id in unknown)
        try:
            found = await durable.find(unknown)
            found.sort(key=lambda j: j.log.state.submitted.at_ms if j.log.state.submitted else 0)
            for one in () if self._stopped else found:
                try:
                    self._take_over(one)
                except LestoError as error:  # it must not keep the others from going on
                    logger.error("job.unrecoverable", job=one.graph.job_id, error=str(error))
                    self._take_over(unrecoverable(one.log, one.graph.job_id, error))
        finally:
            for job_id in unknown:
                self._submitting.pop(job_id).set()

    def _take_over(self, found: FoundJob) -> None:
        graph = found.graph
        uids = _uids(graph)
        config = self._config_of(graph)
        if found.ended is not None:
            names = CheckpointStore(self.checkpoint_dir(graph), graph.job_id)
            job = Job(without_payloads(graph), uids, names, config, log=found.log)
            job.archived = found.ended
            job.archived_ms = self._services.clock.monotonic_ms()
            self.jobs[graph.job_id] = job
            return
        store = found.store
        assert store is not None, "a job that goes on has checkpoints somewhere"
        self._fill_restore_path(graph, config)
        runner = JobRunner(
            graph,
            job_settings(config, graph),
            store,
            found.log.epoch,
            self._services,
            found.recovered,
        )
        self._start(Job(without_payloads(graph), uids, store, config, runner, log=found.log))
        if found.cancel_wanted:
            runner.cancel()
        assert found.recovered is not None
        newest = found.recovered.checkpoints[-1:]
        logger.info(
            "job.recovered",
            job=graph.job_id,
            job_name=graph.name,
            epoch=found.log.epoch,
            checkpoint=newest[0].metadata.checkpoint_id if newest else None,
        )

    def _start(self, job: Job) -> None:
        self.jobs[job.graph.job_id] = job
        assert job.runner is not None
        job.runner.start()
        watcher = asyncio.create_task(self._archive_when_ended(job))
        self._watchers.add(watcher)
        watcher.add_done_callback(self._watchers.discard)

    def checkpoint_dir(self, graph: job_pb2.JobGraph) -> str:
        """Where a job keeps its checkpoints."""
        config = self._config_of(graph)
        return absolute(config.get(options.CHECKPOINT_DIR) or self._checkpoint_dir)

    def retained(self, graph: job_pb2.JobGraph) -> int:
        """Completed checkpoints that a job keeps."""
        return self._config_of(graph).get(options.NUM_RETAINED_CHECKPOINTS)

    def _config_of(self, graph: job_pb2.JobGraph) -> Configuration:
        return job_config(self._config, graph)

    def _fill_restore_path(self, graph: job_pb2.JobGraph, config: Configuration) -> None:
        if not graph.restore_path:
            graph.restore_path = config.get(options.SAVEPOINT_PATH) or ""
            if config.get(options.SAVEPOINT_IGNORE_UNCLAIMED_STATE):
                graph.allow_non_restored_state = True

    async def _prepare(self, graph: job_pb2.JobGraph, log: JobLog | None) -> Job:
        config = self._config_of(graph)
        self._fill_restore_path(graph, config)
        store = CheckpointStore(self.checkpoint_dir(graph), graph.job_id, log)
        if log is not None and self._durable is not None:
            epoch = await self._durable.claim(log)
        else:
            loop = asyncio.get_running_loop()
            epoch = await loop.run_in_executor(self._services.io, store.next_epoch, self._owner)
        runner = JobRunner(graph, job_settings(config, graph), store, epoch, self._services)
        return Job(without_payloads(graph), _uids(graph), store, config, runner, log=log)

    async def _archive_when_ended(self, job: Job) -> None:
        assert job.runner is not None
        await job.runner.ended.wait()
        if job.runner.fenced or self._lost is not None:
            return  # it goes on under another leader
        job.archived = job.details(include_graph=True)
        job.archived.ClearField("graph")
        job.archived_ms = self._services.clock.monotonic_ms()
        job.runner = None
        self.jobs.move_to_end(job.graph.job_id)
        await self._forget()

    async def _forget(self) -> None:
        """Keep the archive within its bounds, oldest ended first."""
        capacity = self._config.get(options.JOBSTORE_MAX_CAPACITY)
        lifetime = self._config.get(options.JOBSTORE_EXPIRATION_TIME)
        now_ms = self._services.clock.monotonic_ms()
        ended = [job for job in self.jobs.values() if job.runner is None]
        excess = len(ended) - capacity
        for index, job in enumerate(ended):
            if index < excess or now_ms - job.archived_ms > lifetime.total_seconds() * 1000:
                del self.jobs[job.graph.job_id]
                if self._durable is not None and job.log is not None:
                    await self._durable.forget(job.graph.job_id, job.log)

    def get(self, job_id: str) -> Job:
        """A job.

        Raises:
            JobNotFoundError: there is none with this id.
        """
        job = self.jobs.get(job_id)
        if job is None:
            msg = f"no job has id {job_id!r}{did_you_mean(job_id, self.jobs)}"
            raise JobNotFoundError(msg, remedy="lesto list -a shows the jobs that are known")
        return job

    def running(self, job_id: str) -> JobRunner:
        """The runner of a job that has not ended.

        Raises:
            JobNotFoundError: there is none with this id.
            JobStateError: it has ended.
        """
        job = self.get(job_id)
        if job.runner is None:
            state = client_pb2.JobState.Name(job.summary().state).removeprefix("JOB_STATE_")
            msg = f"job {job.graph.name} ({job_id}) has ended: it is {state}"
            raise JobStateError(msg)
        return job.runner

    async def savepoint(
        self, job_id: str, target: str, *, stop: bool = False, drain: bool = False
    ) -> str:
        """Take a savepoint, or stop the job with one; its path.

        Raises:
            LestoError: it did not complete; says why.
        """
        runner = self.running(job_id)
        directory = absolute(target or self.get(job_id).config.get(options.SAVEPOINT_DIR) or "")
        if not directory:
            msg = "neither the request nor execution.checkpointing.savepoint-dir names a directory"
            remedy = (
                "give one (lesto savepoint JOB DIR, lesto stop -p DIR JOB), or set "
                "execution.checkpointing.savepoint-dir"
            )
            raise JobStateError(msg, remedy=remedy)
        return await runner.savepoint(directory, stop=stop, drain=drain)

    async def rescale(
        self, job_id: str, parallelism: int, vertices: Mapping[str, tuple[int, int]]
    ) -> do.Rescaled:
        """Change a job's parallelism in place; see :meth:`JobRunner.rescale`."""
        return await self.running(job_id).rescale(parallelism, vertices)

    async def checkpoint(self, job_id: str, *, full: bool = False) -> str:
        """Take a checkpoint of a job now; its path.

        Raises:
            LestoError: it did not complete; says why.
        """
        return await self.running(job_id).checkpoint(full=full)

    async def dispose(self, path: str) -> int:
        """Delete a savepoint or retained checkpoint; the number of its files.

        Raises:
            JobStateError: a job of the cluster uses it.
            StateError: there is none at the path, or its storage refuses.
        """
        for job in self.jobs.values():
            if job.runner is not None:
                check_unused(path, job.runner.master)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._services.io, dispose_snapshot, path)

    async def cancel(self, job_id: str) -> None:
        """End a job without finishing it; one that has ended is left alone.

        Raises:
            JobNotFoundError: there is none with this id.
            LestoError: the wish could not be made durable.
        """
        job = self.get(job_id)
        runner = job.runner
        if runner is None:
            return
        if job.log is not None and not runner.master.state.terminal:
            loop = asyncio.get_running_loop()
            try:
                await loop.run_in_executor(self._services.io, job.log.cancel_wanted)
            except JobStateError:
                return  # it has ended meanwhile
        runner.cancel()

    async def cancel_all(self, timeout_seconds: float) -> None:
        """Cancel every job and wait for their ends."""
        runners = [job.runner for job in self.jobs.values() if job.runner is not None]
        for runner in runners:
            runner.cancel("the cluster stops")
        waits = [asyncio.create_task(runner.ended.wait()) for runner in runners]
        if waits:
            _, late = await asyncio.wait(waits, timeout=timeout_seconds)
            for wait in late:
                wait.cancel()

    async def stop(self, reason: LestoError | None = None) -> None:
        """Drop every job at once: the JobManager goes away, or leads no more.

        Args:
            reason: what waiting clients are told when the jobs go on elsewhere.
        """
        self._stopped = True
        self._lost = reason
        for job in list(self.jobs.values()):
            if job.runner is not None:
                await job.runner.abort(reason)
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.wait([self._looking])
        if self._watchers:
            await asyncio.wait(self._watchers)


def _uids(graph: job_pb2.JobGraph) -> frozenset[str]:
    return frozenset(op.uid for vertex in graph.vertices for op in vertex.operators)


def _check_python(graph: job_pb2.JobGraph) -> None:
    own = f"{sys.version_info.major}.{sys.version_info.minor}"
    if graph.python_version and graph.python_version != own:
        msg = f"the job was made by Python {graph.python_version}, the cluster runs Python {own}"
        raise PythonVersionError(
            msg, remedy=f"submit with Python {own}: pickled code is for one minor version"
        )


def _check_uids(graph: job_pb2.JobGraph) -> None:
    """A uid names a directory of a collect sink's results."""
    for vertex in graph.vertices:
        for operator in vertex.operators:
            if "/" in operator.uid or "\0" in operator.uid or operator.uid in {".", ".."}:
                msg = f"operator uid {operator.uid!r} has a slash or is a directory's name"
                raise InvalidJobGraphError(msg, remedy="use letters, digits and hyphens")
