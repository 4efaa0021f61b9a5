"""First phase of window aggregates: rows of a slice are folded before they are sent by key.

Nothing is stored: what has been folded is sent when its slice ends, before each checkpoint, and
when there is much of it. Where few rows have a key and slice in common folding them twice does not
pay: then rows are sent as they come, as accumulators of one row each.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import pyarrow as pa

from lesto.common.elements import MAX_TIMESTAMP, Batch, ColumnarBatch, Timestamps
from lesto.kernels import aggregate as kernel
from lesto.kernels import jit
from lesto.kernels.partition import take_batch
from lesto.sql.settings import SqlSettings
from lesto.state.table import AccumulatorSpec, Slots, StateTable, TableDescriptor
from lesto.taskmanager.operators.columnar.time_windows import Lists
from lesto.taskmanager.operators.sql.base import SqlOperator
from lesto.taskmanager.operators.sql.window_aggregate import AggregatePlan, row_times
from lesto.taskmanager.operators.sql.window_calls import WindowCalls
from lesto.taskmanager.operators.sql.window_numbers import Values, column_of
from lesto.taskmanager.operators.sql.window_shapes import Hopping
from lesto.taskmanager.operators.sql.window_slices import RESULT_ROWS_MAX
from lesto.taskmanager.operators.sql.window_time import LocalTime

#: Groups of slices that are held at most.
GROUPS_MAX: Final = 262_144
#: Rows after which it is looked at how many groups came of them.
SAMPLE_ROWS: Final = 262_144
#: Rows that are sent as they come before folding is tried again.
PASSED_ROWS: Final = 16 * SAMPLE_ROWS
#: Folding does not pay when more groups than this share of the rows come of it.
WORTH: Final = 0.5
#: How many rows an accumulator stands for: late ones are counted.
_ROWS: Final = AccumulatorSpec("local_rows", "count")


class WindowLocalOperator(SqlOperator):
    """Gives keys, slices, numbers of rows and accumulators.

    Args:
        settings: of the session.
        plan: keys, window, aggregates; only such as are folded, of input that only inserts.
        schema: of the results.
        zoned: whether windows are those of instants, in the session's zone.
    """

    def __init__(
        self, settings: SqlSettings, plan: AggregatePlan, schema: pa.Schema, zoned: bool
    ) -> None:
        super().__init__(settings)
        self._plan = plan
        self._schema = schema
        self._local = LocalTime(settings.time_zone if zoned else None)
        self._taken = self._given = 0
        self._pass = 0  # rows that are yet to be sent as they come

    def open(self) -> None:
        """Compile."""
        super().open()
        jit.warm()
        plan = self._plan
        self._calls = WindowCalls(
            plan.calls, grouped=bool(plan.shown), retracting=False, sets=plan.sets
        )
        self._shape = plan.window.shape()
        given = self.input_schema()
        kinds = [given.field(i).type for i in plan.keys] or [pa.int8()]
        self._table = StateTable(
            TableDescriptor(
                "local",
                pa.schema([pa.field(f"k{i}", kind) for i, kind in enumerate(kinds)]),
                (*self._calls.accumulators(), _ROWS),
                namespaced=True,
            ),
            max_parallelism=self.context.max_parallelism,
        )
        self._open = Lists()

    def process_batch(self, batch: Batch, input_index: int = 0) -> None:
        """Fold rows into their slices."""
        assert isinstance(batch, ColumnarBatch)
        data = batch.data
        slices = self._shape.slices(
            row_times(data, self._plan.window.time, self._local, self.context.operator_name)
        )
        between = self._shape.between(slices) if isinstance(self._shape, Hopping) else None
        if between is not None and between.any():
            kept = np.flatnonzero(~between)
            data, slices = take_batch(data, kept), slices[kept]
        n = data.num_rows
        if not n:
            return
        keys = [data.column(i) for i in self._plan.keys]
        values = self._calls.values(data, None, self.evaluation())
        if self._pass > 0:
            self._pass -= n
            rows = np.ones(n, np.int64)
            self._give(keys, slices, rows, self._calls.singles(values, n))
            return
        self._fold(keys or [pa.array(np.zeros(n, np.int8))], slices, values)
        self._taken += n
        groups = len(self._table)
        wasted = self._taken >= SAMPLE_ROWS and groups + self._given > WORTH * self._taken
        if groups > GROUPS_MAX or wasted:
            self._flush(self._open.starts)

    def _fold(self, keys: Sequence[pa.Array], slices: Timestamps, values: Sequence[Values]) -> None:
        slots, new = self._table.upsert(keys, slices)
        if len(new):
            self._open.add(slices[new], slots[new])
        self._calls.fold(self._table, slots, values)
        rows = self._table.accumulator(_ROWS.name)
        kernel.accumulate_count(slots, None, rows.values, self._table.dirty)

    # -- sending

    def process_watermark(self, timestamp: int) -> None:
        """Send the slices that have ended, then the watermark."""
        progress = self._local.progress(timestamp)
        if timestamp == MAX_TIMESTAMP:
            self._flush(self._open.starts)
        else:
            self._flush(self._open.until(progress + 1 - self._shape.slice_ms))
        super().process_watermark(timestamp)

    def prepare_snapshot(self, checkpoint_id: int) -> None:
        """Send all: nothing of it is stored."""
        self._flush(self._open.starts)

    def end_input(self, input_index: int = 0) -> None:
        """Send all."""
        self._flush(self._open.starts)

    def _flush(self, slices: Sequence[int]) -> None:
        if not slices:
            return
        slots = np.concatenate([self._open.pop(s) for s in list(slices)])
        for at in range(0, len(slots), RESULT_ROWS_MAX):
            self._send(slots[at : at + RESULT_ROWS_MAX])
        self._given += len(slots)
        self._table.remove(slots)
        if self._taken >= SAMPLE_ROWS:
            if self._given > WORTH * self._taken:
                self._flush(self._open.starts)
                self._pass = PASSED_ROWS
            self._taken = self._given = 0

    def _send(self, slots: Slots) -> None:
        keys = self._table.keys(slots) if self._plan.keys else []
        rows = self._table.accumulator(_ROWS.name).values[slots]
        self._give(keys, self._table.namespaces(slots), rows, self._calls.read(self._table, slots))

    def _give(
        self,
        keys: Sequence[pa.Array],
        slices: Timestamps,
        rows: Slots,
        parts: Sequence[Values],
    ) -> None:
        columns = [*keys, pa.array(slices), pa.array(rows)]
        kinds = self._schema.types[len(columns) :]
        columns += [
            column_of(v, valid, kind) for (v, valid), kind in zip(parts, kinds, strict=True)
        ]
        self.emit(pa.RecordBatch.from_arrays(columns, schema=self._schema))


def partial_schema(plan: AggregatePlan, given: pa.Schema) -> pa.Schema | None:
    """Columns of a first phase; None if the aggregates have none.

    Args:
        plan: the aggregates.
        given: columns of the input.
    """
    window = plan.window
    if plan.retracting or not window.event_time or window.kind == "SESSION":
        return None
    if plan.columns is not None:
        return None
    calls = WindowCalls(plan.calls, grouped=bool(plan.shown), retracting=False, sets=plan.sets)
    if calls.arguments is not None:
        return None
    if any(spec.kind in {"first", "last"} for spec in calls.accumulators()):
        return None
    fields = [pa.field(f"k{i}", given.field(key).type) for i, key in enumerate(plan.keys)]
    fields += [pa.field("slice", pa.int64()), pa.field("rows", pa.int64())]
    fields += [
        pa.field(f"a{i}", _sent_as(fold.spec, fold.type.to_arrow()))
        for i, fold in enumerate(calls.folds)
    ]
    return pa.schema(fields)


def _sent_as(spec: AccumulatorSpec, kind: pa.DataType) -> pa.DataType:
    if spec.dtype == "decimal128":
        return kind
    return pa.int64() if spec.dtype == "int64" else pa.float64()
