"""Failures, restarts, and the ways a job ends."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from lesto.jobmanager.core import events as ev
from lesto.jobmanager.core import instructions as do
from lesto.jobmanager.core.commands import cancel_commands
from lesto.jobmanager.core.events import Moment
from lesto.jobmanager.core.execution_graph import ExecutionVertex
from lesto.jobmanager.core.failures import (
    blamed,
    failure_info,
    failure_of,
    is_user_error,
    one_line,
)
from lesto.jobmanager.core.instructions import Instruction
from lesto.jobmanager.core.job_base import KILL_GRACE_MS, JobBase
from lesto.jobmanager.core.journal import Kind, Severity
from lesto.jobmanager.core.journal_words import clipped_line, counted, seconds
from lesto.jobmanager.core.regions import TaskKey
from lesto.jobmanager.core.restart_strategy import GiveUp, Restart
from lesto.jobmanager.core.states import JobState, TaskState
from lesto.jobmanager.errors import SlotLostError
from lesto.proto import client_pb2, runtime_pb2

#: Stands between the cause of a restart and what restarts.
_THEREFORE = " → "
#: Of the TaskManagers' errors: the other end of a channel is gone.
_CHANNEL_LOST = "LESTO-4201"


def _why(failure: runtime_pb2.TaskFailure, cause: str) -> str:
    """The cause of a restart, in as few words as say it."""
    lost = failure.code == SlotLostError.code
    return failure.message.splitlines()[0] if lost and failure.message else cause


class Failover(JobBase):
    """What a failure means, and how everything is wound down."""

    def _on_cancel(self, event: ev.CancelRequested, now: Moment) -> list[Instruction]:
        if self.state in {JobState.CANCELLING, JobState.FAILING}:
            return []
        return self._go(JobState.CANCELLING, event.cause, now)

    def _on_internal(self, event: ev.InternalFailed, now: Moment) -> list[Instruction]:
        failure = failure_of(event.error)
        failure.retryable = False
        return self._fail(failure, "jobmanager", "jobmanager", now)

    def _fail(
        self,
        failure: runtime_pb2.TaskFailure,
        task_name: str,
        slot: str,
        now: Moment,
        tasks: Iterable[TaskKey] | None = None,
    ) -> list[Instruction]:
        """A failure has happened; what it means depends on the state."""
        poison = self._poison.failed(failure, self._positions)
        if poison is not None:
            failure = blamed(failure, poison)
        self._remember(failure, task_name, slot, now)
        cause = f"{task_name}: {one_line(failure)}"
        if self.state in {JobState.FAILING, JobState.CANCELLING}:
            return self._task_ended(now)
        scope = self._restart_scope(tasks)
        waits = self._restart_at_ms is not None and now.mono_ms < self._restart_at_ms
        retryable = failure.retryable and (
            self.settings.restart_on_user_errors or not is_user_error(failure)
        )
        if self.state is JobState.RESTARTING and retryable:
            if scope <= self._scope and (self._ending() or waits):
                self._explain(failure)
                return self._task_ended(now)
        elif self.state is JobState.CREATED or not retryable:
            return self._go(JobState.FAILING, cause, now)
        decision = self.settings.restart.on_failure(now.mono_ms, self._jitter())
        if isinstance(decision, GiveUp):
            return self._go(JobState.FAILING, f"{cause} ({decision.reason})", now)
        self._failed = True
        self._restart_at_ms = max(self._restart_at_ms or 0, now.mono_ms + decision.delay_ms)
        told = self._tell_restart(_why(failure, cause), scope, decision, now)
        self._unexplained = told if failure.code == _CHANNEL_LOST else None
        if self.state is JobState.RESTARTING:
            return self._include(scope, cause, now) + self._maybe_redeploy(now)
        self._scope = scope
        return self._go(JobState.RESTARTING, cause, now)

    def _remember(
        self, failure: runtime_pb2.TaskFailure, task_name: str, slot_id: str, now: Moment
    ) -> None:
        """Put a failure where people look."""
        known = [*self.slots.values(), *self.execution.assignment.values()]
        home = next((slot.taskmanager_id for slot in known if slot.slot_id == slot_id), "")
        self.failures.appendleft(
            failure_info(
                failure,
                task_name,
                slot_id,
                now.wall_ms,
                taskmanager=home,
                concurrent=self._failed or self.state is JobState.FAILING,
            )
        )
        if failure.code == SlotLostError.code:
            return  # its loss is told
        where = f" at {failure.location}" if failure.location else ""
        slot = f" (slot {slot_id} of TaskManager {home})" if home else ""
        text = f"{one_line(failure)}{where}{slot}"
        self.journal.record(now.wall_ms, Kind.TASK_FAILED, task_name, text, Severity.ERROR)

    def _tell_restart(
        self, cause: str, scope: Collection[TaskKey], decision: Restart, now: Moment
    ) -> client_pb2.JobEvent:
        total = len(self.execution.subtasks)
        whole = len(scope) == total
        subject = f"all {counted(total, 'task')}" if whole else f"{len(scope):,} of {total:,} tasks"
        latest = self.coordinator.latest
        origin = "the beginning: there is no complete checkpoint"
        if latest is not None:
            age = seconds(now.wall_ms - latest.metadata.timestamp_ms)
            origin = f"checkpoint {latest.checkpoint_id} ({age} old)"
        verb = "restarts" if len(scope) == 1 else "restart"
        text = (
            f"{cause}{_THEREFORE}{counted(len(scope), 'task')} {verb} from {origin} in "
            f"{seconds(decision.delay_ms)}; {decision.told}"
        )
        return self.journal.record(
            now.wall_ms, Kind.REGION_RESTARTING, subject, text, Severity.WARNING
        )

    def _explain(self, failure: runtime_pb2.TaskFailure) -> None:
        """A process is lost, and the first to say so was a neighbour whose channel broke."""
        event = self._unexplained
        if event is None or failure.code != SlotLostError.code:
            return
        _, arrow, rest = event.cause.partition(_THEREFORE)
        if arrow:
            event.cause = clipped_line(f"{_why(failure, '')}{arrow}{rest}")
            self._unexplained = None

    def _restart_scope(self, tasks: Iterable[TaskKey] | None) -> set[TaskKey]:
        """Who restarts because of a failure.

        The whole job when its tasks are finishing or its sources have stopped for a savepoint: a
        region that went back alone would wait for ever for others that do not go on.
        """
        everybody = set(self.execution.subtasks)
        if tasks is None or not self.settings.regional or self.coordinator.ends_the_job:
            return everybody
        return self.execution.together_with(tasks)

    def _include(
        self, tasks: Iterable[TaskKey] | None, cause: str, now: Moment
    ) -> list[Instruction]:
        everybody = set(self.execution.subtasks)
        scope = everybody if tasks is None else self.execution.together_with(tasks)
        fresh = scope - self._scope
        if not fresh:
            return []
        self._scope |= fresh
        self._acquiring = False  # what is asked for still comes, and is kept
        out: list[Instruction] = []
        if self._scope == everybody and self._enumerators:
            self._enumerators = 0
            out.append(do.StopEnumerators())
        return out + self._cancel(self.execution.live(fresh), cause, now)

    def _maybe_redeploy(self, now: Moment) -> list[Instruction]:
        assert self._restart_at_ms is not None
        if self._acquiring or self._ending() or now.mono_ms < self._restart_at_ms:
            return []
        return self._acquire(now)

    def _on_tick(self, _event: ev.Tick, now: Moment) -> list[Instruction]:
        if self.state is JobState.RUNNING:
            return self._expand(self.coordinator.tick(now), now) + self._grow(now)
        out: list[Instruction] = []
        if self._kill_deadline_ms is not None and now.mono_ms >= self._kill_deadline_ms:
            out += self._forget_slots(now)
        elif self._cancel_deadline_ms is not None and now.mono_ms >= self._cancel_deadline_ms:
            self._cancel_deadline_ms = None
            self._kill_deadline_ms = now.mono_ms + KILL_GRACE_MS
            reason = f"cancellation took over {self.settings.cancel_timeout_ms / 1000:g} s"
            self._killed = {v.attempt.slot.slot_id for v in self._ending() if v.attempt}
            for slot_id in sorted(self._killed):
                out.append(do.KillSlot(slot_id, reason))
                self.journal.record(
                    now.wall_ms, Kind.SLOT_KILLED, f"slot {slot_id}", reason, Severity.WARNING
                )
        if self.state is JobState.RESTARTING:
            out += self._maybe_redeploy(now)
        return out

    def _forget_slots(self, now: Moment) -> list[Instruction]:
        """Nobody confirmed that these processes are gone; epoch and attempt keep them out."""
        self._kill_deadline_ms = None
        victims = [v for slot_id in sorted(self._killed) for v in self.execution.live_in(slot_id)]
        for subtask in victims:
            assert subtask.attempt is not None
            self.slots.pop(subtask.attempt.slot.slot_id, None)
            subtask.advance(TaskState.FAILED, now.wall_ms, "killed; its end was not confirmed")
        out: list[Instruction] = []
        if self.state is JobState.RESTARTING:
            out += self._include([v.key for v in victims], "its slot was killed", now)
        self._watch_cancellation(now)  # of those that were told to end since the kill
        return out + self._task_ended(now)

    def _task_ended(self, now: Moment) -> list[Instruction]:
        if self._ending():
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

    def _enter_running(self, _cause: str, _now: Moment) -> list[Instruction]:
        self._restart_at_ms = self._cancel_deadline_ms = self._kill_deadline_ms = None
        self._killed.clear()
        self._scope.clear()
        return []

    def _wind_down(self, cause: str, now: Moment) -> list[Instruction]:
        """Stop what runs, or, for a restart, those that restart."""
        self._acquiring = False
        whole = self.state is not JobState.RESTARTING or len(self._scope) == len(
            self.execution.subtasks
        )
        if self.state is JobState.RESTARTING and self._down_since_ms is None:
            self._down_since_ms = now.mono_ms
        out = self._rescale_interrupted(now)
        out += self._expand(self.coordinator.stop(cause, now, tasks_stay=not whole), now)
        if whole:
            self._enumerators = 0
            out.append(do.StopEnumerators())
        return out + self._cancel(self._ending(), cause, now) + self._task_ended(now)

    def _cancel(
        self, subtasks: Sequence[ExecutionVertex], cause: str, now: Moment
    ) -> list[Instruction]:
        out: list[Instruction] = [*cancel_commands(self.execution, subtasks)]
        for subtask in subtasks:
            if subtask.states.state is not TaskState.CANCELING:
                subtask.advance(TaskState.CANCELING, now.wall_ms, cause)
        self._watch_cancellation(now)
        return out

    def _watch_cancellation(self, now: Moment) -> None:
        """Give those that have to end their time, unless it runs already."""
        timeout_ms = self.settings.cancel_timeout_ms
        watched = self._cancel_deadline_ms is not None or self._kill_deadline_ms is not None
        if self._ending() and timeout_ms and not watched:
            self._cancel_deadline_ms = now.mono_ms + timeout_ms

    def _end(self, _cause: str, now: Moment) -> list[Instruction]:
        self.end_ms = now.wall_ms
        self.slots.clear()
        rescale = self._rescale_interrupted(now)
        match self.state:
            case JobState.CANCELED:
                discard = not self.settings.retain_on_cancel
            case JobState.FAILED:
                discard = not self.settings.retain_on_failure
            case _:
                discard = True
        out = self._expand(self.coordinator.close(discard_retained=discard, now=now), now)
        return [*rescale, *out, do.StopEnumerators(), do.ReleaseSlots(), do.JobEnded(self.state)]
