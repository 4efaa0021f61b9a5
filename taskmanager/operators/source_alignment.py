"""Keeps a source's reader with the others of its alignment group, in event time.

The reader reports its event time to the JobManager at an interval, and is told how far it may go.
Splits that are further are paused, where the reader can; else it is not read from at all while its
slowest split is too far ahead.
"""

from __future__ import annotations

from lesto.common.elements import MAX_TIMESTAMP, MIN_TIMESTAMP
from lesto.common.source import SourceReader
from lesto.common.watermarks import WatermarkAlignment
from lesto.taskmanager.operators.source_api import SourceContext
from lesto.taskmanager.operators.split_watermarks import SplitWatermarks

_NOTHING: frozenset[str] = frozenset()


class SourceAlignment:
    """What one reader does for alignment.

    Args:
        alignment: group, drift and interval.
        context: of the operator.
        watermarks: event time of the splits.
        reader: whose splits are paused.
    """

    def __init__(
        self,
        alignment: WatermarkAlignment,
        context: SourceContext,
        watermarks: SplitWatermarks,
        reader: SourceReader,
    ) -> None:
        self._alignment = alignment
        self._context = context
        self._watermarks = watermarks
        self._reader = reader
        self._report_at_ms = context.clock.monotonic_ms()
        self._limit: int | None = None  # until the group has answered
        self._by_split = True
        self._paused: frozenset[str] = _NOTHING
        self.waits = False

    @property
    def report_at_ms(self) -> int:
        """Monotonic ms of the next report."""
        return self._report_at_ms

    @property
    def drift_ms(self) -> int | None:
        """How far the reader is ahead of its group; None while nothing is known."""
        here = self._watermarks.watermark
        if self._limit is None or self._limit == MAX_TIMESTAMP or here == MIN_TIMESTAMP:
            return None
        return max(0, here - (self._limit - self._alignment.max_drift_ms))

    def turn(self) -> bool:
        """Before each poll: report when it is time. True: the reader must wait."""
        now_ms = self._context.clock.monotonic_ms()
        if now_ms >= self._report_at_ms:
            self._report_at_ms = now_ms + self._alignment.update_interval_ms
            self._report(MAX_TIMESTAMP if self._watermarks.idle else self._watermarks.watermark)
        self._hold_back()
        return self.waits

    def ended(self) -> None:
        """All is read: it holds back nobody."""
        self._report(MAX_TIMESTAMP)

    def limit(self, max_watermark: int) -> None:
        """How far (ms) the group lets the reader go."""
        self._limit = max_watermark

    def _report(self, watermark: int) -> None:
        self._context.report_watermark(
            self._alignment.group, watermark, self._alignment.max_drift_ms
        )

    def _hold_back(self) -> None:
        limit = self._limit
        if limit is None:
            self.waits = True
            return
        ahead = _NOTHING if limit == MAX_TIMESTAMP else self._watermarks.ahead_of(limit)
        if ahead != self._paused:
            self._paused = ahead
            if self._by_split:
                self._by_split = self._reader.pause_splits(ahead)
            self._watermarks.pause(ahead)
        self.waits = bool(ahead) and not self._by_split and self._watermarks.watermark > limit
