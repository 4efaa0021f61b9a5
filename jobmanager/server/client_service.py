"""The gRPC service that clients use."""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Protocol, TypeVar

import grpc

from lesto.common.errors import Domain, InternalError, LestoError
from lesto.common.logs import get_logger
from lesto.jobmanager.errors import (
    ClusterStoppedError,
    DuplicateJobError,
    JobNotFoundError,
    JobStateError,
    LeaderFencedError,
    NotLeaderError,
)
from lesto.jobmanager.server.auth import abort
from lesto.jobmanager.server.cluster import Cluster
from lesto.proto import client_pb2, client_pb2_grpc, runtime_pb2
from lesto.state.paths import checkpoint_number

logger = get_logger("lesto.jobmanager.client_service")

R = TypeVar("R")

#: Bounds of WatchJob's interval.
WATCH_INTERVAL_MIN_MS = 50
WATCH_INTERVAL_MAX_MS = 60_000


def _answered(
    method: Callable[[Any, Any, Any], Awaitable[R]],
) -> Callable[[Any, Any, Any], Awaitable[R]]:
    """Turn our errors into statuses that carry them."""

    @functools.wraps(method)
    async def call(self: Any, request: Any, context: Any) -> R:
        try:
            return await method(self, request, context)
        except LestoError as error:
            await abort(context, error, status_of(error))
        except (grpc.aio.AbortError, grpc.RpcError):
            raise
        except Exception as error:
            logger.exception("call.failed", method=method.__name__)
            internal = InternalError(f"{type(error).__name__}: {error}")
            await abort(context, internal, grpc.StatusCode.INTERNAL)
        msg = "abort does not return"
        raise AssertionError(msg)

    return call


def status_of(error: LestoError) -> grpc.StatusCode:
    """The gRPC status of an error."""
    match error:
        case JobNotFoundError():
            return grpc.StatusCode.NOT_FOUND
        case DuplicateJobError():
            return grpc.StatusCode.ALREADY_EXISTS
        case JobStateError():
            return grpc.StatusCode.FAILED_PRECONDITION
        case ClusterStoppedError() | NotLeaderError() | LeaderFencedError():
            return grpc.StatusCode.UNAVAILABLE
        case LestoError(domain=Domain.USER):
            return grpc.StatusCode.INVALID_ARGUMENT
    return grpc.StatusCode.ABORTED


class ServingJobManager(Protocol):
    """A JobManager that may lead or stand by."""

    def info(self) -> client_pb2.ClusterInfo:
        """Counts, versions, TaskManagers and the leader."""
        ...

    async def inspect(self, request: client_pb2.InspectRequest) -> runtime_pb2.Answer:
        """Ask a process.

        Raises:
            LestoError: there is none, it is silent, or it cannot answer.
        """
        ...

    def leading_cluster(self) -> Cluster:
        """The cluster.

        Raises:
            NotLeaderError: another JobManager leads.
        """
        ...


class ClientService(client_pb2_grpc.JobManagerServiceServicer):
    """Serves ``JobManagerService``."""

    def __init__(self, jobmanager: ServingJobManager) -> None:
        self._jobmanager = jobmanager

    @property
    def _cluster(self) -> Cluster:
        """The cluster; raises NotLeaderError while another JobManager leads."""
        return self._jobmanager.leading_cluster()

    @_answered
    async def GetCluster(self, _request: Any, _context: Any) -> client_pb2.ClusterInfo:
        """Counts, versions, TaskManagers and the leader; a standby answers too."""
        return self._jobmanager.info()

    @_answered
    async def SubmitJob(self, request: Any, _context: Any) -> client_pb2.SubmitJobResponse:
        """Take a job."""
        job_id = await self._cluster.dispatcher.submit(request.graph)
        return client_pb2.SubmitJobResponse(job_id=job_id)

    @_answered
    async def ListJobs(self, _request: Any, _context: Any) -> client_pb2.ListJobsResponse:
        """All jobs that are known."""
        return client_pb2.ListJobsResponse(jobs=self._cluster.jobs())

    @_answered
    async def GetJob(self, request: Any, _context: Any) -> client_pb2.JobDetails:
        """Everything about a job."""
        job = self._cluster.dispatcher.get(request.job_id)
        return job.details(include_graph=request.include_graph)

    async def WatchJob(self, request: Any, context: Any) -> AsyncIterator[client_pb2.JobDetails]:
        """Details at each change, until the job has ended."""
        interval_ms = min(max(request.interval_ms, WATCH_INTERVAL_MIN_MS), WATCH_INTERVAL_MAX_MS)
        try:
            async for details in self._cluster.watch(request.job_id, interval_ms):
                yield details
        except LestoError as error:
            await abort(context, error, status_of(error))

    @_answered
    async def CancelJob(self, request: Any, _context: Any) -> client_pb2.CancelJobResponse:
        """Ask a job to end; does not wait for it."""
        await self._cluster.dispatcher.cancel(request.job_id)
        return client_pb2.CancelJobResponse()

    @_answered
    async def TriggerSavepoint(
        self, request: Any, _context: Any
    ) -> client_pb2.TriggerSavepointResponse:
        """Take a savepoint and wait for it."""
        path = await self._cluster.dispatcher.savepoint(request.job_id, request.target)
        return client_pb2.TriggerSavepointResponse(path=path)

    @_answered
    async def StopJob(self, request: Any, _context: Any) -> client_pb2.TriggerSavepointResponse:
        """Finish a job with a savepoint and wait for its end."""
        path = await self._cluster.dispatcher.savepoint(
            request.job_id, request.target, stop=True, drain=request.drain
        )
        return client_pb2.TriggerSavepointResponse(path=path)

    @_answered
    async def RescaleJob(self, request: Any, _context: Any) -> client_pb2.RescaleJobResponse:
        """Change a job's parallelism in place and wait until it runs with it."""
        vertices = {name: (v.lower, v.upper) for name, v in request.vertices.items()}
        done = await self._cluster.dispatcher.rescale(request.job_id, request.parallelism, vertices)
        return client_pb2.RescaleJobResponse(vertices=done.vertices, pause_ms=done.pause_ms)

    @_answered
    async def TriggerCheckpoint(
        self, request: Any, _context: Any
    ) -> client_pb2.TriggerCheckpointResponse:
        """Take a checkpoint and wait for it."""
        path = await self._cluster.dispatcher.checkpoint(request.job_id, full=request.full)
        number = checkpoint_number(path) or 0
        return client_pb2.TriggerCheckpointResponse(checkpoint_id=number, path=path)

    @_answered
    async def DisposeSavepoint(
        self, request: Any, _context: Any
    ) -> client_pb2.DisposeSavepointResponse:
        """Delete a savepoint."""
        files = await self._cluster.dispatcher.dispose(request.path)
        return client_pb2.DisposeSavepointResponse(files=files)

    @_answered
    async def Inspect(self, request: Any, _context: Any) -> runtime_pb2.Answer:
        """Ask a running process; an error of it is an error of the call."""
        return await self._jobmanager.inspect(request)

    async def FetchResults(
        self, request: Any, context: Any
    ) -> AsyncIterator[client_pb2.ResultBatch]:
        """Committed results of a collect sink, until the job has ended."""
        try:
            cluster = self._cluster
            if request.discard:
                await cluster.discard_results(request.job_id, request.operator_uid)
                return
            async for batch in cluster.results(
                request.job_id, request.operator_uid, keep=request.keep
            ):
                yield batch
        except LestoError as error:
            await abort(context, error, status_of(error))
