"""What a job's tasks report."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from lesto.jobmanager.core import events as ev
from lesto.jobmanager.core import instructions as do
from lesto.jobmanager.core.events import Moment
from lesto.jobmanager.core.execution_graph import ExecutionVertex
from lesto.jobmanager.core.failures import failure_of, one_line
from lesto.jobmanager.core.instructions import Instruction
from lesto.jobmanager.core.job_base import JobBase
from lesto.jobmanager.core.states import TaskState
from lesto.jobmanager.errors import TaskProtocolError
from lesto.proto import runtime_pb2


class TaskMessages(JobBase):
    """Messages of tasks; those of older attempts are stale."""

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
        slot_id = subtask.attempt.slot.slot_id
        return self._fail(message, subtask.name, slot_id, now, [subtask.key])

    def _on_end_of_data(
        self, subtask: ExecutionVertex, _message: runtime_pb2.EndOfDataReached, now: Moment
    ) -> list[Instruction]:
        assert subtask.attempt is not None
        subtask.attempt.end_of_data = True
        self.coordinator.data_ended()
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
        return [do.HandleSplitRequest(self._enumerators, uid, subtask.subtask, message.event)]

    def _on_watermark(
        self, subtask: ExecutionVertex, message: runtime_pb2.WatermarkReport, _now: Moment
    ) -> list[Instruction]:
        assert subtask.attempt is not None
        self._alignment.begin(self._enumerators)
        uid = message.operator_uid
        limit = self._alignment.report(
            message.group,
            (uid, subtask.subtask),
            message.watermark,
            max_drift_ms=message.max_drift_ms,
        )
        align = runtime_pb2.AlignWatermarks(
            task=message.task, operator_uid=uid, max_watermark=limit
        )
        slot_id = subtask.attempt.slot.slot_id
        return [do.SendCommand(slot_id, runtime_pb2.TaskCommand(align=align))]

    def _on_report(
        self, subtask: ExecutionVertex, message: runtime_pb2.TaskReport, _now: Moment
    ) -> list[Instruction]:
        assert subtask.attempt is not None
        subtask.attempt.report = message
        return []

    _TASK_HANDLERS: ClassVar[
        dict[str, Callable[[TaskMessages, ExecutionVertex, Any, Moment], list[Instruction]]]
    ] = {
        "state": _on_task_state,
        "failure": _on_task_failure,
        "end_of_data": _on_end_of_data,
        "ack": _on_ack,
        "decline": _on_decline,
        "split_request": _on_split_request,
        "report": _on_report,
        "watermark": _on_watermark,
    }
