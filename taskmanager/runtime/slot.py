"""The tasks of a slot process and the commands they obey; everything here runs on the mailbox
thread.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable

from lesto.common.config import Configuration
from lesto.common.elements import Barrier, CheckpointKind
from lesto.common.errors import InternalError
from lesto.common.logs import get_logger
from lesto.proto import checkpoint_pb2, runtime_pb2
from lesto.taskmanager.core.task_states import TaskState
from lesto.taskmanager.runtime.builder import LocalChannels, TaskBuilder
from lesto.taskmanager.runtime.environment import SlotEnvironment
from lesto.taskmanager.runtime.garbage import LOOK_DELAY_MS, CycleCollector
from lesto.taskmanager.runtime.reports import TaskReporter
from lesto.taskmanager.runtime.task import Task, TaskKey, task_key
from lesto.taskmanager.runtime.task_metrics import SlotMetrics

#: A failed task keeps its channels open this long, unless its job is cancelled here before: the
#: failure must reach the JobManager before the neighbours report broken channels.
RELEASE_FAILED_AFTER_MS = 2_000
REPORT_INTERVAL_MS = 1_000

_KINDS = {
    checkpoint_pb2.CHECKPOINT_TYPE_CHECKPOINT: CheckpointKind.CHECKPOINT,
    checkpoint_pb2.CHECKPOINT_TYPE_SAVEPOINT: CheckpointKind.SAVEPOINT,
    checkpoint_pb2.CHECKPOINT_TYPE_FINAL: CheckpointKind.FINAL,
}


class Slot:
    """Executes task commands.

    Args:
        environment: the slot's.
        config: the process's configuration; a job's goes on top.
        ready: waits until the kernels are loaded; called before tasks are built.
    """

    def __init__(
        self, environment: SlotEnvironment, config: Configuration, ready: Callable[[], None]
    ) -> None:
        self._environment = environment
        self._config = config
        self._ready = ready
        self._local = LocalChannels(environment)
        self._tasks: dict[TaskKey, Task] = {}
        self._reporters: dict[TaskKey, TaskReporter] = {}
        self._collecting = False
        self._garbage = CycleCollector()
        self._metrics = SlotMetrics(
            environment.slot_id, lambda: len(self._tasks), lambda: environment.mailbox.waiting
        )
        self._log = get_logger("lesto.slot", slot=environment.slot_id)
        environment.mailbox.mono.add(
            environment.clock.monotonic_ms() + REPORT_INTERVAL_MS, self._report
        )

    def handle(self, command: runtime_pb2.TaskCommand) -> None:
        """Execute a command."""
        match command.WhichOneof("command"):
            case "deploy":
                self._deploy(command.deploy)
            case "cancel":
                self._cancel(command.cancel)
            case "trigger":
                self._trigger(command.trigger)
            case "notify":
                self._notify(command.notify)
            case "splits":
                self._assign(command.splits)
            case "align":
                self._align(command.align)
            case other:
                msg = f"unknown task command {other!r}"
                raise InternalError(msg)

    def tasks(self) -> list[Task]:
        """Return the tasks that are here."""
        return list(self._tasks.values())

    def cancel_all(self) -> None:
        """The JobManager is gone: stop everything."""
        for task in list(self._tasks.values()):
            task.cancel()
        self._sweep()

    # ------------------------------------------------------------------------------------- deploy

    def _deploy(self, command: runtime_pb2.DeployTasks) -> None:
        # First of all: user code must not import while the other thread does (see KernelWarmer).
        self._ready()
        # Before the next attempt's state is loaded, that of the one before must be gone.
        removed = [self._remove_older(deployment.task) for deployment in command.tasks]
        if any(removed) or not self._tasks:
            self._order()  # the mailbox lets go of them
            self._garbage.look(idle=not self._tasks)
        fresh: list[Task] = []
        for deployment in command.tasks:
            task = self._build(deployment)
            if task is not None:
                fresh.append(task)
        self._order()
        # Downstream first, as they are polled: whoever emits while opening is heard.
        wanted = {id(task) for task in fresh}
        for task in [t for t in self._ordered() if id(t) in wanted]:
            if task.state is not TaskState.INITIALIZING:
                continue
            try:
                task.open()
            except BaseException as error:  # noqa: BLE001 - user code runs in here
                task.fail(error)
            self._log.info(
                "task.deployed", job=task.ref.job_id, task=task.name, state=task.state.name
            )
        self._sweep()

    def _build(self, deployment: runtime_pb2.TaskDeployment) -> Task | None:
        key = task_key(deployment.task)
        if key in self._tasks:
            self._log.warning("task.deployed_twice", task=str(key))
            return None
        for path in reversed(deployment.python_paths):
            if path not in sys.path:
                sys.path.insert(0, path)
        task = Task(self._environment, deployment)
        self._tasks[key] = task
        task.to(TaskState.INITIALIZING)
        builder: TaskBuilder | None = None
        try:
            config = self._config.merge(Configuration.from_dict(dict(deployment.config)))
            builder = TaskBuilder(self._environment, self._local, deployment, config)
            builder.build(task)
        except BaseException as error:  # noqa: BLE001 - user code runs in here
            if builder is not None:
                builder.undo()
            task.fail(error)
        else:
            reporter = self._reporters[key] = TaskReporter(task, self._environment.send)
            task.report = reporter.report
        return task

    def _remove_older(self, ref: runtime_pb2.TaskRef) -> bool:
        """What is left of this task's earlier attempts and of the job's earlier epochs goes away.

        Tasks of another region keep their attempt while this one's starts again.
        """
        removed = False
        for key, task in list(self._tasks.items()):
            job_id, vertex_id, subtask, epoch, attempt = key
            same = (vertex_id, subtask) == (ref.vertex_id, ref.subtask)
            older = epoch < ref.epoch or (same and (epoch, attempt) < (ref.epoch, ref.attempt))
            if job_id == ref.job_id and older:
                task.cancel()
                self._forget(key)
                removed = True
        return removed

    def _forget(self, key: TaskKey) -> None:
        del self._tasks[key]
        reporter = self._reporters.pop(key, None)
        if reporter is not None:
            reporter.close()
        if not self._collecting:
            self._collecting = True
            soon = self._environment.clock.monotonic_ms() + LOOK_DELAY_MS
            self._environment.mailbox.mono.add(soon, self._collect)

    def _collect(self, _due_ms: int) -> None:
        """Free what ended tasks held, state above all.

        A task is full of cycles, and the collector hardly looks by itself (see ``slot_main``).
        """
        self._collecting = False
        self._garbage.look(idle=not self._tasks)

    def _order(self) -> None:
        self._environment.mailbox.set_tasklets(tuple(self._ordered()))

    def _ordered(self) -> list[Task]:
        """Tasks, downstream first."""
        behind: dict[tuple[str, str], set[str]] = {}
        for task in self._tasks.values():
            for output in task.deployment.outputs:
                behind.setdefault((task.ref.job_id, task.ref.vertex_id), set()).add(
                    output.edge.target_vertex
                )
        depth: dict[tuple[str, str], int] = {}

        def distance_to_end(job: str, vertex: str) -> int:
            key = (job, vertex)
            if key not in depth:
                depth[key] = 1 + max(
                    (distance_to_end(job, target) for target in behind.get(key, ())), default=0
                )
            return depth[key]

        return sorted(
            self._tasks.values(), key=lambda t: distance_to_end(t.ref.job_id, t.ref.vertex_id)
        )

    # ------------------------------------------------------------------------------------- cancel

    def _cancel(self, command: runtime_pb2.CancelTasks) -> None:
        """Cancel the tasks named; an empty list means every task of the slot."""
        if not command.tasks:
            self.cancel_all()
            return
        for ref in command.tasks:
            task = self._tasks.get(task_key(ref))
            if task is not None:
                task.cancel()
                self._release_failed(ref.job_id)
            else:
                canceled = runtime_pb2.TaskStateChanged(
                    task=ref, state=runtime_pb2.TASK_STATE_CANCELED
                )
                self._environment.send(runtime_pb2.TaskEvent(state=canceled))
        self._sweep()

    def _release_failed(self, job_id: str) -> None:
        for key, task in self._tasks.items():
            if key[0] == job_id and task.terminal:
                task.release()

    def _sweep(self) -> None:
        """Forget tasks that have ended and let go of their channels."""
        for key, task in list(self._tasks.items()):
            if task.released:
                self._forget(key)
        self._order()

    # ---------------------------------------------------------------------------- other commands

    def _trigger(self, command: runtime_pb2.TriggerCheckpoint) -> None:
        barrier = Barrier(
            checkpoint_id=command.checkpoint_id,
            timestamp_ms=command.timestamp_ms,
            kind=_KINDS[command.type],
            drain=command.drain,
            stop=command.stop,
            target=command.target,
            full=command.full,
        )
        for ref in command.tasks:
            task = self._tasks.get(task_key(ref))
            if task is not None:
                task.trigger(barrier)
                continue
            decline = runtime_pb2.CheckpointDecline(
                task=ref, checkpoint_id=command.checkpoint_id, reason="no such task here"
            )
            self._environment.send(runtime_pb2.TaskEvent(decline=decline))

    def _notify(self, command: runtime_pb2.NotifyCheckpoint) -> None:
        for task in self._of_job(command.job_id, command.epoch):
            if command.complete:
                task.notify_complete(command.checkpoint_id, finish=command.finish)
            else:
                task.notify_aborted(command.checkpoint_id)
        self._environment.mailbox.wake()

    def _of_job(self, job_id: str, epoch: int) -> Iterable[Task]:
        return [t for t in self._tasks.values() if t.ref.job_id == job_id and t.ref.epoch == epoch]

    def _assign(self, command: runtime_pb2.AssignSplits) -> None:
        task = self._tasks.get(task_key(command.task))
        if task is not None:
            task.assign_splits(list(command.splits), no_more=command.no_more_splits)

    def _align(self, command: runtime_pb2.AlignWatermarks) -> None:
        task = self._tasks.get(task_key(command.task))
        if task is not None:
            task.align_watermarks(command.max_watermark)

    # ------------------------------------------------------------------------------------ reports

    def _report(self, due_ms: int) -> None:
        now_ms = self._environment.clock.monotonic_ms()
        self._environment.mailbox.mono.add(now_ms + REPORT_INTERVAL_MS, self._report)
        self._metrics.late(now_ms - due_ms)
        for key, task in list(self._tasks.items()):
            if task.state is TaskState.RUNNING and key in self._reporters:
                self._reporters[key].report()
            elif (
                task.state is TaskState.FAILED
                and task.failed_for_ms(now_ms) > RELEASE_FAILED_AFTER_MS
            ):
                task.release()
        if any(task.released for task in self._tasks.values()):
            self._sweep()
