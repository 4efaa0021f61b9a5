"""What a slot process gives its tasks, and the context that a task gives its operators."""

from __future__ import annotations

import itertools
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa

from lesto.common import options
from lesto.common.clock import Clock
from lesto.common.config import Configuration
from lesto.common.metrics import MetricGroup
from lesto.proto import job_pb2, runtime_pb2
from lesto.taskmanager.runtime.errors import DeploymentError
from lesto.taskmanager.runtime.mailbox import Mailbox

if TYPE_CHECKING:
    from lesto.common.accumulators import Accumulator
    from lesto.state.backend import KeyedStateBackend
    from lesto.state.local_backup import LocalBackup
    from lesto.taskmanager.runtime.exchange.receiver import ExchangeServer


#: Copies of checkpoints, in a TaskManager's working directory.
BACKUP_DIRECTORY: Final = "local-backup"


@dataclass(slots=True)
class SlotEnvironment:
    """Shared by the tasks of a slot process.

    Attributes:
        slot_id: id of this process as a slot.
        mailbox: the main thread's loop.
        io: threads for uploads, commits and blocking user work.
        exchange: the Flight server for incoming channels.
        send: thread-safe; sends a task event to the supervisor, in order.
        clock: the machine's clocks.
        local_dir: directory for working state, removed with the process.
    """

    slot_id: str
    mailbox: Mailbox
    io: ThreadPoolExecutor
    exchange: ExchangeServer
    send: Callable[[runtime_pb2.TaskEvent], None]
    clock: Clock
    local_dir: str


class SerialWorker:
    """Runs works of one operator on the I/O threads, one at a time, in order."""

    def __init__(self, io: ThreadPoolExecutor) -> None:
        self._io = io
        self._lock = threading.Lock()
        self._queue: deque[Callable[[], None]] = deque()
        self._running = False

    def submit(self, work: Callable[[], None]) -> None:
        """Queue a work; it must not raise."""
        with self._lock:
            self._queue.append(work)
            if self._running:
                return
            self._running = True
        self._io.submit(self._run)

    def _run(self) -> None:
        while True:
            with self._lock:
                if not self._queue:
                    self._running = False
                    return
                work = self._queue.popleft()
            work()


