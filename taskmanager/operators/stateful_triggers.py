"""Triggers of Flink's Java API that PyFlink lacks, and that keep state of their own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from lesto.common.checking import is_a
from lesto.common.evictors import delta_of
from lesto.common.time import DurationLike, duration_ms
from lesto.common.triggers import Trigger, TriggerResult
from lesto.common.windowing import Window
from lesto.state.descriptors import ValueStateDescriptor


@dataclass(frozen=True)
class DeltaTrigger(Trigger[Any, Window]):
    """Fires at a record that differs from the one that fired last by more than a threshold.

    Attributes:
        threshold: the difference that does not fire yet.
        delta_function: callable (record that fired last, record) -> number.
    """

    threshold: float
    delta_function: Callable[[Any, Any], float]

    @staticmethod
    def of(threshold: float, delta_function: Callable[[Any, Any], float]) -> DeltaTrigger:
        """Fire above this difference."""
        return DeltaTrigger(threshold, delta_of(delta_function))

    @staticmethod
    def _last(ctx: Trigger.TriggerContext) -> Any:
        return ctx.get_partitioned_state(ValueStateDescriptor("trigger-last-element"))

    def on_element(
        self, element: Any, timestamp: int, window: Window, ctx: Trigger.TriggerContext
    ) -> TriggerResult:
        """Compare with the record that fired last; the first one does not fire."""
        last = self._last(ctx)
        before = last.value()
        if before is None:
            last.update((element,))
        elif self.delta_function(before[0], element) > self.threshold:
            last.update((element,))
            return TriggerResult.FIRE
        return TriggerResult.CONTINUE

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

    def on_merge(self, window: Window, ctx: Trigger.OnMergeContext) -> None:
        """Not called: it cannot merge."""

    def clear(self, window: Window, ctx: Trigger.TriggerContext) -> None:
        """Forget the record."""
        self._last(ctx).clear()


@dataclass(frozen=True)
class ProcessingTimeoutTrigger(Trigger[Any, Window]):
    """Fires as another trigger does, and when the wall clock has waited for long.

    Attributes:
        nested_trigger: the other trigger.
        timeout: ms to wait from a record on.
        reset_timer_on_new_record: wait from the last record on, not from the first.
        should_clear_on_timeout: begin anew once it has fired.
    """

    nested_trigger: Trigger[Any, Any]
    timeout: int
    reset_timer_on_new_record: bool = False
    should_clear_on_timeout: bool = True

    @staticmethod
    def of(
        nested_trigger: Trigger[Any, Any],
        timeout: DurationLike,
        reset_timer_on_new_record: bool = False,
        should_clear_on_timeout: bool = True,
    ) -> ProcessingTimeoutTrigger:
        """Wrap a trigger."""
        if not is_a(nested_trigger, Trigger):
            msg = f"expected a Trigger, not {nested_trigger!r}"
            raise TypeError(msg)
        millis = duration_ms(timeout, "timeout")
        if millis < 1:
            msg = f"the timeout of a trigger must be at least 1 ms, not {timeout!r}"
            raise ValueError(msg)
        return ProcessingTimeoutTrigger(
            nested_trigger, millis, reset_timer_on_new_record, should_clear_on_timeout
        )

    @staticmethod
    def _timer(ctx: Trigger.TriggerContext) -> Any:
        return ctx.get_partitioned_state(ValueStateDescriptor("trigger-timeout"))

    def on_element(
        self, element: Any, timestamp: int, window: Window, ctx: Trigger.TriggerContext
    ) -> TriggerResult:
        """As the nested trigger; set the timer."""
        result = self.nested_trigger.on_element(element, timestamp, window, ctx)
        if result.is_purge():
            self.clear(window, ctx)
            return result
        timer = self._timer(ctx)
        at = timer.value()
        if at is not None and self.reset_timer_on_new_record:
            ctx.delete_processing_time_timer(at)
            at = None
        if at is None:
            at = ctx.get_current_processing_time() + self.timeout
            timer.update(at)
            ctx.register_processing_time_timer(at)
        return result

    def _fired(
        self, result: TriggerResult, window: Window, ctx: Trigger.TriggerContext
    ) -> TriggerResult:
        if self.should_clear_on_timeout:
            self.clear(window, ctx)
        return TriggerResult.FIRE_AND_PURGE if result.is_purge() else TriggerResult.FIRE

    def on_processing_time(
        self, time: int, window: Window, ctx: Trigger.TriggerContext
    ) -> TriggerResult:
        """Fire; purge if the nested trigger would."""
        result = self.nested_trigger.on_processing_time(time, window, ctx)
        return self._fired(result, window, ctx)

    def on_event_time(
        self, time: int, window: Window, ctx: Trigger.TriggerContext
    ) -> TriggerResult:
        """Fire; purge if the nested trigger would."""
        return self._fired(self.nested_trigger.on_event_time(time, window, ctx), window, ctx)

    def on_merge(self, window: Window, ctx: Trigger.OnMergeContext) -> None:
        """Not called: it cannot merge."""

    def clear(self, window: Window, ctx: Trigger.TriggerContext) -> None:
        """Forget the timer, and what the nested trigger knows."""
        timer = self._timer(ctx)
        at = timer.value()
        if at is not None:
            ctx.delete_processing_time_timer(at)
            timer.clear()
        self.nested_trigger.clear(window, ctx)
