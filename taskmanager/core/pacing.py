"""How many records of a batch a task takes in one step.

A slot's thread answers barriers, timers and cancellation between two steps only. Columnar and
ordinary row functions are through a whole batch in milliseconds. A user function that waits for
something half a millisecond a record would hold everything up for sixteen seconds a batch: such a
task takes its batches in pieces, as many records at a time as fit into a step.

A step is short, for checkpoints wait for it, several times over in a slot with several tasks. What
a call costs whatever it takes (converting, emitting) should be a small part of it, though: where
that is known to be more, steps are longer.

Where time hardly depends on the number of records (a remote call a batch, a model), pieces would
cost throughput and save nothing: such a task takes whole batches.

Compiled operators over columns are cheap a record and dear a call: a step of theirs takes
:data:`STEADY_ROWS` records where they are there, also on a machine so busy that it seems long.

Pure: measured times in, numbers of records out.
"""

from __future__ import annotations

import math
from typing import Final

#: What a step takes where calls cost nothing, nanoseconds.
STEP_NS: Final = 5_000_000
#: What it takes at most.
STEP_MAX_NS: Final = 20_000_000
#: The part of a step that its call may cost.
CALL_PART: Final = 1 / 50
#: Records of the first step, when nothing has been measured.
FIRST_ROWS: Final = 64
#: More than any batch has: batches are taken whole.
ALL_ROWS: Final = 1 << 40
#: Records of a step, at least, where their price is known to be small and even.
STEADY_ROWS: Final = 16_384
#: A single slow record (a collector's pause, a cold cache) moves the estimate this far; several in
#: a row move it all the way.
WEIGHT: Final = 0.5
#: Steps that say what a call costs, how much an older one counts, and how far their sizes must
#: differ.
STEPS_MIN: Final = 4
MEMORY: Final = 0.97
SPREAD_MIN: Final = 0.01
#: So many times dearer or cheaper records are another task's, as it were.
CHANGE: Final = 4
#: Steps shorter than this say little about a record.
MEASURABLE_NS: Final = 200_000
#: So many times fewer records in not so many times less time: time does not depend on the records.
FLAT_RATIO: Final = 2
#: Steps in a row that must say so: the machine may be busy for a moment.
EVIDENCE: Final = 3
#: Then steps grow by this factor, as long as they do not take longer.
GROWTH: Final = 4


class Pacer:
    """Remembers what records cost in one task.

    Args:
        rows_min: what a step takes at least.

    Attributes:
        rows: records that the next step may take, at least one.

    >>> pacer = Pacer()
    >>> pacer.rows
    64
    >>> pacer.observe(64, 32_000_000)  # half a millisecond a record
    >>> pacer.rows
    10
    """

    __slots__ = (
        *("_call", "_evidence", "_flat_ns", "_ns_per_row", "_reference", "_rows_min", "_step_ns"),
        "rows",
    )

    def __init__(self, rows_min: int = 1) -> None:
        self._rows_min = rows_min
        self.rows = max(FIRST_ROWS, rows_min)
        self._call = _CallCost()
        self._step_ns: float = STEP_NS
        self._ns_per_row: float | None = None
        self._reference = (0, 0)  # records and ns of the step that was found too long
        self._evidence = 0  # smaller steps since then that took as long
        self._flat_ns = 0  # what a step costs whatever it takes; 0: time grows with the records

    def observe(self, rows: int, elapsed_ns: int) -> None:
        """A step with ``rows`` records took ``elapsed_ns``."""
        if rows <= 0:
            return
        if self._has_changed(rows, elapsed_ns):
            self._call = _CallCost()
        self._call.observe(rows, elapsed_ns)
        if self._flat_ns:
            if elapsed_ns <= FLAT_RATIO * self._flat_ns:
                if rows >= self.rows:
                    self.rows = min(ALL_ROWS, self.rows * GROWTH)
                return
            self._flat_ns = 0
            self._ns_per_row = None
            self._call = _CallCost()
        elif self._is_flat(rows, elapsed_ns):
            self._flat_ns, self._evidence = elapsed_ns, 0
            self.rows = min(ALL_ROWS, self._reference[0] * GROWTH)
            return
        self._estimate(rows, elapsed_ns)
        if not self._evidence and elapsed_ns > self._step_ns and self.rows * FLAT_RATIO <= rows:
            self._reference = (rows, elapsed_ns)

    def _has_changed(self, rows: int, elapsed_ns: int) -> bool:
        """Whether records cost so much more or less that what calls cost must be found anew."""
        before = self._ns_per_row
        if before is None or rows * FLAT_RATIO < self.rows:
            return False
        return not before <= CHANGE * elapsed_ns / rows <= before * CHANGE * CHANGE

    def _is_flat(self, rows: int, elapsed_ns: int) -> bool:
        """Whether smaller steps have turned out to take as long as the large one."""
        large, large_ns = self._reference
        fewer = rows * FLAT_RATIO <= large
        as_long = elapsed_ns > self._step_ns and elapsed_ns * FLAT_RATIO >= large_ns
        self._evidence = self._evidence + 1 if fewer and as_long else 0
        return self._evidence >= EVIDENCE

    def _estimate(self, rows: int, elapsed_ns: int) -> None:
        cost = elapsed_ns / rows
        before = self._ns_per_row
        if before is not None and (cost >= before or elapsed_ns >= MEASURABLE_NS):
            cost = WEIGHT * cost + (1 - WEIGHT) * before
        self._ns_per_row = cost
        step_ns = self._step_ns = min(max(self._call.ns / CALL_PART, STEP_NS), STEP_MAX_NS)
        fits = int(step_ns / cost) if cost * ALL_ROWS > step_ns else ALL_ROWS
        self.rows = max(self._rows_min, fits)


class _CallCost:
    """What a step costs beside its records: least squares over the last steps.

    Attributes:
        ns: what it costs at least, as far as the measurements say so with some certainty.
    """

    __slots__ = ("_n", "_x", "_xx", "_xy", "_y", "_yy", "ns")

    def __init__(self) -> None:
        self._n = self._x = self._y = self._xx = self._xy = self._yy = 0.0
        self.ns = 0.0

    def observe(self, rows: int, elapsed_ns: int) -> None:
        """A step with ``rows`` records took ``elapsed_ns``."""
        self._n = self._n * MEMORY + 1
        self._x = self._x * MEMORY + rows
        self._y = self._y * MEMORY + elapsed_ns
        self._xx = self._xx * MEMORY + rows * rows
        self._xy = self._xy * MEMORY + rows * elapsed_ns
        self._yy = self._yy * MEMORY + elapsed_ns * elapsed_ns
        n, mean = self._n, self._x / self._n
        varies = self._xx - self._x * mean
        if n < STEPS_MIN or varies < SPREAD_MIN * self._xx:
            return  # steps of one size say nothing: what was known before holds
        together = self._xy - mean * self._y
        slope = together / varies
        unexplained = max(0.0, self._yy - self._y * self._y / n - slope * together)
        error = math.sqrt(unexplained / (n - 2) * (1 / n + mean * mean / varies))
        self.ns = max(0.0, self._y / n - slope * mean - error)
