"""Metrics of a TaskManager process itself; those of tasks are in the slot processes."""

from __future__ import annotations

from collections.abc import Callable, Collection

from lesto.common.metrics import process_registry
from lesto.taskmanager.runtime.slot_process import SlotProcess


class SupervisorMetrics:
    """What a TaskManager knows about its slots, until it is closed."""

    def __init__(
        self,
        taskmanager_id: str,
        slots: Collection[SlotProcess],
        is_registered: Callable[[], bool],
    ) -> None:
        self._group = process_registry().group(taskmanager=taskmanager_id)
        self._group.gauge(
            "taskmanager_registered",
            lambda: float(is_registered()),
            "1 while the JobManager knows this TaskManager.",
        )
        self._group.gauge(
            "taskmanager_slots_ready",
            lambda: float(sum(slot.ready for slot in list(slots))),
            "Slot processes that are up.",
        )
        self.slots_lost = self._group.counter(
            "taskmanager_slots_lost", "Slot processes that ended unasked, and were replaced."
        )

    def close(self) -> None:
        """The TaskManager has stopped."""
        self._group.close()
