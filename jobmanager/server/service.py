"""The JobManager: one event loop that serves TaskManagers and clients.

It runs in a process of its own, or in a thread of a process that embeds a cluster.
"""

from __future__ import annotations

import asyncio
import random
import secrets
import shutil
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Self

import grpc

from lesto.common import options
from lesto.common.clock import Clock, SystemClock
from lesto.common.config import Configuration
from lesto.common.errors import LestoError
from lesto.common.log_files import LogFolder, write_log
from lesto.common.logs import get_logger
from lesto.common.tls import TlsFiles, internal_tls
from lesto.jobmanager.core import events as ev
from lesto.jobmanager.errors import ElectionError, NotLeaderError, PortInUseError
from lesto.jobmanager.server.auth import TokenInterceptor, check_bind
from lesto.jobmanager.server.client_service import ClientService
from lesto.jobmanager.server.cluster import Cluster
from lesto.jobmanager.server.dispatcher import Dispatcher
from lesto.jobmanager.server.gateway import Gateway
from lesto.jobmanager.server.ha.durable_jobs import DurableJobs
from lesto.jobmanager.server.ha.durable_jobs import Leadership as Term
from lesto.jobmanager.server.ha.elector import Elector
from lesto.jobmanager.server.ha.job_store import JobStore
from lesto.jobmanager.server.ha.leadership import (
    HighAvailability,
    make_elector,
    reachable_address,
)
from lesto.jobmanager.server.job_runner import Services
from lesto.jobmanager.server.metrics import ClusterMetrics
from lesto.jobmanager.server.settings import milliseconds
from lesto.jobmanager.server.taskmanagers import TaskManagers
from lesto.jobmanager.server.traces import Tracing
from lesto.proto import client_pb2, client_pb2_grpc, runtime_pb2, runtime_pb2_grpc
from lesto.proto.channels import add_port
from lesto.proto.inspecting import ProcessInspector, refused
from lesto.state import storage_settings

logger = get_logger("lesto.jobmanager")

#: Largest message either way: a job graph with its pickled code, a deployment with its state.
MESSAGE_BYTES_MAX = 64 << 20
#: Threads that read and write checkpoint storage.
IO_THREADS = 4
#: Threads that answer questions about this process.
INSPECTION_THREADS = 2
#: Time that calls under way get when the JobManager stops.
STOP_GRACE_SECONDS = 0.5
#: Time that jobs get to end when the whole cluster stops.
CANCEL_ALL_SECONDS = 5.0
#: Time for the first answer of the service that elects the leader.
ELECTION_START_SECONDS = 15.0

_KEEPALIVE = (
    ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
    ("grpc.max_send_message_length", MESSAGE_BYTES_MAX),
    ("grpc.so_reuseport", 0),  # a port in use is an error, not a second server
    ("grpc.http2.min_ping_interval_without_data_ms", 1_000),
    ("grpc.keepalive_permit_without_calls", 1),
)


