"""Does one record make the job fail again and again?

A restart reads the same input again, so a record that a function cannot bear brings the job down
at every attempt. It is told from bad luck by three things that have to be the same: what failed
(code and the user's line), the record (its digest), and a place in the sources: a split that has
not moved between the failures.
"""

from __future__ import annotations

from dataclasses import dataclass

from lesto.jobmanager.core.pending_checkpoint import CompletedCheckpoint
from lesto.jobmanager.errors import PoisonRecordError
from lesto.proto import runtime_pb2

#: List state in which a source keeps the progress of its splits.
SPLITS_STATE = "splits"
_START = frozenset({b""})


def source_positions(checkpoint: CompletedCheckpoint | None) -> frozenset[bytes]:
    """The splits with their progress in a checkpoint; from the start of the job there is one."""
    if checkpoint is None:
        return _START
    return frozenset(
        item
        for operator in checkpoint.metadata.operators
        if operator.HasField("coordinator_state")
        for subtask in operator.subtasks
        for kept in subtask.lists
        if kept.name == SPLITS_STATE
        for item in kept.items
    )


@dataclass(slots=True)
class PoisonRecords:
    """Counts failures by one record.

    Attributes:
        limit: failures after which the record counts as poison; 0: never.
    """

    limit: int
    _culprit: tuple[str, str, str] = ("", "", "")
    _positions: frozenset[bytes] = frozenset()
    _count: int = 0

    def failed(
        self, failure: runtime_pb2.TaskFailure, positions: frozenset[bytes]
    ) -> PoisonRecordError | None:
        """Take a failure of an attempt that started from ``positions``; the verdict, if any.

        Failures without a record, such as lost processes, change nothing.
        """
        if not self.limit or not failure.record_digest:
            return None
        culprit = (failure.code, failure.location, failure.record_digest)
        unmoved = self._positions & positions
        if culprit == self._culprit and unmoved:
            self._count, self._positions = self._count + 1, unmoved
        else:
            self._culprit, self._positions, self._count = culprit, positions, 1
        if self._count < self.limit:
            return None
        return PoisonRecordError(
            f"one record has failed {self._count} times: {failure.message}",
            remedy="correct the function, or set such records aside with "
            "with_dead_letter(...) on its operator; "
            "restart-strategy.max-failures-per-record: 0 tries for ever",
            location=failure.location,
        )
