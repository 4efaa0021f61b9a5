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
class WatermarkStrategy:
    """How a stream gets its event time. Immutable: the ``with_`` methods give new strategies.

    Attributes:
        out_of_orderness_ms: watermark = largest timestamp - this - 1; None: no built-in watermarks.
        generator_factory: makes the custom generator, when there is one.
        timestamp_assigner: assigner object or callable (value, record_timestamp) -> ms, or None:
            keep the source's timestamps.
        timestamp_column: column holding event time, for streams with a schema.
        idle_timeout_ms: without records for so long, the stream counts as idle; None: never.
    """

    out_of_orderness_ms: int | None = None
    generator_factory: Callable[[], WatermarkGenerator] | None = None
    timestamp_assigner: TimestampAssigner | Callable[[Any, int], int] | None = None
    timestamp_column: str | None = None
    idle_timeout_ms: int | None = None

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
        self, timestamp_assigner: TimestampAssigner | Callable[[Any, int], int]
    ) -> WatermarkStrategy:
        """Take timestamps from the records: an assigner or a callable (value, record_timestamp) ->
        ms.
        """
        given: Any = timestamp_assigner
        if not isinstance(given, TimestampAssigner) and not callable(given):
            msg = f"expected a TimestampAssigner or a callable, not {timestamp_assigner!r}"
            raise TypeError(msg)
        return replace(self, timestamp_assigner=timestamp_assigner, timestamp_column=None)

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

    def with_watermark_alignment(
        self,
        watermark_group: str,
        max_allowed_watermark_drift: DurationLike,
        update_interval: DurationLike | None = None,
    ) -> WatermarkStrategy:
        """Not supported yet: raises NotImplementedError."""
        msg = "WatermarkStrategy.with_watermark_alignment is not supported yet"
        raise NotImplementedError(msg)

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
