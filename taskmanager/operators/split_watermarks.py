"""Event time of a source's reader from that of its splits."""

from __future__ import annotations

from typing import Final

from lesto.common.clock import Clock
from lesto.common.elements import MIN_TIMESTAMP, Batch
from lesto.common.watermarks import WatermarkStrategy
from lesto.taskmanager.operators.event_time import IdleWarnings, WatermarkTracker

#: A reader that had work and was not asked for so long was held up from behind: its splits were not
#: without records, nobody has looked.
HELD_UP_MS: Final = 1_000


class SplitWatermarks:
    """The smallest watermark of a reader's splits, leaving out the idle ones.

    Args:
        strategy: makes each split's watermarks.
        clock: for idleness.
        operator: the operator's name, for errors and warnings.

    Attributes:
        watermark: ms; never goes back.
        idle: no split is active, for the idle timeout.
    """

    def __init__(self, strategy: WatermarkStrategy, clock: Clock, operator: str) -> None:
        self._strategy = strategy
        self._clock = clock
        self._operator = operator
        self._warnings = IdleWarnings(operator)
        self._splits: dict[str, WatermarkTracker] = {}
        self._paused: frozenset[str] = frozenset()
        self._without_splits_since_ms = clock.monotonic_ms()
        self._busy_since_ms: int | None = None
        self.watermark = MIN_TIMESTAMP
        self.idle = False

    def add(self, split_id: str) -> None:
        """A split was assigned: it holds back event time from now on."""
        if split_id not in self._splits:
            now_ms = self._clock.monotonic_ms()
            self._splits[split_id] = WatermarkTracker(self._strategy, now_ms, self._operator)

    def finish(self, split_id: str) -> None:
        """A split is read: it holds back nothing."""
        self._splits.pop(split_id, None)
        if not self._splits:
            self._without_splits_since_ms = self._clock.monotonic_ms()
        self._merge()

    def on_batch(self, split_id: str, batch: Batch) -> None:
        """Records of a split, event times assigned."""
        tracker = self._splits.get(split_id)
        if tracker is None:
            self.add(split_id)
            tracker = self._splits[split_id]
        now_ms = self._clock.monotonic_ms()
        self._note_gap(now_ms)
        self._busy_since_ms = now_ms
        tracker.on_batch(batch, now_ms)
        if len(self._splits) > 1:  # one that is read without end must not hide that others are idle
            self._check_idle(now_ms)
        self._merge()

    def on_pause(self, *, periodic: bool) -> None:
        """Nothing was read: look whether splits have become idle."""
        now_ms = self._clock.monotonic_ms()
        self._note_gap(now_ms)
        self._busy_since_ms = None
        if periodic:
            for tracker in self._splits.values():
                tracker.on_periodic()
        self._check_idle(now_ms)
        self._merge()

    def _note_gap(self, now_ms: int) -> None:
        if self._busy_since_ms is None:
            return
        gap = now_ms - self._busy_since_ms
        if gap > HELD_UP_MS:
            for tracker in self._splits.values():
                tracker.held_up(gap)

    def _check_idle(self, now_ms: int) -> None:
        for split_id, tracker in self._splits.items():
            if split_id not in self._paused and tracker.check_idle(now_ms):
                self._warnings.tell(split_id, self._strategy.idle_timeout_ms or 0)

    def next_check_ms(self) -> int | None:
        """Monotonic ms at which ``on_pause`` may find a split idle."""
        timeout = self._strategy.idle_timeout_ms
        if not self._splits:
            idle = self.idle or timeout is None
            return None if idle or timeout is None else self._without_splits_since_ms + timeout
        return min(
            (
                at
                for split_id, tracker in self._splits.items()
                if split_id not in self._paused and (at := tracker.idle_at_ms) is not None
            ),
            default=None,
        )

    def ahead_of(self, limit: int) -> frozenset[str]:
        """Splits whose event time is beyond a limit (ms)."""
        return frozenset(s for s, tracker in self._splits.items() if tracker.watermark > limit)

    def pause(self, splits: frozenset[str]) -> None:
        """These are not read for now, the others are (again): that is not idleness."""
        now_ms = self._clock.monotonic_ms()
        for split_id in self._paused - splits:
            tracker = self._splits.get(split_id)
            if tracker is not None:
                tracker.resumed(now_ms)
        self._paused = splits

    @property
    def splits(self) -> int:
        """How many splits are read."""
        return len(self._splits)

    @property
    def idle_splits(self) -> int:
        """How many splits are idle."""
        return sum(tracker.idle for tracker in list(self._splits.values()))

    @property
    def paused_splits(self) -> int:
        """How many splits wait for others."""
        return len(self._paused)

    def _merge(self) -> None:
        active = [tracker for tracker in self._splits.values() if not tracker.idle]
        if active:
            self.idle = False
            self.watermark = max(self.watermark, min(tracker.watermark for tracker in active))
        elif self._splits:
            # All are idle: what they have seen is all there is, so the furthest decides, as in
            # Flink.
            self.idle = True
            furthest = max(tracker.watermark for tracker in self._splits.values())
            self.watermark = max(self.watermark, furthest)
        else:
            timeout = self._strategy.idle_timeout_ms
            since = self._clock.monotonic_ms() - self._without_splits_since_ms
            self.idle = timeout is not None and since >= timeout
