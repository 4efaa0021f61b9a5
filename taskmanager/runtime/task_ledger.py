"""Which tasks run in each slot, as the supervisor overhears, so that none outlives its leader."""

from __future__ import annotations

from collections.abc import Mapping

from lesto.proto import runtime_pb2

_ENDED = frozenset(
    {
        runtime_pb2.TASK_STATE_FINISHED,
        runtime_pb2.TASK_STATE_CANCELED,
        runtime_pb2.TASK_STATE_FAILED,
    }
)
#: Job, epoch, vertex, subtask, attempt.
TaskId = tuple[str, int, str, int, int]


class TaskLedger:
    """Tasks by slot: added when they are deployed, removed when they say that they have ended."""

    def __init__(self) -> None:
        self._tasks: dict[str, set[TaskId]] = {}

    def deployed(self, slot_id: str, command: runtime_pb2.TaskCommand) -> None:
        """A command goes to a slot. A deployment replaces what it makes stale there."""
        if command.WhichOneof("command") != "deploy":
            return
        tasks = self._tasks.setdefault(slot_id, set())
        for deployment in command.deploy.tasks:
            new = _id(deployment.task)
            tasks.difference_update([old for old in tasks if _is_stale(old, new)])
            tasks.add(new)

    def heard(self, slot_id: str, event: runtime_pb2.TaskEvent) -> None:
        """A task of a slot says something."""
        match event.WhichOneof("event"):
            case "state" if event.state.state in _ENDED:
                self._tasks.get(slot_id, set()).discard(_id(event.state.task))
            case "failure":
                self._tasks.get(slot_id, set()).discard(_id(event.failure.task))

    def slot_gone(self, slot_id: str) -> None:
        """Its process has ended, and they with it."""
        self._tasks.pop(slot_id, None)

    def running(self) -> Mapping[str, frozenset[TaskId]]:
        """Tasks that have not ended, by slot; slots without any are not in it."""
        return {slot: frozenset(tasks) for slot, tasks in self._tasks.items() if tasks}


def _is_stale(old: TaskId, new: TaskId) -> bool:
    same_job, same_task = old[0] == new[0], old[2:4] == new[2:4]
    return same_job and (old[1] < new[1] or (same_task and old[1] == new[1] and old[4] < new[4]))


def _id(ref: runtime_pb2.TaskRef) -> TaskId:
    return (ref.job_id, ref.epoch, ref.vertex_id, ref.subtask, ref.attempt)
