"""KeyedProcessFunction: keyed state and timers, row by row."""

from __future__ import annotations

from collections.abc import Callable
from itertools import repeat
from typing import Any

import numpy as np

from lesto.common.elements import Batch, RowBatch
from lesto.common.keys import KeySpec
from lesto.common.time import TimeDomain
from lesto.state.backend import KeyedStateBackend
from lesto.taskmanager.operators.base import OperatorSnapshot
from lesto.taskmanager.operators.field_access import key_function
from lesto.taskmanager.operators.keyed_reduce import (
    KeyedFieldAggregateOperator,
    KeyedReduceOperator,
)
from lesto.taskmanager.operators.results import RESULT_ROWS_MAX, emit_results
from lesto.taskmanager.operators.runtime_context import OperatorRuntimeContext
from lesto.taskmanager.operators.stateless import RowContext, UserFunctionOperator, is_generator
from lesto.taskmanager.operators.timer_service import InternalTimers, TimerService
from lesto.taskmanager.operators.user_functions import (
    bound_method,
    function_error,
    function_name,
    user_errors,
)

__all__ = ["KeyedFieldAggregateOperator", "KeyedProcessOperator", "KeyedReduceOperator"]


class KeyedProcessContext(RowContext):
    """The ``ctx`` of ``process_element`` and ``on_timer``."""

    __slots__ = ("_backend", "_domain", "_timer_service")

    def __init__(self, backend: KeyedStateBackend, timer_service: TimerService) -> None:
        super().__init__()
        self._backend = backend
        self._timer_service = timer_service
        self._domain = TimeDomain.EVENT_TIME

    def get_current_key(self) -> Any:
        """Key of the current record or timer."""
        return self._backend.current_key

    def timer_service(self) -> TimerService:
        """Times, and timers of the current key."""
        return self._timer_service

    def time_domain(self) -> TimeDomain:
        """In ``on_timer``: whether it is an event-time or a processing-time timer."""
        return self._domain

    def event_time(self) -> int | None:
        """Event time (ms) of the record or event-time timer at hand, or None."""
        if self._fixed is not None and self._domain is TimeDomain.PROCESSING_TIME:
            return None
        return self.timestamp()

    def hold_timer(self, timestamp: int, domain: TimeDomain) -> None:
        """A timer of this kind fires."""
        self._domain = domain
        self.hold(timestamp)


class KeyedProcessOperator(UserFunctionOperator):
    """Runs a KeyedProcessFunction: ``process_element(value, ctx)``, ``on_timer(timestamp, ctx)``.

    Args:
        function: the object, or a callable taken for ``process_element``.
        key: how records are keyed.
        method: of the object, that takes the records.
    """

    _backend: KeyedStateBackend
    _timers: InternalTimers
    _ctx: KeyedProcessContext

    iterates = True

    def __init__(self, function: Any, key: KeySpec, method: str = "process_element") -> None:
        super().__init__(function)
        self._process: Callable[..., Any] = bound_method(function, method)
        self._on_timer: Callable[..., Any] | None = getattr(function, "on_timer", None)
        self._keys_of = key_function(key)
        self._yields = is_generator(self._process)
        self._fired: list[Any] = []
        self._fired_at: list[int] = []

    def open(self) -> None:
        """Get the restored state, open the function, set the alarm for restored timers."""
        self._backend = backend = self.context.keyed_backend()
        self._timers = InternalTimers(
            self.context, backend, self._on_processing_timer, self._flush_processing
        )
        self._ctx = KeyedProcessContext(backend, TimerService(self._timers, backend))
        backend.element_time = self._ctx.event_time
        super().open()
        self._timers.open()

    def _runtime_context(self) -> OperatorRuntimeContext:
        return OperatorRuntimeContext(self.context, self._backend)

    def process_batch(self, batch: Batch, input_index: int = 0) -> None:
        """Run the function over the batch and emit what it yields, once."""
        assert isinstance(batch, RowBatch)
        values, timestamps = batch.values, batch.timestamps
        with user_errors(self.context.operator_name, "the key selector"):
            keys = self._keys_of(values)
        backend = self._backend
        backend.prefetch(keys)
        rows = iter(values)
        ctx = self._ctx
        ctx.begin(rows, len(values), timestamps)
        process = self._process
        results: list[Any] = []
        extend = results.extend
        ends: list[int] | None = None
        try:
            # The loop's target is the backend's attribute: setting the key costs no statement of
            # its own.
            if timestamps is not None:
                ends = []
                mark = ends.append
                for backend.current_key, value in zip(keys, rows, strict=False):
                    found = process(value, ctx)
                    if found is not None:
                        extend(found)
                    mark(len(results))
            elif self._yields:
                for backend.current_key, value in zip(keys, rows, strict=False):
                    extend(process(value, ctx))
            else:
                for backend.current_key, value in zip(keys, rows, strict=False):
                    found = process(value, ctx)
                    if found is not None:
                        extend(found)
        except Exception as error:
            raise self._row_error(error, rows, len(values)) from error
        emit_results(self.output, results, timestamps, ends)

    def process_watermark(self, timestamp: int) -> None:
        """Fire event-time timers, then pass the watermark on."""
        self._timers.fire_event_timers(timestamp, self._on_event_timer)
        self._flush(timestamped=True)
        self.output.emit_watermark(timestamp)

    def _on_event_timer(self, timestamp: int, key: Any, namespace: Any) -> None:
        self._fire(timestamp, TimeDomain.EVENT_TIME)
        if len(self._fired) >= RESULT_ROWS_MAX:
            self._flush(timestamped=True)

    def _on_processing_timer(self, timestamp: int, key: Any, namespace: Any) -> None:
        self._fire(timestamp, TimeDomain.PROCESSING_TIME)
        if len(self._fired) >= RESULT_ROWS_MAX:
            self._flush(timestamped=False)

    def _fire(self, timestamp: int, domain: TimeDomain) -> None:
        on_timer = self._on_timer
        if on_timer is None:
            return
        ctx = self._ctx
        ctx.hold_timer(timestamp, domain)
        fired = self._fired
        before = len(fired)
        try:
            found = on_timer(timestamp, ctx)
            if found is not None:
                fired.extend(found)
        except Exception as error:
            name = f"{function_name(self._function)}.on_timer"
            raise function_error(self.context.operator_name, name, error, iterates=True) from error
        self._fired_at.extend(repeat(timestamp, len(fired) - before))

    def _flush_processing(self) -> None:
        self._flush(timestamped=False)

    def _flush(self, *, timestamped: bool) -> None:
        """Emit what timers yielded; of processing-time timers without event time, as in Flink."""
        if not self._fired:
            return
        results, self._fired = self._fired, []
        times, self._fired_at = self._fired_at, []
        emit_results(
            self.output, results, np.array(times, dtype=np.int64) if timestamped else None, None
        )

    def snapshot(self, checkpoint_id: int, canonical: bool) -> OperatorSnapshot:
        """State and timers, by the keyed backend."""
        return OperatorSnapshot(self._backend.snapshot(checkpoint_id, canonical=canonical))

    def close(self) -> None:
        """Take the alarm back and close the function."""
        if self._opened:
            self._timers.close()
        super().close()
