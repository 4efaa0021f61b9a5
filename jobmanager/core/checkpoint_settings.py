"""When a job checkpoints and what is kept: Flink's ``execution.checkpointing.*`` for the cores."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class ClaimMode(enum.Enum):
    """Whose the snapshot is that a job starts from (``execution.state-recovery.claim-mode``)."""

    #: It stays its owner's. The first checkpoint is full, so that nothing refers to it afterwards.
    NO_CLAIM = "NO_CLAIM"
    #: The job's: it is retained and deleted as if the job had taken it.
    CLAIM = "CLAIM"


@dataclass(frozen=True, slots=True)
class CheckpointSettings:
    """Flink's ``execution.checkpointing.*``.

    Attributes:
        interval_ms: None: no periodic checkpoints.
        timeout_ms: a checkpoint older than this is aborted.
        min_pause_ms: from the end of one to the start of the next.
        tolerable_failures: consecutive failed checkpoints a job survives.
        retained: completed checkpoints kept.
        max_concurrent: checkpoints under way at once; a savepoint may come on top of them.
        overlapping: whether a savepoint may start while a checkpoint is under way. Unaligned
            barriers are not to meet others.
        claim_mode: whose the snapshot is that the job starts from.
        after_tasks_finish: whether periodic checkpoints go on once a source has ended.
    """

    interval_ms: int | None = 10_000
    timeout_ms: int = 600_000
    min_pause_ms: int = 0
    tolerable_failures: int = 3
    retained: int = 3
    max_concurrent: int = 1
    overlapping: bool = True
    claim_mode: ClaimMode = ClaimMode.NO_CLAIM
    after_tasks_finish: bool = True

    @property
    def concurrency(self) -> int:
        """Checkpoints under way at once: a pause between them leaves room for one."""
        return 1 if self.min_pause_ms else self.max_concurrent
