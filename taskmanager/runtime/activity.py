"""How a task spends its time: busy, idle, or held up by what is behind it."""

from __future__ import annotations

import enum
import time


class Activity(enum.Enum):
    """What a step of a task was."""

    BUSY = "busy"
    IDLE = "idle"
    BACKPRESSURED = "backpressured"


class ActivityClock:
    """Sums the time of a task by activity, ns.

    The time of a step is busy when the step did something. The time between two steps belongs to
    the state in which the first one left the task; after a busy step the task could have gone on,
    had the thread not been with the tasks that share the slot, mostly those behind it: that counts
    as backpressured.
    """

    __slots__ = ("_last", "_marked", "backpressured_ns", "busy_ns", "idle_ns")

    def __init__(self) -> None:
        self.busy_ns = 0
        self.idle_ns = 0
        self.backpressured_ns = 0
        self._marked = time.perf_counter_ns()
        self._last = Activity.IDLE

    def begin(self) -> None:
        """A step begins."""
        now = time.perf_counter_ns()
        gap = now - self._marked
        if self._last is Activity.IDLE:
            self.idle_ns += gap
        else:
            self.backpressured_ns += gap
        self._marked = now

    def end(self, activity: Activity) -> None:
        """The step is over."""
        now = time.perf_counter_ns()
        spent = now - self._marked
        if activity is Activity.BUSY:
            self.busy_ns += spent
        elif activity is Activity.IDLE:
            self.idle_ns += spent
        else:
            self.backpressured_ns += spent
        self._marked = now
        self._last = activity
