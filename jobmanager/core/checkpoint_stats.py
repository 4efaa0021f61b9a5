"""What people are told about a job's checkpoints: counts and a bounded history."""

from __future__ import annotations

from collections import deque

from lesto.jobmanager.core.pending_checkpoint import PendingCheckpoint
from lesto.proto import client_pb2

#: Checkpoints kept in the history.
HISTORY_LENGTH_MAX = 20

IN_PROGRESS = "IN_PROGRESS"
COMPLETED = "COMPLETED"
FAILED = "FAILED"


class CheckpointStatistics:
    """Counts and history; newest first."""

    def __init__(self) -> None:
        self.completed = 0
        self.failed = 0
        self.restored = 0
        self.history: deque[client_pb2.CheckpointStats] = deque(maxlen=HISTORY_LENGTH_MAX)
        self.latest_completed: client_pb2.CheckpointStats | None = None
        self.latest_restored: client_pb2.CheckpointStats | None = None

    def triggered(self, pending: PendingCheckpoint) -> None:
        """A checkpoint has begun."""
        self.history.appendleft(
            client_pb2.CheckpointStats(
                checkpoint_id=pending.checkpoint_id,
                type=pending.kind,
                status=IN_PROGRESS,
                trigger_timestamp_ms=pending.timestamp_ms,
                expected=len(pending.expected),
            )
        )

    def acknowledged(self, pending: PendingCheckpoint) -> None:
        """A task has acknowledged."""
        if entry := self._entry(pending.checkpoint_id):
            entry.acknowledged = len(pending.acks)
            entry.state_bytes = pending.state_bytes()
            entry.uploaded_bytes = pending.uploaded_bytes()

    def done(self, pending: PendingCheckpoint, now_ms: int, path: str) -> None:
        """It is durable. ``now_ms`` is monotonic."""
        self.completed += 1
        if entry := self._entry(pending.checkpoint_id):
            entry.status, entry.path = COMPLETED, path
            entry.duration_ms = now_ms - pending.triggered_ms
            self.latest_completed = entry

    def aborted(self, pending: PendingCheckpoint, now_ms: int, reason: str) -> None:
        """It failed. ``now_ms`` is monotonic."""
        self.failed += 1
        if entry := self._entry(pending.checkpoint_id):
            entry.status, entry.failure = FAILED, reason
            entry.duration_ms = now_ms - pending.triggered_ms

    def restored_from(self, checkpoint_id: int, path: str, now_ms: int) -> None:
        """The job goes on from this one. ``now_ms`` is the wall clock."""
        self.restored += 1
        self.latest_restored = client_pb2.CheckpointStats(
            checkpoint_id=checkpoint_id,
            status=COMPLETED,
            path=path,
            trigger_timestamp_ms=now_ms,
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

    def _entry(self, checkpoint_id: int) -> client_pb2.CheckpointStats | None:
        return next((e for e in self.history if e.checkpoint_id == checkpoint_id), None)
