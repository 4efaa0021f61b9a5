"""What leaves a window operator: results in bounded batches, and records that came too late."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from lesto.common.elements import ColumnarBatch, Timestamps
from lesto.common.metrics import Counter
from lesto.kernels.partition import take_batch
from lesto.state.table import StateTable
from lesto.taskmanager.operators.base import Output
from lesto.taskmanager.operators.columnar.aggregates import (
    WINDOW_BOUND_TYPE,
    AggregatePlan,
    Folded,
    Slots,
)

#: Rows of a result batch at most.
RESULT_ROWS_MAX: Final = 65_536


class WindowResults:
    """Emits the rows of some slots."""

    def __init__(self, plan: AggregatePlan, table: StateTable, output: Output) -> None:
        self._plan = plan
        self._table = table
        self._output = output

    def emit(self, slots: Slots, starts: Timestamps, ends: Timestamps) -> None:
        """Emit results in the order of the slots.

        Args:
            slots: int64[n], in use.
            starts: int64[n] window starts, inclusive.
            ends: int64[n] window ends, exclusive.
        """
        for at in range(0, len(slots), RESULT_ROWS_MAX):
            part = slice(at, at + RESULT_ROWS_MAX)
            bounds = [_bound(starts[part]), _bound(ends[part])]
            chosen = slots[part]
            folded = self._plan.read(self._table, chosen)
            data = self._plan.output(self._table.keys(chosen), folded, bounds)
            self._output.emit(ColumnarBatch(data, ends[part] - 1))

    def emit_folded(
        self, keys: Sequence[pa.Array], folded: Sequence[Folded], start: int, end: int
    ) -> None:
        """Emit results of one window.

        Args:
            keys: the key columns, n rows.
            folded: the accumulators, n rows each.
            start: of the window, ms, inclusive.
            end: exclusive.
        """
        rows = len(keys[0])
        for at in range(0, rows, RESULT_ROWS_MAX):
            part = slice(at, at + RESULT_ROWS_MAX)
            count = min(rows - at, RESULT_ROWS_MAX)
            bounds = [_bound(np.full(count, time, np.int64)) for time in (start, end)]
            some = [(v[part], None if valid is None else valid[part]) for v, valid in folded]
            data = self._plan.output([k.slice(at, count) for k in keys], some, bounds)
            self._output.emit(ColumnarBatch(data, np.full(count, end - 1, np.int64)))


def _bound(times: Timestamps) -> pa.Array:
    return pa.Array.from_buffers(
        WINDOW_BOUND_TYPE, len(times), [None, pa.py_buffer(np.ascontiguousarray(times))], 0
    )


class LateRows:
    """Takes records that belong to no window any more.

    Args:
        output: the operator's output.
        tag: id of the side output, or None to drop.
        dropped: counts what is dropped.
    """

    def __init__(self, output: Output, tag: str | None, dropped: Counter) -> None:
        self._output = output
        self._tag = tag
        self._dropped = dropped

    def take(self, batch: ColumnarBatch, rows: npt.NDArray[np.int64]) -> None:
        """Late records, by their row in the batch."""
        if len(rows) == 0:
            return
        if self._tag is None:
            self._dropped.inc(len(rows))
            return
        times = None if batch.timestamps is None else batch.timestamps[rows]
        self._output.emit_side(self._tag, ColumnarBatch(take_batch(batch.data, rows), times))
