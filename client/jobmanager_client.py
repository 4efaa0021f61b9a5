"""Talks to a JobManager over gRPC, with our errors in place of gRPC's.

Blocking; safe to use from several threads.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from types import TracebackType
from typing import Any, Self, TypeVar

import grpc

from lesto.client.errors import (
    AmbiguousJobError,
    BadAddressError,
    JobManagerCallError,
    JobManagerTimeoutError,
    JobManagerUnreachableError,
    NotAuthorizedError,
    UnknownJobError,
)
from lesto.client.leader_connection import LeaderConnection
from lesto.common.config import Configuration
from lesto.common.errors import LestoError, did_you_mean
from lesto.common.locations import absolute
from lesto.common.rpc import call_metadata, error_from_metadata
from lesto.common.tls import TlsFiles
from lesto.proto import client_pb2 as pb
from lesto.proto import runtime_pb2
from lesto.state.leases import split_addresses

T = TypeVar("T")

CONNECT_TIMEOUT_SECONDS = 5.0
#: A leader that is silent for so long may be one that is paused: somebody else is asked who leads.
TRY_SECONDS = 4.0
SHORT_ID_DIGITS = 8
ENDED_STATES = frozenset({pb.JOB_STATE_FAILED, pb.JOB_STATE_CANCELED, pb.JOB_STATE_FINISHED})


def parse_address(text: str, default_port: int | None = None) -> tuple[str, int]:
    """Split ``HOST:PORT``.

    Raises:
        BadAddressError: it is not one.
    """
    host, colon, port = text.rpartition(":")
    if not colon and default_port is not None:
        return text, default_port
    if not host or not port.isdecimal() or not 0 <= int(port) <= 65535:
        msg = f"'{text}' is no address"
        raise BadAddressError(msg, remedy="Write HOST:PORT, for example 127.0.0.1:6123.")
    return host, int(port)


def parse_addresses(text: str) -> list[tuple[str, int]]:
    """Split ``HOST:PORT,HOST:PORT``.

    Raises:
        BadAddressError: one of them is none.
    """
    return [parse_address(part) for part in split_addresses(text) or (text,)]


class _Methods:
    """The service's methods, of whichever JobManager leads at the time of the call."""

    def __init__(self, connection: LeaderConnection) -> None:
        self._connection = connection

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            return getattr(self._connection.stub(), name)(*arguments, **options)

        return call


