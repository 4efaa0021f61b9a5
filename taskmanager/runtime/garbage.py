"""When the cycle collector looks: behind tasks that have ended, not while others work (ADR 0003).

A look at everything takes as long as there are objects: some 80 ms with the modules of a warm slot,
which never become garbage. They are frozen: a slot without tasks has nothing but what stays.
"""

from __future__ import annotations

import gc
from typing import Final

#: The tasks of a job end one after the other: one look serves all that end within this time, in ms.
LOOK_DELAY_MS: Final = 100
#: Cycles that were alive when they were frozen and have died since are found at every so many looks
#: of an idle slot.
FREEZES_MAX: Final = 64


class CycleCollector:
    """Looks for the cycles of ended tasks: state above all hangs on them."""

    def __init__(self) -> None:
        self._freezes = 0
        self._fresh = True

    def look(self, idle: bool) -> None:
        """Free what is garbage.

        Args:
            idle: the slot has no task: what is left alive is not looked at again.
        """
        if idle and self._freezes >= FREEZES_MAX:
            gc.unfreeze()
            self._freezes = 0
        if not self._fresh:  # what imports left is not worth the time of the first job
            gc.collect()
        self._fresh = False
        if idle:
            gc.freeze()
            self._freezes += 1
