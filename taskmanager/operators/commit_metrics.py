"""What a sink tells of its commits."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lesto.common.metrics import MetricGroup


class CommitMetrics:
    """Counts of committables; commits are one at a time.

    Args:
        metrics: of the sink.
        pending: how many are not committed.

    Attributes:
        prepared: counted at barriers.
    """

    def __init__(self, metrics: MetricGroup, pending: Callable[[], int]) -> None:
        self.prepared = metrics.counter("sink_committables")
        self._committed = metrics.counter("sink_committables_committed")
        self._retried = metrics.counter("sink_committables_retried")
        self._failed = metrics.counter("sink_committables_failed")
        self._seconds = metrics.distribution("sink_commit_seconds")
        metrics.gauge("sink_committables_pending", pending)

    @contextmanager
    def commit(self, committables: int) -> Iterator[Callable[[], None]]:
        """Measure one commit; gives a function to call before each further attempt."""
        begin = time.monotonic()
        try:
            yield lambda: self._retried.inc(committables)
        except BaseException:
            self._failed.inc(committables)
            raise
        else:
            self._committed.inc(committables)
        finally:
            self._seconds.update(time.monotonic() - begin)
