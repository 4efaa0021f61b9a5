"""How many records of a batch a task takes in one step.

A slot's thread answers barriers, timers and cancellation between two steps only. Columnar and
ordinary row functions are through a whole batch in milliseconds. A user function that waits for
something half a millisecond a record would hold everything up for sixteen seconds a batch: such a
task takes its batches in pieces, as many records at a time as fit into ``STEP_NS``.

Where time hardly depends on the number of records (a remote call a batch, a model), pieces would
cost throughput and save nothing: such a task takes whole batches.

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
#: So many times fewer records in not so many times less time: time does not depend on the records.
FLAT_RATIO: Final = 2
#: Steps in a row that must say so: the machine may be busy for a moment.
EVIDENCE: Final = 3
#: Then steps grow by this factor, as long as they do not take longer.
GROWTH: Final = 4


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

    __slots__ = ("_evidence", "_flat_ns", "_ns_per_row", "_reference", "rows")

    def __init__(self) -> None:
        self.rows = FIRST_ROWS
        self._ns_per_row: float | None = None
        self._reference = (0, 0)  # records and ns of the step that was found too long
        self._evidence = 0  # smaller steps since then that took as long
        self._flat_ns = 0  # what a step costs whatever it takes; 0: time grows with the records

    @property
    def measured(self) -> bool:
        """Whether a step has been observed."""
        return self._ns_per_row is not None or self._flat_ns > 0

    def observe(self, rows: int, elapsed_ns: int) -> None:
        """A step with ``rows`` records took ``elapsed_ns``."""
        if rows <= 0:
            return
        if self._flat_ns:
            if elapsed_ns <= FLAT_RATIO * self._flat_ns:
                if rows >= self.rows:
                    self.rows = min(ALL_ROWS, self.rows * GROWTH)
                return
            self._flat_ns = 0
            self._ns_per_row = None
        elif self._is_flat(rows, elapsed_ns):
            self._flat_ns, self._evidence = elapsed_ns, 0
            self.rows = min(ALL_ROWS, self._reference[0] * GROWTH)
            return
        self._estimate(rows, elapsed_ns)
        if not self._evidence and elapsed_ns > STEP_NS and self.rows * FLAT_RATIO <= rows:
            self._reference = (rows, elapsed_ns)

    def _is_flat(self, rows: int, elapsed_ns: int) -> bool:
        """Whether smaller steps have turned out to take as long as the large one."""
        large, large_ns = self._reference
        fewer = rows * FLAT_RATIO <= large
        as_long = elapsed_ns > STEP_NS and elapsed_ns * FLAT_RATIO >= large_ns
        self._evidence = self._evidence + 1 if fewer and as_long else 0
        return self._evidence >= EVIDENCE

    def _estimate(self, rows: int, elapsed_ns: int) -> None:
        cost = elapsed_ns / rows
        before = self._ns_per_row
        if before is not None and (cost >= before or elapsed_ns >= MEASURABLE_NS):
            cost = WEIGHT * cost + (1 - WEIGHT) * before
        self._ns_per_row = cost
        self.rows = max(1, int(STEP_NS / cost)) if cost * ALL_ROWS > STEP_NS else ALL_ROWS
