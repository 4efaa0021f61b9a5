"""Count windows, and the triggers that keep state of their own."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Final

from lesto.common.checking import is_a
from lesto.common.functions import ReduceFunction
from lesto.common.time import DurationLike, duration_ms
from lesto.common.triggers import PurgingTrigger, Trigger, TriggerResult
from lesto.common.windowing import CountWindow, TimeWindow, Window, WindowAssigner
from lesto.state.descriptors import ReducingStateDescriptor, ValueStateDescriptor


class _Sum(ReduceFunction):
    def reduce(self, value1: int, value2: int) -> int:
        """The sum."""
        return value1 + value2


class _Min(ReduceFunction):
    def reduce(self, value1: int, value2: int) -> int:
        """The smaller."""
        return min(value1, value2)


_COUNT: Final = ReducingStateDescriptor("trigger-count", _Sum())
_NEXT_FIRE: Final = ReducingStateDescriptor("trigger-next-fire", _Min())


@dataclass(frozen=True)
class CountTrigger(Trigger[Any, Window]):
    """Fires when a window has ``window_size`` records, and starts counting anew."""

    window_size: int

    @staticmethod
    def of(window_size: int) -> CountTrigger:
        """Every ``window_size`` records."""
        if not is_a(window_size, int) or window_size < 1:
            msg = f"a count trigger needs a whole number of at least 1, not {window_size!r}"
            raise ValueError(msg)
        return CountTrigger(window_size)

    def on_element(
        self, element: Any, timestamp: int, window: Window, ctx: Trigger.TriggerContext
    ) -> TriggerResult:
        """Count; fire when full."""
        count = ctx.get_partitioned_state(_COUNT)
        count.add(1)
        if count.get() < self.window_size:
            return TriggerResult.CONTINUE
        count.clear()
        return TriggerResult.FIRE

    def on_processing_time(
        self, time: int, window: Window, ctx: Trigger.TriggerContext
    ) -> TriggerResult:
        """Nothing."""
        return TriggerResult.CONTINUE

    def on_event_time(
        self, time: int, window: Window, ctx: Trigger.TriggerContext
    ) -> TriggerResult:
        """Nothing."""
        return TriggerResult.CONTINUE

    def can_merge(self) -> bool:
        """Yes: counts add up."""
        return True

    def on_merge(self, window: Window, ctx: Trigger.OnMergeContext) -> None:
        """Add up the counts."""
        ctx.merge_partitioned_state(_COUNT)

    def clear(self, window: Window, ctx: Trigger.TriggerContext) -> None:
        """Forget the count."""
        ctx.get_partitioned_state(_COUNT).clear()


def _interval(value: DurationLike) -> int:
    millis = duration_ms(value, "interval")
    if millis < 1:
        msg = f"the interval of a continuous trigger must be at least 1 ms, not {value!r}"
        raise ValueError(msg)
    return millis


@dataclass(frozen=True)
class ContinuousEventTimeTrigger(Trigger[Any, TimeWindow]):
    """Fires every ``interval`` ms of event time, and at the window's end."""

    interval: int

    @staticmethod
    def of(interval: DurationLike) -> ContinuousEventTimeTrigger:
        """Every ``interval``."""
        return ContinuousEventTimeTrigger(_interval(interval))

    def on_element(
        self, element: Any, timestamp: int, window: TimeWindow, ctx: Trigger.TriggerContext
    ) -> TriggerResult:
        """Timers for the window's end and the first firing."""
        if window.max_timestamp() <= ctx.get_current_watermark():
            return TriggerResult.FIRE
        state = ctx.get_partitioned_state(_NEXT_FIRE)
        if state.get() is None:
            ctx.register_event_time_timer(window.max_timestamp())
            self._register(timestamp - timestamp % self.interval, window, ctx, state)
        return TriggerResult.CONTINUE

    def _register(
        self, base: int, window: TimeWindow, ctx: Trigger.TriggerContext, state: Any
    ) -> None:
        time = min(base + self.interval, window.max_timestamp())
        state.add(time)
        ctx.register_event_time_timer(time)

    def on_event_time(
        self, time: int, window: TimeWindow, ctx: Trigger.TriggerContext
    ) -> TriggerResult:
        """Fire at the end and at each interval; set the next timer."""
        if time == window.max_timestamp():
            return TriggerResult.FIRE
        state = ctx.get_partitioned_state(_NEXT_FIRE)
        if state.get() != time:
            return TriggerResult.CONTINUE
        state.clear()
        self._register(time, window, ctx, state)
        return TriggerResult.FIRE

    def on_processing_time(
        self, time: int, window: TimeWindow, ctx: Trigger.TriggerContext
    ) -> TriggerResult:
        """Nothing."""
        return TriggerResult.CONTINUE

    def can_merge(self) -> bool:
        """Yes."""
        return True

    def on_merge(self, window: TimeWindow, ctx: Trigger.OnMergeContext) -> None:
        """The earliest of the next firings."""
        ctx.merge_partitioned_state(_NEXT_FIRE)
        time = ctx.get_partitioned_state(_NEXT_FIRE).get()
        if time is not None:
            ctx.register_event_time_timer(time)
        if window.max_timestamp() > ctx.get_current_watermark():
            ctx.register_event_time_timer(window.max_timestamp())

    def clear(self, window: TimeWindow, ctx: Trigger.TriggerContext) -> None:
        """Forget the timers."""
        state = ctx.get_partitioned_state(_NEXT_FIRE)
        time = state.get()
        if time is not None:
            ctx.delete_event_time_timer(time)
            state.clear()
        ctx.delete_event_time_timer(window.max_timestamp())


