"""How many records of a batch a task takes in one step.

A slot's thread answers barriers, timers and cancellation between two steps only. Columnar and
ordinary row functions are through a whole batch in milliseconds. A user function that waits for
something half a millisecond a record would hold everything up for sixteen seconds a batch: such a
task takes its batches in pieces, as many records at a time as fit into ``STEP_NS``.

Pure: measured times in, numbers of records out.
"""

from __future__ import annotations

from typing import Final

#: What a step should take at most, nanoseconds.
STEP_NS: Final = 20_000_000
#: Records of the first step, when nothing has been measured.
FIRST_ROWS: Final = 64
#: More than any batch has: batches are taken whole.
ALL_ROWS: Final = 1 << 40
#: A single slow record (a collector's pause, a cold cache) moves the estimate this far; several in
#: a row move it all the way.
WEIGHT: Final = 0.5
#: Steps shorter than this say little about a record.
MEASURABLE_NS: Final = 200_000


class Pacer:
    """Remembers what records cost in one task.

    Attributes:
        rows: records that the next step may take, at least one.

    >>> pacer = Pacer()
    >>> pacer.rows
    64
    >>> pacer.observe(64, 32_000_000)  # half a millisecond a record
    >>> pacer.rows
    40
    """

    __slots__ = ("_ns_per_row", "rows")

    def __init__(self) -> None:
        self.rows = FIRST_ROWS
        self._ns_per_row: float | None = None

    def observe(self, rows: int, elapsed_ns: int) -> None:
        """A step with ``rows`` records took ``elapsed_ns``."""
        if rows <= 0:
            return
        cost = elapsed_ns / rows
        before = self._ns_per_row
        if before is not None and (cost >= before or elapsed_ns >= MEASURABLE_NS):
            cost = WEIGHT * cost + (1 - WEIGHT) * before
        self._ns_per_row = cost
        self.rows = max(1, int(STEP_NS / cost)) if cost * ALL_ROWS > STEP_NS else ALL_ROWS
