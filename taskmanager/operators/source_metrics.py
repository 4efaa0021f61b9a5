"""What a source tells: how far behind the outside it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from lesto.common.elements import MIN_TIMESTAMP

if TYPE_CHECKING:
    from lesto.common.elements import Batch
    from lesto.common.source import SourceReader
    from lesto.taskmanager.operators.source_api import SourceContext
    from lesto.taskmanager.operators.split_watermarks import SplitWatermarks

MILLISECONDS_PER_SECOND: Final = 1e3


class SourceMetrics:
    """Lags of one reader; two readings of the clock and one of a timestamp a batch.

    Args:
        context: of the source.
        reader: may know what is pending.
        watermarks: knows the splits.
    """

    def __init__(
        self, context: SourceContext, reader: SourceReader, watermarks: SplitWatermarks
    ) -> None:
        self._clock = context.clock
        self._fetched_ms = self._clock.now_ms()
        self._quiet_since_ms = self._clock.monotonic_ms()
        self._fetch_lag_ms: int | None = None
        self._emit_lag_ms: int | None = None
        metrics = context.metrics
        metrics.gauge("source_pending_records", reader.pending_records)
        metrics.gauge("source_splits", lambda: watermarks.splits)
        metrics.gauge("source_idle_seconds", self._idle_seconds)
        metrics.gauge("source_fetch_event_time_lag_seconds", lambda: _seconds(self._fetch_lag_ms))
        metrics.gauge("source_emit_event_time_lag_seconds", lambda: _seconds(self._emit_lag_ms))

    def fetched(self) -> None:
        """The reader has given a batch."""
        self._fetched_ms = self._clock.now_ms()

    def emitted(self, batch: Batch) -> None:
        """A batch has left, event times assigned."""
        self._quiet_since_ms = self._clock.monotonic_ms()
        times = batch.timestamps
        if times is None or not len(times):
            return
        at_ms = int(times[-1])
        if at_ms != MIN_TIMESTAMP:
            self._fetch_lag_ms = self._fetched_ms - at_ms
            self._emit_lag_ms = self._clock.now_ms() - at_ms

    def _idle_seconds(self) -> float:
        return (self._clock.monotonic_ms() - self._quiet_since_ms) / MILLISECONDS_PER_SECOND


def _seconds(ms: int | None) -> float | None:
    return None if ms is None else ms / MILLISECONDS_PER_SECOND
