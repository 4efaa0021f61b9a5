"""The general engine: any assigner and trigger, merging, lateness; one key and window at a time.

Follows Flink's WindowOperator: contents, trigger state and timers lie in the keyed state with the
window as namespace; a cleanup timer ends each window; merging windows keep their contents
under the namespace of the first of them (see :mod:`lesto.taskmanager.operators.window_merging`).
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any, Final

import msgspec
import numpy as np

from lesto.common.elements import MAX_TIMESTAMP, NO_TIMESTAMP, Timestamps
from lesto.common.triggers import Trigger, TriggerResult
from lesto.common.windowing import WindowAssigner
from lesto.state.backend import KeyedStateBackend
from lesto.state.errors import StateError
from lesto.taskmanager.operators.errors import UnsupportedMergeError
from lesto.taskmanager.operators.runtime_context import OperatorRuntimeContext
from lesto.taskmanager.operators.timer_service import InternalTimers
from lesto.taskmanager.operators.user_functions import function_error, row_error
from lesto.taskmanager.operators.window_contents import CONTENTS_STATE, WindowContents
from lesto.taskmanager.operators.window_engine import LateRecords, WindowEngine
from lesto.taskmanager.operators.window_merging import MergingWindows
from lesto.taskmanager.operators.window_output import WindowResults, namespace_of, window_of

_decode = msgspec.msgpack.Decoder(tuple[int, int]).decode
_CONTINUE: Final = TriggerResult.CONTINUE


class AssignerContext(WindowAssigner.WindowAssignerContext):
    """What the assigner may ask for."""

    def __init__(self, timers: InternalTimers, runtime: OperatorRuntimeContext) -> None:
        self._timers = timers
        self._runtime = runtime

    def get_current_processing_time(self) -> int:
        """Wall clock, ms."""
        return self._timers.now_ms()

    def get_runtime_context(self) -> OperatorRuntimeContext:
        """The runtime context, for keyed state."""
        return self._runtime


class EngineTriggerContext(Trigger.OnMergeContext):
    """A trigger's view of the current key and one window.

    Attributes:
        namespace: the window's.
        merged: namespaces of the windows that merge into it, during ``on_merge``.
    """

    def __init__(
        self,
        timers: InternalTimers,
        backend: KeyedStateBackend,
        runtime: OperatorRuntimeContext,
    ) -> None:
        self.namespace: Hashable = ()
        self.merged: Sequence[Hashable] = ()
        self._timers = timers
        self._backend = backend
        self._runtime = runtime
        self._states: dict[str, Any] = {}

    def get_current_processing_time(self) -> int:
        """Wall clock, ms."""
        return self._timers.now_ms()

    def get_metric_group(self) -> Any:
        """The operator's metric group."""
        return self._runtime.get_metrics_group()

    def get_current_watermark(self) -> int:
        """Event time, ms."""
        return self._timers.current_watermark

    def register_processing_time_timer(self, time: int) -> None:
        """Call ``on_processing_time`` at this ms."""
        self._timers.register_processing(time, self._backend.current_key, self.namespace)

    def register_event_time_timer(self, time: int) -> None:
        """Call ``on_event_time`` at this ms."""
        self._timers.event.register(time, self._backend.current_key, self.namespace)

    def delete_processing_time_timer(self, time: int) -> None:
        """Forget the timer."""
        self._timers.delete_processing(time, self._backend.current_key, self.namespace)

    def delete_event_time_timer(self, time: int) -> None:
        """Forget the timer."""
        self._timers.event.delete(time, self._backend.current_key, self.namespace)

    def _state(self, descriptor: Any) -> Any:
        state = self._states.get(descriptor.name)
        if state is None:
            # An object of the engine's own: its namespace moves with the window.
            state = self._backend.get_state(descriptor, self.namespace)
            self._states[descriptor.name] = state
        return state

    def get_partitioned_state(self, state_descriptor: Any) -> Any:
        """State of the key and window."""
        state = self._state(state_descriptor)
        state.set_namespace(self.namespace)
        return state

    def merge_partitioned_state(self, state_descriptor: Any) -> None:
        """Merge this state of the merged windows into the result's."""
        state = self._state(state_descriptor)
        merge = getattr(state, "merge_namespaces", None)
        if merge is None:
            msg = f"trigger state {state_descriptor.name!r} cannot be merged"
            raise UnsupportedMergeError(
                msg, remedy="keep it as list, reducing or aggregating state"
            )
        merge(self.namespace, [n for n in self.merged if n != self.namespace])
        state.set_namespace(self.namespace)


