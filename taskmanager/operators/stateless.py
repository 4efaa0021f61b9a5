"""Map, filter, flat_map and process on streams that are not keyed."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from itertools import repeat
from typing import Any

import numpy as np

from lesto.common.elements import MIN_TIMESTAMP, Batch, Form, RowBatch, Timestamps
from lesto.taskmanager.operators.base import Operator
from lesto.taskmanager.operators.errors import KeyedStateUnavailableError
from lesto.taskmanager.operators.results import emit_results, spread
from lesto.taskmanager.operators.runtime_context import OperatorRuntimeContext
from lesto.taskmanager.operators.user_functions import (
    bound_method,
    close_function,
    current_row,
    function_name,
    open_function,
    row_error,
)


class UserFunctionOperator(Operator):
    """Base of the row operators with one user function: its life cycle and its errors.

    Attributes:
        iterates: what the function gives is iterated over.
    """

    input_form = Form.ROWS
    iterates = False

    def __init__(self, function: Any) -> None:
        self._function = function
        self._opened = False

    def open(self) -> None:
        """Open the function."""
        self._opened = True
        open_function(self._function, self._runtime_context(), self.context.operator_name)

    def _runtime_context(self) -> OperatorRuntimeContext:
        return OperatorRuntimeContext(self.context)

    def _row_error(self, error: Exception, rows: Iterator[Any], total: int) -> Exception:
        return row_error(
            self.context.operator_name,
            function_name(self._function),
            error,
            rows,
            total,
            iterates=self.iterates,
        )

    def close(self) -> None:
        """Close the function, once, if it was opened."""
        if self._opened:
            self._opened = False
            close_function(self._function, self.context.operator_name)


class MapOperator(UserFunctionOperator):
    """One result for each record: ``map(value)``."""

    def __init__(self, function: Any) -> None:
        super().__init__(function)
        self._map: Callable[[Any], Any] = bound_method(function, "map")

    def process_batch(self, batch: Batch, input_index: int = 0) -> None:
        """Map each value; event time and row kind stay."""
        assert isinstance(batch, RowBatch)
        fn = self._map
        rows = iter(batch.values)
        try:
            values = [fn(value) for value in rows]
        except Exception as error:
            raise self._row_error(error, rows, len(batch.values)) from error
        self.output.emit(RowBatch(values, batch.timestamps, batch.kinds))


class FilterOperator(UserFunctionOperator):
    """The records for which ``filter(value)`` is true."""

    def __init__(self, function: Any) -> None:
        super().__init__(function)
        self._filter: Callable[[Any], Any] = bound_method(function, "filter")

    def process_batch(self, batch: Batch, input_index: int = 0) -> None:
        """Keep the values that pass, with their event time and row kind."""
        assert isinstance(batch, RowBatch)
        fn = self._filter
        values, timestamps, kinds = batch.values, batch.timestamps, batch.kinds
        rows = iter(values)
        try:
            if timestamps is None and kinds is None:
                kept = [value for value in rows if fn(value)]
                mask: list[bool] | None = None
            else:
                # Not bool(...): that would be a second call a row.
                mask = [True if fn(value) else False for value in rows]  # noqa: SIM210
                kept = [value for value, keep in zip(values, mask, strict=True) if keep]
        except Exception as error:
            raise self._row_error(error, rows, len(values)) from error
        if len(kept) == len(values):
            self.output.emit(batch)
        elif kept:
            keep_rows = None if mask is None else np.array(mask, dtype=bool)
            self.output.emit(
                RowBatch(
                    kept,
                    None if timestamps is None else timestamps[keep_rows],
                    None if kinds is None else kinds[keep_rows],
                )
            )


class FlatMapOperator(UserFunctionOperator):
    """Any number of results a record: ``flat_map(value)`` gives an iterable or None."""

    iterates = True

    def __init__(self, function: Any, method: str = "flat_map") -> None:
        super().__init__(function)
        self._flat_map: Callable[[Any], Any] = bound_method(function, method)

    def process_batch(self, batch: Batch, input_index: int = 0) -> None:
        """Collect the results of each value; they keep its event time."""
        assert isinstance(batch, RowBatch)
        fn = self._flat_map
        values, timestamps = batch.values, batch.timestamps
        rows = iter(values)
        results: list[Any] = []
        extend = results.extend
        ends: list[int] | None = None
        try:
            if timestamps is None:
                for value in rows:
                    found = fn(value)
                    if found is not None:
                        extend(found)
            else:
                ends = []
                mark = ends.append
                for value in rows:
                    found = fn(value)
                    if found is not None:
                        extend(found)
                    mark(len(results))
        except Exception as error:
            raise self._row_error(error, rows, len(values)) from error
        if results:
            emit_flat(self, results, timestamps, ends)


def emit_flat(
    operator: Operator, results: list[Any], timestamps: Timestamps | None, ends: list[int] | None
) -> None:
    """Emit results that cannot be tagged: a flat_map has no side outputs."""
    if timestamps is not None and ends is not None:
        timestamps = spread(timestamps, ends)
    operator.output.emit(RowBatch(results, timestamps))


class RowContext:
    """The ``ctx`` of a process function: where the batch's loop is, without per-row bookkeeping.

    The loop runs over a list iterator; its position tells the current row, so only a function
    that asks for the event time pays for it.
    """

    __slots__ = ("_fixed", "_rows", "_times", "_timestamps", "_total")

    def __init__(self) -> None:
        self._rows: Iterator[Any] = iter(())
        self._total = 0
        self._timestamps: Timestamps | None = None
        self._times: list[int] | None = None
        self._fixed: int | None = None

    def begin(self, rows: Iterator[Any], total: int, timestamps: Timestamps | None) -> None:
        """A batch begins."""
        self._rows = rows
        self._total = total
        self._timestamps = timestamps
        self._times = None
        self._fixed = None

    def timestamp(self) -> int | None:
        """Event time (ms) of the current record, or None if it has none."""
        times = self._times
        if times is None:
            if self._timestamps is None:
                return self._fixed
            times = self._times = self._timestamps.tolist()
        at = times[current_row(self._rows, self._total)]
        return None if at == MIN_TIMESTAMP else at

    def hold(self, timestamp: int | None) -> None:
        """A timer fires: its time is the event time until the next batch begins."""
        self._timestamps = None
        self._times = None
        self._fixed = timestamp


class _UnkeyedTimerService:
    """Times of a process function that is not keyed; it has no timers."""

    __slots__ = ("_operator",)

    def __init__(self, operator: ProcessOperator) -> None:
        self._operator = operator

    def current_processing_time(self) -> int:
        """Wall clock, ms."""
        return self._operator.context.clock.now_ms()

    def current_watermark(self) -> int:
        """Event time of the operator, ms."""
        return self._operator.current_watermark

    def _refuse(self, timestamp: int) -> None:
        msg = f"a timer for {timestamp} in a process function that is not on a keyed stream"
        raise KeyedStateUnavailableError(msg, remedy="call key_by(...) before process(...)")

    register_event_time_timer = _refuse
    register_processing_time_timer = _refuse
    delete_event_time_timer = _refuse
    delete_processing_time_timer = _refuse


class _ProcessContext(RowContext):
    __slots__ = ("_timer_service",)

    def __init__(self, operator: ProcessOperator) -> None:
        super().__init__()
        self._timer_service = _UnkeyedTimerService(operator)

    def timer_service(self) -> _UnkeyedTimerService:
        """Current times."""
        return self._timer_service


class ProcessOperator(UserFunctionOperator):
    """``process_element(value, ctx)`` yields results, and ``tag, value`` for side outputs."""

    iterates = True

    def __init__(self, function: Any, method: str = "process_element") -> None:
        super().__init__(function)
        self._process: Callable[..., Any] = bound_method(function, method)
        self.current_watermark = MIN_TIMESTAMP
        self._ctx = _ProcessContext(self)

    def process_batch(self, batch: Batch, input_index: int = 0) -> None:
        """Run the function over the batch and emit what it yields, once."""
        assert isinstance(batch, RowBatch)
        values, timestamps = batch.values, batch.timestamps
        rows = iter(values)
        ctx = self._ctx
        ctx.begin(rows, len(values), timestamps)
        results: list[Any] = []
        ends: list[int] | None = None if timestamps is None else []
        try:
            collect(map(self._process, rows, repeat(ctx)), results, ends)
        except Exception as error:
            raise self._row_error(error, rows, len(values)) from error
        emit_results(self.output, results, timestamps, ends)

    def process_watermark(self, timestamp: int) -> None:
        """Event time moves on."""
        self.current_watermark = timestamp
        self.output.emit_watermark(timestamp)


def collect(calls: Iterator[Any], results: list[Any], ends: list[int] | None) -> None:
    """Drain what each call gives (an iterable or None) into ``results``; mark where each ends."""
    extend = results.extend
    if ends is None:
        for found in calls:
            if found is not None:
                extend(found)
        return
    mark = ends.append
    for found in calls:
        if found is not None:
            extend(found)
        mark(len(results))


def is_generator(function: Callable[..., Any]) -> bool:
    """Whether a function yields: its result then is never None."""
    return inspect.isgeneratorfunction(function)
