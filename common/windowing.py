"""Windows, and how records are assigned to them. Times are int milliseconds since the epoch."""

from __future__ import annotations

import enum
import random
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, replace
from functools import total_ordering
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from lesto.common.elements import MAX_TIMESTAMP, NO_TIMESTAMP
from lesto.common.time import DurationLike, duration_ms

if TYPE_CHECKING:
    from lesto.common.triggers import Trigger

T = TypeVar("T")
W = TypeVar("W", bound="Window")


class Window(ABC):
    """A finite part of a stream. Hashable: it is part of the state's key."""

    @abstractmethod
    def max_timestamp(self) -> int:
        """Largest event time that belongs to it."""


class MergeCallback(ABC, Generic[W]):
    """Takes merges."""

    @abstractmethod
    def merge(self, to_be_merged: Iterable[W], merge_result: W) -> None:
        """These become this one."""


@total_ordering
@dataclass(frozen=True, slots=True)
class TimeWindow(Window):
    """Event times in [start, end)."""

    start: int
    end: int

    def max_timestamp(self) -> int:
        """The last millisecond."""
        return self.end - 1

    def intersects(self, other: TimeWindow) -> bool:
        """Whether they overlap or touch."""
        return self.start <= other.end and self.end >= other.start

    def cover(self, other: TimeWindow) -> TimeWindow:
        """The smallest window holding both."""
        return TimeWindow(min(self.start, other.start), max(self.end, other.end))

    def __lt__(self, other: TimeWindow) -> bool:
        return (self.start, self.end) < (other.start, other.end)

    @staticmethod
    def get_window_start_with_offset(timestamp: int, offset: int, window_size: int) -> int:
        """Start of the window of this size that holds the timestamp; right for negative times too.

        >>> TimeWindow.get_window_start_with_offset(-1, 0, 10)
        -10
        """
        return timestamp - (timestamp - offset) % window_size

    @staticmethod
    def merge_windows(windows: Iterable[TimeWindow], callback: MergeCallback[TimeWindow]) -> None:
        """Report each group of overlapping windows, of more than one, and the window that covers
        it.
        """
        group: list[TimeWindow] = []
        cover: TimeWindow | None = None
        for window in sorted(windows):
            if cover is not None and cover.intersects(window):
                group.append(window)
                cover = cover.cover(window)
                continue
            if cover is not None and len(group) > 1:
                callback.merge(group, cover)
            group, cover = [window], window
        if cover is not None and len(group) > 1:
            callback.merge(group, cover)


@dataclass(frozen=True, slots=True, order=True)
class CountWindow(Window):
    """The n-th window of a key, by count."""

    id: int

    def max_timestamp(self) -> int:
        """The end of time: counts close it."""
        return MAX_TIMESTAMP


@dataclass(frozen=True, slots=True, order=True)
class GlobalWindow(Window):
    """The one window that holds everything."""

    @staticmethod
    def get() -> GlobalWindow:
        """The window."""
        return _GLOBAL

    def max_timestamp(self) -> int:
        """The end of time."""
        return MAX_TIMESTAMP


_GLOBAL = GlobalWindow()


class WindowAssigner(ABC, Generic[T, W]):
    """Assigns records to windows."""

    class WindowAssignerContext(ABC):
        """What an assigner may ask for."""

        @abstractmethod
        def get_current_processing_time(self) -> int:
            """Wall clock, ms."""

        @abstractmethod
        def get_runtime_context(self) -> Any:
            """The RuntimeContext, for keyed state."""

    @abstractmethod
    def assign_windows(
        self, element: T, timestamp: int, context: WindowAssigner.WindowAssignerContext
    ) -> Collection[W]:
        """The windows of a record."""

    @abstractmethod
    def get_default_trigger(self, env: Any = None) -> Trigger[T, W]:
        """The trigger when the user sets none."""

    def get_window_serializer(self) -> Any:
        """Flink's way to write windows into state; Lesto writes them itself and asks nobody."""
        from lesto.common.window_serializers import TimeWindowSerializer

        return TimeWindowSerializer()

    @abstractmethod
    def is_event_time(self) -> bool:
        """Whether event time closes the windows."""


class MergingWindowAssigner(WindowAssigner[T, W]):
    """Assigns windows that merge, such as sessions."""

    @abstractmethod
    def merge_windows(self, windows: Iterable[W], callback: MergeCallback[W]) -> None:
        """Report what merges to the callback."""


# PyFlink's place for it; in the class body it would hide the generic class from annotations.
MergingWindowAssigner.MergeCallback = MergeCallback  # type: ignore[attr-defined]


