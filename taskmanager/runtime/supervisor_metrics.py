"""Metrics of a TaskManager process itself; those of tasks are in the slot processes."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Collection
from pathlib import Path

from lesto.common.metrics import MetricRegistry
from lesto.common.process_metrics import register_process_metrics
from lesto.taskmanager.runtime.slot_process import SlotProcess


class SupervisorMetrics:
    """What a TaskManager knows about its slots, until it is closed.

    Args:
        taskmanager_id: whose.
        slots: its processes.
        is_registered: whether the JobManager knows it.
    """

    def __init__(
        self,
        taskmanager_id: str,
        slots: Collection[SlotProcess],
        is_registered: Callable[[], bool],
    ) -> None:
        #: Of its own: an embedded cluster's JobManager is in this process too.
        self.registry = MetricRegistry(of_process=True)
        register_process_metrics(self.registry)
        self._group = self.registry.group(taskmanager=taskmanager_id)
        self._group.gauge("taskmanager_registered", lambda: float(is_registered()))
        self._group.gauge(
            "taskmanager_slots_ready",
            lambda: float(sum(slot.ready for slot in list(slots))),
        )
        self.slots_lost = self._group.counter("taskmanager_slots_lost")

    def watch_disk(self, directory: Path) -> None:
        """Tell of the disk that working state is on."""
        self._group.gauge("taskmanager_disk_free_bytes", lambda: shutil.disk_usage(directory).free)
        self._group.gauge("taskmanager_disk_size_bytes", lambda: shutil.disk_usage(directory).total)

    def close(self) -> None:
        """The TaskManager has stopped."""
        self._group.close()
