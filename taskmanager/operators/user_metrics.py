"""The metric group users' functions see: PyFlink's names over the engine's metrics."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from lesto.common.metric_table import DESCRIPTIONS
from lesto.common.metrics import safe_name

if TYPE_CHECKING:
    from lesto.common.metrics import MetricGroup


def users_name(name: str) -> str:
    """A user's name for a metric as it is served; one that is Lesto's own gets ``user_`` in front.

    >>> users_name("numLate"), users_name("records_in")
    ('num_late', 'user_records_in')

    Raises:
        ValueError: nothing is left of it.
    """
    safe = safe_name(name)
    return f"user_{safe}" if safe in DESCRIPTIONS else safe


class UserCounter:
    """A count that functions raise and lower.

    The engine's counters only grow, as Prometheus wants it: what ``dec`` takes away is kept in a
    second metric, ``<name>_decrements``.
    """

    __slots__ = ("_count", "_down", "_group", "_name", "_up")

    def __init__(self, group: MetricGroup, name: str) -> None:
        self._group = group
        self._name = name
        self._up = group.counter(name)
        self._down: Any = None
        self._count = 0

    def inc(self, n: int = 1) -> None:
        """Raise by n."""
        self._count += n
        self._up.inc(n)

    def dec(self, n: int = 1) -> None:
        """Lower by n."""
        self._count -= n
        if self._down is None:
            self._down = self._group.counter(f"{self._name}_decrements")
        self._down.inc(n)

    def get_count(self) -> int:
        """The current value in this attempt."""
        return self._count


class UserMeter:
    """Counts events; their rate is the monitoring system's to compute."""

    __slots__ = ("_count", "_meter")

    def __init__(self, group: MetricGroup, name: str) -> None:
        self._meter = group.meter(name)
        self._count = 0

    def mark_event(self, value: int = 1) -> None:
        """Count ``value`` events."""
        self._count += value
        self._meter.mark(value)

    def get_count(self) -> int:
        """Events marked in this attempt."""
        return self._count


class UserMetricGroup:
    """Registers metrics of a function; asking twice for a name gives the same metric."""

    __slots__ = ("_group", "_known")

    def __init__(self, group: MetricGroup) -> None:
        self._group = group
        self._known: dict[tuple[str, str], Any] = {}

    def _get(self, kind: str, name: str, make: Callable[[], Any]) -> Any:
        found = self._known.get((kind, name))
        if found is None:
            found = self._known[kind, name] = make()
        return found

    def counter(self, name: str) -> UserCounter:
        """A counter."""
        name = users_name(name)
        counter: UserCounter = self._get("counter", name, lambda: UserCounter(self._group, name))
        return counter

    def meter(self, name: str, time_span_in_seconds: int = 60) -> UserMeter:
        """A meter; ``time_span_in_seconds`` is accepted for PyFlink's sake."""
        name = users_name(name)
        meter: UserMeter = self._get("meter", name, lambda: UserMeter(self._group, name))
        return meter

    def gauge(self, name: str, obj: Callable[[], Any]) -> None:
        """A value read when metrics are collected."""
        self._group.gauge(users_name(name), obj)

    def distribution(self, name: str) -> Any:
        """A distribution with ``update(value)``."""
        name = users_name(name)
        return self._get("distribution", name, lambda: self._group.distribution(name))

    def add_group(self, name: str, extra: str | None = None) -> UserMetricGroup:
        """A sub-group as a label: ``name=extra``, or ``group=name`` without ``extra``."""
        group: UserMetricGroup = self._get(
            "group", f"{name}={extra}", lambda: UserMetricGroup(self._group.user_group(name, extra))
        )
        return group
