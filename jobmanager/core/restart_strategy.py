"""After a failure: try again, when, or give up. Flink's four strategies and numbers."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Restart:
    """Try again after ``delay_ms``; ``told``: the how many-th time that is, for people."""

    delay_ms: int
    told: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class GiveUp:
    """Do not try again, because of ``reason``."""

    reason: str


Decision = Restart | GiveUp


class RestartStrategy(Protocol):
    """Decides after each failure."""

    def on_failure(self, now_ms: int, jitter: float) -> Decision:
        """Decide.

        Args:
            now_ms: monotonic ms.
            jitter: drawn uniformly from -1..1.
        """
        ...


@dataclass(slots=True)
class NoRestart:
    """Never."""

    reason: str = "restart-strategy.type is none"

    def on_failure(self, now_ms: int, jitter: float) -> Decision:
        """Give up."""
        return GiveUp(self.reason)


@dataclass(slots=True)
class FixedDelay:
    """A number of attempts, the same pause before each."""

    attempts: int = 1
    delay_ms: int = 1_000
    _used: int = 0

    def on_failure(self, now_ms: int, jitter: float) -> Decision:
        """Restart while attempts are left."""
        if self._used >= self.attempts:
            return GiveUp(
                f"all {self.attempts} restarts of restart-strategy.fixed-delay are used up"
            )
        self._used += 1
        return Restart(self.delay_ms, f"restart {self._used} of {self.attempts} (fixed-delay)")


@dataclass(slots=True)
class ExponentialDelay:
    """Pauses that grow while failures go on, and start again after a long time without one."""

    initial_backoff_ms: int = 1_000
    max_backoff_ms: int = 60_000
    multiplier: float = 1.5
    jitter_factor: float = 0.1
    reset_after_ms: int = 3_600_000
    attempts_before_reset: int | None = None
    _backoff_ms: float = 0.0
    _used: int = 0
    _running_since_ms: int | None = None

    def on_failure(self, now_ms: int, jitter: float) -> Decision:
        """Restart after the grown delay, unless the attempts are limited and used up."""
        since = self._running_since_ms
        if since is None or now_ms - since >= self.reset_after_ms:
            self._backoff_ms, self._used = float(self.initial_backoff_ms), 0
        else:
            self._backoff_ms = min(self._backoff_ms * self.multiplier, float(self.max_backoff_ms))
        if self.attempts_before_reset is not None and self._used >= self.attempts_before_reset:
            return GiveUp(
                f"{self.attempts_before_reset} restarts of restart-strategy.exponential-delay "
                f"within {self.reset_after_ms / 1000:g} s are used up"
            )
        self._used += 1
        spread = self._backoff_ms * self.jitter_factor * jitter
        delay_ms = round(min(self._backoff_ms + spread, float(self.max_backoff_ms)))
        self._running_since_ms = now_ms + delay_ms
        limit = self.attempts_before_reset
        most = "" if limit is None else f" of {limit}"
        return Restart(delay_ms, f"restart {self._used}{most} (exponential-delay)")


@dataclass(slots=True)
class FailureRate:
    """So many failures in an interval, and no more."""

    max_failures: int = 1
    interval_ms: int = 60_000
    delay_ms: int = 1_000
    _failures: deque[int] = field(default_factory=deque)

    def on_failure(self, now_ms: int, jitter: float) -> Decision:
        """Restart unless the rate is exceeded."""
        while self._failures and now_ms - self._failures[0] > self.interval_ms:
            self._failures.popleft()
        self._failures.append(now_ms)
        if len(self._failures) > self.max_failures:
            return GiveUp(
                f"{len(self._failures)} failures within {self.interval_ms / 1000:g} s, more than "
                f"the {self.max_failures} of restart-strategy.failure-rate"
            )
        told = (
            f"failure {len(self._failures)} of at most {self.max_failures} in "
            f"{self.interval_ms / 1000:g} s (failure-rate)"
        )
        return Restart(self.delay_ms, told)
