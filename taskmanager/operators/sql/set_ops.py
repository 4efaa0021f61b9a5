"""UNION, INTERSECT and EXCEPT: of each row, how often every input has it.

A row is given as often as these numbers say; a batch brings the difference between before and
after.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from lesto.kernels import jit
from lesto.kernels.partition import take_batch
from lesto.sql.settings import SqlSettings
from lesto.state.table import AccumulatorSpec, TableDescriptor
from lesto.taskmanager.operators.sql.base import DELETE, INSERT, signs
from lesto.taskmanager.operators.sql.join_sides import Arrivals
from lesto.taskmanager.operators.sql.join_steps import RESULT_ROWS_MAX, SteppedOperator

Counts = npt.NDArray[np.int64]

TABLE_NAME: Final = "rows"
#: Idle rows are looked for once in so long at most, ms.
SWEEP_EVERY_MS: Final = 1_000
#: When a row was counted last, ms; with a time to live alone.
ACCESS: Final = "access"


class SetOperator(SteppedOperator):
    """Set operations of equal rows; all but UNION ALL, which keeps nothing.

    Args:
        settings: of the session.
        kind: UNION, INTERSECT or EXCEPT.
        every: whether duplicates stay (ALL).
        inputs: number of inputs; EXCEPT takes all others from the first.
        schema: of the results, and of the inputs but for names.
        final: whether inputs only insert and only the last result counts.
        ttl_ms: how long an idle row is kept, 0 for good.
    """

    def __init__(
        self,
        settings: SqlSettings,
        kind: str,
        every: bool,
        inputs: int,
        schema: pa.Schema,
        final: bool,
        ttl_ms: int,
    ) -> None:
        super().__init__(settings, (tuple(range(len(schema))),) * inputs)
        self._kind = kind
        self._every = every
        self._schema = schema
        #: Rows of EXCEPT may have to go again.
        self._at_end = final and kind == "EXCEPT"
        self._ttl_ms = ttl_ms
        self._counters = {"UNION": 1, "INTERSECT": inputs}.get(kind, 2)

    def open(self) -> None:
        """Get the restored rows."""
        super().open()
        jit.warm(("hashing", "hashindex", "textindex", "rowkeys", "rows"))
        names = [f"n{i}" for i in range(self._counters)]
        every = [*names, ACCESS] if self._ttl_ms else names
        specs = tuple(AccumulatorSpec(name, "count") for name in every)
        self._table = self.backend.table(TableDescriptor(TABLE_NAME, self._schema, specs))
        self._counts = [self._table.accumulator(name) for name in names]
        self._sweep_at = 0
        self.restore_rest()

    def piece(self, rows: Arrivals) -> int:
        """All of them: each brings one result at most."""
        return len(rows)

    def join(self, rows: Arrivals) -> None:
        """Count the rows, and give what that changes."""
        self._forget()
        slots, _ = self._table.upsert(rows.data.columns, hashes=rows.hashes)
        unique, first, place = np.unique(slots, return_index=True, return_inverse=True)
        before = self._visible(unique)
        change = np.bincount(place, weights=signs(rows.kinds, len(rows)), minlength=len(unique))
        counter = self._counts[min(rows.index, self._counters - 1)].values
        counter[unique] += change.astype(np.int64)
        self._table.dirty[unique] = 1
        if self._ttl_ms:
            self._table.accumulator(ACCESS).values[unique] = self.context.clock.now_ms()
        given = self._visible(unique) - before
        gone = np.logical_and.reduce([count.values[unique] == 0 for count in self._counts])
        if gone.any():
            self._table.remove(unique[gone])
        if self._at_end:
            return
        # In the order in which the rows came.
        for at in np.split(np.argsort(first), range(RESULT_ROWS_MAX, len(first), RESULT_ROWS_MAX)):
            self._give(rows.data, first[at], given[at])

    def _forget(self) -> None:
        """Drop the rows that were not counted for the time to live."""
        now = self.context.clock.now_ms()
        if not self._ttl_ms or now < self._sweep_at:
            return
        slots = self._table.live_slots()
        access = self._table.accumulator(ACCESS).values[slots]
        idle = access + self._ttl_ms <= now
        if idle.any():
            self._table.remove(slots[idle])
        # Not before the next one can be idle, nor too often: each time costs a look at all.
        kept = access[~idle]
        first = int(kept.min()) if len(kept) else now
        self._sweep_at = max(first + self._ttl_ms, now + min(SWEEP_EVERY_MS, self._ttl_ms))

    def _give(self, data: pa.RecordBatch, rows: Counts, given: Counts) -> None:
        some = np.flatnonzero(given)
        if not len(some):
            return
        times = np.abs(given[some])
        kinds = np.repeat(np.where(given[some] > 0, INSERT, DELETE).astype(np.int8), times)
        numbers = np.repeat(rows[some], times)
        for start in range(0, len(numbers), RESULT_ROWS_MAX):
            part = slice(start, start + RESULT_ROWS_MAX)
            taken = take_batch(data, numbers[part])
            result = pa.RecordBatch.from_arrays(taken.columns, schema=self._schema)
            self.emit(result, kinds[part] if kinds[part].any() else None)

    def _visible(self, slots: Counts) -> Counts:
        """How often each row is in the result.

        What goes may come before what it takes back when inputs' rows take several ways: a number
        below zero counts as none.
        """
        counts = [np.maximum(count.values[slots], 0) for count in self._counts]
        if not self._every:
            counts = [np.minimum(count, 1) for count in counts]
        found: Counts
        match self._kind:
            case "UNION":
                found = counts[0]
            case "INTERSECT":
                found = np.minimum.reduce(counts)
            case _:
                found = np.maximum(counts[0] - counts[1], 0)
        return found

    def finale(self) -> Iterator[None]:
        """The rows of EXCEPT, when only the last result counts. They are gone then."""
        if not self._at_end:
            return
        slots = self._table.live_slots()
        for start in range(0, len(slots), RESULT_ROWS_MAX):
            some = slots[start : start + RESULT_ROWS_MAX]
            data = pa.RecordBatch.from_arrays(self._table.keys(some), schema=self._schema)
            self._give(data, np.arange(len(some)), self._visible(some))
            self._table.remove(some)
            yield
