"""What people are told about checkpoints: counts, a bounded history, each subtask's part."""

from __future__ import annotations

from collections import deque

from lesto.jobmanager.core.execution_graph import TaskKey
from lesto.jobmanager.core.pending_checkpoint import PendingCheckpoint
from lesto.proto import checkpoint_pb2, client_pb2, runtime_pb2

#: Checkpoints kept in the history.
HISTORY_LENGTH_MAX = 20
#: Newest checkpoints of which each subtask's part is kept.
DETAILED_MAX = 10
#: Subtasks of a checkpoint told in detail; a job of more is told in sums alone.
DETAILED_SUBTASKS_MAX = 4_096

IN_PROGRESS = "IN_PROGRESS"
COMPLETED = "COMPLETED"
FAILED = "FAILED"
PENDING = "PENDING"
ACKNOWLEDGED = "ACKNOWLEDGED"


class CheckpointStatistics:
    """Counts and history; newest first."""

    def __init__(self) -> None:
        self.begun = 0
        self.completed = 0
        self.failed = 0
        self.restored = 0
        self.history: deque[client_pb2.CheckpointStats] = deque(maxlen=HISTORY_LENGTH_MAX)
        self.latest_completed: client_pb2.CheckpointStats | None = None
        self.latest_restored: client_pb2.CheckpointStats | None = None
        self._entries: dict[int, client_pb2.CheckpointStats] = {}
        self._parts: dict[tuple[int, TaskKey], client_pb2.SubtaskCheckpointStats] = {}

    def triggered(self, pending: PendingCheckpoint) -> None:
        """A checkpoint has begun."""
        self.begun += 1
        if len(self.history) == HISTORY_LENGTH_MAX:
            self._entries.pop(self.history[-1].checkpoint_id, None)
        entry = client_pb2.CheckpointStats(
            checkpoint_id=pending.checkpoint_id,
            type=pending.kind,
            status=IN_PROGRESS,
            trigger_timestamp_ms=pending.timestamp_ms,
            expected=len(pending.expected),
            full=pending.full,
        )
        if len(pending.expected) <= DETAILED_SUBTASKS_MAX:
            for key in sorted(pending.expected):
                part = entry.subtasks.add(vertex_id=key[0], subtask=key[1], status=PENDING)
                self._parts[pending.checkpoint_id, key] = part
        self.history.appendleft(entry)
        self._entries[pending.checkpoint_id] = entry
        for old in list(self.history)[DETAILED_MAX:]:
            old.ClearField("subtasks")

    def acknowledged(
        self,
        pending: PendingCheckpoint,
        key: TaskKey,
        ack: runtime_pb2.CheckpointAck,
        now_ms: int,
    ) -> None:
        """A task has acknowledged. ``now_ms`` is the wall clock."""
        entry = self._entries.get(pending.checkpoint_id)
        if entry is None:
            return
        state = sum(op.state.state_bytes for op in ack.operators) + ack.in_flight_bytes
        uploaded = sum(op.state.uploaded_bytes for op in ack.operators) + ack.in_flight_bytes
        entry.acknowledged += 1
        entry.state_bytes += state
        entry.uploaded_bytes += uploaded
        entry.in_flight_bytes += ack.in_flight_bytes
        entry.unaligned = entry.unaligned or ack.unaligned
        part = self._parts.pop((pending.checkpoint_id, key), None)
        if part is None:
            return
        part.status = ACKNOWLEDGED
        part.ack_timestamp_ms = ack.ended_at_ms or now_ms
        part.end_to_end_us = max(0, part.ack_timestamp_ms - pending.timestamp_ms) * 1_000
        part.start_delay_us, part.alignment_us = ack.start_delay_us, ack.alignment_us
        part.sync_us, part.async_us = ack.sync_us, ack.async_us
        part.state_bytes, part.uploaded_bytes = state, uploaded
        part.in_flight_bytes, part.unaligned = ack.in_flight_bytes, ack.unaligned
        part.in_flight_limited = ack.in_flight_limited

    def done(self, pending: PendingCheckpoint, now_ms: int, path: str) -> None:
        """It is durable. ``now_ms`` is monotonic."""
        self.completed += 1
        entry = self._ended(pending, now_ms)
        if entry is None:
            return
        entry.status, entry.path = COMPLETED, path
        latest = self.latest_completed
        if latest is None or latest.checkpoint_id < entry.checkpoint_id:
            self.latest_completed = entry

    def aborted(self, pending: PendingCheckpoint, now_ms: int, reason: str) -> None:
        """It failed. ``now_ms`` is monotonic."""
        self.failed += 1
        entry = self._ended(pending, now_ms)
        if entry is not None:
            entry.status, entry.failure = FAILED, reason

    def restored_from(
        self,
        checkpoint_id: int,
        path: str,
        now_ms: int,
        kind: checkpoint_pb2.CheckpointType.ValueType = checkpoint_pb2.CHECKPOINT_TYPE_UNSPECIFIED,
    ) -> None:
        """The job goes on from this one. ``now_ms`` is the wall clock."""
        self.restored += 1
        self.latest_restored = client_pb2.CheckpointStats(
            checkpoint_id=checkpoint_id,
            status=COMPLETED,
            path=path,
            trigger_timestamp_ms=now_ms,
            type=kind,
        )

    def summary(self) -> client_pb2.CheckpointSummary:
        """As the client is told."""
        return client_pb2.CheckpointSummary(
            completed=self.completed,
            failed=self.failed,
            in_progress=sum(entry.status == IN_PROGRESS for entry in self.history),
            restored=self.restored,
            history=self.history,
            latest_completed=self.latest_completed,
            latest_restored=self.latest_restored,
        )

    def _ended(self, pending: PendingCheckpoint, now_ms: int) -> client_pb2.CheckpointStats | None:
        for key in pending.expected:
            self._parts.pop((pending.checkpoint_id, key), None)
        entry = self._entries.get(pending.checkpoint_id)
        if entry is not None:
            entry.duration_ms = now_ms - pending.triggered_ms
        return entry
