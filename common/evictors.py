"""What leaves a window before or after its function sees it.

Flink's Java API has evictors, PyFlink lacks them. A window with an evictor keeps all its records.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from lesto.common.checking import is_a
from lesto.common.elements import NO_TIMESTAMP
from lesto.common.time import DurationLike, duration_ms
from lesto.common.windowing import Window

T = TypeVar("T")
W = TypeVar("W", bound=Window)


@dataclass(frozen=True, slots=True)
class TimestampedValue(Generic[T]):
    """A record in a window and its event time.

    Attributes:
        value: the record.
        timestamp: event time, ms; ``NO_TIMESTAMP`` without one.
    """

    value: T
    timestamp: int = NO_TIMESTAMP

    def get_value(self) -> T:
        """The record."""
        return self.value

    def get_timestamp(self) -> int:
        """Event time, ms; ``NO_TIMESTAMP`` without one."""
        return self.timestamp

    def has_timestamp(self) -> bool:
        """Whether it has event time."""
        return self.timestamp != NO_TIMESTAMP


class Evictor(ABC, Generic[T, W]):
    """Takes records out of a window that fires.

    Both methods take records out of the list they are given, in place:
    ``del elements[:-10]`` keeps the last ten. Records are in the order they came.
    """

    class EvictorContext(ABC):
        """Time and metrics."""

        @abstractmethod
        def get_current_processing_time(self) -> int:
            """Wall clock, ms."""

        @abstractmethod
        def get_metric_group(self) -> Any:
            """The operator's metric group."""

        @abstractmethod
        def get_current_watermark(self) -> int:
            """Event time, ms."""

    @abstractmethod
    def evict_before(
        self,
        elements: list[TimestampedValue[T]],
        size: int,
        window: W,
        evictor_context: Evictor.EvictorContext,
    ) -> None:
        """Take records out before the window function sees them.

        Args:
            elements: the window's records, to be changed in place.
            size: how many there are.
            window: the window.
            evictor_context: time and metrics.
        """

    @abstractmethod
    def evict_after(
        self,
        elements: list[TimestampedValue[T]],
        size: int,
        window: W,
        evictor_context: Evictor.EvictorContext,
    ) -> None:
        """Take records out after the window function has seen them; arguments as above."""


class _BeforeOrAfter(Evictor[Any, Window]):
    do_evict_after: bool

    @abstractmethod
    def _evict(self, elements: list[TimestampedValue[Any]]) -> None: ...

    def evict_before(
        self,
        elements: list[TimestampedValue[Any]],
        size: int,
        window: Window,
        evictor_context: Evictor.EvictorContext,
    ) -> None:
        """Evict here unless it is to be done afterwards."""
        if not self.do_evict_after and elements:
            self._evict(elements)

    def evict_after(
        self,
        elements: list[TimestampedValue[Any]],
        size: int,
        window: Window,
        evictor_context: Evictor.EvictorContext,
    ) -> None:
        """Evict here if it is to be done afterwards."""
        if self.do_evict_after and elements:
            self._evict(elements)


@dataclass(frozen=True)
class CountEvictor(_BeforeOrAfter):
    """Keeps the newest ``max_count`` records, by order of arrival."""

    max_count: int
    do_evict_after: bool = False

    @staticmethod
    def of(max_count: int, do_evict_after: bool = False) -> CountEvictor:
        """Keep this many."""
        if not is_a(max_count, int) or is_a(max_count, bool) or max_count < 1:
            msg = f"a count evictor needs a whole number of at least 1, not {max_count!r}"
            raise ValueError(msg)
        return CountEvictor(max_count, do_evict_after)

    def _evict(self, elements: list[TimestampedValue[Any]]) -> None:
        del elements[: -self.max_count]


@dataclass(frozen=True)
class DeltaEvictor(_BeforeOrAfter):
    """Keeps records that differ from the newest by less than a threshold.

    Attributes:
        threshold: a record with a difference of at least this goes.
        delta_function: callable (record, newest record) -> number.
    """

    threshold: float
    delta_function: Callable[[Any, Any], float]
    do_evict_after: bool = False

    @staticmethod
    def of(
        threshold: float,
        delta_function: Callable[[Any, Any], float],
        do_evict_after: bool = False,
    ) -> DeltaEvictor:
        """Keep what is nearer than ``threshold``."""
        return DeltaEvictor(threshold, delta_of(delta_function), do_evict_after)

    def _evict(self, elements: list[TimestampedValue[Any]]) -> None:
        delta, newest = self.delta_function, elements[-1].value
        elements[:] = [e for e in elements if delta(e.value, newest) < self.threshold]


@dataclass(frozen=True)
class TimeEvictor(_BeforeOrAfter):
    """Keeps records whose event time is less than ``window_size`` ms before the largest.

    Evicts nothing where the first record has no event time, as Flink's.
    """

    window_size: int
    do_evict_after: bool = False

    @staticmethod
    def of(window_size: DurationLike, do_evict_after: bool = False) -> TimeEvictor:
        """Keep the last ``window_size`` of event time."""
        millis = duration_ms(window_size, "window_size")
        if millis < 1:
            msg = f"the size of a time evictor must be longer than zero, not {window_size!r}"
            raise ValueError(msg)
        return TimeEvictor(millis, do_evict_after)

    def _evict(self, elements: list[TimestampedValue[Any]]) -> None:
        if not elements[0].has_timestamp():
            return
        cutoff = max(e.timestamp for e in elements) - self.window_size
        elements[:] = [e for e in elements if e.timestamp > cutoff]


def delta_of(function: Any) -> Callable[[Any, Any], float]:
    """A callable for a delta function: itself, or the method ``get_delta`` of an object.

    Raises:
        TypeError: it is neither.
    """
    method = getattr(function, "get_delta", function)
    if not callable(method):
        msg = f"a delta function is a callable (old, new) -> number, not {function!r}"
        raise TypeError(msg)
    return method  # type: ignore[no-any-return]
