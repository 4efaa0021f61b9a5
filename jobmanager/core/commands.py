"""Commands to the slots that run a job's tasks."""

from __future__ import annotations

from collections.abc import Sequence

from lesto.jobmanager.core.execution_graph import ExecutionGraph, ExecutionVertex
from lesto.jobmanager.core.instructions import NotifyCheckpoint, SendCommand, TriggerBarriers
from lesto.proto import runtime_pb2


def trigger_commands(execution: ExecutionGraph, trigger: TriggerBarriers) -> list[SendCommand]:
    """To each slot with source tasks."""
    sources = execution.by_slot(execution.sources())
    return [
        SendCommand(
            slot_id,
            runtime_pb2.TaskCommand(
                trigger=runtime_pb2.TriggerCheckpoint(
                    tasks=tasks,
                    checkpoint_id=trigger.checkpoint_id,
                    timestamp_ms=trigger.timestamp_ms,
                    type=trigger.kind,
                    stop=trigger.stop,
                    drain=trigger.drain,
                    target=trigger.target,
                    full=trigger.full,
                )
            ),
        )
        for slot_id, tasks in sources.items()
    ]


def notify_commands(execution: ExecutionGraph, notify: NotifyCheckpoint) -> list[SendCommand]:
    """To each slot with live tasks."""
    message = runtime_pb2.NotifyCheckpoint(
        job_id=execution.graph.job_id,
        epoch=execution.epoch,
        checkpoint_id=notify.checkpoint_id,
        complete=notify.complete,
        finish=notify.finish,
    )
    command = runtime_pb2.TaskCommand(notify=message)
    return [SendCommand(slot_id, command) for slot_id in execution.by_slot(execution.live())]


def cancel_commands(
    execution: ExecutionGraph, subtasks: Sequence[ExecutionVertex]
) -> list[SendCommand]:
    """To each slot with some of these live tasks: end them."""
    return [
        SendCommand(slot_id, runtime_pb2.TaskCommand(cancel=runtime_pb2.CancelTasks(tasks=tasks)))
        for slot_id, tasks in execution.by_slot(subtasks).items()
    ]
