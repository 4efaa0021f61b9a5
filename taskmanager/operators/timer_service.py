"""Event-time and processing-time timers of a keyed operator."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import TYPE_CHECKING, Any, Protocol

from lesto.common.elements import MIN_TIMESTAMP

if TYPE_CHECKING:
    from lesto.state.backend import KeyedStateBackend
    from lesto.taskmanager.operators.base import OperatorContext

EVENT_TIMERS = "event"
PROCESSING_TIMERS = "processing"


class OnTimer(Protocol):
    """What an operator does when a timer falls due; the backend's current key is set."""

    def __call__(self, timestamp: int, key: Any, namespace: Any) -> None:
        """One timer of ``key`` set for ``timestamp`` ms."""
        ...


class InternalTimers:
    """Both queues of one operator, and the task's alarm for the earliest processing-time timer.

    The queues are part of the keyed state. One alarm at most is outstanding with the task;
    restored timers set it at ``open``.

    Args:
        context: the operator's context.
        backend: the keyed state that holds the queues.
        on_processing: called for each due processing-time timer.
        after_processing: called once after a round of them, to emit what they produced.
    """

    def __init__(
        self,
        context: OperatorContext,
        backend: KeyedStateBackend,
        on_processing: OnTimer,
        after_processing: Callable[[], None],
    ) -> None:
        self.current_watermark = MIN_TIMESTAMP
        self.event = backend.timers(EVENT_TIMERS)
        self.processing = backend.timers(PROCESSING_TIMERS)
        self._context = context
        self._backend = backend
        self._on_processing = on_processing
        self._after_processing = after_processing
        self._alarm_at: int | None = None
        self._cancel_alarm: Callable[[], None] | None = None
        self._fired = 0
        context.metrics.total("timers_fired", lambda: self._fired)
        context.metrics.gauge("timers_pending", lambda: len(self.event) + len(self.processing))

    def now_ms(self) -> int:
        """Processing time."""
        return self._context.clock.now_ms()

    def open(self) -> None:
        """Set the alarm for restored timers."""
        self._set_alarm()

    def fire_event_timers(self, watermark: int, on_event: OnTimer) -> None:
        """Move event time on and fire what is due, in time order.

        The watermark functions see while timers fire is the new one, as in Flink.
        """
        self.current_watermark = self._backend.event_time = watermark
        first = self.event.peek()
        if first is None or first > watermark:
            return
        backend = self._backend
        fired = 0
        for timestamp, key, namespace in self.event.pop_until(watermark):
            backend.current_key = key
            on_event(timestamp, key, namespace)
            fired += 1
        self._fired += fired

    def register_processing(
        self, timestamp: int, key: Hashable, namespace: Hashable = None
    ) -> None:
        """Add a processing-time timer."""
        if self.processing.register(timestamp, key, namespace):
            at = self._alarm_at
            if at is None or timestamp < at:
                self._set_alarm()

    def delete_processing(self, timestamp: int, key: Hashable, namespace: Hashable = None) -> None:
        """Remove a processing-time timer; a needless alarm finds nothing due."""
        self.processing.delete(timestamp, key, namespace)

    def close(self) -> None:
        """Take the alarm back."""
        if self._cancel_alarm is not None:
            self._cancel_alarm()
        self._cancel_alarm = None
        self._alarm_at = None

    def _set_alarm(self) -> None:
        first = self.processing.peek()
        if first == self._alarm_at:
            return
        self.close()
        if first is not None:
            self._alarm_at = first
            self._cancel_alarm = self._context.register_processing_timer(first, self._ring)

    def _ring(self, timestamp: int) -> None:
        self._alarm_at = None
        self._cancel_alarm = None
        backend = self._backend
        fire = self._on_processing
        # Timers that functions set while these fire must not each move the alarm.
        self._alarm_at = MIN_TIMESTAMP
        now = max(timestamp, self.now_ms())
        for at, key, namespace in self.processing.pop_until(now):
            backend.current_key = key
            fire(at, key, namespace)
            self._fired += 1
        self._alarm_at = None
        self._set_alarm()
        self._after_processing()


class TimerService:
    """The timers of the current key, as users' functions see them (PyFlink's ``TimerService``)."""

    __slots__ = ("_backend", "_delete_event", "_register_event", "_timers")

    def __init__(self, timers: InternalTimers, backend: KeyedStateBackend) -> None:
        self._timers = timers
        self._backend = backend
        self._register_event = timers.event.register
        self._delete_event = timers.event.delete

    def current_processing_time(self) -> int:
        """Wall clock, ms."""
        return self._timers.now_ms()

    def current_watermark(self) -> int:
        """Event time of the operator, ms."""
        return self._timers.current_watermark

    def register_event_time_timer(self, timestamp: int) -> None:
        """Call ``on_timer`` for the current key once the watermark has reached ``timestamp`` ms."""
        self._register_event(timestamp, self._backend.current_key)

    def register_processing_time_timer(self, timestamp: int) -> None:
        """Call ``on_timer`` for the current key at wall-clock ``timestamp`` ms."""
        self._timers.register_processing(timestamp, self._backend.current_key)

    def delete_event_time_timer(self, timestamp: int) -> None:
        """Remove a timer of the current key; nothing happens when there is none."""
        self._delete_event(timestamp, self._backend.current_key)

    def delete_processing_time_timer(self, timestamp: int) -> None:
        """Remove a timer of the current key; nothing happens when there is none."""
        self._timers.delete_processing(timestamp, self._backend.current_key)