def _positive(value: DurationLike, what: str) -> int:
    millis = duration_ms(value, what)
    if millis <= 0:
        msg = f"{what} must be longer than zero, not {value!r}"
        raise ValueError(msg)
    return millis


def _offset(value: DurationLike | None, period: int, what: str) -> int:
    # Integers may be negative: Flink's offsets for time zones ahead of UTC are.
    if value is None:
        return 0
    if isinstance(value, int) and not isinstance(value, bool):
        offset = value
    else:
        from lesto.common.time import Time

        offset = value.to_milliseconds() if isinstance(value, Time) else duration_ms(value, what)
    if abs(offset) >= period:
        msg = f"{what} must be shorter than the window's period of {period} ms, not {offset} ms"
        raise ValueError(msg)
    return offset


class _EventTime:
    def get_default_trigger(self, env: Any = None) -> Trigger[Any, Any]:
        """Fires when the watermark passes the window's end."""
        from lesto.common.triggers import EventTimeTrigger

        return EventTimeTrigger.create()

    def is_event_time(self) -> bool:
        """Yes."""
        return True


class _ProcessingTime:
    def get_default_trigger(self, env: Any = None) -> Trigger[Any, Any]:
        """Fires when the wall clock passes the window's end."""
        from lesto.common.triggers import ProcessingTimeTrigger

        return ProcessingTimeTrigger.create()

    def is_event_time(self) -> bool:
        """No."""
        return False


def _require_timestamp(timestamp: int) -> None:
    if timestamp == NO_TIMESTAMP:
        msg = (
            "a record without event time reached an event-time window: did you forget"
            " assign_timestamps_and_watermarks, or a watermark strategy at from_source?"
        )
        raise ValueError(msg)


class WindowStagger(enum.Enum):
    """Whether the tumbling windows of different subtasks end at the same time.

    ``ALIGNED``: they do. ``RANDOM``: each subtask shifts its windows by a random part of their
    size. ``NATURAL``: by how far the wall clock is into a window at a subtask's first record.
    """

    ALIGNED = "aligned"
    RANDOM = "random"
    NATURAL = "natural"

    def get_stagger_offset(self, current_processing_time: int, size: int) -> int:
        """Ms by which a subtask shifts its windows of ``size`` ms.

        >>> WindowStagger.NATURAL.get_stagger_offset(1_234, 1_000)
        234
        """
        match self:
            case WindowStagger.ALIGNED:
                return 0
            case WindowStagger.RANDOM:
                return random.randrange(size)
            case WindowStagger.NATURAL:
                return current_processing_time % size


def settled(assigner: Any, now_ms: int) -> Any:
    """The assigner as a subtask uses it: a stagger has become a fixed offset."""
    stagger = getattr(assigner, "stagger", WindowStagger.ALIGNED)
    if stagger is WindowStagger.ALIGNED:
        return assigner
    shift = stagger.get_stagger_offset(now_ms, assigner.size)
    offset = (assigner.offset + shift) % assigner.size
    return replace(assigner, offset=offset, stagger=WindowStagger.ALIGNED)


def _stagger(value: Any) -> WindowStagger:
    if value is None:
        return WindowStagger.ALIGNED
    if not isinstance(value, WindowStagger):
        msg = f"window_stagger must be a WindowStagger, not {value!r}"
        raise TypeError(msg)
    return value


@dataclass(frozen=True)
class TumblingEventTimeWindows(_EventTime, WindowAssigner[Any, TimeWindow]):
    """Windows of one size, side by side.

    Attributes:
        size: ms.
        offset: ms by which they are shifted from the epoch.
        stagger: whether subtasks shift their windows, so that not all fire at once.
    """

    size: int
    offset: int = 0
    stagger: WindowStagger = WindowStagger.ALIGNED

    @staticmethod
    def of(
        size: DurationLike,
        offset: DurationLike | None = None,
        window_stagger: WindowStagger | None = None,
    ) -> TumblingEventTimeWindows:
        """Windows of this size."""
        millis = _positive(size, "size")
        return TumblingEventTimeWindows(
            millis, _offset(offset, millis, "offset"), _stagger(window_stagger)
        )

    def assign_windows(self, element: Any, timestamp: int, context: Any) -> Collection[TimeWindow]:
        """The window that holds the event time."""
        _require_timestamp(timestamp)
        start = timestamp - (timestamp - self.offset) % self.size
        return (TimeWindow(start, start + self.size),)