class JobManager:
    """The coordinator of a cluster.

    Args:
        config: the cluster's configuration.
        host: address to listen on; by default ``jobmanager.bind-host``.
        port: 0 takes a free one; by default ``jobmanager.rpc.port``.
        checkpoint_dir: for jobs that name none; by default ``execution.checkpointing.dir``, else a
            temporary directory that is removed at ``stop``.
        clock: the clocks; the machine's by default.

    Attributes:
        cluster: everything that can be asked of it; available after ``start``.
        port: the port it listens on; available after ``start``.
    """

    cluster: Cluster

    def __init__(
        self,
        config: Configuration,
        *,
        host: str | None = None,
        port: int | None = None,
        checkpoint_dir: str | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.config = config
        storage_settings.configure(config)
        self.host = host or config.get(options.JOBMANAGER_BIND_HOST)
        self.port = config.get(options.JOBMANAGER_PORT) if port is None else port
        self.jobmanager_id = secrets.token_hex(8)
        self._checkpoint_dir = checkpoint_dir or config.get(options.CHECKPOINT_DIR)
        self._clock = clock or SystemClock()
        self._tls: TlsFiles | None = None
        self._temporary: Path | None = None
        self._server: grpc.aio.Server | None = None
        self._io: ThreadPoolExecutor | None = None
        self._inspecting: ThreadPoolExecutor | None = None
        self._logs: LogFolder | None = None
        self._stop_log: Callable[[], None] = lambda: None
        self._heartbeats: asyncio.Task[None] | None = None
        self._metrics: ClusterMetrics | None = None
        self._tracing: Tracing | None = None
        self._ha: HighAvailability | None = None
        self._elector: Elector | None = None
        self._terms: asyncio.Queue[tuple[int, str]] = asyncio.Queue()
        self._following: asyncio.Task[None] | None = None
        self._ready = False

    @property
    def address(self) -> str:
        """``host:port``."""
        return f"{self.host}:{self.port}"

    async def start(self) -> None:
        """Listen.

        Raises:
            InsecureBindError: the host is not loopback, and neither token nor TLS is asked for.
            CertificateFileError: a file of ``security.ssl.internal`` cannot be used.
            PortInUseError: the address is taken.
        """
        token = self.config.get(options.SECURITY_TOKEN)
        self._tls = internal_tls(self.config)
        proven = token is not None or self._tls is not None
        check_bind(self.host, proven=proven, insecure=self.config.get(options.SECURITY_INSECURE))
        interceptors = [TokenInterceptor(token)] if token else []
        server = grpc.aio.server(interceptors=interceptors, options=_KEEPALIVE)
        self.port = self._bind(server)
        self._server = server
        try:
            self._ha = HighAvailability.of(self.config)
            self._assemble(server)
            await server.start()
            await self._campaign()
        except BaseException:
            await self.stop()
            raise
        self._heartbeats = asyncio.create_task(self._beat(), name="heartbeats")
        logger.info("jobmanager.started", address=self.address, id=self.jobmanager_id)

    async def stop(self) -> None:
        """End everything; jobs that run are dropped and their tasks end with the connections.

        A second call does nothing.
        """
        server, self._server = self._server, None
        if server is None:
            return
        self._ready = False
        if self._following is not None:
            self._following.cancel()
        if self._heartbeats is not None:
            self._heartbeats.cancel()
        if hasattr(self, "cluster"):
            await self._drop(self._not_leading("it stops") if self._ha else None)
        if self._elector is not None:  # last: whoever leads next may start at once
            await asyncio.get_running_loop().run_in_executor(None, self._elector.stop)
        await server.stop(STOP_GRACE_SECONDS)
        if self._metrics is not None:
            self._metrics.close()
        if self._tracing is not None:
            await asyncio.get_running_loop().run_in_executor(None, self._tracing.close)
        if self._io is not None:
            await asyncio.get_running_loop().run_in_executor(None, self._io.shutdown)
        if self._inspecting is not None:
            self._inspecting.shutdown(wait=False, cancel_futures=True)
        if self._temporary is not None:
            shutil.rmtree(self._temporary)
            self._temporary = None
        logger.info("jobmanager.stopped", address=self.address)
        self._stop_log()
        if self._logs is not None:
            self._logs.close()

    async def cancel_all(self, timeout_seconds: float = CANCEL_ALL_SECONDS) -> None:
        """Cancel every job and wait for their ends: the cluster is about to stop."""
        self.cluster.taskmanagers.stopping = True
        await self.cluster.dispatcher.cancel_all(timeout_seconds)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.stop()

    async def task_event(self, slot_id: str, event: runtime_pb2.TaskEvent) -> None:
        """Give a task's message to its job; one of a job that has ended is dropped."""
        kind = event.WhichOneof("event")
        if kind is None:
            return
        job = self.cluster.dispatcher.jobs.get(getattr(event, kind).task.job_id)
        if job is not None and job.runner is not None:
            await job.runner.post(ev.TaskReported(slot_id, event))

    # --------------------------------------------------------------------------------------- parts

    def _bind(self, server: grpc.aio.Server) -> int:
        try:
            port = add_port(server, f"{self.host}:{self.port}", self._tls)
        except RuntimeError:
            port = 0
        if not port:
            msg = f"cannot listen on {self.host}:{self.port}: the address is taken or not ours"
            raise PortInUseError(
                msg,
                remedy="end what listens there, or choose another jobmanager.rpc.port (0: free)",
            )
        return port

    def _assemble(self, server: grpc.aio.Server) -> None:
        config = self.config
        if not self._checkpoint_dir:
            parent = config.get(options.TMP_DIRS)
            self._temporary = Path(tempfile.mkdtemp(prefix="lesto-jobmanager-", dir=parent))
            self._checkpoint_dir = str(self._temporary / "checkpoints")
        self._io = ThreadPoolExecutor(IO_THREADS, thread_name_prefix="jobmanager-io")
        self._inspecting = ThreadPoolExecutor(INSPECTION_THREADS, thread_name_prefix="inspector")
        self._logs = LogFolder(
            f"jobmanager-{self.jobmanager_id}",
            config.get(options.LOG_DIR),
            config.get(options.TMP_DIRS),
        )
        self._stop_log = write_log(self._logs.file("jobmanager.log"))
        self._tracing = Tracing.of(config)
        self.cluster = self._new_cluster(0)
        gateway = Gateway(
            self,
            jobmanager_id=self.jobmanager_id,
            heartbeat_interval_ms=milliseconds(config.get(options.HEARTBEAT_INTERVAL)),
            heartbeat_timeout_ms=milliseconds(config.get(options.HEARTBEAT_TIMEOUT)),
            certified=self._tls is not None,
        )
        runtime_pb2_grpc.add_TaskManagerGatewayServicer_to_server(gateway, server)
        client_pb2_grpc.add_JobManagerServiceServicer_to_server(ClientService(self), server)
        self._metrics = ClusterMetrics(self.info)

    def _new_cluster(self, term: int) -> Cluster:
        """Everything of one leadership. Without an election there is one, of term 0."""
        assert self._io is not None
        assert self._checkpoint_dir is not None
        io, config = self._io, self.config
        taskmanagers = TaskManagers(
            self._clock,
            slot_request_timeout_ms=milliseconds(config.get(options.SLOT_REQUEST_TIMEOUT)),
        )
        services = Services(
            taskmanagers,
            self._clock,
            io,
            lambda: random.uniform(-1.0, 1.0),
            self._fenced,
            self._tracing,
        )
        durable = None
        ha, elector = self._ha, self._elector
        if ha is not None and elector is not None and term:
            store = JobStore(ha.root, self._clock, lambda: elector.leads(term))

            def durable(dispatcher: Dispatcher) -> DurableJobs:
                return DurableJobs(
                    store,
                    Term(self.jobmanager_id, term),
                    io,
                    checkpoint_dir=dispatcher.checkpoint_dir,
                    retained=dispatcher.retained,
                )

        dispatcher = Dispatcher(config, self._checkpoint_dir, self.jobmanager_id, services, durable)
        return Cluster(
            self.jobmanager_id,
            dispatcher,
            taskmanagers,
            self._clock,
            io,
            leader_epoch=term,
            high_availability=ha.kind if ha else "NONE",
        )

    # -------------------------------------------------------------------------------- leadership

    @property
    def leads(self) -> bool:
        """Whether it leads the cluster, or is about to once it has read its jobs."""
        elector = self._elector
        if elector is None:
            return self._ready
        lease = elector.leader()
        return lease is not None and lease.holder == self.jobmanager_id

    def leading_cluster(self) -> Cluster:
        """Everything that can be asked of the cluster, while this JobManager leads.

        Raises:
            NotLeaderError: it does not; says who does.
        """
        if self._leads_now():
            return self.cluster
        elector = self._elector
        recovering = elector is not None and elector.leads(self.cluster.leader_epoch)
        raise self._not_leading("it reads its jobs" if recovering else "it is a standby")

    def _leads_now(self) -> bool:
        """Whether it leads at this moment: one that was paused may not have heard of its loss."""
        if not self._ready or self.cluster.lost is not None:
            return False
        return self._elector is None or self._elector.leads(self.cluster.leader_epoch)

    def info(self) -> client_pb2.ClusterInfo:
        """Counts, versions, TaskManagers, and who leads; a standby knows the last alone."""
        found = self.cluster.info()
        found.leading = self._leads_now()
        if found.leading:
            found.leader_id, found.leader_address = self.jobmanager_id, self._reachable()
            return found
        lease = self._elector.leader() if self._elector is not None else None
        if lease is not None and lease.holder != self.jobmanager_id:
            found.leader_id, found.leader_address = lease.holder, lease.address
            found.leader_epoch = lease.term
        return found

    async def inspect(self, request: client_pb2.InspectRequest) -> runtime_pb2.Answer:
        """Ask this process, also a standby's, or one of the cluster.

        Raises:
            LestoError: there is no such process, it is silent, or it cannot answer.
        """
        if not request.taskmanager_id:
            assert self._inspecting is not None, "questions before start"
            answer = await asyncio.get_running_loop().run_in_executor(
                self._inspecting, ProcessInspector(self._logs).answer, request.question
            )
        else:
            taskmanagers = self.leading_cluster().taskmanagers
            answer = await taskmanagers.ask(
                request.taskmanager_id, request.slot_id, request.question
            )
        if answer.error_code:
            raise refused(answer)
        return answer

    def _reachable(self) -> str:
        return reachable_address(self.config, self.host, self.port)

    def _not_leading(self, why: str) -> NotLeaderError:
        lease = self._elector.leader() if self._elector is not None else None
        other = lease is not None and lease.holder != self.jobmanager_id
        error = NotLeaderError(
            f"the JobManager at {self._reachable()} does not lead: {why}",
            remedy=f"ask the one at {lease.address}"
            if other and lease is not None
            else "try again in a moment",
        )
        error.leader_address = lease.address if other and lease is not None else ""
        return error

    async def _campaign(self) -> None:
        """Lead at once without an election; with one, return when it is known who leads."""
        if self._ha is None:
            self._ready = True
            return
        loop = asyncio.get_running_loop()

        def tell(term: int, lost_because: str) -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(self._terms.put_nowait, (term, lost_because))

        self._elector = await loop.run_in_executor(
            None,
            lambda: make_elector(
                self.config,
                self._clock,
                holder=self.jobmanager_id,
                address=self._reachable(),
                on_gained=lambda term: tell(term, ""),
                on_lost=tell,
            ),
        )
        self._elector.start()
        decided = self._elector.decided.wait
        if not await loop.run_in_executor(None, decided, ELECTION_START_SECONDS):
            failure = self._elector.failure
            msg = f"no leader could be elected in {ELECTION_START_SECONDS:g} s"
            raise failure or ElectionError(msg, remedy="look at high-availability.type")
        self._following = asyncio.create_task(self._follow_terms(), name="leadership")

    async def _follow_terms(self) -> None:
        """Lead when a term is gained, drop everything when it is lost."""
        while True:
            term, lost_because = await self._terms.get()
            if lost_because:
                if term == self.cluster.leader_epoch:
                    await self._drop(self._not_leading(lost_because))
                continue
            if self._elector is None or not self._elector.leads(term):
                continue  # lost meanwhile; that news is in the queue
            await self._drop(self._not_leading("a new term begins"))
            self.cluster = self._new_cluster(term)
            try:
                await self.cluster.dispatcher.recover()
            except Exception as error:  # told, and another one may do better
                known = isinstance(error, LestoError)
                logger.error(
                    "leadership.not_taken", term=term, error=str(error), exc_info=not known
                )
                self._elector.resign("its jobs cannot be read")
                continue
            self._ready = True
            logger.info("leadership.taken", term=term, jobs=len(self.cluster.dispatcher.jobs))

    async def _drop(self, reason: LestoError | None) -> None:
        """Stop all that belongs to the leadership, without a word to any task or any write."""
        self._ready = False
        self.cluster.lost = reason
        self.cluster.taskmanagers.close(reason.message if reason else "the JobManager has stopped")
        await self.cluster.dispatcher.stop(reason)

    def _fenced(self, error: LestoError) -> None:
        """A job's log has shown that another one leads."""
        if self._elector is not None:
            self._elector.resign(error.message)

    async def _beat(self) -> None:
        interval = self.config.get(options.HEARTBEAT_INTERVAL).total_seconds()
        timeout_ms = milliseconds(self.config.get(options.HEARTBEAT_TIMEOUT))
        sequence = 0
        while True:
            sequence += 1
            if self._ready:
                self.cluster.taskmanagers.beat(timeout_ms, sequence)
            await asyncio.sleep(interval)