@dataclass(frozen=True)
class ContinuousProcessingTimeTrigger(Trigger[Any, Window]):
    """Fires every ``interval`` ms of the wall clock."""

    interval: int

    @staticmethod
    def of(interval: DurationLike) -> ContinuousProcessingTimeTrigger:
        """Every ``interval``."""
        return ContinuousProcessingTimeTrigger(_interval(interval))

    def on_element(
        self, element: Any, timestamp: int, window: Window, ctx: Trigger.TriggerContext
    ) -> TriggerResult:
        """A timer for the first firing."""
        if ctx.get_partitioned_state(_NEXT_FIRE).get() is None:
            now = ctx.get_current_processing_time()
            self._register(now - now % self.interval, window, ctx)
        return TriggerResult.CONTINUE

    def _register(self, base: int, window: Window, ctx: Trigger.TriggerContext) -> None:
        time = min(base + self.interval, window.max_timestamp())
        ctx.get_partitioned_state(_NEXT_FIRE).add(time)
        ctx.register_processing_time_timer(time)

    def on_processing_time(
        self, time: int, window: Window, ctx: Trigger.TriggerContext
    ) -> TriggerResult:
        """Fire; set the next timer."""
        state = ctx.get_partitioned_state(_NEXT_FIRE)
        if state.get() != time:
            return TriggerResult.CONTINUE
        state.clear()
        self._register(time, window, ctx)
        return TriggerResult.FIRE

    def on_event_time(
        self, time: int, window: Window, ctx: Trigger.TriggerContext
    ) -> TriggerResult:
        """Nothing."""
        return TriggerResult.CONTINUE

    def can_merge(self) -> bool:
        """Yes."""
        return True

    def on_merge(self, window: Window, ctx: Trigger.OnMergeContext) -> None:
        """The earliest of the next firings."""
        ctx.merge_partitioned_state(_NEXT_FIRE)
        time = ctx.get_partitioned_state(_NEXT_FIRE).get()
        if time is not None:
            ctx.register_processing_time_timer(time)

    def clear(self, window: Window, ctx: Trigger.TriggerContext) -> None:
        """Forget the timer."""
        state = ctx.get_partitioned_state(_NEXT_FIRE)
        time = state.get()
        if time is not None:
            ctx.delete_processing_time_timer(time)
            state.clear()


def _whole(value: int, what: str) -> int:
    if not is_a(value, int) or is_a(value, bool) or value < 1:
        msg = f"the {what} of a count window must be a whole number of at least 1, not {value!r}"
        raise ValueError(msg)
    return value


class _CountAssigner(WindowAssigner[Any, CountWindow]):
    window_size: int

    def get_default_trigger(self, env: Any = None) -> Trigger[Any, Any]:
        """Fire and purge when the window is full."""
        return PurgingTrigger.of(CountTrigger(self.window_size))

    def is_event_time(self) -> bool:
        """No."""
        return False

    def _rank(self, name: str, context: WindowAssigner.WindowAssignerContext) -> int:
        """How many records the key had before this one."""
        state = context.get_runtime_context().get_state(ValueStateDescriptor(name))
        rank = int(state.value() or 0)
        state.update(rank + 1)
        return rank


@dataclass(frozen=True)
class CountTumblingWindowAssigner(_CountAssigner):
    """Every ``window_size`` records of a key make a window."""

    window_size: int

    @staticmethod
    def of(window_size: int) -> CountTumblingWindowAssigner:
        """Windows of ``window_size`` records."""
        return CountTumblingWindowAssigner(_whole(window_size, "size"))

    def assign_windows(
        self, element: Any, timestamp: int, context: WindowAssigner.WindowAssignerContext
    ) -> Collection[CountWindow]:
        """The window that is being filled."""
        return (CountWindow(self._rank("count-tumbling", context) // self.window_size),)


@dataclass(frozen=True)
class CountSlidingWindowAssigner(_CountAssigner):
    """A window of ``window_size`` records starts every ``window_slide`` records of a key."""

    window_size: int
    window_slide: int

    @staticmethod
    def of(window_size: int, window_slide: int) -> CountSlidingWindowAssigner:
        """Windows of ``window_size`` records, one every ``window_slide``."""
        return CountSlidingWindowAssigner(
            _whole(window_size, "size"), _whole(window_slide, "slide")
        )

    def assign_windows(
        self, element: Any, timestamp: int, context: WindowAssigner.WindowAssignerContext
    ) -> Collection[CountWindow]:
        """The windows that the record belongs to, newest first."""
        rank = self._rank("count-sliding", context)
        newest = rank // self.window_slide
        oldest = max(0, -(-(rank - self.window_size + 1) // self.window_slide))
        return [CountWindow(number) for number in range(newest, oldest - 1, -1)]