class TaskOperatorContext:
    """``OperatorContext`` (and, for a source, ``SourceContext``) of one operator of one task."""

    def __init__(
        self,
        environment: SlotEnvironment,
        deployment: runtime_pb2.TaskDeployment,
        node: job_pb2.OperatorNode,
        *,
        config: Configuration,
        metrics: MetricGroup,
        input_schemas: Sequence[pa.Schema | None],
        output_schema: pa.Schema | None,
        fail: Callable[[BaseException, str], None],
        on_mailbox: Callable[[Callable[[], None], str], None],
        on_timer: Callable[[Callable[[], None], str], None],
        accumulators: dict[str, Accumulator],
    ) -> None:
        task = deployment.task
        self._environment = environment
        self._deployment = deployment
        self._node = node
        self._fail = fail
        self._on_mailbox = on_mailbox
        self._on_timer = on_timer
        self._worker = SerialWorker(environment.io)
        self._backend: KeyedStateBackend | None = None
        #: Time that reading keyed state took.
        self.restore_seconds = 0.0
        self.backup: LocalBackup | None = None
        self._timers: dict[int, Callable[[], None]] = {}
        self._timer_ids = itertools.count()
        self._closed = False
        self._restore = next((r for r in deployment.restore if r.uid == node.uid), None)
        self.job_id = task.job_id
        self.job_name = deployment.job_name
        self.operator_uid = node.uid
        self.operator_name = node.name
        self.task_name = deployment.vertex.name
        self.subtask = task.subtask
        self.parallelism = deployment.vertex.parallelism
        self.max_parallelism = deployment.vertex.max_parallelism
        self.attempt = f"{task.epoch}-{task.attempt}"
        self.restored_checkpoint_id = deployment.restored_checkpoint_id
        self.restored = deployment.restored_checkpoint_id > 0
        self.checkpoint_root = deployment.checkpoint_root
        self.config = config
        self.clock = environment.clock
        self.metrics = metrics
        self.local_dir = environment.local_dir
        #: Of all functions of the task, by name; in its reports.
        self.accumulators = accumulators
        self.input_schemas: Sequence[pa.Schema | None] = tuple(input_schemas)
        self.output_schema = output_schema

    # ------------------------------------------------------------------------------------- state

    @property
    def backend(self) -> KeyedStateBackend | None:
        """The keyed backend, if the operator is keyed and it was made."""
        return self._backend

    def keyed_backend(self) -> KeyedStateBackend:
        """The operator's keyed state, restored at the first call."""
        if self._backend is None:
            if not self._node.keyed:
                msg = f"operator {self.operator_name!r} is not keyed and has no keyed state"
                raise DeploymentError(msg)
            self._backend = self._create_backend()
        return self._backend

    def _create_backend(self) -> KeyedStateBackend:
        from lesto.kernels.keygroups import key_group_range
        from lesto.state.factory import create_backend
        from lesto.state.local_backup import BackedStore
        from lesto.taskmanager.operators.expiry import sweep_expired
        from lesto.taskmanager.runtime.state_metrics import register_state_metrics

        start, end = key_group_range(self.max_parallelism, self.parallelism, self.subtask)
        backend = create_backend(
            key_group_start=start,
            key_group_end=end,
            max_parallelism=self.max_parallelism,
            local_dir=self._environment.local_dir,
            config=self.config,
        )
        sweep_expired(self, backend)
        register_state_metrics(self.metrics, backend)
        try:
            backend.backup = self.backup = self._local_backup()
            if self._restore is not None and self._restore.keyed:
                root = self._deployment.restore_root or self._deployment.checkpoint_root
                store = BackedStore(root, epoch=self._deployment.task.epoch, attempt=self.attempt)
                store.backup = self.backup
                begin = time.monotonic()
                backend.restore(list(self._restore.keyed), store)
                self.restore_seconds += time.monotonic() - begin
        except BaseException:
            backend.close()
            raise
        return backend

    def _local_backup(self) -> LocalBackup | None:
        """Copies on this machine's disk, when the job wants them made or used."""
        from lesto.state.local_backup import LocalBackup

        keeps = self.config.get(options.LOCAL_BACKUP)
        serves = self.config.get(options.RECOVER_FROM_LOCAL)
        if not keeps and not serves:
            return None
        return LocalBackup(
            # Beside the slots' directories: copies outlive a slot process, not the TaskManager.
            Path(self._environment.local_dir).parent / BACKUP_DIRECTORY,
            self.job_id,
            f"{self.operator_uid}-{self.subtask}",
            keeps=keeps,
            serves=serves,
            on_local=self.metrics.counter("local_recovery_files").inc,
            on_fallback=self.metrics.counter("local_recovery_damaged_files").inc,
            on_failure=self.metrics.counter("local_backup_failures").inc,
        )

    def restored_list(self, name: str) -> Sequence[bytes]:
        """Operator list state given to this subtask."""
        if self._restore is None:
            return ()
        return tuple(item for lst in self._restore.lists if lst.name == name for item in lst.items)

    def restored_names(self) -> Sequence[str]:
        """Names of all operator list state given to this subtask."""
        if self._restore is None:
            return ()
        return tuple(dict.fromkeys(lst.name for lst in self._restore.lists))

    # ----------------------------------------------------------------------------- time and work

    def register_processing_timer(
        self, at_ms: int, callback: Callable[[int], None]
    ) -> Callable[[], None]:
        """Call back on the mailbox thread at a wall-clock ms."""
        timer = next(self._timer_ids)

        def fire(due_ms: int) -> None:
            self._timers.pop(timer, None)
            self._on_timer(lambda: callback(due_ms), self.operator_name)

        remove = self._environment.mailbox.wall.add(at_ms, fire)
        self._timers[timer] = remove

        def cancel() -> None:
            if self._timers.pop(timer, None) is not None:
                remove()

        return cancel

    def run_blocking(
        self, work: Callable[[], Any], done: Callable[[Any, BaseException | None], None]
    ) -> None:
        """Run ``work`` on an I/O thread, then ``done`` on the mailbox thread."""

        def run() -> None:
            if self._closed:
                return
            result: Any = None
            error: BaseException | None = None
            try:
                result = work()
            except BaseException as caught:  # noqa: BLE001 - handed to ``done``
                error = caught
            self._environment.mailbox.post(
                lambda: self._on_mailbox(lambda: done(result, error), self.operator_name)
            )

        self._worker.submit(run)

    def wake(self) -> None:
        """Thread-safe and cheap: poll the tasks again soon."""
        self._environment.mailbox.wake()

    def fail(self, error: BaseException) -> None:
        """Fail the task."""
        self._fail(error, self.operator_name)

    # ------------------------------------------------------------------------------------ source

    def request_split(self) -> None:
        """Ask the enumerator for work."""
        request = runtime_pb2.SplitRequest(
            task=self._deployment.task, operator_uid=self.operator_uid
        )
        self._environment.send(runtime_pb2.TaskEvent(split_request=request))

    def report_watermark(self, group: str, watermark: int, max_drift_ms: int) -> None:
        """Tell the alignment group how far event time (ms) is."""
        report = runtime_pb2.WatermarkReport(
            task=self._deployment.task,
            operator_uid=self.operator_uid,
            group=group,
            watermark=watermark,
            max_drift_ms=max_drift_ms,
        )
        self._environment.send(runtime_pb2.TaskEvent(watermark=report))

    def send_event(self, event: bytes) -> None:
        """Tell the source's enumerator something, in order with the requests for work."""
        message = runtime_pb2.SplitRequest(
            task=self._deployment.task, operator_uid=self.operator_uid, event=event
        )
        self._environment.send(runtime_pb2.TaskEvent(split_request=message))

    def wakeup(self) -> None:
        """Thread-safe: poll again soon."""
        self._environment.mailbox.post(_nothing)

    def close(self) -> None:
        """Cancel timers; works not begun are dropped. The backend is closed by the task."""
        self._closed = True
        for cancel in tuple(self._timers.values()):
            cancel()
        self._timers.clear()
        self.metrics.close()


def _nothing() -> None:
    """Mail that only wakes."""
