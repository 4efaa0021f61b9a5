"""GROUP BY of a window: one result for each group and window, when the window ends."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa

from lesto.common.elements import MAX_TIMESTAMP, Batch, ColumnarBatch, Timestamps
from lesto.kernels import jit
from lesto.kernels.partition import take_batch
from lesto.sql.settings import SqlSettings
from lesto.sql.values import EvaluationContext
from lesto.state.table import StateTable, TableDescriptor
from lesto.taskmanager.operators.base import OperatorSnapshot
from lesto.taskmanager.operators.columnar.fired import FiredUntil
from lesto.taskmanager.operators.errors import MissingTimestampError
from lesto.taskmanager.operators.sql.base import SqlOperator, signs
from lesto.taskmanager.operators.sql.window_arguments import CallSpec
from lesto.taskmanager.operators.sql.window_calls import WindowCalls
from lesto.taskmanager.operators.sql.window_numbers import Values, numbers_of
from lesto.taskmanager.operators.sql.window_rows import SlicedRows
from lesto.taskmanager.operators.sql.window_shapes import Given, Hopping, Shape, WindowSpec
from lesto.taskmanager.operators.sql.window_slices import (
    FIRED_STATE,
    RESULT_ROWS_MAX,
    SliceWindows,
    restored_ranges,
    saved_ranges,
)
from lesto.taskmanager.operators.sql.window_time import LocalTime, is_zoned, timestamps
from lesto.taskmanager.operators.window_firing import Firing

#: Names of the states.
SLICES_TABLE: Final = "window_slices"
WAITING_TABLE: Final = "window_waiting"
LATE: Final = "num_late_records_dropped"


@dataclass(frozen=True, slots=True)
class AggregatePlan:
    """What a window aggregation is told.

    Attributes:
        window: over the input's time column.
        keys: columns.
        calls: the aggregates.
        properties: of ``start``, ``end``, ``rowtime``, ``proctime``, in the order of the results.
        columns: where an input that is already windowed has start and end of the windows.
        sets: of GROUPING SETS, positions in ``keys``; the input has the set's number as its last
            column then, and NULL for keys that are not in the row's set.
        retracting: whether the input takes rows back.
    """

    window: WindowSpec
    keys: tuple[int, ...]
    calls: tuple[CallSpec, ...]
    properties: tuple[str, ...] = ()
    columns: tuple[int, int] | None = None
    sets: tuple[tuple[int, ...], ...] = ()
    retracting: bool = False

    @property
    def shown(self) -> int:
        """Number of keys that are columns of the results."""
        return len(self.keys) - bool(self.sets)


class WindowResults:
    """Makes rows of groups.

    Args:
        plan: keys, properties.
        calls: the aggregates.
        schema: of the results.
        local: the windows' time.
        emit: takes batches.
        context: of evaluations.
    """

    def __init__(
        self,
        plan: AggregatePlan,
        calls: WindowCalls,
        schema: pa.Schema,
        local: LocalTime,
        emit: Callable[[pa.RecordBatch], None],
        context: Callable[[], EvaluationContext],
    ) -> None:
        self._plan = plan
        self._calls = calls
        self._schema = schema
        self._local = local
        self._emit = emit
        self._context = context

    def emit(
        self,
        keys: Sequence[pa.Array],
        parts: Sequence[Values],
        waiting: Sequence[pa.Array],
        bounds: tuple[Timestamps | None, Timestamps],
    ) -> None:
        """Groups of windows; starts are None where they are the last of the keys."""
        starts, ends = bounds
        for at in range(0, len(ends), RESULT_ROWS_MAX):
            part = slice(at, at + RESULT_ROWS_MAX)
            some = [(v[part], None if valid is None else valid[part]) for v, valid in parts]
            context = self._context()
            own = [k[part] for k in keys]
            columns = own[: self._plan.shown]
            chosen = own[self._plan.shown] if self._plan.sets else None
            columns += self._calls.results(some, [w[part] for w in waiting], context, chosen)
            start = own[-1] if starts is None else starts[part]
            columns += self._properties(len(columns), start, ends[part], context)
            self._emit(pa.RecordBatch.from_arrays(columns, schema=self._schema))

    def _properties(
        self, at: int, starts: pa.Array | Timestamps, ends: Timestamps, context: EvaluationContext
    ) -> list[pa.Array]:
        found: list[pa.Array] = []
        for i, name in enumerate(self._plan.properties):
            kind = self._schema.field(at + i).type
            match name:
                case "start":
                    is_column = isinstance(starts, pa.Array)
                    found.append(starts if is_column else timestamps(starts, kind))
                case "end":
                    found.append(timestamps(ends, kind))
                case "rowtime":
                    last = ends - 1
                    found.append(
                        timestamps(self._local.instants(last) if is_zoned(kind) else last, kind)
                    )
                case _:
                    now = np.full(len(ends), context.now_ms, np.int64)
                    found.append(timestamps(now, kind))
        return found


def row_times(data: pa.RecordBatch, at: int, local: LocalTime, operator: str) -> Timestamps:
    """Local times of rows, int64[n].

    Args:
        data: rows.
        at: position of the time column.
        local: the windows' time.
        operator: its name, for messages.

    Raises:
        MissingTimestampError: a row has none.
    """
    column, name = data.column(at), data.schema.field(at).name
    if column.null_count:
        msg = (
            f"'{operator}' has windows over {name}, and {column.null_count} of {len(column)} rows"
            " have NULL there"
        )
        raise MissingTimestampError(
            msg, remedy=f"filter them: WHERE {name} IS NOT NULL, below the window"
        )
    return local.of(column)


class WindowOperator(SqlOperator):
    """Base of what waits for the ends of windows: fires in steps, by event time or the clock."""

    #: Firing very many windows at once is done in steps.
    concurrent = True
    by_clock = False
    local: LocalTime
    firing: Firing

    def open_windows(self, local: LocalTime) -> FiredUntil:
        """Set the clock up; gives what has fired before a restore."""
        jit.warm()
        self.local = local
        self.progress = self.local.progress(self.watermark)
        self.late = self.context.metrics.counter(LATE)
        self.firing = Firing(self.context, self.output, self, self)
        backend = self.backend
        groups = (backend.key_group_start, backend.key_group_end, backend.max_parallelism)
        return FiredUntil(restored_ranges(self.context.restored_list(FIRED_STATE)), groups)

    def fire(self, progress: int) -> Iterator[None]:
        """Fire the windows that have ended by local time, a step at a time."""
        raise NotImplementedError

    def next_end(self) -> int | None:
        """The last local ms of the window that ends next."""
        raise NotImplementedError

    def fired_until(self) -> FiredUntil:
        """What has fired."""
        raise NotImplementedError

    def clock_times(self, rows: int) -> Timestamps:
        """The clock's local time for so many rows; behind all windows that have fired."""
        now = self.local.at(self.context.clock.now_ms())
        return np.full(rows, max(now, self.fired_until().done + 1), np.int64)

    # -- time

    def process_watermark(self, timestamp: int) -> None:
        """Fire the windows that have ended, then pass the watermark on."""
        if self.by_clock and timestamp == MAX_TIMESTAMP:
            # Nothing comes any more: what waits for the clock is given now.
            for _ in self.fire(MAX_TIMESTAMP):
                pass
        self.firing.watermark(timestamp)

    def process_status(self, idle: bool) -> None:
        """Pass it on, behind what fires."""
        self.firing.status(idle)

    def advance(self, time: int) -> Iterator[None]:
        """Fire, a step at a time."""
        if self.by_clock:
            yield from self.fire(self.local.progress(time - 1))
            return
        self.watermark = time
        self.progress = self.local.progress(time)
        yield from self.fire(self.progress)

    def due_at(self) -> int | None:
        """When the window that ends next is over by the clock, ms."""
        end = self.next_end()
        return None if end is None else self.local.due(end) + 1

    def flush(self) -> None:
        """Nothing is collected."""

    def poll(self) -> object:
        """Go on firing."""
        return self.firing.poll()

    def room(self) -> int:
        """No rows while windows fire."""
        return 0 if self.firing.busy else super().room()

    def in_flight(self) -> bool:
        """Whether windows have yet to fire."""
        return self.firing.busy

    def close(self) -> None:
        """Take the alarm back."""
        super().close()
        if hasattr(self, "firing"):
            self.firing.close()

    def snapshot(self, checkpoint_id: int, canonical: bool) -> OperatorSnapshot:
        """Keyed state, and what has fired."""
        keyed = self.backend.snapshot(checkpoint_id, canonical=canonical)
        return OperatorSnapshot(keyed, union_lists=saved_ranges(self.fired_until()))


