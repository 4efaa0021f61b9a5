"""Firing in steps: a watermark that ends the windows of a million keys must not hold up the slot.

A step takes as long as steps of a task do (``core/pacing.py``); the task polls the operator for
the next one, and takes no input before all has fired. The watermark follows behind the results.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final, Protocol

from lesto.taskmanager.core.pacing import STEP_NS
from lesto.taskmanager.operators.base import OperatorContext, Output

STEP_MS: Final = STEP_NS // 1_000_000


class Fires(Protocol):
    """What keeps windows; an engine, or an operator of columns."""

    @property
    def by_clock(self) -> bool:
        """Whether windows end by the wall clock."""
        ...

    def advance(self, time: int) -> Iterator[None]:
        """Fire, a step at a time."""
        ...

    def due_at(self) -> int | None:
        """When the earliest window ends by the wall clock, ms."""
        ...


class Flushes(Protocol):
    """What collects results."""

    def flush(self) -> None:
        """Emit what was collected."""
        ...


class Firing:
    """Lets an engine fire, a step at a time.

    Args:
        context: clock and alarms.
        output: where watermarks go.
        engine: keeps the windows.
        results: what has fired and is to be flushed.
    """

    def __init__(
        self, context: OperatorContext, output: Output, engine: Fires, results: Flushes
    ) -> None:
        self._context = context
        self._output = output
        self._engine = engine
        self._results = results
        self._steps: Iterator[None] | None = None
        self._until: int | None = None  # the watermark behind what fires
        self._next: int | None = None  # a later one that has come meanwhile
        self._idle: bool | None = None  # a status that has come meanwhile
        self._alarm_at: int | None = None
        self._cancel_alarm: Callable[[], None] | None = None

    @property
    def busy(self) -> bool:
        """Whether something has yet to fire."""
        return self._steps is not None

    def watermark(self, timestamp: int) -> None:
        """Event time has advanced."""
        if self._steps is not None:
            self._next = timestamp
            return
        if self._engine.by_clock:
            self._output.emit_watermark(timestamp)
            return
        self._steps, self._until = self._engine.advance(timestamp), timestamp
        self.poll()

    def status(self, idle: bool) -> None:
        """The input has become idle or active."""
        if self._steps is None:
            self._output.emit_status(idle)
        else:
            self._idle = idle

    def poll(self) -> bool:
        """One step; whether there was anything to do."""
        steps = self._steps
        if steps is None:
            return False
        clock = self._context.clock
        began = clock.monotonic_ms()
        for _ in steps:
            if clock.monotonic_ms() - began >= STEP_MS:
                self._results.flush()
                return True
        self._results.flush()
        self._finish()
        return True

    def _finish(self) -> None:
        self._steps = None
        if self._until is not None:
            self._output.emit_watermark(self._until)
            self._until = None
        later, self._next = self._next, None
        if later is not None:
            self.watermark(later)
        if self._idle is not None and self._steps is None:
            idle, self._idle = self._idle, None
            self._output.emit_status(idle)
        self.set_alarm()

    # -- the wall clock

    def set_alarm(self) -> None:
        """Ring when the earliest window ends, if the wall clock ends windows."""
        if not self._engine.by_clock or self._steps is not None:
            return
        at = self._engine.due_at()
        if at == self._alarm_at:
            return
        self.close()
        if at is not None:
            self._alarm_at = at
            self._cancel_alarm = self._context.register_processing_timer(at, self._ring)

    def _ring(self, timestamp: int) -> None:
        self._alarm_at = self._cancel_alarm = None
        if self._steps is not None:
            return  # looked at behind what fires
        now = max(timestamp, self._context.clock.now_ms())
        self._steps, self._until = self._engine.advance(now), None
        self.poll()

    def close(self) -> None:
        """Take the alarm back."""
        if self._cancel_alarm is not None:
            self._cancel_alarm()
        self._alarm_at = self._cancel_alarm = None
