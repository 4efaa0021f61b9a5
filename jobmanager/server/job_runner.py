"""The thin shell of one job: an ordered queue of events in, the job master's instructions out."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import secrets
import threading
from collections import deque
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any

import lesto
from lesto.common.clock import Clock
from lesto.common.errors import InternalError, LestoError
from lesto.common.logs import get_logger
from lesto.jobmanager.core import events as ev
from lesto.jobmanager.core import instructions as do
from lesto.jobmanager.core.events import Moment
from lesto.jobmanager.core.job_master import JobMaster, JobSettings
from lesto.jobmanager.errors import (
    CheckpointFailedError,
    ClusterStoppedError,
    LeaderFencedError,
    NotLeaderError,
)
from lesto.jobmanager.server.checkpoint_store import CheckpointStore, load_checkpoint
from lesto.jobmanager.server.details import job_details
from lesto.jobmanager.server.ha.job_end import JobEndRecord
from lesto.jobmanager.server.metrics import JobMetrics
from lesto.jobmanager.server.source_coordinator import SourceCoordinator
from lesto.jobmanager.server.taskmanagers import TaskManagers
from lesto.jobmanager.server.traces import JobTraces, Tracing
from lesto.proto import job_pb2
from lesto.state.errors import StorageError

logger = get_logger("lesto.jobmanager.job")

#: Events that may wait; who posts more waits too (TaskManagers' streams, enumerators).
EVENTS_MAX = 10_000
#: Events handled before other coroutines get a turn.
BURST = 256
#: How often a thread that waits for room in the queue looks whether the job has ended.
POST_RETRY_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class Services:
    """What a runner uses of its JobManager."""

    taskmanagers: TaskManagers
    clock: Clock
    io: Executor
    jitter: Callable[[], float]
    lost_leadership: Callable[[LestoError], None] = lambda _error: None
    tracing: Tracing | None = None


class JobRunner:
    """Runs one job master.

    Args:
        graph: the job.
        settings: how to run it.
        store: its durable names.
        epoch: claimed from the store.
        services: of the JobManager.
        recovered: what an earlier leader has left; None: the job is new.

    Raises:
        InvalidJobGraphError: the graph contradicts itself.
    """

    def __init__(
        self,
        graph: job_pb2.JobGraph,
        settings: JobSettings,
        store: CheckpointStore,
        epoch: int,
        services: Services,
        recovered: ev.Recovered | None = None,
    ) -> None:
        self.job_id = graph.job_id
        self.store = store
        self.revision = 0
        self.ended = asyncio.Event()
        self.collapsed = False
        self.fenced = False
        self._recovered = recovered
        self._gone: LestoError = ClusterStoppedError("the JobManager has stopped")
        self._end: JobEndRecord | None = None
        self._services = services
        self._loop = asyncio.get_running_loop()
        self.master = JobMaster(
            graph,
            epoch=epoch,
            settings=settings,
            checkpoint_root=store.root,
            data_token=secrets.token_hex(16),
            version=lesto.__version__,
            jitter=services.jitter,
            now=self._now(),
        )
        self.metrics = JobMetrics(self.master, services.clock, store)
        tracing = services.tracing
        self._traces = JobTraces(tracing.tracer, self.master) if tracing is not None else None
        self._sources = SourceCoordinator(graph, services.clock, self._post_from_thread)
        self._queue: deque[ev.Event] = deque()
        self._wake = asyncio.Event()
        self._room = asyncio.Event()
        self._changed = asyncio.Event()
        self._requests: dict[str, asyncio.Future[Any]] = {}
        self._io: set[asyncio.Task[None]] = set()
        self._writes: set[asyncio.Task[None]] = set()
        self._last_discard: asyncio.Task[None] | None = None
        self._over = threading.Event()
        self._task: asyncio.Task[None] | None = None
        self._log = logger.bind(job=graph.job_id, job_name=graph.name, epoch=epoch)

    # ------------------------------------------------------------------------------ from outside

    def start(self) -> None:
        """Begin."""
        if self.master.settings.adaptive is not None:
            self._services.taskmanagers.watch(self.job_id, self)
        self.tell(ev.JobStarted(self._recovered))
        self._task = asyncio.create_task(self._run_guarded(), name=f"job-{self.job_id}")

    def tell(self, event: ev.Event) -> None:
        """Take an event at once; for those that slots and requests bound in number."""
        self._queue.append(event)
        self._wake.set()

    async def post(self, event: ev.Event) -> None:
        """Take an event when there is room."""
        while len(self._queue) >= EVENTS_MAX and not self._over.is_set():
            self._room.clear()
            await self._room.wait()
        if not self._over.is_set():
            self.tell(event)

    async def savepoint(self, target: str, *, stop: bool = False, drain: bool = False) -> str:
        """Take a savepoint below the directory ``target``; its path when it is complete.

        Args:
            target: URI of a directory that holds savepoints.
            stop: finish the job with it; returns when the job has finished.
            drain: let event time end first.

        Raises:
            CheckpointFailedError: it did not complete.
            JobStateError: the job is not in a state to take one.
        """
        root = self.store.paths.new_savepoint(target)
        epoch = self.master.execution.epoch
        await self._off_loop(self.store.begin_savepoint, root, epoch)
        try:
            return await self._ask(lambda number: ev.SavepointRequested(number, root, stop, drain))
        except LestoError:
            with contextlib.suppress(StorageError):
                await self._off_loop(self.store.forget_savepoint, root, epoch)
            raise

    async def checkpoint(self, *, full: bool = False) -> str:
        """Take a checkpoint now; its path when it is complete.

        Args:
            full: it builds on no earlier checkpoint.

        Raises:
            CheckpointFailedError: it did not complete.
            JobStateError: the job is not in a state to take one.
        """
        return await self._ask(lambda number: ev.CheckpointRequested(number, full))

    async def _ask(self, event: Callable[[str], ev.Event]) -> str:
        request_id = secrets.token_hex(8)
        future = self._requests[request_id] = self._loop.create_future()
        self.tell(event(request_id))
        try:
            return await asyncio.shield(future)
        finally:
            self._requests.pop(request_id, None)

    async def rescale(
        self, parallelism: int, vertices: Mapping[str, tuple[int, int]]
    ) -> do.Rescaled:
        """Change the parallelism in place; returns when all tasks run with it.

        Args:
            parallelism: of every parallel vertex; 0: only ``vertices`` counts.
            vertices: lower and upper bound by vertex id or name.

        Raises:
            RescaleRefusedError: the job cannot have it, and goes on as it was.
            JobStateError: the job is not in a state to be rescaled, or failed meanwhile.
        """
        request_id = secrets.token_hex(8)
        future = self._requests[request_id] = self._loop.create_future()
        self.tell(ev.RescaleRequested(request_id, parallelism, vertices))
        try:
            done: do.Rescaled = await asyncio.shield(future)
            return done
        finally:
            self._requests.pop(request_id, None)

    def cancel(self, cause: str = "cancelled by request") -> None:
        """End the job without finishing it."""
        self.tell(ev.CancelRequested(cause))

    async def changed_since(self, revision: int, timeout_seconds: float) -> None:
        """Return when something has changed since ``revision``, or after the timeout."""
        if self.revision == revision and not self.ended.is_set():
            try:
                async with asyncio.timeout(timeout_seconds):
                    await self._changed.wait()
            except TimeoutError:
                return

    @property
    def ending(self) -> bool:
        """Whether the job has ended and that is perhaps not on record yet."""
        return self.master.state.terminal

    async def abort(self, reason: LestoError | None = None) -> None:
        """Stop at once, without winding down: the JobManager goes away.

        Args:
            reason: what waiting clients are told.
        """
        self._gone = reason or self._gone
        if self._task is not None and not self._task.done():
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        self._finish()

    # ----------------------------------------------------------------------------------- the loop

    async def _run_guarded(self) -> None:
        """Run; a fault of the engine that the job master cannot take ends the job and its slots."""
        try:
            await self._run()
        except Exception:  # noqa: BLE001 - logged with its traceback
            # The listing must not show for ever a job that nobody runs.
            self._log.exception("job.collapsed")
            self.collapsed = True
            for slot_id in list(self.master.slots):
                self._services.taskmanagers.kill(slot_id, "its JobMaster failed")
            self._finish()

    async def _run(self) -> None:
        while not self.master.state.terminal:
            await self._wait()
            for _ in range(min(len(self._queue), BURST)):
                self._take(self._queue.popleft())
            if self._due():
                self._take(ev.Tick())
            self._room.set()
            self.metrics.update()
            if self._traces is not None:
                self._traces.update()
            self._changed.set()
            self._changed = asyncio.Event()
            self.revision += 1
            await asyncio.sleep(0)
        await self._record_end()
        await self._drain_io()
        self._finish()

    async def _wait(self) -> None:
        if self._queue:
            return
        self._wake.clear()
        deadline_ms = self.master.next_deadline_ms()
        if deadline_ms is None:
            await self._wake.wait()
            return
        wait_ms = deadline_ms - self._services.clock.monotonic_ms()
        if wait_ms <= 0:
            return
        try:
            async with asyncio.timeout(wait_ms / 1000):
                await self._wake.wait()
        except TimeoutError:
            return

    def _due(self) -> bool:
        deadline_ms = self.master.next_deadline_ms()
        return deadline_ms is not None and deadline_ms <= self._services.clock.monotonic_ms()

    def _take(self, event: ev.Event) -> None:
        before = self.master.state
        try:
            instructions = self.master.handle(event, self._now())
        except Exception as error:
            self._log.exception("job.internal_error", event_type=type(event).__name__)
            if isinstance(event, ev.InternalFailed):
                raise
            instructions = self.master.handle(ev.InternalFailed(_internal(error)), self._now())
        for instruction in instructions:
            self._execute(instruction)
        if self.master.state is not before:
            last = self.master.states.story[-1]
            self._log.info("job.state", state=last.state.name, cause=last.cause)

    def _now(self) -> Moment:
        clock = self._services.clock
        return Moment(clock.monotonic_ms(), clock.now_ms())

    def _post_from_thread(self, event: ev.Event) -> None:
        """Post from the enumerators' thread; waits while the queue is full and the job runs."""
        if self._over.is_set() or self._loop.is_closed():
            return
        future = asyncio.run_coroutine_threadsafe(self.post(event), self._loop)
        while not self._over.is_set():
            try:
                future.result(POST_RETRY_SECONDS)
            except TimeoutError:
                continue
            return

    # -------------------------------------------------------------------------------- instructions

    def _execute(self, instruction: do.Instruction) -> None:
        managers = self._services.taskmanagers
        match instruction:
            case do.SendCommand(slot_id, command):
                managers.send(slot_id, command)
            case do.RequestSlots(count, timeout_ms):
                wait_ms = timeout_ms or self.master.settings.slot_timeout_ms
                managers.request(self.job_id, self, count, wait_ms)
            case do.WithdrawRequest():
                managers.withdraw(self.job_id)
            case do.ReleaseSlot(slot_id):
                managers.release_slot(slot_id)
            case do.RecordParallelism(vertices):
                self._spawn(self._record_parallelism(vertices))
            case do.Rescaled():
                self._answer(instruction.request_id, instruction)
            case do.ReleaseSlots():
                managers.release(self.job_id)
            case do.KillSlot(slot_id, reason):
                self._log.warning("slot.kill", slot=slot_id, reason=reason)
                managers.kill(slot_id, reason)
            case do.LoadCheckpoint(path):
                self._spawn(self._load(path))
            case do.WriteMetadata():
                self._writes.add(task := self._spawn(self._write(instruction)))
                task.add_done_callback(self._writes.discard)
            case (
                do.DiscardCheckpoint()
                | do.DiscardClaimed()
                | do.DiscardSavepoint()
                | do.CollectOrphans()
                | do.DiscardAll()
            ):
                self._last_discard = self._spawn(self._discard(instruction, self._last_discard))
            case do.StartEnumerators(attempt, states):
                self._sources.start(attempt, states)
            case do.StopEnumerators():
                self._sources.stop()
            case do.HandleSplitRequest(attempt, uid, subtask, event):
                self._sources.handle_split_request(attempt, uid, subtask, event)
            case do.ResetReaders():
                self._sources.reset_readers(instruction)
            case do.SnapshotEnumerators(attempt, checkpoint_id, completed):
                self._sources.snapshot(attempt, checkpoint_id, completed)
            case do.RequestSucceeded(request_id, path):
                self._answer(request_id, path)
            case do.RequestFailed(request_id, error):
                self._answer(request_id, error)
            case do.JobEnded(state):
                self._log.info("job.ended", state=state.name)

    def _answer(self, request_id: str, answer: str | do.Rescaled | LestoError) -> None:
        future = self._requests.get(request_id)
        if future is None or future.done():
            return
        if isinstance(answer, LestoError):
            future.set_exception(answer)
            future.exception()  # retrieved: a client that went away leaves no warning
        else:
            future.set_result(answer)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._io.add(task)
        task.add_done_callback(self._io.discard)
        return task

    async def _load(self, path: str) -> None:
        try:
            event: ev.Event = await self._off_loop(load_checkpoint, path)
        except LestoError as error:
            event = ev.CheckpointLoadFailed(error)
        except Exception as error:  # noqa: BLE001 - logged, and told to the job master
            self._log.exception("checkpoint.load_failed", path=path)
            event = ev.CheckpointLoadFailed(_internal(error))
        self.tell(event)

    async def _record_parallelism(self, vertices: Mapping[str, int]) -> None:
        """Tell later leaders, if there may be any."""
        log = self.store.log
        try:
            if log is not None:
                await self._off_loop(log.rescaled, vertices)
        except (LeaderFencedError, NotLeaderError) as error:
            self.fence(error)
        except LestoError as error:
            self.tell(ev.ParallelismNotRecorded(error))
        except Exception as error:  # noqa: BLE001 - logged, and told to the job master
            self._log.exception("job.rescale_not_recorded")
            self.tell(ev.ParallelismNotRecorded(_internal(error)))
        else:
            self._log.info("job.rescaled", parallelism=dict(vertices))
            self.tell(ev.ParallelismRecorded())

    async def _write(self, instruction: do.WriteMetadata) -> None:
        checkpoint_id = instruction.metadata.checkpoint_id
        try:
            path = await self._off_loop(
                functools.partial(self.store.write, restarts=self.master.restarts),
                instruction.metadata,
                instruction.target,
            )
        except (LeaderFencedError, NotLeaderError) as error:
            self.fence(error)
        except LestoError as error:
            self.tell(ev.MetadataWriteFailed(checkpoint_id, error))
        except Exception as error:  # noqa: BLE001 - logged, and told to the job master
            self._log.exception("checkpoint.write_failed", checkpoint_id=checkpoint_id)
            self.tell(ev.MetadataWriteFailed(checkpoint_id, _internal(error)))
        else:
            self._log.info("checkpoint.completed", checkpoint_id=checkpoint_id, path=path)
            self.tell(ev.MetadataWritten(checkpoint_id, path))

    async def _discard(
        self,
        instruction: do.Discard,
        before: asyncio.Task[None] | None,
    ) -> None:
        """Delete in order; what cannot be deleted is said, and costs space alone."""
        if before is not None:
            await asyncio.wait([before])
        if self._writes and isinstance(instruction, do.DiscardAll):
            await asyncio.wait(self._writes)  # or it would come back behind the deletion
        if not await self._may_delete():
            return
        try:
            await self._off_loop(self.store.discard, instruction)
        except LestoError as error:
            self.metrics.discard_failures.inc()
            # Not the instruction: it holds the metadata of all that stay.
            number = getattr(instruction, "checkpoint_id", None)
            what = type(instruction).__name__
            self._log.warning(
                "checkpoint.discard_failed", what=what, checkpoint_id=number, error=str(error)
            )

    async def _may_delete(self) -> bool:
        """Whether this leader still leads, and the end of an ended job is on record."""
        if self.store.log is None:
            return True
        if self.master.state.terminal and not await self._record_end():
            return False
        try:
            await self._off_loop(self.store.log.check)
        except (LeaderFencedError, NotLeaderError) as error:
            self.fence(error)
            return False
        except LestoError as error:
            self._log.warning("checkpoint.discard_failed", error=str(error))
            return False
        return True

    async def _record_end(self) -> bool:
        """Make the job's end durable, before anything it needed is deleted; whether it is."""
        if self.store.log is None:
            return True
        if self._writes:
            await asyncio.wait(self._writes)  # nothing stands behind the end
        if self._end is None:
            details = job_details(self.master, full=True)
            self._end = JobEndRecord(self.store.log, self.master.state, details)
        try:
            return await self._end.write(self._off_loop)
        except (LeaderFencedError, NotLeaderError) as error:
            self.fence(error)
            return False

    def fence(self, error: LestoError) -> None:
        """Another JobManager runs the job: stop at once, tell nobody of the job's anything more."""
        if self.fenced:
            return
        self.fenced = True
        self._log.warning("job.fenced", reason=error.message)
        self._fencing = asyncio.create_task(self.abort(error))
        self._services.lost_leadership(error)

    async def _off_loop(self, work: Callable[..., Any], *args: Any) -> Any:
        return await self._loop.run_in_executor(self._services.io, work, *args)

    async def _drain_io(self) -> None:
        while self._io:
            await asyncio.wait(self._io)

    def _finish(self) -> None:
        if self._over.is_set():
            return
        self._over.set()
        self._sources.close()
        self._services.taskmanagers.release(self.job_id)
        self.metrics.close()
        for request_id in list(self._requests):
            error = (
                CheckpointFailedError(f"the job is {self.master.state.name}")
                if self.master.state.terminal
                else self._gone
            )
            self._answer(request_id, error)
        self.revision += 1
        self._room.set()
        self._changed.set()
        self.ended.set()


def _internal(error: Exception) -> LestoError:
    if isinstance(error, LestoError):
        return error
    return InternalError(
        f"{type(error).__name__}: {error}", remedy="this is a fault of Lesto; please report it"
    )
