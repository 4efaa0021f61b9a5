"""SESSION windows, aggregated or alone: a session ends with a gap without rows of its key."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

import numpy as np
import pyarrow as pa

from lesto.common.elements import Batch, ColumnarBatch, Timestamps
from lesto.common.metrics import Counter
from lesto.kernels.partition import take_array, take_batch
from lesto.sql.settings import SqlSettings
from lesto.state.table import Slots, StateTable, TableDescriptor
from lesto.taskmanager.operators.columnar.fired import FiredUntil
from lesto.taskmanager.operators.columnar.session_windows import SessionWindows
from lesto.taskmanager.operators.sql.base import signs
from lesto.taskmanager.operators.sql.window_aggregate import (
    WAITING_TABLE,
    AggregatePlan,
    WindowOperator,
    WindowResults,
    row_times,
)
from lesto.taskmanager.operators.sql.window_calls import WindowCalls
from lesto.taskmanager.operators.sql.window_numbers import Values
from lesto.taskmanager.operators.sql.window_rows import KeyedRows
from lesto.taskmanager.operators.sql.window_shapes import WindowSpec
from lesto.taskmanager.operators.sql.window_time import LocalTime
from lesto.taskmanager.operators.sql.window_tvf import NULL_TIMES, window_columns

SESSIONS_TABLE: Final = "window_sessions"


class SessionFolds:
    """What sessions keep of rows: accumulators, and rows that wait.

    Args:
        calls: the aggregates.
        key_schema: the key columns.
        rows: that wait; None if none does.
    """

    def __init__(self, calls: WindowCalls, key_schema: pa.Schema, rows: KeyedRows | None) -> None:
        self.key_schema = key_schema
        self._calls = calls
        self._rows = rows
        self._keys: list[pa.Array] = []
        self._values: list[Values] = []
        self._columns: Sequence[pa.Array] = ()
        self._times: Timestamps = np.empty(0, np.int64)

    def take(
        self,
        keys: list[pa.Array],
        values: list[Values],
        columns: Sequence[pa.Array],
        times: Timestamps,
    ) -> None:
        """A batch, before it is handed to the sessions."""
        self._keys, self._values, self._columns, self._times = keys, values, columns, times

    def key_arrays(self, batch: pa.RecordBatch) -> list[pa.Array]:
        """Of the batch at hand."""
        return self._keys

    def values(self, batch: pa.RecordBatch) -> list[Values]:
        """Of the batch at hand."""
        return self._values

    def fold(self, table: StateTable, slots: Slots, values: list[Any]) -> None:
        """Fold the batch at hand; rows of a negative slot are late."""
        self._calls.fold(table, slots, values)
        if self._rows is not None:
            kept = None if int(slots.min()) >= 0 else np.flatnonzero(slots >= 0)
            if kept is None or len(kept):
                self._rows.add(self._times, self._keys, self._columns, None, kept)

    def merge(self, table: StateTable, targets: Slots, sources: Slots) -> None:
        """Sessions become one; the rows that wait are found by their times."""
        self._calls.merge(table, targets, sources)


class _Late:
    """Counts."""

    def __init__(self, counter: Counter) -> None:
        self._counter = counter

    def take(self, batch: ColumnarBatch, rows: Slots) -> None:
        """Rows that come too late."""
        self._counter.inc(len(rows))


class SessionOperator(WindowOperator):
    """Base of what has sessions.

    Args:
        settings: of the session (of the user).
        window: the gap.
        schema: of the results.
        zoned: whether windows are those of instants, in the user's zone.
    """

    def __init__(
        self, settings: SqlSettings, window: WindowSpec, schema: pa.Schema, zoned: bool
    ) -> None:
        super().__init__(settings)
        self._window = window
        self._schema = schema
        self._zoned = zoned
        self.by_clock = not window.event_time

    def open_sessions(
        self, keys: Sequence[int], calls: WindowCalls, waiting: Sequence[pa.DataType] | None
    ) -> None:
        """Get the tables, find the sessions that wait."""
        self._fired = self.open_windows(LocalTime(self.settings.time_zone if self._zoned else None))
        self._key_columns = tuple(keys)
        given = self.input_schema()
        kinds = [given.field(i).type for i in keys] or [pa.int8()]
        key_schema = pa.schema([pa.field(f"k{i}", kind) for i, kind in enumerate(kinds)])
        specs = (*calls.accumulators(), *SessionWindows.extra_accumulators(0))
        self.calls = calls
        self.table: StateTable = self.backend.table(
            TableDescriptor(SESSIONS_TABLE, key_schema, specs, namespaced=True)
        )
        self.rows = None
        if waiting is not None:
            self.rows = KeyedRows(self.backend, WAITING_TABLE, kinds, waiting)
        self._folds = SessionFolds(calls, key_schema, self.rows)
        self._windows = SessionWindows(
            self._window.size_ms, 0, self._folds, self.table, _Ended(self), _Late(self.late)
        )
        if self.by_clock:
            self.firing.set_alarm()

    def emit_sessions(
        self, keys: list[pa.Array], slots: Slots, starts: Timestamps, ends: Timestamps
    ) -> None:
        """Give the results of sessions."""
        raise NotImplementedError

    def add(
        self,
        batch: ColumnarBatch,
        times: Timestamps,
        values: list[Values],
        columns: Sequence[pa.Array],
    ) -> None:
        """Fold rows into their sessions."""
        keys = [batch.data.column(i) for i in self._key_columns]
        if not keys:
            keys = [pa.array(np.zeros(len(batch), np.int8))]
        self._folds.take(keys, values, columns, times)
        self._windows.add(batch, times, max(self.progress, self._fired.done))
        if self.by_clock:
            self.firing.set_alarm()

    def fire(self, progress: int) -> Iterator[None]:
        """Fire the sessions that have ended."""
        yield from self._windows.advance(progress)
        self._fired.advance(progress)

    def next_end(self) -> int | None:
        """Of the session that ends next."""
        return self._windows.first_due()

    def fired_until(self) -> FiredUntil:
        """What has fired."""
        return self._fired


class _Ended:
    """Passes sessions that have ended to their operator."""

    def __init__(self, operator: SessionOperator) -> None:
        self._operator = operator

    def emit(self, slots: Slots, starts: Timestamps, ends: Timestamps) -> None:
        """Sessions."""
        operator = self._operator
        operator.emit_sessions(operator.table.keys(slots), slots, starts, ends)


class SessionAggregateOperator(SessionOperator):
    """GROUP BY of sessions.

    Args:
        settings: of the user's session.
        plan: keys, window, aggregates.
        schema: of the results.
        zoned: whether windows are those of instants, in the user's zone.
    """

    def __init__(
        self, settings: SqlSettings, plan: AggregatePlan, schema: pa.Schema, zoned: bool
    ) -> None:
        super().__init__(settings, plan.window, schema, zoned)
        self._plan = plan

    def open(self) -> None:
        """Compile, get the tables, find the sessions that wait."""
        super().open()
        plan = self._plan
        calls = WindowCalls(
            plan.calls, grouped=bool(plan.shown), retracting=plan.retracting, sets=plan.sets
        )
        arguments = calls.arguments
        self.open_sessions(plan.keys, calls, None if arguments is None else arguments.types)
        self._results = WindowResults(
            plan, calls, self._schema, self.local, self.emit, self.evaluation
        )

    def process_batch(self, batch: Batch, input_index: int = 0) -> None:
        """Fold rows into their sessions."""
        assert isinstance(batch, ColumnarBatch)
        data, at = batch.data, self._window.time
        if self.by_clock:
            times = self.clock_times(data.num_rows)
        else:
            times = row_times(data, at, self.local, self.context.operator_name)
        taken = signs(batch.kinds, data.num_rows) if self._plan.retracting else None
        context = self.evaluation()
        columns: list[pa.Array] = []
        if self.calls.arguments is not None:
            columns = self.calls.arguments.columns(data, taken, context)
        self.add(batch, times, self.calls.values(data, taken, context), columns)

    def emit_sessions(
        self, keys: list[pa.Array], slots: Slots, starts: Timestamps, ends: Timestamps
    ) -> None:
        """Give the results of sessions."""
        parts = self.calls.read(self.table, slots)
        waiting: list[pa.Array] = []
        if self.rows is not None and self.calls.arguments is not None:
            groups, kept = self.rows.within(keys, starts, ends)
            waiting = self.calls.arguments.results(
                kept.columns, groups, len(slots), self.evaluation()
            )
            self.rows.table.remove(kept.ids)
        alive = self.calls.alive(parts)
        if alive is not None:
            keys, waiting = ([take_array(c, alive) for c in some] for some in (keys, waiting))
            parts = self.calls.read(self.table, slots[alive])
            starts, ends = starts[alive], ends[alive]
        self._results.emit(keys, parts, waiting, (starts, ends))


class SessionTvfOperator(SessionOperator):
    """SESSION alone: rows with their session, given when it ends.

    A row without event time is dropped and counted.
    """

    def open(self) -> None:
        """Get the tables, find the sessions that wait."""
        super().open()
        self._null_times = self.context.metrics.counter(NULL_TIMES)
        calls = WindowCalls((), grouped=True, retracting=False)
        waiting = [*self.input_schema().types, pa.int8()]
        self.open_sessions(self._window.keys, calls, waiting)

    def process_batch(self, batch: Batch, input_index: int = 0) -> None:
        """Keep rows until their sessions end."""
        assert isinstance(batch, ColumnarBatch)
        if self.by_clock:
            times = self.clock_times(len(batch))
        else:
            column = batch.data.column(self._window.time)
            if column.null_count:
                batch = self._timed(batch, column)
                column = batch.data.column(self._window.time)
            times = self.local.of(column)
        if len(batch):
            kinds = np.zeros(len(batch), np.int8) if batch.kinds is None else batch.kinds
            columns = [*batch.data.columns, pa.array(kinds)]
            values = self.calls.values(batch.data, None, self.evaluation())
            self.add(batch, times, values, columns)

    def _timed(self, batch: ColumnarBatch, column: pa.Array) -> ColumnarBatch:
        there = np.flatnonzero(column.is_valid().to_numpy(zero_copy_only=False))
        self._null_times.inc(len(column) - len(there))
        kinds = None if batch.kinds is None else batch.kinds[there]
        return ColumnarBatch(take_batch(batch.data, there), None, kinds)

    def emit_sessions(
        self, keys: list[pa.Array], slots: Slots, starts: Timestamps, ends: Timestamps
    ) -> None:
        """Give the rows of sessions."""
        assert self.rows is not None
        sessions, kept = self.rows.within(keys, starts, ends)
        *columns, kinds = kept.columns
        self.rows.table.remove(kept.ids)
        found = window_columns(
            self._schema,
            starts[sessions],
            ends[sessions],
            self.local,
            self.context.clock.now_ms(),
            event_time=self._window.event_time,
        )
        data = pa.RecordBatch.from_arrays([*columns, *found], schema=self._schema)
        changes = kinds.to_numpy()
        self.emit(data, changes if changes.any() else None)
