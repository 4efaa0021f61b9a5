"""The gRPC service that TaskManagers connect to: one ordered stream each way."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator
from typing import Any, Protocol

import grpc

from lesto.common.logs import get_logger
from lesto.common.tls import NODE_NAME
from lesto.jobmanager.errors import (
    NotLeaderError,
    PythonVersionError,
    TaskProtocolError,
    UnauthenticatedError,
)
from lesto.jobmanager.server.auth import abort
from lesto.jobmanager.server.cluster import Cluster
from lesto.jobmanager.server.taskmanagers import Session, TaskManagers
from lesto.proto import runtime_pb2, runtime_pb2_grpc
from lesto.proto.channels import peer_names
from lesto.proto.sealing import is_intact, seal

logger = get_logger("lesto.jobmanager.gateway")

#: A TaskManager that has connected must register within this time.
REGISTER_TIMEOUT_SECONDS = 10.0


class LeadingJobManager(Protocol):
    """Who TaskManagers register with, and where tasks' messages go."""

    def leading_cluster(self) -> Cluster:
        """The cluster.

        Raises:
            NotLeaderError: another JobManager leads.
        """
        ...

    async def task_event(self, slot_id: str, event: runtime_pb2.TaskEvent) -> None:
        """Give a message to its job; waits while the job's queue is full."""
        ...


class Gateway(runtime_pb2_grpc.TaskManagerGatewayServicer):
    """Serves ``TaskManagerGateway``."""

    def __init__(
        self,
        jobmanager: LeadingJobManager,
        *,
        jobmanager_id: str,
        heartbeat_interval_ms: int,
        heartbeat_timeout_ms: int,
        certified: bool = False,
    ) -> None:
        self._jobmanager = jobmanager
        self._certified = certified
        self._registered = runtime_pb2.Registered(
            jobmanager_id=jobmanager_id,
            heartbeat_interval_ms=heartbeat_interval_ms,
            heartbeat_timeout_ms=heartbeat_timeout_ms,
        )

    async def Connect(
        self, requests: AsyncIterator[runtime_pb2.FromTaskManager], context: Any
    ) -> AsyncIterator[runtime_pb2.ToTaskManager]:
        """One TaskManager's connection, from its registration to its end."""
        if self._certified and NODE_NAME not in peer_names(context):
            stranger = UnauthenticatedError(
                "the peer's certificate is not of a process of the cluster",
                remedy="give TaskManagers the node's certificate, not a client's",
            )
            await abort(context, stranger, grpc.StatusCode.UNAUTHENTICATED)
        register = await self._registration(requests, context)
        try:
            cluster = self._jobmanager.leading_cluster()
        except NotLeaderError as error:
            await abort(context, error, grpc.StatusCode.UNAVAILABLE)
            raise
        session = cluster.taskmanagers.register(register)
        reader = asyncio.create_task(self._read(session, requests, cluster.taskmanagers))
        registered = runtime_pb2.Registered()
        registered.CopyFrom(self._registered)
        registered.leader_epoch = cluster.leader_epoch
        reason = "its connection broke"
        try:
            yield seal(runtime_pb2.ToTaskManager(registered=registered))
            while (message := await session.next_outbound()) is not None:
                yield seal(message)
            reason = session.closed_because
        finally:
            reader.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await reader
            cluster.taskmanagers.disconnected(session, reason)

    async def _registration(self, requests: AsyncIterator[Any], context: Any) -> Any:
        try:
            async with asyncio.timeout(REGISTER_TIMEOUT_SECONDS):
                first = await anext(requests, None)
        except TimeoutError:
            first = None
        if first is not None and not is_intact(first):
            await abort(context, _damaged(), grpc.StatusCode.UNAVAILABLE)
            raise _damaged()
        if first is None or first.WhichOneof("message") != "register":
            error = TaskProtocolError("a TaskManager must register first")
            await abort(context, error, grpc.StatusCode.FAILED_PRECONDITION)
            raise error
        register = first.register
        own = f"{sys.version_info.major}.{sys.version_info.minor}"
        if register.python_version and not _same_minor(register.python_version, own):
            msg = f"TaskManager runs Python {register.python_version}, the JobManager Python {own}"
            mismatch = PythonVersionError(msg, remedy="run the same minor version on all machines")
            await abort(context, mismatch, grpc.StatusCode.FAILED_PRECONDITION)
        return register

    async def _read(
        self,
        session: Session,
        requests: AsyncIterator[runtime_pb2.FromTaskManager],
        taskmanagers: TaskManagers,
    ) -> None:
        """Take messages in order until the stream ends, then close the session."""
        try:
            async for message in requests:
                if session.closed:
                    break
                if not is_intact(message):
                    session.close(_damaged().message)
                    return
                session.heard()
                match message.WhichOneof("message"):
                    case "slots":
                        taskmanagers.report_slots(session, message.slots.slots)
                    case "task":
                        await self._jobmanager.task_event(message.slot_id, message.task)
                    case "inspected":
                        taskmanagers.questions.answered(message.inspected)
                    case "heartbeat" | "register" | None:
                        pass
            session.close("its connection ended")
        except asyncio.CancelledError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever broke the stream, the peer is gone
            logger.warning("taskmanager.read_failed", error=repr(error))
            session.close(f"its connection broke: {error!r}")


def _damaged() -> TaskProtocolError:
    return TaskProtocolError("a message was damaged on the network: its checksum is wrong")


def _same_minor(version: str, own: str) -> bool:
    return version == own or version.startswith(f"{own}.")
