"""Flink's own watermark generators, for generators of one's own that build on them.

``WatermarkStrategy.for_monotonous_timestamps()`` and the like need none of these: they look at a
batch's times at once, not at each record.
"""

from __future__ import annotations

from typing import Any, Final

from lesto.common.clock import Clock, SystemClock
from lesto.common.elements import MIN_TIMESTAMP
from lesto.common.time import DurationLike, duration_ms
from lesto.common.watermarks import WatermarkGenerator, WatermarkOutput


class BoundedOutOfOrdernessWatermarks(WatermarkGenerator):
    """A record is at most so much later than the newest one.

    >>> class Out:
    ...     def emit_watermark(self, watermark):
    ...         print(watermark)
    >>> generator = BoundedOutOfOrdernessWatermarks("1s")
    >>> generator.on_event("a", 5_000, Out())
    >>> generator.on_periodic_emit(Out())
    3999
    """

    def __init__(self, max_out_of_orderness: DurationLike) -> None:
        self._delay_ms = duration_ms(max_out_of_orderness, "max_out_of_orderness")
        self._newest: int | None = None

    def on_event(self, event: Any, event_timestamp: int, output: WatermarkOutput) -> None:
        """Note the time."""
        newest = self._newest
        if event_timestamp != MIN_TIMESTAMP and (newest is None or event_timestamp > newest):
            self._newest = event_timestamp

    def on_periodic_emit(self, output: WatermarkOutput) -> None:
        """The newest time less the delay."""
        if self._newest is not None:
            output.emit_watermark(self._newest - self._delay_ms - 1)


class AscendingTimestampsWatermarks(BoundedOutOfOrdernessWatermarks):
    """Timestamps never go back."""

    def __init__(self) -> None:
        super().__init__(0)


class NoWatermarksGenerator(WatermarkGenerator):
    """Event time does not advance."""

    def on_event(self, event: Any, event_timestamp: int, output: WatermarkOutput) -> None:
        """Nothing."""

    def on_periodic_emit(self, output: WatermarkOutput) -> None:
        """Nothing."""


class WatermarksWithIdleness(WatermarkGenerator):
    """Another generator, which is idle after some time without records.

    Args:
        watermarks: the generator.
        idle_timeout: how long.
        clock: tells the time.
    """

    def __init__(
        self,
        watermarks: WatermarkGenerator,
        idle_timeout: DurationLike,
        clock: Clock | None = None,
    ) -> None:
        self._inner: Final = watermarks
        self._timeout_ms = duration_ms(idle_timeout, "idle_timeout")
        if self._timeout_ms == 0:
            msg = "idle_timeout must be longer than zero"
            raise ValueError(msg)
        self._clock = clock or SystemClock()
        self._seen_at_ms = self._clock.monotonic_ms()

    def on_event(self, event: Any, event_timestamp: int, output: WatermarkOutput) -> None:
        """Hand it on."""
        self._seen_at_ms = self._clock.monotonic_ms()
        self._inner.on_event(event, event_timestamp, output)

    def on_periodic_emit(self, output: WatermarkOutput) -> None:
        """Idle, or what the generator says."""
        if self._clock.monotonic_ms() - self._seen_at_ms >= self._timeout_ms:
            output.mark_idle()
        else:
            self._inner.on_periodic_emit(output)
