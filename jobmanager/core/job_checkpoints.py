"""Sources and checkpoints: the coordinator and the enumerators within the job."""

from __future__ import annotations

from collections.abc import Sequence

from lesto.common.errors import LestoError
from lesto.jobmanager.core import events as ev
from lesto.jobmanager.core import instructions as do
from lesto.jobmanager.core.commands import notify_commands, trigger_commands
from lesto.jobmanager.core.events import Moment
from lesto.jobmanager.core.failures import failure_of
from lesto.jobmanager.core.instructions import Instruction
from lesto.jobmanager.core.job_base import DEPLOYED, RESCALE_PREFIX, JobBase
from lesto.jobmanager.core.journal import Kind
from lesto.jobmanager.core.journal_words import counted, seconds
from lesto.jobmanager.core.pending_checkpoint import CheckpointRequest, SavepointRequest
from lesto.jobmanager.core.states import JobState, TaskState
from lesto.proto import runtime_pb2


class Checkpoints(JobBase):
    """Split assignment, checkpoints, savepoints."""

    def _maybe_start_checkpoints(self, now: Moment) -> list[Instruction]:
        if self.state is not JobState.RUNNING or not self.execution.all_in(TaskState.RUNNING):
            return []
        # The enumerators may be older than tasks: those of a region that restarted alone.
        if self._down_since_ms is not None:
            self.journal.record(
                now.wall_ms,
                Kind.TASKS_RUNNING,
                f"all {counted(len(self.execution.subtasks), 'task')}",
                f"running again after {seconds(now.mono_ms - self._down_since_ms)}"
                if self.execution.attempt > 1
                else f"running {seconds(now.mono_ms - self._down_since_ms)} after the start",
            )
            self._down_since_ms = None
        out = self._expand(self.coordinator.start(self._enumerators, now), now)
        out = self._rescale_done(now) + out + self._maybe_finish(now)
        self._plan_growth(now)
        return out

    def _maybe_finish(self, now: Moment) -> list[Instruction]:
        """Everything is processed: the final checkpoint makes it visible."""
        if not self.coordinator.running or not self.execution.all_ended_data():
            return []
        return self._expand(self.coordinator.request_final(now), now)

    def _on_splits(self, event: ev.SplitsAssigned, _now: Moment) -> list[Instruction]:
        subtask = next(
            (
                v
                for v in self.execution.sources()
                if v.subtask == event.subtask and v.vertex.operators[0].uid == event.operator_uid
            ),
            None,
        )
        if subtask is None or subtask.attempt is None:
            return []
        # For an earlier attempt of the reader: its enumerator gets them back.
        if event.attempt != subtask.attempt.number or subtask.states.state not in DEPLOYED:
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
            event.attempt, event.checkpoint_id, event.states, now
        )
        return self._expand(out, now)

    def _on_enumerator_failed(self, event: ev.EnumeratorFailed, now: Moment) -> list[Instruction]:
        if event.attempt != self._enumerators or not self._enumerators:
            return []
        return self._fail(event.failure, f"source {event.operator_uid}", "jobmanager", now)

    def _on_written(self, event: ev.MetadataWritten, now: Moment) -> list[Instruction]:
        out = self.coordinator.metadata_written(event.checkpoint_id, event.path, now)
        if self._grow_at_ms is None:  # an earlier try may have been given up
            self._plan_growth(now)
        return self._expand(out, now)

    def _on_write_failed(self, event: ev.MetadataWriteFailed, now: Moment) -> list[Instruction]:
        out = self.coordinator.metadata_failed(event.checkpoint_id, event.error, now)
        return self._expand(out, now)

    def _expand(
        self, decided: Sequence[do.CoordinatorInstruction], now: Moment
    ) -> list[Instruction]:
        """The coordinator's instructions as those of the shell."""
        out: list[Instruction] = []
        answered: list[tuple[str, LestoError | None]] = []
        for instruction in decided:
            match instruction:
                case do.RequestSucceeded(asked) if asked.startswith(RESCALE_PREFIX):
                    answered.append((asked, None))
                case do.RequestFailed(asked, why) if asked.startswith(RESCALE_PREFIX):
                    answered.append((asked, why))
                case do.SnapshotEnumerators(attempt, checkpoint_id):
                    latest = self.coordinator.latest
                    completed = latest.checkpoint_id if latest else 0
                    out.append(do.SnapshotEnumerators(attempt, checkpoint_id, completed))
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
        for request_id, answer in answered:
            if self._rescale is not None and request_id == self._rescale.checkpoint_request:
                out += self._rescale_checkpointed(answer, now)
        return out

    def _on_savepoint(self, event: ev.SavepointRequested, now: Moment) -> list[Instruction]:
        request = SavepointRequest(event.request_id, event.target, event.stop, event.drain)
        ends = "by request; the job stops with it" if event.stop else "by request"
        drains = ", after event time has gone to its end" if event.drain else ""
        self.journal.record(now.wall_ms, Kind.SAVEPOINT_REQUESTED, event.target, f"{ends}{drains}")
        return self._expand(self.coordinator.request_savepoint(request, now), now)

    def _on_checkpoint(self, event: ev.CheckpointRequested, now: Moment) -> list[Instruction]:
        request = CheckpointRequest(event.request_id, event.full)
        return self._expand(self.coordinator.request_checkpoint(request, now), now)
