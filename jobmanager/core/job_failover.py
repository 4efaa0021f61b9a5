"""Failures, restarts, and the ways a job ends."""

from __future__ import annotations

from lesto.jobmanager.core import events as ev
from lesto.jobmanager.core import instructions as do
from lesto.jobmanager.core.commands import cancel_commands
from lesto.jobmanager.core.events import Moment
from lesto.jobmanager.core.failures import (
    failure_info,
    failure_of,
    is_user_error,
    one_line,
)
from lesto.jobmanager.core.instructions import Instruction
from lesto.jobmanager.core.job_base import KILL_GRACE_MS, JobBase
from lesto.jobmanager.core.restart_strategy import GiveUp
from lesto.jobmanager.core.states import JobState, TaskState
from lesto.proto import runtime_pb2


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
