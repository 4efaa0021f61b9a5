"""When the next periodic or final checkpoint is due. Requests of people are not timed."""

from __future__ import annotations

from lesto.jobmanager.core.checkpoint_settings import CheckpointSettings

#: Pause before a failed final checkpoint is tried again, when no min-pause asks for more.
FINAL_RETRY_PAUSE_MS = 1_000


class CheckpointSchedule:
    """All times are monotonic ms.

    Attributes:
        periodic_ms: earliest start of the next periodic checkpoint.
        final_ms: earliest start of the final one.
    """

    def __init__(self, settings: CheckpointSettings) -> None:
        self._settings = settings
        self._paused = False
        self.periodic_ms = 0
        self.final_ms = 0

    def start(self, now_ms: int) -> None:
        """All tasks run."""
        self._paused = False
        self.final_ms = 0
        self.periodic_ms = now_ms + (self._settings.interval_ms or 0)

    def pause(self) -> None:
        """A source has ended, and ``checkpoints-after-tasks-finish`` is off."""
        self._paused = True

    def triggered(self, now_ms: int) -> None:
        """A periodic checkpoint starts."""
        self.periodic_ms = now_ms + (self._settings.interval_ms or 0)

    def ended(self, now_ms: int) -> None:
        """A checkpoint has ended, well or not: the pause begins."""
        self.periodic_ms = max(self.periodic_ms, now_ms + self._settings.min_pause_ms)

    def final_failed(self, now_ms: int) -> None:
        """The final checkpoint has failed."""
        self.final_ms = now_ms + max(self._settings.min_pause_ms, FINAL_RETRY_PAUSE_MS)

    def next_periodic_ms(self) -> int | None:
        """When the next periodic checkpoint may start; None: never."""
        if self._settings.interval_ms is None or self._paused:
            return None
        return self.periodic_ms
