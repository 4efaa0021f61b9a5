"""The window operator on rows: it picks an engine and connects it to state, time and output."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lesto.common.elements import Batch, RowBatch, full_timestamps
from lesto.common.functions import OutputTag
from lesto.common.keys import KeySpec
from lesto.common.triggers import EventTimeTrigger
from lesto.common.windowing import SlidingEventTimeWindows, TumblingEventTimeWindows
from lesto.state.backend import KeyedStateBackend
from lesto.taskmanager.operators.base import OperatorSnapshot
from lesto.taskmanager.operators.errors import MissingTimestampError
from lesto.taskmanager.operators.field_access import key_function
from lesto.taskmanager.operators.runtime_context import OperatorRuntimeContext
from lesto.taskmanager.operators.stateless import UserFunctionOperator
from lesto.taskmanager.operators.timer_service import InternalTimers
from lesto.taskmanager.operators.user_functions import close_function, open_function, user_errors
from lesto.taskmanager.operators.window_aligned import WINDOWS_STATE, AlignedWindows
from lesto.taskmanager.operators.window_contents import window_contents
from lesto.taskmanager.operators.window_engine import LateRecords, WindowEngine
from lesto.taskmanager.operators.window_general import GeneralWindows, require_timestamps
from lesto.taskmanager.operators.window_output import WindowContext, WindowResults


class WindowOperator(UserFunctionOperator):
    """Windows of a keyed stream.

    Args:
        key: how records are keyed.
        assigner: assigns records to windows.
        trigger: when windows fire; None: the assigner's default.
        allowed_lateness_ms: how long a window stays after its end for late records.
        late_tag: side output for records that come too late; None: they are counted and dropped.
        reduce_fn: combines records, or None.
        aggregate_fn: an AggregateFunction, or None.
        window_fn: ProcessWindowFunction, WindowFunction or callable (key, window, elements). It
            gets the one combined value where there is a reduce or aggregate function, else all
            records. None: the combined value is the result.
    """

    _backend: KeyedStateBackend
    _timers: InternalTimers
    _engine: WindowEngine

    def __init__(
        self,
        key: KeySpec,
        assigner: Any,
        trigger: Any = None,
        allowed_lateness_ms: int = 0,
        late_tag: OutputTag | str | None = None,
        reduce_fn: Any = None,
        aggregate_fn: Any = None,
        window_fn: Any = None,
    ) -> None:
        super().__init__(window_fn)
        self._keys_of = key_function(key)
        self._assigner = assigner
        self._trigger = assigner.get_default_trigger() if trigger is None else trigger
        self._lateness_ms = allowed_lateness_ms
        self._late_tag = late_tag.tag_id if isinstance(late_tag, OutputTag) else late_tag
        self._contents = window_contents(reduce_fn, aggregate_fn, window_fn)
        self._is_event_time: bool = assigner.is_event_time()

    def open(self) -> None:
        """Open the functions, then take over the restored windows."""
        context = self.context
        name = context.operator_name
        self._backend = backend = context.keyed_backend()
        self._timers = timers = InternalTimers(
            context, backend, self._on_processing_timer, self._flush
        )
        runtime = OperatorRuntimeContext(context, backend)
        merging = callable(getattr(self._assigner, "merge_windows", None))
        self._results = WindowResults(
            self._function, name, self.output, WindowContext(backend, timers, merging)
        )
        late = LateRecords(
            self.output, self._late_tag, context.metrics.counter("num_late_records_dropped")
        )
        self._opened = True
        for function in (self._contents.function, self._function):
            if function is not None:
                open_function(function, runtime, name)
        self._contents.open(backend)
        shared = (self._contents, self._results, late, timers, backend)
        if self._is_aligned():
            self._engine = AlignedWindows(self._assigner, *shared, operator=name)
        else:
            self._engine = GeneralWindows(
                self._assigner,
                self._trigger,
                self._lateness_ms,
                *shared,
                runtime=runtime,
                operator=name,
            )
        self._engine.restore(list(context.restored_list(WINDOWS_STATE)))
        timers.open()

    def _is_aligned(self) -> bool:
        kinds = (TumblingEventTimeWindows, SlidingEventTimeWindows)
        return (
            type(self._assigner) in kinds
            and type(self._trigger) is EventTimeTrigger
            and self._lateness_ms == 0
        )

    def process_batch(self, batch: Batch, input_index: int = 0) -> None:
        """Add the records to their windows."""
        assert isinstance(batch, RowBatch)
        values, timestamps = batch.values, batch.timestamps
        if self._is_event_time and not require_timestamps(timestamps):
            msg = (
                f"a record without event time reached the windows of {self.context.operator_name!r}"
            )
            raise MissingTimestampError(
                msg,
                remedy="give from_source a watermark strategy, "
                "or call assign_timestamps_and_watermarks",
            )
        with user_errors(self.context.operator_name, "the key selector"):
            keys = self._keys_of(values)
        if timestamps is None:
            timestamps = full_timestamps(len(values), self._timers.now_ms())
        self._engine.process(keys, values, timestamps)

    def process_watermark(self, timestamp: int) -> None:
        """Fire windows, then pass the watermark on."""
        self._engine.advance(timestamp)
        self.output.emit_watermark(timestamp)

    def _on_processing_timer(self, timestamp: int, key: Any, namespace: Any) -> None:
        engine = self._engine
        assert isinstance(engine, GeneralWindows), "aligned windows set no processing-time timers"
        engine.on_processing_timer(timestamp, key, namespace)

    def _flush(self) -> None:
        self._results.flush()

    def snapshot(self, checkpoint_id: int, canonical: bool) -> OperatorSnapshot:
        """Contents and timers by the keyed backend, the aligned engine's windows as union list."""
        union_lists = self._engine.save()
        keyed = self._backend.snapshot(checkpoint_id, canonical=canonical)
        return OperatorSnapshot(keyed, union_lists=union_lists)

    def functions(self) -> Sequence[Any]:
        """That of the contents, and that of the results."""
        return [f for f in (self._contents.function, self._function) if f is not None]

    def close(self) -> None:
        """Take the alarm back and close the functions."""
        if not self._opened:
            return
        self._opened = False
        self._timers.close()
        for function in (self._contents.function, self._function):
            if function is not None:
                close_function(function, self.context.operator_name)
