"""What names a task attempt."""

from __future__ import annotations

from lesto.proto import runtime_pb2

#: (job, vertex, subtask, epoch, attempt)
TaskKey = tuple[str, str, int, int, int]


def task_key(ref: runtime_pb2.TaskRef) -> TaskKey:
    """A hashable form of a task reference."""
    return (ref.job_id, ref.vertex_id, ref.subtask, ref.epoch, ref.attempt)
