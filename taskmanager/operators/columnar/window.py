"""Window aggregates on columns: tumbling, sliding and session windows in event time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import gcd
from typing import Any, Final

import pyarrow as pa

from lesto.common.elements import MIN_TIMESTAMP, NO_TIMESTAMP, Batch, ColumnarBatch, Form
from lesto.common.expressions import Expr
from lesto.common.windowing import (
    EventTimeSessionWindows,
    SlidingEventTimeWindows,
    TumblingEventTimeWindows,
    settled,
)
from lesto.kernels import jit
from lesto.state.errors import StateMismatchError
from lesto.state.table import AccumulatorSpec, StateTable, TableDescriptor
from lesto.taskmanager.operators.base import Operator, OperatorSnapshot
from lesto.taskmanager.operators.columnar.aggregates import AggregatePlan
from lesto.taskmanager.operators.columnar.columns import input_schema, require_insertions
from lesto.taskmanager.operators.columnar.errors import UnsupportedWindowError
from lesto.taskmanager.operators.columnar.session_windows import SessionWindows
from lesto.taskmanager.operators.columnar.sliced_windows import (
    FIRED_STATE,
    SlicedWindows,
    can_slice,
)
from lesto.taskmanager.operators.columnar.time_windows import TimeWindows
from lesto.taskmanager.operators.columnar.window_results import LateRows, WindowResults
from lesto.taskmanager.operators.errors import MissingTimestampError
from lesto.taskmanager.operators.window_firing import Firing

#: Names of the state tables.
WINDOWS_TABLE: Final = "window_aggregate"
SLICES_TABLE: Final = "window_slices"


class WindowAggregateOperator(Operator):
    """Gives each key's aggregates of each window once the watermark has passed its end.

    A result's event time is the last millisecond of its window. With allowed lateness a window
    stays after it has fired, and each later batch with records of it gives its updated results at
    once (Flink does so record by record). Records whose windows are gone are counted, or go to a
    side output.

    Args:
        key_columns: names of the key columns.
        assigner: TumblingEventTimeWindows, SlidingEventTimeWindows or EventTimeSessionWindows.
        aggregates: aggregate expressions, ``window_start()`` and ``window_end()``.
        allowed_lateness_ms: how long a window stays after its end.
        late_tag: id of the side output for late records, or None to count and drop them.
    """

    input_form = Form.COLUMNAR
    #: Firing very many windows at once is done in steps.
    concurrent = True
    by_clock = False
    table: StateTable

    def __init__(
        self,
        key_columns: Sequence[str],
        assigner: Any,
        aggregates: Sequence[Expr],
        allowed_lateness_ms: int = 0,
        late_tag: str | None = None,
    ) -> None:
        _check_assigner(assigner)
        if allowed_lateness_ms < 0:
            msg = f"the allowed lateness cannot be negative, got {allowed_lateness_ms} ms"
            raise UnsupportedWindowError(msg)
        self._key_columns = list(key_columns)
        self._assigner = assigner
        self._aggregates = list(aggregates)
        self._lateness_ms = allowed_lateness_ms
        self._late_tag = late_tag
        self._watermark = MIN_TIMESTAMP

    def open(self) -> None:
        """Compile, load the kernels, get the table and find its open windows."""
        plan = AggregatePlan(
            input_schema(self.context), self._key_columns, self._aggregates, windowed=True
        )
        jit.warm()
        self._backend = self.context.keyed_backend()
        self._windows = self._make_windows(plan)
        self._firing = Firing(self.context, self.output, self, self)

    def _make_windows(self, plan: AggregatePlan) -> SessionWindows | SlicedWindows | TimeWindows:
        context, assigner, lateness = self.context, self._assigner, self._lateness_ms
        late = LateRows(
            self.output, self._late_tag, context.metrics.counter("num_late_records_dropped")
        )
        if isinstance(assigner, EventTimeSessionWindows):
            table = self._table(plan, SessionWindows.extra_accumulators(lateness), None)
            results = WindowResults(plan, table, self.output)
            return SessionWindows(assigner.session_gap, lateness, plan, table, results, late)
        assigner = settled(assigner, context.clock.now_ms())
        shape = (assigner.size, getattr(assigner, "slide", assigner.size), assigner.offset)
        if self._slices(can_slice(shape, lateness, plan)):
            table = self._table(plan, (), gcd(shape[0], shape[1]), SLICES_TABLE)
            results = WindowResults(plan, table, self.output)
            backend = self._backend
            groups = (backend.key_group_start, backend.key_group_end, backend.max_parallelism)
            saved = context.restored_list(FIRED_STATE)
            return SlicedWindows(shape, plan, table, results, late, groups, saved)
        table = self._table(plan, TimeWindows.extra_accumulators(lateness), assigner.size)
        results = WindowResults(plan, table, self.output)
        return TimeWindows(shape, lateness, plan, table, results, late)

    def _slices(self, possible: bool) -> bool:
        """Whether windows are made up of slices: restored ones go on as they were stored.

        Raises:
            StateMismatchError: they were, and cannot be any more.
        """
        slices, whole = map(self._backend.has_state, (SLICES_TABLE, WINDOWS_TABLE))
        if slices and (whole or not possible):
            msg = f"the sliding windows of '{self.context.operator_name}' were stored in slices"
            raise StateMismatchError(
                msg + ", and are not made up of slices now: lateness or aggregates have changed",
                remedy="restore with the job that wrote it, or change the operator's uid",
            )
        return possible and not whole

    def _table(
        self,
        plan: AggregatePlan,
        extra: tuple[AccumulatorSpec, ...],
        window_ms: int | None,
        name: str = WINDOWS_TABLE,
    ) -> StateTable:
        self.table = self._backend.table(
            TableDescriptor(
                name,
                plan.key_schema,
                (*plan.accumulators(), *extra),
                namespaced=True,
                window_ms=window_ms,
            )
        )
        return self.table

    def process_batch(self, batch: Batch, input_index: int = 0) -> None:
        """Put the records into their windows."""
        assert isinstance(batch, ColumnarBatch)
        require_insertions(batch, self.context.operator_name)
        if len(batch) == 0:
            return
        times = batch.timestamps
        if times is None or int(times.min()) == NO_TIMESTAMP:
            name = self.context.operator_name
            msg = f"'{name}' has event-time windows but got records without event time"
            raise MissingTimestampError(
                msg, remedy="give the stream a strategy: assign_timestamps_and_watermarks(...)"
            )
        self._windows.add(batch, times, self._watermark)

    def process_watermark(self, timestamp: int) -> None:
        """Fire the windows that have ended, then pass the watermark on."""
        self._firing.watermark(timestamp)

    def process_status(self, idle: bool) -> None:
        """Pass it on, behind what fires."""
        self._firing.status(idle)

    def advance(self, time: int) -> Iterator[None]:
        """Fire, a step at a time."""
        self._watermark = time
        yield from self._windows.advance(time)

    def due_at(self) -> int | None:
        """Never by the wall clock."""
        return None

    def flush(self) -> None:
        """Nothing is collected."""

    def poll(self) -> object:
        """Go on firing."""
        return self._firing.poll()

    def room(self) -> int:
        """No records while windows fire."""
        return 0 if self._firing.busy else super().room()

    def in_flight(self) -> bool:
        """Whether windows have yet to fire."""
        return self._firing.busy

    def snapshot(self, checkpoint_id: int, canonical: bool) -> OperatorSnapshot:
        """State by the keyed backend."""
        windows = self._windows
        union_lists = windows.save() if isinstance(windows, SlicedWindows) else {}
        keyed = self._backend.snapshot(checkpoint_id, canonical=canonical)
        return OperatorSnapshot(keyed, union_lists=union_lists)


def window_output_schema(
    input_schema: pa.Schema,
    key_columns: Sequence[str],
    assigner: Any,
    aggregates: Sequence[Expr],
) -> pa.Schema:
    """Columns that :class:`WindowAggregateOperator` gives; for checks when the graph is built.

    Raises:
        ExpressionError: unknown or doubled column.
        UnsupportedAggregateError: an aggregate does not take the type it is given.
        UnsupportedWindowError: the assigner is none of those that work on columns.
    """
    _check_assigner(assigner)
    return AggregatePlan(input_schema, key_columns, aggregates, windowed=True).output_schema


def _check_assigner(assigner: Any) -> None:
    supported = TumblingEventTimeWindows, SlidingEventTimeWindows, EventTimeSessionWindows
    if not isinstance(assigner, supported):
        msg = f"column aggregates do not work in {type(assigner).__name__}"
        raise UnsupportedWindowError(
            msg,
            remedy="use tumbling, sliding or fixed-gap session windows in event time,"
            " or .aggregate(...) / .process(...) on rows",
        )