class JobManagerClient:
    """A connection to the JobManager at ``address``, or to the one that leads.

    Once a highly available cluster has answered, calls and streams bear the loss of its leader:
    they go on with the next one, for as long as ``failover_timeout`` allows it to take.

    Args:
        address: ``host:port``, or several with commas between.
        token: the cluster's token, if it has one.
        timeout: longest wait for an answer; waits for a savepoint or a job have none.
        failover_timeout: longest time to look for the next leader.
        config: when it reaches the leader's lease, the leader is found by that too.
        tls: this client's certificate; None: the cluster speaks plainly.

    Every method raises ``JobManagerUnreachableError``, ``JobManagerTimeoutError``,
    ``NotAuthorizedError``, or the error that the JobManager answered with.
    """

    def __init__(
        self,
        address: str,
        token: str | None = None,
        *,
        timeout: timedelta = timedelta(seconds=60),
        failover_timeout: timedelta = timedelta(seconds=60),
        config: Configuration | None = None,
        tls: TlsFiles | None = None,
    ) -> None:
        parse_addresses(address)
        self._connection = LeaderConnection(
            address, call_metadata(token), failover_timeout, config, tls
        )
        self._stub: Any = _Methods(self._connection)
        self._metadata = call_metadata(token)
        self._timeout = timeout.total_seconds()

    @property
    def address(self) -> str:
        """Where it is connected to now."""
        return self._connection.address

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    # ------------------------------------------------------------------------------------- calls

    def cluster(self) -> pb.ClusterInfo:
        """Return counts, versions and TaskManagers."""
        info: pb.ClusterInfo = self._call(self._stub.GetCluster, pb.GetClusterRequest())
        self._connection.learn(info)
        if info.leading or not info.leader_address:
            return info
        found = self._connection.follow(
            self._connection.generation, time.monotonic() + CONNECT_TIMEOUT_SECONDS
        )
        # What a standby knows, when the leader cannot be reached.
        return self._call(self._stub.GetCluster, pb.GetClusterRequest()) if found else info

    def submit(self, request: pb.SubmitJobRequest) -> str:
        """Submit a job graph; return the job's id. Repeated, it is one job all the same."""
        self._await_connection()
        response: pb.SubmitJobResponse = self._call(
            self._stub.SubmitJob, request, timeout=self._timeout
        )
        return response.job_id

    def jobs(self) -> list[pb.JobSummary]:
        """Return all jobs the JobManager remembers."""
        return list(self._call(self._stub.ListJobs, pb.ListJobsRequest()).jobs)

    def job(self, job_id: str, *, include_graph: bool = False) -> pb.JobDetails:
        """Return everything known about one job."""
        request = pb.GetJobRequest(job_id=job_id, include_graph=include_graph)
        details: pb.JobDetails = self._call(self._stub.GetJob, request)
        return details

    def watch(self, job_id: str, interval: timedelta) -> Iterator[pb.JobDetails]:
        """Yield the job's details at each change and at every interval, until it has ended."""
        interval_ms = int(interval / timedelta(milliseconds=1))
        request = pb.WatchJobRequest(job_id=job_id, interval_ms=interval_ms)
        return self._stream(self._stub.WatchJob, request)

    def cancel(self, job_id: str) -> None:
        """Ask the JobManager to cancel a job."""
        self._call(self._stub.CancelJob, pb.CancelJobRequest(job_id=job_id))

    def savepoint(self, job_id: str, target: str = "") -> str:
        """Take a savepoint; return its path once it is complete."""
        request = pb.TriggerSavepointRequest(job_id=job_id, target=absolute(target))
        response: pb.TriggerSavepointResponse = self._call(
            self._stub.TriggerSavepoint, request, timeout=None
        )
        return response.path

    def rescale(
        self,
        job_id: str,
        parallelism: int = 0,
        vertices: Mapping[str, tuple[int, int]] | None = None,
    ) -> pb.RescaleJobResponse:
        """Change a job's parallelism in place; returns once all its tasks run with it.

        Args:
            job_id: the job.
            parallelism: of every parallel vertex; 0: only ``vertices`` counts.
            vertices: lower and upper bound by vertex id or name.
        """
        bounds = {
            name: pb.VertexParallelism(lower=lower, upper=upper)
            for name, (lower, upper) in (vertices or {}).items()
        }
        request = pb.RescaleJobRequest(job_id=job_id, parallelism=parallelism, vertices=bounds)
        response: pb.RescaleJobResponse = self._call(self._stub.RescaleJob, request, timeout=None)
        return response

    def stop(self, job_id: str, target: str = "", *, drain: bool = False) -> str:
        """Stop a job with a savepoint; return its path once the job has finished."""
        request = pb.StopJobRequest(job_id=job_id, target=absolute(target), drain=drain)
        response: pb.TriggerSavepointResponse = self._call(
            self._stub.StopJob, request, timeout=None
        )
        return response.path

    def checkpoint(self, job_id: str, *, full: bool = False) -> tuple[int, str]:
        """Take a checkpoint now; return its number and path once it is complete."""
        request = pb.TriggerCheckpointRequest(job_id=job_id, full=full)
        response: pb.TriggerCheckpointResponse = self._call(
            self._stub.TriggerCheckpoint, request, timeout=None
        )
        return response.checkpoint_id, response.path

    def inspect(
        self, question: runtime_pb2.Question, taskmanager_id: str = "", slot_id: str = ""
    ) -> runtime_pb2.Answer:
        """Ask a running process about its threads, logs, metrics, stacks or records.

        Args:
            question: what to know.
            taskmanager_id: whom to ask; empty: the JobManager.
            slot_id: which of its slots; empty: the TaskManager itself.

        Raises:
            LestoError: there is no such process, it is silent, or it cannot answer.
        """
        request = pb.InspectRequest(
            taskmanager_id=taskmanager_id, slot_id=slot_id, question=question
        )
        answer: runtime_pb2.Answer = self._call(self._stub.Inspect, request)
        return answer

    def dispose(self, path: str) -> int:
        """Delete a savepoint or retained checkpoint; return the number of its files."""
        request = pb.DisposeSavepointRequest(path=absolute(path))
        response: pb.DisposeSavepointResponse = self._call(
            self._stub.DisposeSavepoint, request, timeout=None
        )
        return response.files

    def results(self, job_id: str, operator_uid: str) -> Iterator[pb.ResultBatch]:
        """Yield what a collect sink has committed, until the job has ended."""
        request = pb.FetchResultsRequest(job_id=job_id, operator_uid=operator_uid, keep=True)
        had: set[str] = set()
        for batch in self._stream(self._stub.FetchResults, request):
            if batch.name in had:  # a stream that broke is opened anew, and repeats
                continue
            had.add(batch.name)
            yield batch
        request = pb.FetchResultsRequest(job_id=job_id, operator_uid=operator_uid, discard=True)
        for _ in self._stream(self._stub.FetchResults, request):
            msg = "the JobManager sends results that it was told to delete"
            raise JobManagerCallError(msg, remedy="use the same version of Lesto on both sides")

    def resolve_job(self, prefix: str) -> str:
        """Return the id of the one job whose id starts with ``prefix``.

        Raises:
            UnknownJobError: none does; names the nearest.
            AmbiguousJobError: several do.
        """
        jobs = self.jobs()
        found = [job for job in jobs if prefix and job.job_id.startswith(prefix.lower())]
        if len(found) == 1:
            return found[0].job_id
        if found:
            listed = ", ".join(f"{job.job_id} ({job.name})" for job in found[:5])
            msg = f"'{prefix}' fits {len(found)} jobs: {listed}"
            raise AmbiguousJobError(msg, remedy="Give more digits of the id.")
        by_name = [job for job in jobs if job.name == prefix]
        near = (
            f" (did you mean {by_name[0].job_id}, the job of that name?)"
            if by_name
            else did_you_mean(prefix, [job.job_id for job in jobs])
        )
        known = ", ".join(f"{job.job_id[:SHORT_ID_DIGITS]} ({job.name})" for job in jobs[:5])
        msg = f"no job has the id '{prefix}'{near}"
        raise UnknownJobError(
            msg,
            remedy=f"Known jobs: {known}; see `lesto list -a`."
            if known
            else "The cluster has no jobs.",
        )

    # ---------------------------------------------------------------------------------- plumbing

    def _call(self, method: Callable[..., T], request: Any, *, timeout: float | None = -1.0) -> T:
        if timeout is None:
            self._await_connection()
        limit = self._timeout if timeout == -1.0 else timeout
        if timeout == -1.0 and self._connection.highly_available:
            limit = min(self._timeout, TRY_SECONDS)
        until: float | None = None
        while True:
            generation = self._connection.generation
            try:
                return method(request, timeout=limit, metadata=self._metadata)
            except grpc.RpcError as error:
                until = self._follow(error, generation, until)

    def _stream(self, method: Callable[..., Iterator[T]], request: Any) -> Iterator[T]:
        self._await_connection()
        until: float | None = None
        while True:
            generation = self._connection.generation
            call: Any = method(request, metadata=self._metadata)
            try:
                for message in call:
                    until = None
                    yield message
                return
            except grpc.RpcError as error:
                until = self._follow(error, generation, until)
            finally:
                call.cancel()

    def _follow(self, error: Any, generation: int, until: float | None) -> float:
        """After a failover, connect to the next leader; else raise what the error means.

        Args:
            error: gRPC's.
            generation: of the connection it came from.
            until: monotonic seconds, of a failover that goes on; None: it begins.

        Returns:
            When the failover has to be over.
        """
        if not self._connection.is_failover(error):
            raise self._named(error) from error
        if until is None:
            until = time.monotonic() + self._connection.budget()
        elif time.monotonic() > until:
            raise self._named(error) from error
        if not self._connection.follow(generation, until):
            raise self._named(error) from error
        return until

    def _await_connection(self) -> None:
        # A call that waits, not channel_ready_future: that one leaves a polling thread behind,
        # which raises when the channel is closed soon after.
        generation = self._connection.generation
        try:
            info = self._stub.GetCluster(
                pb.GetClusterRequest(),
                timeout=CONNECT_TIMEOUT_SECONDS,
                wait_for_ready=True,
                metadata=self._metadata,
            )
            self._connection.learn(info)
        except grpc.RpcError as error:
            if error.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
                if self._connection.may_be_elsewhere and self._connection.follow(generation):
                    return
                why = f"no answer within {CONNECT_TIMEOUT_SECONDS:g} s"
                raise self._unreachable(why) from None
            # Anything else is an answer; the call that follows names it.

    def _unreachable(self, why: str) -> LestoError:
        msg = f"no JobManager answers at {self.address}: {why}"
        return JobManagerUnreachableError(
            msg,
            remedy="Start one (`lesto dev` on this machine, `lesto jobmanager` in a cluster), or "
            "give its address with -m HOST:PORT.",
        )

    def _named(self, error: Any) -> LestoError:
        """Return our error for gRPC's."""
        carried = error_from_metadata(error.trailing_metadata() or ())
        if carried is not None:
            return carried
        details = str(error.details() or "")
        match error.code():
            case grpc.StatusCode.UNAVAILABLE:
                return self._unreachable(details.rsplit(": ", 1)[-1])  # the last is the reason
            case grpc.StatusCode.DEADLINE_EXCEEDED:
                msg = f"the JobManager at {self.address} did not answer in {self._timeout:g} s"
                return JobManagerTimeoutError(
                    msg, remedy="Look at its log; raise client.timeout if it is only slow."
                )
            case grpc.StatusCode.UNAUTHENTICATED | grpc.StatusCode.PERMISSION_DENIED:
                msg = f"the JobManager at {self.address} does not accept this client's token"
                return NotAuthorizedError(
                    msg, remedy="Set security.token (LESTO_SECURITY__TOKEN) to the cluster's."
                )
            case code:
                msg = f"the JobManager at {self.address} answered {code.name}: {details}"
                return JobManagerCallError(msg, remedy="Look at the JobManager's log.")
