"""The one thread that runs everything in a slot: mail, timers, and tasks in small steps.

Each turn: all mail, due timers, then one step of every task, downstream first, so that what is
under way leaves before more comes in; mail between two steps as well. When a turn moved nothing
the thread sleeps until a timer, mail or data wakes it. I/O threads only post mail and wake.
"""

from __future__ import annotations

import heapq
import itertools
import queue
from collections.abc import Callable
from typing import Protocol

from lesto.common.clock import Clock

#: Longest sleep: bounds what a lost wake-up or a jump of the wall clock could cost.
SLEEP_MAX_MS = 200


class Tasklet(Protocol):
    """Something that does bounded pieces of work on the mailbox thread."""

    def poll(self) -> bool:
        """Do one piece of work; False when there was none to do."""
        ...

    def wake_at_ms(self) -> int | None:
        """Monotonic ms at which polling makes sense though nobody wakes; None: never."""
        ...


class Timers:
    """Callbacks by time, of one clock."""

    def __init__(self, now_ms: Callable[[], int]) -> None:
        self._now_ms = now_ms
        self._heap: list[tuple[int, int, list[Callable[[int], None] | None]]] = []
        self._order = itertools.count()

    def add(self, at_ms: int, callback: Callable[[int], None]) -> Callable[[], None]:
        """Call back with ``at_ms`` when it is reached; returns a function that cancels."""
        cell: list[Callable[[int], None] | None] = [callback]
        heapq.heappush(self._heap, (at_ms, next(self._order), cell))

        def cancel() -> None:
            cell[0] = None

        return cancel

    def fire(self) -> bool:
        """Run what is due; those added meanwhile wait for the next turn."""
        if not self._heap:
            return False
        now_ms = self._now_ms()
        due = []
        while self._heap and self._heap[0][0] <= now_ms:
            due.append(heapq.heappop(self._heap))
        fired = False
        for at_ms, _, cell in due:
            callback = cell[0]
            if callback is not None:
                cell[0] = None
                callback(at_ms)
                fired = True
        return fired

    def wait_ms(self) -> int | None:
        """Time until the next timer, or None."""
        while self._heap and self._heap[0][2][0] is None:
            heapq.heappop(self._heap)
        return max(0, self._heap[0][0] - self._now_ms()) if self._heap else None


class Mailbox:
    """The loop of a slot's main thread.

    Attributes:
        wall: timers of the wall clock (users' processing-time timers).
        mono: timers of the monotonic clock (the engine's own).
        beat_ms: monotonic ms of the last turn; read by the watchdog's thread.
        running: the tasklet that is being polled; read by who samples stacks.
    """

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.wall = Timers(clock.now_ms)
        self.mono = Timers(clock.monotonic_ms)
        self.beat_ms = clock.monotonic_ms()
        self.running: Tasklet | None = None
        self._mail: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._tasklets: tuple[Tasklet, ...] = ()
        self._signal = False
        self._sleeping = False
        self._stopping = False

    def post(self, mail: Callable[[], None]) -> None:
        """Run ``mail`` on the mailbox thread; thread-safe, in order, never refused.

        Only control mail goes this way, a bounded number for each command, timer or I/O job; data
        has its own queues, bounded by credit.
        """
        self._mail.put(mail)

    def wake(self) -> None:
        """Poll the tasks again soon; thread-safe and cheap."""
        # The order matters: the sleeper announces its sleep before it looks at the signal.
        self._signal = True
        if self._sleeping:
            self._sleeping = False
            self._mail.put(None)

    def set_tasklets(self, tasklets: tuple[Tasklet, ...]) -> None:
        """What is polled, in this order."""
        self._tasklets = tasklets
        self._signal = True

    def stop(self) -> None:
        """End the loop; thread-safe."""

        def end() -> None:
            self._stopping = True

        self.post(end)

    def run(self) -> None:
        """Loop until ``stop``. An exception of mail or a timer ends it: that is a bug of ours."""
        while not self._stopping:
            self.run_once()

    def run_once(self) -> None:
        """One turn, with the sleep behind it when there was nothing to do."""
        self.beat_ms = self.clock.monotonic_ms()
        self._signal = False
        progress = self._read_mail()
        progress |= self.wall.fire()
        progress |= self.mono.fire()
        for tasklet in self._tasklets:
            self.running = tasklet
            progress |= tasklet.poll()
            self.running = None
            # A barrier should wait for one step, not for one of each task.
            progress |= self._read_mail()
        if not progress:
            self._sleep()

    @property
    def waiting(self) -> int:
        """Mails that wait; on any thread."""
        return self._mail.qsize()

    def _read_mail(self) -> bool:
        if self._mail.empty():
            return False
        read = False
        # What arrives meanwhile waits for the next turn: mail must not starve the tasks.
        for _ in range(self._mail.qsize()):
            mail = self._mail.get()
            if mail is not None:
                mail()
                read = True
        return read

    def _sleep(self) -> None:
        wait_ms = SLEEP_MAX_MS
        for timers in (self.wall, self.mono):
            due = timers.wait_ms()
            if due is not None and due < wait_ms:
                wait_ms = due
        for tasklet in self._tasklets:
            at_ms = tasklet.wake_at_ms()
            if at_ms is not None:
                wait_ms = min(wait_ms, at_ms - self.clock.monotonic_ms())
        if wait_ms <= 0:
            return
        self._sleeping = True
        if not self._signal:
            try:
                mail = self._mail.get(timeout=wait_ms / 1000)
            except queue.Empty:
                mail = None
            self._sleeping = False
            if mail is not None:
                mail()
        self._sleeping = False
