"""Talks to a JobManager over gRPC, with our errors in place of gRPC's.

Blocking; safe to use from several threads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
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
from lesto.common.errors import LestoError, did_you_mean
from lesto.common.locations import absolute
from lesto.common.rpc import call_metadata, error_from_metadata
from lesto.proto import client_pb2 as pb
from lesto.proto import client_pb2_grpc

T = TypeVar("T")

CONNECT_TIMEOUT_SECONDS = 5.0
SHORT_ID_DIGITS = 8
_CHANNEL_OPTIONS = (
    ("grpc.max_receive_message_length", 256 << 20),
    ("grpc.max_send_message_length", 256 << 20),
    ("grpc.enable_http_proxy", 0),
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 5_000),
)
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


class JobManagerClient:
    """A connection to the JobManager at ``address``.

    Args:
        address: ``host:port``.
        token: the cluster's token, if it has one.
        timeout: longest wait for an answer; waits for a savepoint or a job have none.

    Every method raises ``JobManagerUnreachableError``, ``JobManagerTimeoutError``,
    ``NotAuthorizedError``, or the error that the JobManager answered with.
    """

    def __init__(
        self, address: str, token: str | None = None, *, timeout: timedelta = timedelta(seconds=60)
    ) -> None:
        parse_address(address)
        self.address = address
        self._metadata = call_metadata(token)
        self._timeout = timeout.total_seconds()
        self._channel = grpc.insecure_channel(address, options=_CHANNEL_OPTIONS)
        self._stub: Any = client_pb2_grpc.JobManagerServiceStub(self._channel)

    def close(self) -> None:
        """Close the connection."""
        self._channel.close()

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
        return info

    def submit(self, request: pb.SubmitJobRequest) -> str:
        """Submit a job graph; return the job's id."""
        response: pb.SubmitJobResponse = self._call(self._stub.SubmitJob, request)
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

    def stop(self, job_id: str, target: str = "", *, drain: bool = False) -> str:
        """Stop a job with a savepoint; return its path once the job has finished."""
        request = pb.StopJobRequest(job_id=job_id, target=absolute(target), drain=drain)
        response: pb.TriggerSavepointResponse = self._call(
            self._stub.StopJob, request, timeout=None
        )
        return response.path

    def results(self, job_id: str, operator_uid: str) -> Iterator[pb.ResultBatch]:
        """Yield what a collect sink has committed, until the job has ended."""
        request = pb.FetchResultsRequest(job_id=job_id, operator_uid=operator_uid)
        return self._stream(self._stub.FetchResults, request)

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
        limit = self._timeout if timeout == -1.0 else timeout
        if limit is None:
            self._await_connection()
        try:
            return method(request, timeout=limit, metadata=self._metadata)
        except grpc.RpcError as error:
            raise self._named(error) from error

    def _stream(self, method: Callable[..., Iterator[T]], request: Any) -> Iterator[T]:
        self._await_connection()
        call: Any = method(request, metadata=self._metadata)
        try:
            yield from call
        except grpc.RpcError as error:
            raise self._named(error) from error
        finally:
            call.cancel()

    def _await_connection(self) -> None:
        # A call that waits, not channel_ready_future: that one leaves a polling thread behind,
        # which raises when the channel is closed soon after.
        try:
            self._stub.GetCluster(
                pb.GetClusterRequest(),
                timeout=CONNECT_TIMEOUT_SECONDS,
                wait_for_ready=True,
                metadata=self._metadata,
            )
        except grpc.RpcError as error:
            if error.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
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
