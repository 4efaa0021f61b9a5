"""The TaskManager: supervises slot processes and relays between them and the JobManager.

It never loads user code. Slot processes are started with ``spawn``; one that dies is reported at
once and replaced by a new one with a new id.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import platform
import secrets
import signal
import time
import uuid
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import grpc

from lesto.common import options
from lesto.common.config import Configuration
from lesto.common.errors import LestoError
from lesto.common.inspection import InspectionError, ProcessNotFoundError
from lesto.common.log_files import LogFolder, write_log
from lesto.common.logs import get_logger
from lesto.common.metrics_server import serve_metrics
from lesto.common.rpc import is_authorized
from lesto.common.scratch import ScratchDirectory
from lesto.proto import runtime_pb2, runtime_pb2_grpc
from lesto.proto.inspecting import ProcessInspector, refusal
from lesto.taskmanager.runtime.addresses import LOOPBACK, taskmanager_hosts, told
from lesto.taskmanager.runtime.errors import SlotStartError
from lesto.taskmanager.runtime.jobmanager_link import JobManagerLink
from lesto.taskmanager.runtime.slot_process import SlotProcess, SlotSetup
from lesto.taskmanager.runtime.supervisor_link import CHANNEL_OPTIONS
from lesto.taskmanager.runtime.supervisor_metrics import SupervisorMetrics
from lesto.taskmanager.runtime.task_ledger import TaskId, TaskLedger

#: Pause before a slot process that died before it was ready is replaced; doubled each time.
RESTART_FIRST_SECONDS: Final = 0.1
RESTART_MAX_SECONDS: Final = 10.0
#: Slot processes of one position that died in a row before being ready; then the TaskManager gives
#: up.
START_FAILURES_MAX: Final = 10

_log = get_logger("lesto.taskmanager")


class TaskManager:
    """Slots on this machine.

    All methods run on one event loop, which may be that of a thread; the thread must live as long
    as the TaskManager, for the kernel kills the slot processes with it.

    Args:
        config: the cluster's configuration.
        jobmanager_address: host:port.
        slots: number of slot processes.
        host: at which other TaskManagers reach this one's slots.
        bind_host: address that the slots listen on; by default ``host``.
        taskmanager_id: unique; by default random.
        metrics_port: port of the supervisor's metrics; 0 takes a free one, -1 opens none.
    """

    def __init__(
        self,
        config: Configuration,
        *,
        jobmanager_address: str,
        slots: int,
        host: str = LOOPBACK,
        bind_host: str | None = None,
        taskmanager_id: str | None = None,
        metrics_port: int = 0,
    ) -> None:
        if slots < 1:
            msg = f"a TaskManager needs a slot, got {slots}"
            raise ValueError(msg)
        self.taskmanager_id = taskmanager_id or f"tm-{uuid.uuid4().hex[:12]}"
        self.host = host
        self._bind_host = bind_host or host
        self.metrics_address = ""
        self._config = config
        self._slot_count = slots
        self._metrics_port = metrics_port
        self._token = secrets.token_hex(16)
        self._slots: dict[str, SlotProcess] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: grpc.aio.Server | None = None
        self._setup: SlotSetup | None = None
        self._working: ScratchDirectory | None = None
        self._stop_metrics: Callable[[], None] | None = None
        self._stopping = False
        self._fatal: asyncio.Future[None] | None = None
        self._ledger = TaskLedger()
        self._logs: LogFolder | None = None
        self._stop_log: Callable[[], None] = lambda: None
        self._inspecting: ThreadPoolExecutor | None = None
        self._link = JobManagerLink(
            jobmanager_address,
            config,
            register=self._registration,
            on_message=self._on_command,
            on_lost=self._on_jobmanager_lost,
        )
        self._metrics = SupervisorMetrics(
            self.taskmanager_id, self._slots.values(), self._link.registered.is_set
        )

    # --------------------------------------------------------------------------------- life cycle

    async def start(self) -> None:
        """Start the slot processes and begin to register; returns without waiting for either."""
        config = self._config
        self._fatal = asyncio.get_running_loop().create_future()
        self._server = grpc.aio.server(options=CHANNEL_OPTIONS)
        runtime_pb2_grpc.add_SlotGatewayServicer_to_server(_Gateway(self), self._server)
        port = self._server.add_insecure_port(f"{LOOPBACK}:0")
        await self._server.start()
        metrics_host = config.get(options.METRICS_BIND_HOST)
        metrics_bound, self._stop_metrics = serve_metrics(
            self._metrics.registry, metrics_host, self._metrics_port
        )
        self.metrics_address = told(metrics_bound, self.host)
        self._logs = await asyncio.to_thread(
            LogFolder,
            self.taskmanager_id,
            config.get(options.LOG_DIR),
            config.get(options.TMP_DIRS),
        )
        self._stop_log = write_log(self._logs.file("taskmanager.log"))
        self._inspecting = ThreadPoolExecutor(2, thread_name_prefix="inspector")
        parent = config.get(options.STATE_LOCAL_DIR) or config.get(options.TMP_DIRS)
        self._working = await asyncio.to_thread(ScratchDirectory, "tm", parent)
        self._metrics.watch_disk(self._working.path)
        public = Configuration(config)
        public.remove(options.SECURITY_TOKEN)
        self._setup = SlotSetup(
            gateway=f"{LOOPBACK}:{port}",
            token=self._token,
            bind_host=self._bind_host,
            host=self.host,
            metrics_host=metrics_host,
            config=public.to_dict(),
            local_dir=str(self._working.path),
            log_level=str(
                getattr(config.get(options.LOG_LEVEL), "value", config.get(options.LOG_LEVEL))
            ),
            log_dir=str(self._logs.path),
        )
        for index in range(self._slot_count):
            self._spawn(self._keep_slot(index), f"slot-{index}")
        self._spawn(self._beat(), "slot-heartbeats")
        self._spawn(self._link.run(), "jobmanager-link")

    async def stop(self) -> None:
        """End the slot processes and every connection. A second call does nothing."""
        if self._stopping:
            return
        self._stopping = True
        slots = list(self._slots.values())
        await asyncio.gather(*(slot.terminate() for slot in slots))
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        # A process whose start was under way when the first look was taken.
        await asyncio.gather(*(slot.terminate() for slot in self._slots.values()))
        if self._server is not None:
            await self._server.stop(grace=None)
            self._server = None
        if self._stop_metrics is not None:
            await asyncio.to_thread(self._stop_metrics)
        self._metrics.close()
        if self._inspecting is not None:
            self._inspecting.shutdown(wait=False, cancel_futures=True)
        self._stop_log()
        if self._logs is not None:
            await asyncio.to_thread(self._logs.close)
        if self._working is not None:
            await asyncio.to_thread(self._working.close)
        if self._fatal is not None and not self._fatal.done():
            self._fatal.cancel()

    async def wait_registered(self) -> None:
        """Return when the JobManager knows this TaskManager.

        Raises:
            LestoError: it never will.
        """
        registered = asyncio.ensure_future(self._link.registered.wait())
        fatal = asyncio.ensure_future(self.wait_failed())
        try:
            await asyncio.wait({registered, fatal}, return_when=asyncio.FIRST_COMPLETED)
            if fatal.done():
                await fatal
        finally:
            registered.cancel()
            fatal.cancel()

    async def wait_failed(self) -> None:
        """Wait until the TaskManager cannot go on.

        Raises:
            LestoError: why.
        """
        assert self._fatal is not None, "wait before start"
        await asyncio.shield(self._fatal)

    def _spawn(self, work: Any, name: str) -> None:
        task: asyncio.Task[None] = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._task_done)

    def _task_done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if task.cancelled() or (error := task.exception()) is None or self._stopping:
            return
        _log.error("taskmanager.failed", error=str(error), task=task.get_name())
        if self._fatal is not None and not self._fatal.done():
            self._fatal.set_exception(error)
            self._fatal.exception()  # retrieved: nobody may be waiting for it

    # -------------------------------------------------------------------------------------- slots

    async def _keep_slot(self, index: int) -> None:
        """Have a slot process at this position, always."""
        failures = 0
        while not self._stopping:
            assert self._setup is not None, "slots before start"
            slot = SlotProcess(index, self._setup)
            self._slots[slot.slot_id] = slot
            self._report(slot.info)
            await slot.start()
            if self._is_stopping():
                await slot.terminate()
            reason = await slot.wait()
            was_ready = slot.ready
            del self._slots[slot.slot_id]
            self._ledger.slot_gone(slot.slot_id)
            if self._is_stopping():
                return
            self._metrics.slots_lost.inc()
            _log.warning("slot.lost", slot=slot.slot_id, pid=slot.info.pid, reason=reason)
            slot.info.status = runtime_pb2.SLOT_STATUS_LOST
            slot.info.lost_reason = reason
            self._report(slot.info)  # first of all: the job waits for it
            await slot.remove_files()
            failures = 0 if was_ready else failures + 1
            if failures >= START_FAILURES_MAX:
                msg = f"{failures} slot processes in a row ended before they were ready: {reason}"
                raise SlotStartError(msg, remedy="look at what they wrote to standard error")
            if failures:
                await asyncio.sleep(
                    min(RESTART_FIRST_SECONDS * 2 ** (failures - 1), RESTART_MAX_SECONDS)
                )

    def _is_stopping(self) -> bool:
        return self._stopping

    async def _beat(self) -> None:
        """Heartbeats to the slots; kill those that are silent."""
        interval = self._config.get(options.HEARTBEAT_INTERVAL).total_seconds()
        timeout = self._config.get(options.HEARTBEAT_TIMEOUT).total_seconds()
        start_timeout = self._config.get(options.SLOT_START_TIMEOUT).total_seconds()
        sequence = 0
        while True:
            sequence += 1
            now = time.monotonic()
            for slot in list(self._slots.values()):
                if not slot.ready:
                    if now - slot.started > start_timeout:
                        slot.kill(f"not ready after {start_timeout:g} s")
                    continue
                slot.send(runtime_pb2.ToSlot(heartbeat=runtime_pb2.Heartbeat(sequence=sequence)))
                if now - slot.heard > timeout + interval:
                    slot.kill(f"silent for {now - slot.heard:.1f} s")
            await asyncio.sleep(interval)

    def authenticate(self, metadata: Any) -> bool:
        """Whether a stream comes from a slot process of ours."""
        return is_authorized(self._token, metadata)

    def slot_connected(self, hello: runtime_pb2.SlotHello) -> SlotProcess | None:
        """A slot process says hello; None when it is not one of ours."""
        slot = self._slots.get(hello.slot_id)
        if slot is None or slot.ready or slot.info.pid != hello.pid:
            return None
        slot.connected(hello)
        _log.info(
            "slot.ready",
            slot=slot.slot_id,
            pid=hello.pid,
            seconds=round(time.monotonic() - slot.started, 3),
        )
        self._report(slot.info)
        # An answer at once: the slot loads its kernels when it knows that it is accepted.
        slot.send(runtime_pb2.ToSlot(heartbeat=runtime_pb2.Heartbeat(sequence=0)))
        return slot

    def slot_event(self, slot: SlotProcess, event: runtime_pb2.TaskEvent) -> None:
        """Relay an event."""
        self._ledger.heard(slot.slot_id, event)
        self._link.send(runtime_pb2.FromTaskManager(task=event, slot_id=slot.slot_id))

    # --------------------------------------------------------------------------------- JobManager

    def _registration(self) -> runtime_pb2.RegisterTaskManager:
        import lesto

        pages, page_bytes = os.sysconf("SC_PHYS_PAGES"), os.sysconf("SC_PAGE_SIZE")
        return runtime_pb2.RegisterTaskManager(
            taskmanager_id=self.taskmanager_id,
            host=self.host,
            pid=os.getpid(),
            lesto_version=str(getattr(lesto, "__version__", "")),
            python_version=".".join(platform.python_version_tuple()[:2]),
            slots=[slot.info for slot in self._slots.values()],
            metrics_address=self.metrics_address,
            memory_bytes=pages * page_bytes,
            cpus=os.cpu_count() or 1,
        )

    def _report(self, info: runtime_pb2.SlotInfo) -> None:
        report = runtime_pb2.SlotReport(slots=[info])
        self._link.send(runtime_pb2.FromTaskManager(slots=report))

    def _on_command(self, message: runtime_pb2.ToTaskManager) -> None:
        match message.WhichOneof("message"):
            case "command":
                slot = self._slots.get(message.command.slot_id)
                # A command to a slot that is lost is void: the JobManager hears, or has heard, of
                # the loss.
                if slot is not None:
                    self._ledger.deployed(slot.slot_id, message.command.command)
                    slot.send(runtime_pb2.ToSlot(command=message.command.command))
            case "kill_slot":
                slot = self._slots.get(message.kill_slot.slot_id)
                if slot is not None:
                    slot.kill(f"killed by the JobManager: {message.kill_slot.reason}")
            case "inspect":
                self._inspect(message.inspect)
            case _:  # a heartbeat
                pass

    def _inspect(self, inspect: runtime_pb2.Inspect) -> None:
        """Answer a question about this process, or hand it to the slot."""
        if inspect.slot_id:
            slot = self._slots.get(inspect.slot_id)
            if slot is not None and slot.ready:
                slot.send(runtime_pb2.ToSlot(inspect=inspect))
                return
            gone = ProcessNotFoundError("the slot has ended", remedy="ask where the task runs now")
            self.answer(runtime_pb2.Inspected(id=inspect.id, answer=refusal(gone)))
            return
        assert self._inspecting is not None, "questions before start"
        inspector = ProcessInspector(self._logs, self._metrics.registry)
        loop = asyncio.get_running_loop()

        def work() -> None:
            try:
                answer = inspector.answer(inspect.question)
            except Exception as error:  # noqa: BLE001 - who asked must hear of it
                answer = refusal(InspectionError(f"it could not answer: {error!r}"))
            inspected = runtime_pb2.Inspected(id=inspect.id, answer=answer)
            with contextlib.suppress(RuntimeError):  # the loop has ended
                loop.call_soon_threadsafe(self.answer, inspected)

        self._inspecting.submit(work)

    def answer(self, inspected: runtime_pb2.Inspected) -> None:
        """Pass an answer on, if its asker is still there."""
        self._link.send(runtime_pb2.FromTaskManager(inspected=inspected))

    def _on_jobmanager_lost(self, reason: str) -> None:
        """Nobody coordinates the tasks any more: they stop, the slots stay for the next
        JobManager.
        """
        if self._stopping:
            return
        _log.warning("jobmanager.lost", reason=reason)
        cancel = runtime_pb2.TaskCommand(cancel=runtime_pb2.CancelTasks())
        for slot in self._slots.values():
            if slot.ready:
                slot.send(runtime_pb2.ToSlot(command=cancel))
        orphans = self._ledger.running()
        timeout = self._config.get(options.TASK_CANCELLATION_TIMEOUT).total_seconds()
        if orphans and timeout:
            self._spawn(self._end_orphans(orphans, timeout), "orphans")

    async def _end_orphans(self, orphans: Mapping[str, frozenset[TaskId]], timeout: float) -> None:
        """Kill slots whose tasks do not obey: the leader that would have done so is gone."""
        await asyncio.sleep(timeout)
        running = self._ledger.running()
        for slot_id, tasks in orphans.items():
            slot = self._slots.get(slot_id)
            if slot is not None and tasks & running.get(slot_id, frozenset()):
                slot.kill(f"tasks of a lost JobManager have not ended in {timeout:g} s")


class _Gateway(runtime_pb2_grpc.SlotGatewayServicer):
    """Serves the slot processes."""

    def __init__(self, taskmanager: TaskManager) -> None:
        self._taskmanager = taskmanager

    async def Connect(self, request_iterator: Any, context: Any) -> None:  # type: ignore[override]
        """One slot process's stream."""
        taskmanager = self._taskmanager
        if not taskmanager.authenticate(context.invocation_metadata()):
            await context.abort(grpc.StatusCode.UNAUTHENTICATED, "not a slot of this TaskManager")
        first = await context.read()
        slot = None
        if first is not grpc.aio.EOF and first.WhichOneof("message") == "hello":
            slot = taskmanager.slot_connected(first.hello)
        if slot is None:
            await context.abort(grpc.StatusCode.PERMISSION_DENIED, "not a slot of this TaskManager")
            return
        writer = asyncio.create_task(self._write(slot, context), name=f"to-{slot.slot_id}")
        try:
            while (message := await context.read()) is not grpc.aio.EOF:
                slot.heard = time.monotonic()
                match message.WhichOneof("message"):
                    case "task":
                        taskmanager.slot_event(slot, message.task)
                    case "inspected":
                        taskmanager.answer(message.inspected)
        finally:
            writer.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await writer

    async def _write(self, slot: SlotProcess, context: Any) -> None:
        while True:
            await context.write(await slot.outbound.get())


