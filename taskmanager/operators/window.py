"""The window operator on rows: it picks an engine and connects it to state, time and output."""

from __future__ import annotations

from typing import Any, Final

from lesto.common.elements import NO_TIMESTAMP, Batch, RowBatch, full_timestamps
from lesto.common.functions import OutputTag
from lesto.common.keys import KeySpec
from lesto.common.triggers import EndOfStreamTrigger, EventTimeTrigger, ProcessingTimeTrigger
from lesto.common.windowing import (
    GlobalWindows,
    SlidingEventTimeWindows,
    SlidingProcessingTimeWindows,
    TumblingEventTimeWindows,
    TumblingProcessingTimeWindows,
    settled,
)
from lesto.state.backend import KeyedStateBackend
from lesto.taskmanager.operators.base import OperatorSnapshot
from lesto.taskmanager.operators.errors import MissingTimestampError
from lesto.taskmanager.operators.field_access import key_function
from lesto.taskmanager.operators.runtime_context import OperatorRuntimeContext
from lesto.taskmanager.operators.stateless import UserFunctionOperator
from lesto.taskmanager.operators.timer_service import InternalTimers
from lesto.taskmanager.operators.user_functions import close_function, open_function, user_errors
from lesto.taskmanager.operators.window_aligned import AlignedWindows, EndWindows
from lesto.taskmanager.operators.window_contents import EvictedContents, window_contents
from lesto.taskmanager.operators.window_engine import EngineParts, LateRecords, WindowEngine
from lesto.taskmanager.operators.window_firing import Firing
from lesto.taskmanager.operators.window_general import GeneralWindows, require_timestamps
from lesto.taskmanager.operators.window_merging import SESSIONS
from lesto.taskmanager.operators.window_output import WindowContext, WindowResults
from lesto.taskmanager.operators.window_records import WINDOWS_STATE
from lesto.taskmanager.operators.window_sessions import RowSessions

#: Windows whose bounds do not depend on the key.
ALIGNED: Final = frozenset(
    {
        TumblingEventTimeWindows,
        SlidingEventTimeWindows,
        TumblingProcessingTimeWindows,
        SlidingProcessingTimeWindows,
    }
)


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
        evictor: takes records out of a window that fires, or None.
    """

    _backend: KeyedStateBackend
    _timers: InternalTimers
    _engine: WindowEngine
    _firing: Firing

    #: Firing very many windows at once is done in steps.
    concurrent = True

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
        evictor: Any = None,
    ) -> None:
        super().__init__(window_fn)
        self._keys_of = key_function(key)
        self._assigner = assigner
        self._trigger = assigner.get_default_trigger(None) if trigger is None else trigger
        self._lateness_ms = allowed_lateness_ms
        self._late_tag = late_tag.tag_id if isinstance(late_tag, OutputTag) else late_tag
        self._contents = window_contents(reduce_fn, aggregate_fn, window_fn, evictor)
        self._is_event_time: bool = assigner.is_event_time()
        self._staggers = settled(assigner, 0) is not assigner

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
        self._results = results = WindowResults(
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
        parts = EngineParts(self._contents, results, late, timers, backend, name)
        self._engine = engine = self._make_engine(parts, runtime)
        self._firing = Firing(context, self.output, engine, results)
        engine.restore(list(context.restored_list(WINDOWS_STATE)))
        timers.open()
        self._firing.set_alarm()

    def _make_engine(self, parts: EngineParts, runtime: OperatorRuntimeContext) -> WindowEngine:
        """The quickest engine that does what is wanted."""
        assigner, trigger = self._assigner, type(self._trigger)
        quick = trigger is (EventTimeTrigger if self._is_event_time else ProcessingTimeTrigger)
        if isinstance(self._contents, EvictedContents):
            quick = False
        elif type(assigner) is GlobalWindows and trigger is EndOfStreamTrigger:
            return EndWindows(assigner, parts)
        if quick and type(assigner) in ALIGNED:
            return AlignedWindows(assigner, self._lateness_ms, parts)
        if quick and type(assigner) in SESSIONS:
            return RowSessions(assigner, self._lateness_ms, parts)
        return GeneralWindows(assigner, self._trigger, self._lateness_ms, parts, runtime)

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
        if self._staggers:
            self._staggers = False
            self._engine.use(settled(self._assigner, self._timers.now_ms()))
        with user_errors(self.context.operator_name, "the key selector"):
            keys = self._keys_of(values)
        if timestamps is None:
            timestamps = full_timestamps(len(values), NO_TIMESTAMP)
        self._engine.process(keys, values, timestamps)
        self._firing.set_alarm()

    def process_watermark(self, timestamp: int) -> None:
        """Fire windows, then pass the watermark on."""
        self._firing.watermark(timestamp)

    def process_status(self, idle: bool) -> None:
        """Pass it on, behind what fires."""
        self._firing.status(idle)

    def poll(self) -> object:
        """Go on firing."""
        return self._firing.poll()

    def room(self) -> int:
        """No records while windows fire: they would come before what fires."""
        return 0 if self._firing.busy else super().room()

    def in_flight(self) -> bool:
        """Whether windows have yet to fire."""
        return self._firing.busy

    def _on_processing_timer(self, timestamp: int, key: Any, namespace: Any) -> None:
        engine = self._engine
        assert isinstance(engine, GeneralWindows), "quick engines set no processing-time timers"
        engine.on_processing_timer(timestamp, key, namespace)

    def _flush(self) -> None:
        self._results.flush()

    def snapshot(self, checkpoint_id: int, canonical: bool) -> OperatorSnapshot:
        """Contents and timers by the keyed backend, the aligned engine's windows as union list."""
        union_lists = self._engine.save()
        keyed = self._backend.snapshot(checkpoint_id, canonical=canonical)
        return OperatorSnapshot(keyed, union_lists=union_lists)

    def close(self) -> None:
        """Take the alarms back and close the functions."""
        if not self._opened:
            return
        self._opened = False
        self._timers.close()
        self._firing.close()
        for function in (self._contents.function, self._function):
            if function is not None:
                close_function(function, self.context.operator_name)