class WindowAggregateOperator(WindowOperator):
    """TUMBLE, HOP, CUMULATE, and windows that the input's columns say.

    Args:
        settings: of the session.
        plan: keys, window, aggregates.
        schema: of the results.
        zoned: whether windows are those of instants, in the session's zone.
        partial: whether the input has been folded by a first phase: it has the keys, slices,
            numbers of rows and accumulators.
    """

    def __init__(
        self,
        settings: SqlSettings,
        plan: AggregatePlan,
        schema: pa.Schema,
        zoned: bool,
        partial: bool = False,
    ) -> None:
        super().__init__(settings)
        self._plan = plan
        self._schema = schema
        self._zoned = zoned
        self._partial = partial
        self.by_clock = not plan.window.event_time

    def open(self) -> None:
        """Compile, get the tables, find the windows that wait."""
        super().open()
        plan = self._plan
        fired = self.open_windows(LocalTime(self.settings.time_zone if self._zoned else None))
        calls = WindowCalls(
            plan.calls, grouped=bool(plan.shown), retracting=plan.retracting, sets=plan.sets
        )
        self._calls = calls
        given = self.input_schema()
        kinds = [given.field(i).type for i in plan.keys]
        self._shape: Shape = plan.window.shape()
        if plan.columns is not None:
            self._shape = Given()
            kinds.append(given.field(plan.columns[0]).type)
        self._constant = not kinds
        if self._constant:
            kinds.append(pa.int8())
        key_schema = pa.schema([pa.field(f"k{i}", kind) for i, kind in enumerate(kinds)])
        table: StateTable = self.backend.table(
            TableDescriptor(SLICES_TABLE, key_schema, calls.accumulators(), namespaced=True)
        )
        rows = None
        if calls.arguments is not None:
            rows = SlicedRows(
                self.backend, WAITING_TABLE, kinds, calls.arguments.types, once=calls.arguments.once
            )
        results = WindowResults(plan, calls, self._schema, self.local, self.emit, self.evaluation)
        self._windows = SliceWindows(
            self._shape, calls, table, rows, results, self.late, fired, self.evaluation
        )
        if self.by_clock:
            self.firing.set_alarm()

    def process_batch(self, batch: Batch, input_index: int = 0) -> None:
        """Fold rows into their slices."""
        assert isinstance(batch, ColumnarBatch)
        if self._partial:
            self._take_parts(batch.data)
            return
        data, kinds, plan = batch.data, batch.kinds, self._plan
        slices = self._shape.slices(self._times(data))
        between = self._shape.between(slices) if isinstance(self._shape, Hopping) else None
        if between is not None and between.any():
            kept = np.flatnonzero(~between)
            if not len(kept):
                return
            data, slices = take_batch(data, kept), slices[kept]
            kinds = None if kinds is None else kinds[kept]
        keys = [data.column(i) for i in plan.keys]
        if plan.columns is not None:
            keys.append(data.column(plan.columns[0]))
        if self._constant:
            keys.append(pa.array(np.zeros(data.num_rows, np.int8)))
        taken = signs(kinds, data.num_rows) if plan.retracting else None
        context = self.evaluation()
        values = self._calls.values(data, taken, context)
        columns: list[pa.Array] = []
        if self._calls.arguments is not None:
            columns = self._calls.arguments.columns(data, taken, context)
        self._windows.add(keys, slices, values, columns, self.progress)
        if self.by_clock:
            self.firing.set_alarm()

    def _take_parts(self, data: pa.RecordBatch) -> None:
        """Merge what a first phase has folded."""
        width = len(self._plan.keys)
        keys = list(data.columns[:width])
        if self._constant:
            keys.append(pa.array(np.zeros(data.num_rows, np.int8)))
        slices, rows = (numbers_of(c)[0] for c in data.columns[width : width + 2])
        parts = [numbers_of(c) for c in data.columns[width + 2 :]]
        self._windows.add_parts(keys, slices, parts, self.progress, rows)

    def _times(self, data: pa.RecordBatch) -> Timestamps:
        plan = self._plan
        if plan.columns is not None:
            return LocalTime(None).of(data.column(plan.columns[1]))
        if self.by_clock:
            return self.clock_times(data.num_rows)
        return row_times(data, plan.window.time, self.local, self.context.operator_name)

    def fire(self, progress: int) -> Iterator[None]:
        """Fire the windows that have ended."""
        yield from self._windows.advance(progress)

    def next_end(self) -> int | None:
        """Of the window that ends next."""
        return self._windows.due_at()

    def fired_until(self) -> FiredUntil:
        """What has fired."""
        return self._windows.fired
