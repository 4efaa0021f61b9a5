"""How many failed checkpoints in a row a job survives, counted as Flink counts them."""

from __future__ import annotations

from lesto.jobmanager.errors import TooManyCheckpointFailuresError


class FailureCounter:
    """Counts consecutive failures.

    Each checkpoint counts once, whatever fails in it, and one that is older than the newest
    complete checkpoint not at all: what came after it has succeeded.

    Args:
        tolerable: failures in a row that are borne.
    """

    def __init__(self, tolerable: int) -> None:
        self._tolerable = tolerable
        self._counted: set[int] = set()
        self._last_success = 0

    def reset(self) -> None:
        """A new attempt begins."""
        self._counted.clear()

    def succeeded(self, checkpoint_id: int) -> None:
        """A checkpoint is complete."""
        if checkpoint_id > self._last_success:
            self._last_success = checkpoint_id
            self._counted.clear()

    def failed(self, checkpoint_id: int, reason: str) -> TooManyCheckpointFailuresError | None:
        """A checkpoint has failed; the error when that is one too many."""
        if checkpoint_id < self._last_success:
            return None
        self._counted.add(checkpoint_id)
        failures = len(self._counted)
        if failures <= self._tolerable:
            return None
        self._counted.clear()
        return TooManyCheckpointFailuresError(
            f"{failures} checkpoints failed one after another, {self._tolerable} are "
            f"tolerated; the last because {reason}",
            remedy="mend the cause, or raise execution.checkpointing.tolerable-failed-checkpoints",
        )
