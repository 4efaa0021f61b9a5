"""One job's state machine: events in, instructions out.

``CREATED`` (restore point, slots) -> ``RUNNING`` -> ``FINISHED``. A failure makes it
``RESTARTING``: all tasks are cancelled, the restart strategy's delay passes, and everything is
deployed anew from the latest complete checkpoint. ``FAILING`` and ``CANCELLING`` wind it down to
``FAILED`` and ``CANCELED``.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from lesto.common.errors import LestoError
from lesto.jobmanager.core import events as ev
from lesto.jobmanager.core import instructions as do
from lesto.jobmanager.core.checkpoint_coordinator import CheckpointCoordinator, CheckpointSettings
from lesto.jobmanager.core.commands import cancel_commands, notify_commands, trigger_commands
from lesto.jobmanager.core.events import Moment
from lesto.jobmanager.core.execution_graph import (
    DeploymentContext,
    ExecutionGraph,
    ExecutionVertex,
)
from lesto.jobmanager.core.failures import (
    FAILURES_MAX,
    failure_info,
    failure_of,
    is_user_error,
    one_line,
)
from lesto.jobmanager.core.instructions import Instruction
from lesto.jobmanager.core.pending_checkpoint import CompletedCheckpoint, SavepointRequest
from lesto.jobmanager.core.redistribution import (
    check_restorable,
    coordinator_states,
    redistribute,
)
from lesto.jobmanager.core.restart_strategy import GiveUp, RestartStrategy
from lesto.jobmanager.core.slots import Slot
from lesto.jobmanager.core.states import JOB_TRANSITIONS, JobState, StateMachine, TaskState
from lesto.jobmanager.errors import JobStateError, SlotLostError, TaskProtocolError
from lesto.proto import client_pb2, job_pb2, runtime_pb2

#: After KillSlot: how long to wait for the report that the process is gone.
KILL_GRACE_MS = 10_000

_DEPLOYED = (TaskState.DEPLOYING, TaskState.INITIALIZING, TaskState.RUNNING)


@dataclass(slots=True)
class JobSettings:
    """How a job is run.

    Attributes:
        restart: its restart strategy, with its memory.
        checkpoints: when to checkpoint.
        cancel_timeout_ms: a task that takes longer to cancel has its process killed; 0: never.
        retain_on_cancel: whether its checkpoints stay when it is cancelled.
        restart_on_user_errors: whether an exception of the user's code is tried again.
    """

    restart: RestartStrategy
    checkpoints: CheckpointSettings = field(default_factory=CheckpointSettings)
    cancel_timeout_ms: int = 30_000
    retain_on_cancel: bool = True
    restart_on_user_errors: bool = True


class JobMaster:
    """Decides everything about one job; does nothing itself.

    Args:
        graph: the job.
        epoch: fencing number of this JobMaster.
        settings: how to run it.
        checkpoint_root: URI of ``<checkpoint dir>/<job id>``.
        data_token: secret of its data channels.
        version: Lesto's version, for the metadata.
        jitter: draws uniformly from -1..1.
        now: the time of its birth.

    Raises:
        InvalidJobGraphError: the graph contradicts itself.
    """

    def __init__(
        self,
        graph: job_pb2.JobGraph,
        *,
        epoch: int,
        settings: JobSettings,
        checkpoint_root: str,
        data_token: str,
        version: str,
        jitter: Callable[[], float],
        now: Moment,
    ) -> None:
        self.graph = graph
        self.settings = settings
        self.execution = ExecutionGraph(graph, epoch, now.wall_ms)
        self.coordinator = CheckpointCoordinator(
            graph, epoch, settings.checkpoints, checkpoint_root, version
        )
        self.states = StateMachine(
            f"job {graph.name} ({graph.job_id})", JOB_TRANSITIONS, JobState.CREATED, now.wall_ms
        )
        self.slots: dict[str, Slot] = {}
        self.failures: deque[client_pb2.FailureInfo] = deque(maxlen=FAILURES_MAX)
        self.restarts = 0
        self.stale_events = 0
        self.start_ms = now.wall_ms
        self.end_ms = 0
        self._root = checkpoint_root
        self._token = data_token
        self._jitter = jitter
        self._slots_requested = 0
        self._acquiring = False
        self._restart_at_ms: int | None = None
        self._cancel_deadline_ms: int | None = None
        self._kill_deadline_ms: int | None = None
        self._killed: set[str] = set()

    @property
    def state(self) -> JobState:
        """State of the job."""
        state: JobState = self.states.state
        return state

    def handle(self, event: ev.Event, now: Moment) -> list[Instruction]:
        """Take one event; what is to be done about it, in order.

        Raises:
            IllegalTransitionError: the engine contradicts itself.
        """
        if self.state.terminal:
            return self._after_the_end(event)
        return self._HANDLERS[type(event)](self, event, now)

    def next_deadline_ms(self) -> int | None:
        """Monotonic ms at which a Tick is wanted; None: no need."""
        deadlines: list[int | None] = []
        if self.state is JobState.RUNNING:
            deadlines.append(self.coordinator.next_deadline_ms())
        if self.execution.live():
            deadlines += [self._cancel_deadline_ms, self._kill_deadline_ms]
        elif self.state is JobState.RESTARTING and not self._acquiring:
            deadlines.append(self._restart_at_ms)
        return min((d for d in deadlines if d is not None), default=None)

    def validate(self) -> None:
        """Check what must always hold."""
        self.execution.validate()
        self.coordinator.validate()
        live = self.execution.live()
        held = self.slots.keys()
        assert all(v.attempt and v.attempt.slot.slot_id in held for v in live), (
            "runs in no slot of ours"
        )
        assert len(held) <= self.execution.slots_required, "more slots than the job needs"
        if self.coordinator.running:
            assert self.state is JobState.RUNNING, "checkpoints without a running job"
        if self.state.terminal:
            assert not live, "an ended job has live tasks"
            assert not held, "an ended job has slots"
        if self.state is JobState.CREATED:
            assert not live, "tasks before the start"

    # --------------------------------------------------------------------------------- the start

    def _on_started(self, _event: ev.JobStarted, now: Moment) -> list[Instruction]:
        if self.graph.restore_path:
            return [do.LoadCheckpoint(self.graph.restore_path)]
        return self._acquire(now)

    def _on_loaded(self, event: ev.CheckpointLoaded, now: Moment) -> list[Instruction]:
        if self.state is not JobState.CREATED:
            return []
        try:
            check_restorable(
                event.metadata,
                self.graph,
                allow_non_restored_state=self.graph.allow_non_restored_state,
            )
        except LestoError as error:
            return self._fail(failure_of(error), "restore", "", now)
        self.coordinator.restore(CompletedCheckpoint(event.metadata, event.path, event.root))
        return self._acquire(now)

    def _on_load_failed(self, event: ev.CheckpointLoadFailed, now: Moment) -> list[Instruction]:
        if self.state is not JobState.CREATED:
            return []
        return self._fail(failure_of(event.error), "restore", "", now)

    # --------------------------------------------------------------------------------------- slots

    def _acquire(self, now: Moment) -> list[Instruction]:
        """Get the slots that are missing, then deploy."""
        self._acquiring = True
        missing = self.execution.slots_required - len(self.slots)
        if missing == 0:
            return self._deploy(now)
        if self._slots_requested:
            return []
        self._slots_requested = missing
        return [do.RequestSlots(missing)]

    def _on_allocated(self, event: ev.SlotsAllocated, now: Moment) -> list[Instruction]:
        self._slots_requested = 0
        self.slots.update((slot.slot_id, slot) for slot in event.slots)
        return self._acquire(now) if self._acquiring else []

    def _on_refused(self, event: ev.SlotsRefused, now: Moment) -> list[Instruction]:
        self._slots_requested = 0
        if not self._acquiring:
            return []
        self._acquiring = False
        return self._fail(failure_of(event.error), "slots", "", now)

    def _on_slot_lost(self, event: ev.SlotLost, now: Moment) -> list[Instruction]:
        slot = self.slots.pop(event.slot_id, None)
        if slot is None:
            return []
        victims = self.execution.live_in(event.slot_id)
        for victim in victims:
            victim.advance(TaskState.FAILED, now.wall_ms, event.reason)
        if not victims:
            return self._acquire(now) if self._acquiring else []
        if event.slot_id in self._killed:
            return self._task_ended(now)
        error = SlotLostError(
            f"slot {event.slot_id} of TaskManager {slot.taskmanager_id} is lost: {event.reason}",
            remedy="the job restarts by itself; if it goes on, look for crashes there",
        )
        names = ", ".join(victim.name for victim in victims)
        return self._fail(failure_of(error), names, event.slot_id, now)

    # ---------------------------------------------------------------------------------- deployment

    def _deploy(self, now: Moment) -> list[Instruction]:
        self._acquiring = False
        out = self._expand(self.coordinator.abandon_write(now), now)
        latest = self.coordinator.latest
        context = DeploymentContext(self._root, self._token)
        states = {}
        if latest is not None:
            context = DeploymentContext(
                self._root,
                self._token,
                restores=redistribute(latest.metadata, self.graph),
                restored_checkpoint_id=latest.checkpoint_id,
                restore_root=latest.root,
            )
            states = dict(coordinator_states(latest.metadata))
            self.coordinator.statistics.restored_from(
                latest.checkpoint_id, latest.path, now.wall_ms
            )
        batches = self.execution.deploy(list(self.slots.values()), context, now.wall_ms)
        if self.state is JobState.RESTARTING:
            self.restarts += 1
        cause = f"attempt {self.execution.attempt}"
        if latest is not None:
            cause += f" from checkpoint {latest.checkpoint_id}"
        out += self._go(JobState.RUNNING, cause, now)
        out.append(do.StartEnumerators(self.execution.attempt, states))
        for slot_id, batch in batches.items():
            out.append(do.SendCommand(slot_id, runtime_pb2.TaskCommand(deploy=batch)))
        return out

    # -------------------------------------------------------------------------- messages of tasks

    def _on_task(self, event: ev.TaskReported, now: Moment) -> list[Instruction]:
        kind = event.event.WhichOneof("event")
        if kind is None:
            self.stale_events += 1
            return []
        message = getattr(event.event, kind)
        subtask = self.execution.resolve(message.task, event.slot_id)
        if subtask is None or subtask.attempt is None or not subtask.attempt.live:
            self.stale_events += 1
            return []
        return self._TASK_HANDLERS[kind](self, subtask, message, now)

    def _on_task_state(
        self, subtask: ExecutionVertex, message: runtime_pb2.TaskStateChanged, now: Moment
    ) -> list[Instruction]:
        finish, current = TaskState(message.state), subtask.states.state
        if finish is current or (current is TaskState.CANCELING and not finish.terminal):
            return []
        if finish is TaskState.FAILED:
            error = TaskProtocolError(f"{subtask.name} failed without saying why")
            return self._on_task_failure(subtask, failure_of(error), now)
        unexpected = finish is TaskState.FINISHED and not self.coordinator.finishing
        if current is not TaskState.CANCELING and (
            unexpected or not subtask.states.allows(finish) or finish is TaskState.CANCELING
        ):
            error = TaskProtocolError(
                f"{subtask.name} reported {finish.name} while it was {current.name}; "
                f"its story: {subtask.states.tell()}"
            )
            return self._on_task_failure(subtask, failure_of(error), now)
        subtask.advance(finish, now.wall_ms, "reported")
        if finish is TaskState.RUNNING:
            return self._maybe_start_checkpoints(now)
        if finish.terminal:
            return self._task_ended(now)
        return []

    def _on_task_failure(
        self, subtask: ExecutionVertex, message: runtime_pb2.TaskFailure, now: Moment
    ) -> list[Instruction]:
        assert subtask.attempt is not None
        canceling = subtask.states.state is TaskState.CANCELING
        subtask.advance(TaskState.FAILED, now.wall_ms, one_line(message))
        if canceling:  # an echo of the cancellation, such as a broken channel; not a cause
            return self._task_ended(now)
        return self._fail(message, subtask.name, subtask.attempt.slot.slot_id, now)

    def _on_end_of_data(
        self, subtask: ExecutionVertex, _message: runtime_pb2.EndOfDataReached, now: Moment
    ) -> list[Instruction]:
        assert subtask.attempt is not None
        subtask.attempt.end_of_data = True
        return self._maybe_finish(now)

    def _on_ack(
        self, subtask: ExecutionVertex, message: runtime_pb2.CheckpointAck, now: Moment
    ) -> list[Instruction]:
        return self._expand(self.coordinator.acknowledged(subtask.key, message, now), now)

    def _on_decline(
        self, subtask: ExecutionVertex, message: runtime_pb2.CheckpointDecline, now: Moment
    ) -> list[Instruction]:
        return self._expand(self.coordinator.declined(subtask.name, message, now), now)

    def _on_split_request(
        self, subtask: ExecutionVertex, message: runtime_pb2.SplitRequest, _now: Moment
    ) -> list[Instruction]:
        uid = message.operator_uid
        return [do.HandleSplitRequest(self.execution.attempt, uid, subtask.subtask)]

    def _on_report(
        self, subtask: ExecutionVertex, message: runtime_pb2.TaskReport, _now: Moment
    ) -> list[Instruction]:
        assert subtask.attempt is not None
        subtask.attempt.report = message
        return []

    def _maybe_start_checkpoints(self, now: Moment) -> list[Instruction]:
        if self.state is not JobState.RUNNING or not self.execution.all_in(TaskState.RUNNING):
            return []
        out = self._expand(self.coordinator.start(self.execution.attempt, now), now)
        return out + self._maybe_finish(now)

    def _maybe_finish(self, now: Moment) -> list[Instruction]:
        """Everything is processed: the final checkpoint makes it visible."""
        if not self.coordinator.running or not self.execution.all_ended_data():
            return []
        return self._expand(self.coordinator.request_final(now), now)

    def _task_ended(self, now: Moment) -> list[Instruction]:
        if self.execution.live():
            return []
        match self.state:
            case JobState.RUNNING if self.execution.all_in(TaskState.FINISHED):
                return self._go(JobState.FINISHED, "all tasks finished", now)
            case JobState.CANCELLING:
                return self._go(JobState.CANCELED, "all tasks are gone", now)
            case JobState.FAILING:
                return self._go(JobState.FAILED, "all tasks are gone", now)
            case JobState.RESTARTING:
                return self._maybe_redeploy(now)
        return []

    # ------------------------------------------------------------------- sources and checkpoints

    def _on_splits(self, event: ev.SplitsAssigned, _now: Moment) -> list[Instruction]:
        subtask = next(
            (
                v
                for v in self.execution.sources()
                if v.subtask == event.subtask and v.vertex.operators[0].uid == event.operator_uid
            ),
            None,
        )
        if event.attempt != self.execution.attempt or subtask is None or subtask.attempt is None:
            return []
        if subtask.states.state not in _DEPLOYED:
            return []
        assign = runtime_pb2.AssignSplits(
            task=self.execution.task_ref(subtask),
            operator_uid=event.operator_uid,
            splits=event.splits,
            no_more_splits=event.no_more_splits,
        )
        slot_id = subtask.attempt.slot.slot_id
        return [do.SendCommand(slot_id, runtime_pb2.TaskCommand(splits=assign))]

    def _on_snapshotted(self, event: ev.EnumeratorsSnapshotted, now: Moment) -> list[Instruction]:
        out = self.coordinator.enumerators_snapshotted(
            event.attempt, event.checkpoint_id, event.states
        )
        return self._expand(out, now)

    def _on_enumerator_failed(self, event: ev.EnumeratorFailed, now: Moment) -> list[Instruction]:
        if event.attempt != self.execution.attempt or self.state is not JobState.RUNNING:
            return []
        return self._fail(event.failure, f"source {event.operator_uid}", "jobmanager", now)

    def _on_written(self, event: ev.MetadataWritten, now: Moment) -> list[Instruction]:
        out = self.coordinator.metadata_written(event.checkpoint_id, event.path, now)
        return self._expand(out, now)

    def _on_write_failed(self, event: ev.MetadataWriteFailed, now: Moment) -> list[Instruction]:
        out = self.coordinator.metadata_failed(event.checkpoint_id, event.error, now)
        return self._expand(out, now)

    def _expand(
        self, decided: Sequence[do.CoordinatorInstruction], now: Moment
    ) -> list[Instruction]:
        """The coordinator's instructions as those of the shell."""
        out: list[Instruction] = []
        for instruction in decided:
            match instruction:
                case do.TriggerBarriers():
                    out += trigger_commands(self.execution, instruction)
                case do.NotifyCheckpoint():
                    out += notify_commands(self.execution, instruction)
                case do.FailJob(error):
                    out += self._fail(
                        failure_of(error), "checkpoint coordinator", "jobmanager", now
                    )
                case _:
                    out.append(instruction)
        return out

    # ------------------------------------------------------------------------- requests and failure

    def _on_cancel(self, event: ev.CancelRequested, now: Moment) -> list[Instruction]:
        if self.state in {JobState.CANCELLING, JobState.FAILING}:
            return []
        return self._go(JobState.CANCELLING, event.cause, now)

    def _on_savepoint(self, event: ev.SavepointRequested, now: Moment) -> list[Instruction]:
        request = SavepointRequest(event.request_id, event.target, event.stop, event.drain)
        return self._expand(self.coordinator.request_savepoint(request, now), now)

    def _on_internal(self, event: ev.InternalFailed, now: Moment) -> list[Instruction]:
        failure = failure_of(event.error)
        failure.retryable = False
        return self._fail(failure, "jobmanager", "jobmanager", now)

    def _fail(
        self, failure: runtime_pb2.TaskFailure, task_name: str, slot: str, now: Moment
    ) -> list[Instruction]:
        """A failure has happened; what it means depends on the state."""
        self.failures.appendleft(failure_info(failure, task_name, slot, now.wall_ms))
        cause = f"{task_name}: {one_line(failure)}"
        if self.state in {JobState.FAILING, JobState.CANCELLING}:
            return self._task_ended(now)
        waits = self._restart_at_ms is not None and now.mono_ms < self._restart_at_ms
        retryable = failure.retryable and (
            self.settings.restart_on_user_errors or not is_user_error(failure)
        )
        if self.state is JobState.RESTARTING and retryable:
            if self.execution.live() or waits:
                return self._task_ended(now)
        elif self.state is JobState.CREATED or not retryable:
            return self._go(JobState.FAILING, cause, now)
        decision = self.settings.restart.on_failure(now.mono_ms, self._jitter())
        if isinstance(decision, GiveUp):
            return self._go(JobState.FAILING, f"{cause} ({decision.reason})", now)
        self._restart_at_ms = now.mono_ms + decision.delay_ms
        if self.state is JobState.RESTARTING:
            return self._maybe_redeploy(now)
        return self._go(JobState.RESTARTING, cause, now)

    def _maybe_redeploy(self, now: Moment) -> list[Instruction]:
        assert self._restart_at_ms is not None
        if self._acquiring or self.execution.live() or now.mono_ms < self._restart_at_ms:
            return []
        return self._acquire(now)

    def _on_tick(self, _event: ev.Tick, now: Moment) -> list[Instruction]:
        if self.state is JobState.RUNNING:
            return self._expand(self.coordinator.tick(now), now)
        out: list[Instruction] = []
        if self._kill_deadline_ms is not None and now.mono_ms >= self._kill_deadline_ms:
            out += self._forget_slots(now)
        elif self._cancel_deadline_ms is not None and now.mono_ms >= self._cancel_deadline_ms:
            self._cancel_deadline_ms = None
            self._kill_deadline_ms = now.mono_ms + KILL_GRACE_MS
            reason = f"cancellation took over {self.settings.cancel_timeout_ms / 1000:g} s"
            self._killed = self.execution.slots()
            out += [do.KillSlot(slot_id, reason) for slot_id in sorted(self._killed)]
        if self.state is JobState.RESTARTING:
            out += self._maybe_redeploy(now)
        return out

    def _forget_slots(self, now: Moment) -> list[Instruction]:
        """Nobody confirmed that these processes are gone; epoch and attempt keep them out."""
        self._kill_deadline_ms = None
        for subtask in self.execution.live():
            assert subtask.attempt is not None
            self.slots.pop(subtask.attempt.slot.slot_id, None)
            subtask.advance(TaskState.FAILED, now.wall_ms, "killed; its end was not confirmed")
        return self._task_ended(now)

    # ---------------------------------------------------------------------- transitions of the job

    def _go(self, finish: JobState, cause: str, now: Moment) -> list[Instruction]:
        start = self.state
        self.states.advance(finish, now.wall_ms, cause)
        return self._ON_TRANSITION[start, finish](self, cause, now)

    def _enter_running(self, _cause: str, _now: Moment) -> list[Instruction]:
        self._restart_at_ms = self._cancel_deadline_ms = self._kill_deadline_ms = None
        return []

    def _wind_down(self, cause: str, now: Moment) -> list[Instruction]:
        """Stop everything that runs."""
        self._acquiring = False
        out = self._expand(self.coordinator.stop(cause, now), now)
        out.append(do.StopEnumerators())
        live = self.execution.live()
        out += cancel_commands(self.execution)
        for subtask in live:
            if subtask.states.state is not TaskState.CANCELING:
                subtask.advance(TaskState.CANCELING, now.wall_ms, cause)
        timeout_ms = self.settings.cancel_timeout_ms
        if live and timeout_ms and self._cancel_deadline_ms is None:
            self._cancel_deadline_ms = now.mono_ms + timeout_ms
        return out + self._task_ended(now)

    def _end(self, _cause: str, now: Moment) -> list[Instruction]:
        self.end_ms = now.wall_ms
        self.slots.clear()
        discard = self.state is JobState.FINISHED or (
            self.state is JobState.CANCELED and not self.settings.retain_on_cancel
        )
        out = self._expand(self.coordinator.close(discard_retained=discard), now)
        return [*out, do.StopEnumerators(), do.ReleaseSlots(), do.JobEnded(self.state)]

    def _after_the_end(self, event: ev.Event) -> list[Instruction]:
        if isinstance(event, ev.SavepointRequested):
            error = JobStateError(f"the job is {self.state.name}")
            return [do.RequestFailed(event.request_id, error)]
        return []

    _ON_TRANSITION: ClassVar[
        dict[tuple[JobState, JobState], Callable[[JobMaster, str, Moment], list[Instruction]]]
    ] = {
        (JobState.CREATED, JobState.RUNNING): _enter_running,
        (JobState.RESTARTING, JobState.RUNNING): _enter_running,
        (JobState.RUNNING, JobState.RESTARTING): _wind_down,
        (JobState.CREATED, JobState.FAILING): _wind_down,
        (JobState.RUNNING, JobState.FAILING): _wind_down,
        (JobState.RESTARTING, JobState.FAILING): _wind_down,
        (JobState.CREATED, JobState.CANCELLING): _wind_down,
        (JobState.RUNNING, JobState.CANCELLING): _wind_down,
        (JobState.RESTARTING, JobState.CANCELLING): _wind_down,
        (JobState.RUNNING, JobState.FINISHED): _end,
        (JobState.CANCELLING, JobState.CANCELED): _end,
        (JobState.FAILING, JobState.FAILED): _end,
    }

    _HANDLERS: ClassVar[dict[type, Callable[[JobMaster, Any, Moment], list[Instruction]]]] = {
        ev.JobStarted: _on_started,
        ev.Tick: _on_tick,
        ev.CheckpointLoaded: _on_loaded,
        ev.CheckpointLoadFailed: _on_load_failed,
        ev.SlotsAllocated: _on_allocated,
        ev.SlotsRefused: _on_refused,
        ev.SlotLost: _on_slot_lost,
        ev.TaskReported: _on_task,
        ev.SplitsAssigned: _on_splits,
        ev.EnumeratorsSnapshotted: _on_snapshotted,
        ev.EnumeratorFailed: _on_enumerator_failed,
        ev.MetadataWritten: _on_written,
        ev.MetadataWriteFailed: _on_write_failed,
        ev.CancelRequested: _on_cancel,
        ev.SavepointRequested: _on_savepoint,
        ev.InternalFailed: _on_internal,
    }

    _TASK_HANDLERS: ClassVar[
        dict[str, Callable[[JobMaster, ExecutionVertex, Any, Moment], list[Instruction]]]
    ] = {
        "state": _on_task_state,
        "failure": _on_task_failure,
        "end_of_data": _on_end_of_data,
        "ack": _on_ack,
        "decline": _on_decline,
        "split_request": _on_split_request,
        "report": _on_report,
    }
