"""What every process tells of its interpreter, beside what the Prometheus library knows."""

from __future__ import annotations

import gc
import os
import threading
import time
from collections.abc import Mapping
from typing import Any

from lesto.common.metrics import MetricRegistry


class PauseClock:
    """Sums the time that the cycle collector takes, by generation; as ``gc.callbacks`` want it."""

    def __init__(self) -> None:
        self.seconds = [0.0] * len(gc.get_count())
        self._began = 0.0

    def __call__(self, phase: str, info: Mapping[str, Any]) -> None:
        """Take note of a collection's start or end."""
        if phase == "start":
            self._began = time.perf_counter()
        else:
            self.seconds[info["generation"]] += time.perf_counter() - self._began


_lock = threading.Lock()


def _pause_clock() -> PauseClock:
    """The process's one clock, which runs from the first call on."""
    with _lock:
        for known in gc.callbacks:
            if isinstance(known, PauseClock):
                return known
        clock = PauseClock()
        gc.callbacks.append(clock)
        return clock


def register_process_metrics(registry: MetricRegistry) -> None:
    """Register them in a registry; a second call changes nothing."""
    clock = _pause_clock()
    for generation in range(len(clock.seconds)):
        group = registry.group_of({"generation": str(generation)})
        group.total("process_gc_pause_seconds", lambda g=generation: clock.seconds[g])  # type: ignore[misc]
    registry.group().gauge("process_threads", _threads)


def _threads() -> float:
    try:
        return len(os.listdir("/proc/self/task"))
    except OSError:  # not Linux
        return threading.active_count()