def run_taskmanager(
    config: Configuration,
    *,
    jobmanager_address: str,
    slots: int,
    on_ready: Callable[[TaskManager], None] | None = None,
) -> None:
    """Run a TaskManager until SIGTERM or SIGINT: the whole life of its process.

    Args:
        config: the cluster's configuration.
        jobmanager_address: host:port.
        slots: number of slot processes.
        on_ready: called once it is registered.

    Raises:
        LestoError: it cannot go on (no JobManager, slot processes that do not start, or an address
            that it must not listen on).
    """
    asyncio.run(_serve(config, jobmanager_address, slots, on_ready))


async def _serve(
    config: Configuration,
    jobmanager_address: str,
    slots: int,
    on_ready: Callable[[TaskManager], None] | None,
) -> None:
    hosts = await asyncio.to_thread(taskmanager_hosts, config, jobmanager_address)
    taskmanager = TaskManager(
        config,
        jobmanager_address=jobmanager_address,
        slots=slots,
        host=hosts.advertised,
        bind_host=hosts.listen,
        metrics_port=config.get(options.METRICS_PORT),
    )
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    waits: set[asyncio.Task[Any]] = set()
    try:
        await taskmanager.start()
        waits |= {asyncio.create_task(stop.wait()), asyncio.create_task(taskmanager.wait_failed())}
        if on_ready is not None:
            waits.add(asyncio.create_task(_call_when_registered(taskmanager, on_ready)))
        pending = waits
        while not stop.is_set():
            done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
    finally:
        for task in waits:
            task.cancel()
        await asyncio.gather(*waits, return_exceptions=True)
        await taskmanager.stop()


async def _call_when_registered(
    taskmanager: TaskManager, on_ready: Callable[[TaskManager], None]
) -> None:
    with contextlib.suppress(LestoError):  # raised by ``wait_failed`` too
        await taskmanager.wait_registered()
        on_ready(taskmanager)
