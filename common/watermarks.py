"""Event time: where timestamps come from and how watermarks follow them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from lesto.common.checking import is_a
from lesto.common.elements import Watermark
from lesto.common.time import DurationLike, duration_ms


class TimestampAssigner(ABC):
    """Gives the event time of a record."""

    @abstractmethod
    def extract_timestamp(self, value: Any, record_timestamp: int) -> int:
        """Event time in ms; ``record_timestamp`` is what the source gave (MIN_TIMESTAMP:
        nothing).
        """


class WatermarkOutput(ABC):
    """Where a generator sends its watermarks."""

    @abstractmethod
    def emit_watermark(self, watermark: Watermark | int) -> None:
        """No record at or before this time (ms) will follow. An earlier one than before is
        ignored.
        """

    @abstractmethod
    def mark_idle(self) -> None:
        """Nothing comes at present: do not hold others back."""

    @abstractmethod
    def mark_active(self) -> None:
        """Records come again."""


class WatermarkGenerator(ABC):
    """A custom rule. One instance a split, or a subtask when assigned after the source."""

    @abstractmethod
    def on_event(self, event: Any, event_timestamp: int, output: WatermarkOutput) -> None:
        """Called for each record."""

    @abstractmethod
    def on_periodic_emit(self, output: WatermarkOutput) -> None:
        """Called every ``pipeline.auto-watermark-interval``, and at the end of each batch."""


@dataclass(frozen=True, slots=True)
class WatermarkAlignment:
    """Keeps sources (and splits of one) together in event time.

    Attributes:
        group: sources of a job with the same name are aligned with each other.
        max_drift_ms: a split whose watermark is further than this ahead of the group's smallest
            is paused.
        update_interval_ms: how often readers report and are told the group's watermark.
    """

    group: str
    max_drift_ms: int
    update_interval_ms: int


#: How often aligned sources report when nothing is said; Flink's default.
ALIGNMENT_INTERVAL_MS = 1_000


@dataclass(frozen=True, slots=True)
class WatermarkStrategy:
    """How a stream gets its event time. Immutable: the ``with_`` methods give new strategies.

    Attributes:
        out_of_orderness_ms: watermark = largest timestamp - this - 1; None: no built-in watermarks.
        generator_factory: makes the custom generator, when there is one.
        timestamp_assigner: assigner object or callable (value, record_timestamp) -> ms, or None:
            keep the source's timestamps.
        timestamp_column: column holding event time, for streams with a schema.
        idle_timeout_ms: without records for so long, a split counts as idle; 0: never; None: as
            ``pipeline.watermark.idle-timeout`` says.
        alignment: how far ahead of the group's slowest a source may read; None: no limit.
    """

    out_of_orderness_ms: int | None = None
    generator_factory: Callable[[], WatermarkGenerator] | None = None
    timestamp_assigner: TimestampAssigner | Callable[[Any, int], int] | None = None
    timestamp_column: str | None = None
    idle_timeout_ms: int | None = None
    alignment: WatermarkAlignment | None = None

    @staticmethod
    def for_monotonous_timestamps() -> WatermarkStrategy:
        """Timestamps never go back within a split."""
        return WatermarkStrategy(out_of_orderness_ms=0)

    @staticmethod
    def for_bounded_out_of_orderness(max_out_of_orderness: DurationLike) -> WatermarkStrategy:
        """A record is at most this much later than the newest one."""
        return WatermarkStrategy(
            out_of_orderness_ms=duration_ms(max_out_of_orderness, "max_out_of_orderness")
        )

    @staticmethod
    def no_watermarks() -> WatermarkStrategy:
        """Event time does not advance before the end of the input."""
        return WatermarkStrategy()

    @staticmethod
    def for_generator(generator_factory: Callable[[], WatermarkGenerator]) -> WatermarkStrategy:
        """A custom rule; the factory (a class will do) is called once a split."""
        given: Any = generator_factory
        if not callable(given):
            msg = f"for_generator takes a factory of WatermarkGenerators, not {generator_factory!r}"
            raise TypeError(msg)
        return WatermarkStrategy(generator_factory=generator_factory)

    def with_timestamp_assigner(
        self, timestamp_assigner: TimestampAssigner | Callable[[Any, int], int] | str
    ) -> WatermarkStrategy:
        """Take timestamps from the records.

        Args:
            timestamp_assigner: a TimestampAssigner; a callable (value, record_timestamp) -> ms; a
                callable of one ``pyarrow.RecordBatch`` (say so by a type hint) that gives an array
                of event times, for streams with a schema; or the name of a column.
        """
        given: Any = timestamp_assigner
        if isinstance(given, str):
            return self.with_timestamp_column(given)
        if not isinstance(given, TimestampAssigner) and not callable(given):
            msg = f"expected a TimestampAssigner or a callable, not {timestamp_assigner!r}"
            raise TypeError(msg)
        return replace(self, timestamp_assigner=given, timestamp_column=None)

    def with_timestamp_column(self, name: str) -> WatermarkStrategy:
        """Take timestamps from a column: a timestamp, a date, or integer milliseconds."""
        if not is_a(name, str):
            msg = f"with_timestamp_column takes a column name, not {name!r}"
            raise TypeError(msg)
        return replace(self, timestamp_column=name, timestamp_assigner=None)

    def with_idleness(self, idle_timeout: DurationLike) -> WatermarkStrategy:
        """Do not hold back event time after so long without records."""
        millis = duration_ms(idle_timeout, "idle_timeout")
        if millis == 0:
            msg = "idle_timeout must be longer than zero"
            raise ValueError(msg)
        return replace(self, idle_timeout_ms=millis)

    def without_idleness(self) -> WatermarkStrategy:
        """Wait for splits without records for ever."""
        return replace(self, idle_timeout_ms=0)

    def with_watermark_alignment(
        self,
        watermark_group: str,
        max_allowed_watermark_drift: DurationLike,
        update_interval: DurationLike | None = None,
    ) -> WatermarkStrategy:
        """Pause splits that are too far ahead of the slowest one of all sources in a group.

        Args:
            watermark_group: sources that name the same group are aligned with each other.
            max_allowed_watermark_drift: how far ahead of the group's watermark a split may be.
            update_interval: how often readers report; 1 s.
        """
        if not is_a(watermark_group, str) or not watermark_group:
            msg = f"watermark_group must be a name, not {watermark_group!r}"
            raise TypeError(msg)
        interval = ALIGNMENT_INTERVAL_MS
        if update_interval is not None:
            interval = duration_ms(update_interval, "update_interval")
        if interval == 0:
            msg = "update_interval must be longer than zero"
            raise ValueError(msg)
        drift = duration_ms(max_allowed_watermark_drift, "max_allowed_watermark_drift")
        return replace(self, alignment=WatermarkAlignment(watermark_group, drift, interval))

    def with_default_idleness(self, idle_timeout_ms: int) -> WatermarkStrategy:
        """The strategy as it runs where it says nothing of idleness.

        A custom generator is left alone: it may well advance event time without records.
        """
        if self.idle_timeout_ms == 0 or not self.generates_watermarks:
            return replace(self, idle_timeout_ms=self.idle_timeout_ms or None)
        if self.idle_timeout_ms is None and self.generator_factory is None:
            return replace(self, idle_timeout_ms=idle_timeout_ms or None)
        return self

    @property
    def generates_watermarks(self) -> bool:
        """Whether it makes event time advance while the stream runs."""
        return self.out_of_orderness_ms is not None or self.generator_factory is not None

    @property
    def assigns_timestamps(self) -> bool:
        """Whether it replaces the source's timestamps."""
        return self.timestamp_assigner is not None or self.timestamp_column is not None

    def timestamp_function(self) -> Callable[[Any, int], int] | None:
        """The assigner as a plain callable."""
        if isinstance(self.timestamp_assigner, TimestampAssigner):
            return self.timestamp_assigner.extract_timestamp
        return self.timestamp_assigner
