"""Event time of a task: the smallest watermark of its channels, leaving out the idle ones.

Pure. Event time never goes back: a channel that was idle and lags behind when it becomes active
again does not hold back (nor pull back) event time until it has caught up.
"""

from __future__ import annotations

from dataclasses import dataclass

from lesto.common.elements import MAX_TIMESTAMP, MIN_TIMESTAMP
from lesto.common.errors import InternalError


@dataclass(frozen=True, slots=True)
class Advance:
    """What changed for the operators.

    Attributes:
        watermark: the new event time in ms, or None when it did not move.
        idle: the new status, or None when it did not change.
    """

    watermark: int | None = None
    idle: bool | None = None


NOTHING = Advance()


class WatermarkMerger:
    """Merges watermarks and statuses of channels.

    Args:
        channels: how many, at least 1.
        reached: event time reached before, ms: nothing below it is told again.
    """

    def __init__(self, channels: int, reached: int = MIN_TIMESTAMP) -> None:
        if channels < 1:
            msg = f"merging needs a channel, got {channels}"
            raise InternalError(msg)
        self._marks = [MIN_TIMESTAMP] * channels
        self._idle = [False] * channels
        self._aligned = [True] * channels  # False: was idle and lags behind event time
        self._ended = [False] * channels
        self._last = reached
        self._all_idle = False

    @property
    def watermark(self) -> int:
        """Event time reached, ms."""
        return self._last

    @property
    def idle(self) -> bool:
        """Whether every channel that has not ended is idle."""
        return self._all_idle

    def channel(self, channel: int) -> tuple[int, bool]:
        """Event time (ms) and idleness of one channel; one that has ended is at the end."""
        if self._ended[channel]:
            return MAX_TIMESTAMP, False
        return self._marks[channel], self._idle[channel]

    def on_watermark(self, channel: int, timestamp: int) -> Advance:
        """A watermark has come. One that is not higher than the channel's last changes nothing."""
        if self._ended[channel] or timestamp <= self._marks[channel]:
            return NOTHING
        self._marks[channel] = timestamp
        if not self._idle[channel] and not self._aligned[channel]:
            self._aligned[channel] = timestamp >= self._last
        if self._idle[channel]:
            return NOTHING
        return Advance(watermark=self._advance())

    def on_status(self, channel: int, idle: bool) -> Advance:
        """A channel has become idle or active."""
        if self._ended[channel] or self._idle[channel] == idle:
            return NOTHING
        self._idle[channel] = idle
        if not idle:
            self._aligned[channel] = self._marks[channel] >= self._last
        status = self._status()
        return Advance(watermark=self._advance(), idle=status)

    def on_end(self, channel: int) -> Advance:
        """A channel has ended: it counts as MAX_TIMESTAMP."""
        if self._ended[channel]:
            msg = f"channel {channel} ended twice"
            raise InternalError(msg)
        self._ended[channel] = True
        status = self._status()
        return Advance(watermark=self._advance(), idle=status)

    def _status(self) -> bool | None:
        """Recompute the merged status; returns it when it changed. All ended means active."""
        live = [i for i, ended in enumerate(self._ended) if not ended]
        all_idle = bool(live) and all(self._idle[i] for i in live)
        if all_idle == self._all_idle:
            return None
        self._all_idle = all_idle
        return all_idle

    def _advance(self) -> int | None:
        candidate = self._candidate()
        if candidate is None or candidate <= self._last:
            return None
        self._last = candidate
        return candidate

    def _candidate(self) -> int | None:
        live = [i for i, ended in enumerate(self._ended) if not ended]
        if not live:
            return MAX_TIMESTAMP
        if self._all_idle:
            # Nobody is left to move event time: what the furthest channel has promised is the best
            # known.
            return max(self._marks[i] for i in live)
        marks = [self._marks[i] for i in live if not self._idle[i] and self._aligned[i]]
        return min(marks) if marks else None
