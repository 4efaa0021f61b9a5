"""What a lookup join tells of its cache and its requests."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lesto.common.metrics import MetricGroup


class LookupMetrics:
    """Counts of one lookup join; requests are one at a time.

    Args:
        metrics: of the operator.
        cached: keys in its cache.
    """

    def __init__(self, metrics: MetricGroup, cached: Callable[[], int]) -> None:
        self._hits = metrics.counter("lookup_cache_hits")
        self._misses = metrics.counter("lookup_cache_misses")
        self._loads = metrics.counter("lookup_loads")
        self._failures = metrics.counter("lookup_load_failures")
        self._last: float | None = None
        metrics.gauge("lookup_last_load_seconds", lambda: self._last)
        metrics.gauge("lookup_cached_keys", cached)

    def looked_into(self, keys: int, known: int) -> None:
        """The cache was asked for so many keys and knew some."""
        self._hits.inc(known)
        self._misses.inc(keys - known)

    @contextmanager
    def load(self) -> Iterator[None]:
        """Measure a request."""
        begin = time.monotonic()
        try:
            yield
        except BaseException:
            self._failures.inc()
            raise
        self._last = time.monotonic() - begin
        self._loads.inc()