class GeneralWindows(WindowEngine):
    """Windows a key at a time.

    Args:
        assigner: assigns records to windows.
        trigger: decides when they fire.
        lateness_ms: how long a window stays after its end for late records.
        contents: how contents are kept.
        results: where windows fire to.
        late: takes records that come too late.
        timers: of the operator.
        backend: the keyed state.
        runtime: the runtime context.
        operator: the operator's name, for errors.
    """

    def __init__(
        self,
        assigner: Any,
        trigger: Any,
        lateness_ms: int,
        contents: WindowContents,
        results: WindowResults,
        late: LateRecords,
        timers: InternalTimers,
        backend: KeyedStateBackend,
        runtime: OperatorRuntimeContext,
        operator: str,
    ) -> None:
        self._assigner = assigner
        self._assigner_context = AssignerContext(timers, runtime)
        self._is_event_time: bool = assigner.is_event_time()
        self._trigger = trigger
        self._trigger_context = EngineTriggerContext(timers, backend, runtime)
        self._lateness_ms = lateness_ms
        self._contents = contents
        self._results = results
        self._late = late
        self._timers = timers
        self._backend = backend
        self._operator = operator
        self._name = f"the windows' {type(trigger).__qualname__} or {contents.name}"
        self._merging: MergingWindows | None = None
        if callable(getattr(assigner, "merge_windows", None)):
            if not trigger.can_merge():
                msg = f"{type(trigger).__qualname__} cannot be used with windows that merge"
                raise UnsupportedMergeError(msg, remedy="use a trigger whose can_merge() is true")
            self._merging = MergingWindows(assigner, backend)

    # -- records

    def process(self, keys: list[Any], values: list[Any], timestamps: Timestamps) -> None:
        """Add a batch to its windows."""
        backend, add = self._backend, self._add_merging if self._merging else self._add
        rows = iter(values)
        late: list[int] = []
        event_time, lateness, timers = self._is_event_time, self._lateness_ms, self._timers
        try:
            for i, (backend.current_key, value, time) in enumerate(
                zip(keys, rows, timestamps.tolist(), strict=False)
            ):
                if (
                    not add(value, time)
                    and event_time
                    and time + lateness <= timers.current_watermark
                ):
                    late.append(i)
        except Exception as error:
            raise row_error(self._operator, self._name, error, rows, len(values)) from error
        if late:
            self._late.take(np.array(late, dtype=np.int64), values, timestamps)
        self._results.flush()

    def _add(self, value: Any, time: int) -> bool:
        """Add a record; whether any window took it."""
        taken = False
        for window in self._assigner.assign_windows(value, time, self._assigner_context):
            if self._is_event_time and self._is_late(window):
                continue
            taken = True
            namespace = namespace_of(window)
            self._put(value, time, window, namespace, namespace)
        return taken

    def _put(
        self, value: Any, time: int, window: Any, namespace: Hashable, holder: Hashable
    ) -> None:
        """Add a record to a window whose contents lie under the namespace ``holder``."""
        contents, context = self._contents, self._trigger_context
        contents.state.set_namespace(holder)
        contents.put(value)
        context.namespace = namespace
        decision = self._trigger.on_element(value, time, window, context)
        if decision is not _CONTINUE:
            self._act(decision, window, holder)
        self._register_cleanup(window, namespace)

    def _add_merging(self, value: Any, time: int) -> bool:
        merging = self._merging
        assert merging is not None
        merging.load()
        taken = False
        for window in self._assigner.assign_windows(value, time, self._assigner_context):
            actual = merging.add(window, self._merge)
            if self._is_event_time and self._is_late(actual):
                merging.retire(actual)
                continue
            taken = True
            self._put(value, time, actual, namespace_of(actual), merging.holder(actual))
        merging.store()
        return taken

    def _merge(
        self, result: Any, merged: Sequence[Any], holder: Hashable, sources: Sequence[Hashable]
    ) -> None:
        """Windows ``merged`` have become ``result``; their contents move to ``holder``."""
        end = result.max_timestamp()
        if self._is_event_time and self._cleanup_time(result) <= self._timers.current_watermark:
            msg = f"merging made a window end at {end}, before the watermark"
            raise UnsupportedMergeError(msg)
        context, trigger = self._trigger_context, self._trigger
        context.namespace = namespace_of(result)
        context.merged = [namespace_of(window) for window in merged]
        trigger.on_merge(result, context)
        for window, namespace in zip(merged, context.merged, strict=True):
            context.namespace = namespace
            trigger.clear(window, context)
            self._delete_cleanup(window, namespace)
        context.merged = ()
        self._contents.merge(holder, sources)

    def _act(self, decision: TriggerResult, window: Any, holder: Hashable) -> None:
        fire, purge = decision.is_fire(), decision.is_purge()
        contents = self._contents
        if fire:
            contents.state.set_namespace(holder)
            content = contents.load()
            if content is not None:
                elements = contents.elements(content)
                self._results.fire(self._backend.current_key, window, elements)
        if purge:
            contents.state.set_namespace(holder)
            contents.state.clear()

    # -- time

    def advance(self, watermark: int) -> None:
        """Fire event-time timers."""
        try:
            self._timers.fire_event_timers(watermark, self._on_event_timer)
        except Exception as error:
            raise function_error(self._operator, self._name, error) from error
        self._results.flush()

    def _on_event_timer(self, timestamp: int, key: Any, namespace: Any) -> None:
        self._on_timer(timestamp, namespace, event_time=True)

    def on_processing_timer(self, timestamp: int, key: Any, namespace: Any) -> None:
        """A processing-time timer of a window."""
        try:
            self._on_timer(timestamp, namespace, event_time=False)
        except Exception as error:
            raise function_error(self._operator, self._name, error) from error

    def _on_timer(self, timestamp: int, namespace: Any, *, event_time: bool) -> None:
        window = window_of(namespace)
        holder: Hashable = namespace
        merging = self._merging
        if merging is not None:
            merging.load()
            if not merging.has(window):
                return  # a trigger left a timer of a window that has merged into another
            holder = merging.holder(window)
        context, trigger = self._trigger_context, self._trigger
        context.namespace = namespace
        decide = trigger.on_event_time if event_time else trigger.on_processing_time
        decision = decide(timestamp, window, context)
        if decision is not _CONTINUE:
            self._act(decision, window, holder)
        if event_time == self._is_event_time and timestamp == self._cleanup_time(window):
            self._contents.state.set_namespace(holder)
            self._contents.state.clear()
            trigger.clear(window, context)
            if merging is None:
                self._results.clear(window)
            else:
                merging.retire(window)
                merging.store()

    def _cleanup_time(self, window: Any) -> int:
        end: int = window.max_timestamp()
        return min(end + self._lateness_ms, MAX_TIMESTAMP) if self._is_event_time else end

    def _is_late(self, window: Any) -> bool:
        return self._cleanup_time(window) <= self._timers.current_watermark

    def _register_cleanup(self, window: Any, namespace: Hashable) -> None:
        time = self._cleanup_time(window)
        if time == MAX_TIMESTAMP:
            return  # lives for ever
        key = self._backend.current_key
        if self._is_event_time:
            self._timers.event.register(time, key, namespace)
        else:
            self._timers.register_processing(time, key, namespace)

    def _delete_cleanup(self, window: Any, namespace: Hashable) -> None:
        time = self._cleanup_time(window)
        if time == MAX_TIMESTAMP:
            return
        key = self._backend.current_key
        if self._is_event_time:
            self._timers.event.delete(time, key, namespace)
        else:
            self._timers.delete_processing(time, key, namespace)

    # -- state

    def save(self) -> dict[str, list[bytes]]:
        """All is in the keyed state."""
        return {}

    def restore(self, windows: list[bytes]) -> None:
        """Give the windows of the aligned engine, which has no timers, theirs."""
        if not windows:
            return
        if not self._is_event_time or self._merging is not None:
            msg = f"the restored windows are event-time windows, not {self._assigner!r}"
            raise StateError(msg, remedy="give the operator another uid to start it without state")
        for namespace in sorted({_decode(item) for item in windows}):
            window = window_of(namespace)
            backend = self._backend
            keys = list(backend.keys(CONTENTS_STATE, namespace))
            for backend.current_key in keys:
                self._trigger_context.namespace = namespace
                self._trigger_context.register_event_time_timer(window.max_timestamp())
                self._register_cleanup(window, namespace)


def require_timestamps(timestamps: Timestamps | None) -> bool:
    """Whether every record has an event time."""
    return timestamps is not None and not bool((timestamps == NO_TIMESTAMP).any())
