"""How many records of a batch a task takes in one step.

A slot's thread answers barriers, timers and cancellation between two steps only. Columnar and
ordinary row functions are through a whole batch in milliseconds. A user function that waits for
something half a millisecond a record would hold everything up for sixteen seconds a batch: such a
task takes its batches in pieces, as many records at a time as fit into ``STEP_US``.

Pure: measured times in, numbers of records out.
"""

from __future__ import annotations

from typing import Final

#: What a step should take at most, microseconds.
STEP_US: Final = 20_000
#: Records of the first step, when nothing has been measured.
FIRST_ROWS: Final = 64
#: A single slow record (a collector's pause, a cold cache) moves the estimate this far; several in
#: a row move it all the way.
WEIGHT: Final = 0.5
#: Steps shorter than this say little about a record.
MEASURABLE_US: Final = 200


class StepPacer:
    """Remembers what records cost in one task.

    >>> pacer = StepPacer()
    >>> pacer.rows(32_768)
    64
    >>> pacer.measured(64, 32_000)  # half a millisecond a record
    >>> pacer.rows(32_768)
    40
    """

    __slots__ = ("_step_us", "_us_per_row")

    def __init__(self, step_us: int = STEP_US) -> None:
        self._step_us = step_us
        self._us_per_row: float | None = None

    def rows(self, available: int) -> int:
        """Records to take of ``available``, at least one."""
        if self._us_per_row is None:
            return min(available, FIRST_ROWS)
        if available * self._us_per_row <= self._step_us:
            return available
        return max(1, int(self._step_us / self._us_per_row))

    def measured(self, rows: int, elapsed_us: float) -> None:
        """A step with ``rows`` records took ``elapsed_us``."""
        if rows <= 0:
            return
        cost = elapsed_us / rows
        before = self._us_per_row
        if before is None or (cost < before and elapsed_us < MEASURABLE_US):
            self._us_per_row = cost
            return
        self._us_per_row = WEIGHT * cost + (1 - WEIGHT) * before
