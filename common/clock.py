"""Time as an injected dependency, so that decisions can be tested under virtual time."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """The two clocks the engine uses."""

    def now_ms(self) -> int:
        """Wall clock, ms since the epoch: timestamps shown to people and processing-time timers."""
        ...

    def monotonic_ms(self) -> int:
        """Monotonic ms: timeouts, delays and leases; immune to clock jumps."""
        ...


class SystemClock:
    """The machine's clocks."""

    def now_ms(self) -> int:
        """Wall clock in ms since the epoch."""
        return time.time_ns() // 1_000_000

    def monotonic_ms(self) -> int:
        """Monotonic clock in ms."""
        return time.monotonic_ns() // 1_000_000


class VirtualClock:
    """A clock that moves only when told to.

    >>> clock = VirtualClock(now_ms=1_000)
    >>> clock.advance(250)
    >>> clock.now_ms(), clock.monotonic_ms()
    (1250, 250)
    """

    def __init__(self, now_ms: int = 0) -> None:
        self._now_ms = now_ms
        self._monotonic_ms = 0

    def now_ms(self) -> int:
        """Virtual wall clock in ms."""
        return self._now_ms

    def monotonic_ms(self) -> int:
        """Virtual monotonic clock in ms."""
        return self._monotonic_ms

    def advance(self, ms: int) -> None:
        """Move both clocks forward by ``ms`` >= 0."""
        if ms < 0:
            msg = f"a clock does not go back: {ms} ms"
            raise ValueError(msg)
        self._now_ms += ms
        self._monotonic_ms += ms
