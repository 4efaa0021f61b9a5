"""The supervisor's stream to the JobManager: registers, relays in order, reconnects."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from typing import Any, Final

import grpc

from lesto.common import options
from lesto.common.config import Configuration
from lesto.common.logs import get_logger
from lesto.common.rpc import call_metadata, error_from_metadata, leader_from_metadata
from lesto.common.tls import internal_tls
from lesto.proto import runtime_pb2, runtime_pb2_grpc
from lesto.proto.channels import open_aio_channel
from lesto.proto.sealing import is_intact, seal
from lesto.state.leases import LeaderFinder, split_addresses
from lesto.taskmanager.runtime.errors import GatewayLostError
from lesto.taskmanager.runtime.supervisor_link import CHANNEL_OPTIONS

RECONNECT_FIRST_SECONDS: Final = 0.1
RECONNECT_MAX_SECONDS: Final = 0.5
#: Between two lines of the log about a JobManager that is not there.
UNREACHABLE_LOG_SECONDS: Final = 10.0
#: Events that wait for the JobManager to read them; beyond it the connection counts as lost.
OUTBOUND_MESSAGES_MAX: Final = 100_000
_END: Final = runtime_pb2.FromTaskManager()

_log = get_logger("lesto.taskmanager")


class JobManagerLink:
    """Keeps a registered connection to the JobManager.

    Args:
        address: ``host:port`` of the JobManager, or several with commas between; the one that
            leads is found among them, by what the others answer, and by the lease if this process
            is configured to reach it.
        config: intervals, timeouts, token.
        register: makes the registration with the slots as they are now.
        on_message: a command has come.
        on_lost: the connection is over; called once for each that had been registered.
    """

    def __init__(
        self,
        address: str,
        config: Configuration,
        *,
        register: Callable[[], runtime_pb2.RegisterTaskManager],
        on_message: Callable[[runtime_pb2.ToTaskManager], None],
        on_lost: Callable[[str], None],
    ) -> None:
        self._address = address
        self._finder = LeaderFinder(split_addresses(address), config)
        self._leader_epoch = 0
        self._tls = internal_tls(config)
        self._metadata = call_metadata(config.get(options.SECURITY_TOKEN))
        self._interval = config.get(options.HEARTBEAT_INTERVAL).total_seconds()
        self._timeout = config.get(options.HEARTBEAT_TIMEOUT).total_seconds()
        self._give_up = config.get(options.TASKMANAGER_REGISTRATION_TIMEOUT).total_seconds()
        self._register = register
        self._on_message = on_message
        self._on_lost = on_lost
        self._out: asyncio.Queue[runtime_pb2.FromTaskManager] | None = None
        self._heard = 0.0
        self._failure: BaseException | None = None
        self.registered = asyncio.Event()

    def send(self, message: runtime_pb2.FromTaskManager) -> None:
        """Send in order; without a connection the message is dropped: its tasks are being
        cancelled.
        """
        out = self._out
        if out is None:
            return
        if out.qsize() >= OUTBOUND_MESSAGES_MAX:
            self._out = None
            out.put_nowait(_END)
            return
        out.put_nowait(message)

    async def run(self) -> None:
        """Connect, and again whenever the connection is lost.

        Raises:
            GatewayLostError: no registration for ``taskmanager.registration.timeout``.
            LestoError: the JobManager refuses this TaskManager for good.
        """
        pause = RECONNECT_FIRST_SECONDS
        since = time.monotonic()
        logged, told = 0.0, ""
        loop = asyncio.get_running_loop()
        while True:
            self._address = await loop.run_in_executor(None, self._finder.next)
            reason = await self._session()
            if self.registered.is_set():
                self.registered.clear()
                self._on_lost(reason)
                pause, since = RECONNECT_FIRST_SECONDS, time.monotonic()
            waited = time.monotonic() - since
            if waited > self._give_up:
                msg = f"no JobManager at {self._address} for {waited:.0f} s: {reason}"
                raise GatewayLostError(msg, remedy="start the JobManager or correct its address")
            now = time.monotonic()
            if reason != told or now - logged > UNREACHABLE_LOG_SECONDS:
                logged, told = now, reason
                _log.warning(
                    "jobmanager.unreachable",
                    address=self._address,
                    reason=reason,
                    retry_in_s=pause,
                )
            await asyncio.sleep(pause)
            pause = min(2 * pause, RECONNECT_MAX_SECONDS)

    async def _session(self) -> str:
        """One connection; returns why it ended."""
        self._out = asyncio.Queue()
        self._out.put_nowait(runtime_pb2.FromTaskManager(register=self._register()))
        self._heard = time.monotonic()
        reason = "the JobManager has closed the connection"
        async with open_aio_channel(self._address, CHANNEL_OPTIONS, self._tls) as channel:
            stub = runtime_pb2_grpc.TaskManagerGatewayStub(channel)
            call = stub.Connect(self._outgoing(self._out), metadata=self._metadata)
            watch = asyncio.create_task(self._watch(call), name="jobmanager-heartbeat")
            try:
                async for message in call:
                    if not is_intact(message):
                        reason = "a message was damaged on the network: its checksum is wrong"
                        call.cancel()
                        break
                    if self._is_stale(message):
                        reason = f"it leads no more: epoch {self._leader_epoch} has begun"
                        call.cancel()
                        break
                    self._take(message)
            except grpc.aio.AioRpcError as error:
                trailing = tuple(error.trailing_metadata() or ())
                self._finder.hint(leader_from_metadata(trailing) or "")
                refused = error_from_metadata(trailing)
                reason = refused.message if refused else f"{error.code().name}: {error.details()}"
            except asyncio.CancelledError:
                if not call.cancelled() or ((task := asyncio.current_task()) and task.cancelling()):
                    call.cancel()
                    raise
                reason = f"the JobManager has been silent for {self._timeout:g} s"
                self._finder.silent(self._address)
            finally:
                out, self._out = self._out, None
                if out is not None:
                    out.put_nowait(_END)  # else the request stream would wait for ever
                watch.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await watch
        return reason

    def _is_stale(self, message: runtime_pb2.ToTaskManager) -> bool:
        """Whether a JobManager greets whose leadership is over, and this process knows it."""
        if message.WhichOneof("message") != "registered":
            return False
        epoch = message.registered.leader_epoch
        if epoch and epoch < self._leader_epoch:  # 0: there is no election
            return True
        self._leader_epoch = epoch
        return False

    def _take(self, message: runtime_pb2.ToTaskManager) -> None:
        self._heard = time.monotonic()
        if message.WhichOneof("message") == "registered":
            given = message.registered
            if given.heartbeat_interval_ms:
                self._interval = given.heartbeat_interval_ms / 1000
            if given.heartbeat_timeout_ms:
                self._timeout = given.heartbeat_timeout_ms / 1000
            self.registered.set()
            _log.info(
                "jobmanager.registered", address=self._address, jobmanager=given.jobmanager_id
            )
            return
        self._on_message(message)

    async def _outgoing(
        self, out: asyncio.Queue[runtime_pb2.FromTaskManager]
    ) -> AsyncIterator[runtime_pb2.FromTaskManager]:
        while (message := await out.get()) is not _END:
            yield seal(message)

    async def _watch(self, call: grpc.aio.StreamStreamCall[Any, Any]) -> None:
        """Send heartbeats; hang up on a silent JobManager."""
        sequence = 0
        while True:
            await asyncio.sleep(self._interval)
            sequence += 1
            beat = runtime_pb2.Heartbeat(sequence=sequence)
            self.send(runtime_pb2.FromTaskManager(heartbeat=beat))
            if time.monotonic() - self._heard > self._timeout + self._interval:
                call.cancel()
                return