@dataclass(frozen=True)
class TumblingProcessingTimeWindows(_ProcessingTime, WindowAssigner[Any, TimeWindow]):
    """Windows of one size by the wall clock; attributes as of :class:`TumblingEventTimeWindows`."""

    size: int
    offset: int = 0
    stagger: WindowStagger = WindowStagger.ALIGNED

    @staticmethod
    def of(
        size: DurationLike,
        offset: DurationLike | None = None,
        window_stagger: WindowStagger | None = None,
    ) -> TumblingProcessingTimeWindows:
        """Windows of this size."""
        millis = _positive(size, "size")
        return TumblingProcessingTimeWindows(
            millis, _offset(offset, millis, "offset"), _stagger(window_stagger)
        )

    def assign_windows(
        self, element: Any, timestamp: int, context: WindowAssigner.WindowAssignerContext
    ) -> Collection[TimeWindow]:
        """The window that holds the present."""
        now = context.get_current_processing_time()
        start = now - (now - self.offset) % self.size
        return (TimeWindow(start, start + self.size),)


def _sliding(time: int, size: int, slide: int, offset: int) -> list[TimeWindow]:
    last = time - (time - offset) % slide
    return [TimeWindow(start, start + size) for start in range(last, time - size, -slide)]


@dataclass(frozen=True)
class SlidingEventTimeWindows(_EventTime, WindowAssigner[Any, TimeWindow]):
    """Windows of one size that start every ``slide``.

    Attributes:
        size: ms.
        slide: ms.
        offset: ms by which they are shifted from the epoch.
    """

    size: int
    slide: int
    offset: int = 0

    @staticmethod
    def of(
        size: DurationLike, slide: DurationLike, offset: DurationLike | None = None
    ) -> SlidingEventTimeWindows:
        """Windows of this size, one every ``slide``."""
        step = _positive(slide, "slide")
        return SlidingEventTimeWindows(
            _positive(size, "size"), step, _offset(offset, step, "offset")
        )

    def assign_windows(self, element: Any, timestamp: int, context: Any) -> Collection[TimeWindow]:
        """The windows that hold the event time, newest first."""
        _require_timestamp(timestamp)
        return _sliding(timestamp, self.size, self.slide, self.offset)


@dataclass(frozen=True)
class SlidingProcessingTimeWindows(_ProcessingTime, WindowAssigner[Any, TimeWindow]):
    """Sliding windows by the wall clock; attributes as of :class:`SlidingEventTimeWindows`."""

    size: int
    slide: int
    offset: int = 0

    @staticmethod
    def of(
        size: DurationLike, slide: DurationLike, offset: DurationLike | None = None
    ) -> SlidingProcessingTimeWindows:
        """Windows of this size, one every ``slide``."""
        step = _positive(slide, "slide")
        return SlidingProcessingTimeWindows(
            _positive(size, "size"), step, _offset(offset, step, "offset")
        )

    def assign_windows(
        self, element: Any, timestamp: int, context: WindowAssigner.WindowAssignerContext
    ) -> Collection[TimeWindow]:
        """The windows that hold the present, newest first."""
        now = context.get_current_processing_time()
        return _sliding(now, self.size, self.slide, self.offset)


class SessionWindowTimeGapExtractor(ABC):
    """Gives the gap of the session that starts with a record."""

    @abstractmethod
    def extract(self, element: Any) -> int:
        """Gap in ms, > 0."""


class _Merging:
    def merge_windows(
        self,
        windows: Iterable[TimeWindow],
        callback: MergeCallback[TimeWindow],
    ) -> None:
        """Overlapping and touching windows become one."""
        TimeWindow.merge_windows(windows, callback)


def session_gap_of(
    extractor: SessionWindowTimeGapExtractor | Callable[[Any], int], element: Any
) -> int:
    """The gap that a record gives, ms.

    Raises:
        ValueError: it is not longer than zero.
    """
    is_extractor = isinstance(extractor, SessionWindowTimeGapExtractor)
    gap = extractor.extract(element) if is_extractor else extractor(element)  # type: ignore[union-attr,operator]
    if gap <= 0:
        msg = f"the session gap of a record must be longer than zero, not {gap} ms"
        raise ValueError(msg)
    return int(gap)


def _check_extractor(extractor: Any) -> None:
    if not isinstance(extractor, SessionWindowTimeGapExtractor) and not callable(extractor):
        msg = f"expected a SessionWindowTimeGapExtractor or a callable, not {extractor!r}"
        raise TypeError(msg)


@dataclass(frozen=True)
class EventTimeSessionWindows(_EventTime, _Merging, MergingWindowAssigner[Any, TimeWindow]):
    """Sessions: they end after a gap without records.

    Attributes:
        session_gap: ms.
    """

    session_gap: int

    @staticmethod
    def with_gap(size: DurationLike) -> EventTimeSessionWindows:
        """A fixed gap."""
        return EventTimeSessionWindows(_positive(size, "gap"))

    @staticmethod
    def with_dynamic_gap(
        extractor: SessionWindowTimeGapExtractor | Callable[[Any], int],
    ) -> DynamicEventTimeSessionWindows:
        """A gap that each record gives, in ms."""
        return DynamicEventTimeSessionWindows.with_dynamic_gap(extractor)

    def assign_windows(self, element: Any, timestamp: int, context: Any) -> Collection[TimeWindow]:
        """A session of this record alone, to be merged."""
        _require_timestamp(timestamp)
        return (TimeWindow(timestamp, timestamp + self.session_gap),)


@dataclass(frozen=True)
class DynamicEventTimeSessionWindows(_EventTime, _Merging, MergingWindowAssigner[Any, TimeWindow]):
    """Sessions whose gap each record gives."""

    session_window_time_gap_extractor: SessionWindowTimeGapExtractor | Callable[[Any], int]

    @staticmethod
    def with_dynamic_gap(
        extractor: SessionWindowTimeGapExtractor | Callable[[Any], int],
    ) -> DynamicEventTimeSessionWindows:
        """A gap that each record gives, in ms."""
        _check_extractor(extractor)
        return DynamicEventTimeSessionWindows(extractor)

    def assign_windows(self, element: Any, timestamp: int, context: Any) -> Collection[TimeWindow]:
        """A session of this record alone, to be merged."""
        _require_timestamp(timestamp)
        return (
            TimeWindow(
                timestamp,
                timestamp + session_gap_of(self.session_window_time_gap_extractor, element),
            ),
        )


@dataclass(frozen=True)
class ProcessingTimeSessionWindows(
    _ProcessingTime, _Merging, MergingWindowAssigner[Any, TimeWindow]
):
    """Sessions by the wall clock; ``session_gap`` in ms."""

    session_gap: int

    @staticmethod
    def with_gap(size: DurationLike) -> ProcessingTimeSessionWindows:
        """A fixed gap."""
        return ProcessingTimeSessionWindows(_positive(size, "gap"))

    @staticmethod
    def with_dynamic_gap(
        extractor: SessionWindowTimeGapExtractor | Callable[[Any], int],
    ) -> DynamicProcessingTimeSessionWindows:
        """A gap that each record gives, in ms."""
        return DynamicProcessingTimeSessionWindows.with_dynamic_gap(extractor)

    def assign_windows(
        self, element: Any, timestamp: int, context: WindowAssigner.WindowAssignerContext
    ) -> Collection[TimeWindow]:
        """A session of this record alone, to be merged."""
        now = context.get_current_processing_time()
        return (TimeWindow(now, now + self.session_gap),)


@dataclass(frozen=True)
class DynamicProcessingTimeSessionWindows(
    _ProcessingTime, _Merging, MergingWindowAssigner[Any, TimeWindow]
):
    """Sessions by the wall clock whose gap each record gives."""

    session_window_time_gap_extractor: SessionWindowTimeGapExtractor | Callable[[Any], int]

    @staticmethod
    def with_dynamic_gap(
        extractor: SessionWindowTimeGapExtractor | Callable[[Any], int],
    ) -> DynamicProcessingTimeSessionWindows:
        """A gap that each record gives, in ms."""
        _check_extractor(extractor)
        return DynamicProcessingTimeSessionWindows(extractor)

    def assign_windows(
        self, element: Any, timestamp: int, context: WindowAssigner.WindowAssignerContext
    ) -> Collection[TimeWindow]:
        """A session of this record alone, to be merged."""
        now = context.get_current_processing_time()
        return (
            TimeWindow(now, now + session_gap_of(self.session_window_time_gap_extractor, element)),
        )


@dataclass(frozen=True)
class GlobalWindows(WindowAssigner[Any, GlobalWindow]):
    """One window for all; give it a trigger, or it never fires.

    Attributes:
        at_end: it fires at the end of bounded input unless it is given another trigger.
    """

    at_end: bool = False

    @staticmethod
    def create() -> GlobalWindows:
        """Fires only by a trigger that it is given."""
        return GlobalWindows()

    @staticmethod
    def create_with_end_of_stream_trigger() -> GlobalWindows:
        """Fires once, at the end of bounded input."""
        return GlobalWindows(at_end=True)

    def assign_windows(
        self, element: Any, timestamp: int, context: Any
    ) -> Collection[GlobalWindow]:
        """The global window."""
        return (_GLOBAL,)

    def get_default_trigger(self, env: Any = None) -> Trigger[Any, Any]:
        """Never fires, or at the end."""
        from lesto.common.triggers import EndOfStreamTrigger, NeverTrigger

        return EndOfStreamTrigger() if self.at_end else NeverTrigger()

    def is_event_time(self) -> bool:
        """No."""
        return False
