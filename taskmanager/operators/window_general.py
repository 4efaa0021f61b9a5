"""The general engine: any assigner, trigger and evictor; one key and window at a time.

Follows Flink's WindowOperator: contents, trigger state and timers lie in the keyed state with the
window as namespace; a cleanup timer ends each window; merging windows keep their contents
under the namespace of the first of them (see :mod:`lesto.taskmanager.operators.window_merging`).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Iterator, Sequence
from typing import Any, Final

import numpy as np

from lesto.common.elements import MAX_TIMESTAMP, NO_TIMESTAMP, Timestamps
from lesto.common.triggers import TriggerResult
from lesto.common.windowing import GlobalWindow, GlobalWindows, TimeWindow, TumblingEventTimeWindows
from lesto.state.descriptors import ValueStateDescriptor
from lesto.state.errors import StateError
from lesto.taskmanager.operators.errors import InvalidResultError, UnsupportedMergeError
from lesto.taskmanager.operators.runtime_context import OperatorRuntimeContext
from lesto.taskmanager.operators.user_functions import function_error, function_name, row_error
from lesto.taskmanager.operators.window_contents import CONTENTS_STATE, EvictedContents
from lesto.taskmanager.operators.window_contexts import AssignerContext, EngineTriggerContext
from lesto.taskmanager.operators.window_engine import FIRED_KEYS_MAX, EngineParts, WindowEngine
from lesto.taskmanager.operators.window_merging import MergingWindows
from lesto.taskmanager.operators.window_output import namespace_of, window_of
from lesto.taskmanager.operators.window_records import SavedWindows
from lesto.taskmanager.operators.window_sessions import SESSIONS_STATE

_CONTINUE: Final = TriggerResult.CONTINUE
#: What is known of a window is kept for this many windows.
KNOWN_WINDOWS_MAX: Final = 4096


class _Known:
    """What is known of a window, so that it is found out once and not for each record."""

    __slots__ = ("cleanup", "namespace", "window")

    def __init__(self, window: Any, cleanup: int) -> None:
        self.window = window
        self.namespace = namespace_of(window)
        self.cleanup = cleanup


class GeneralWindows(WindowEngine):
    """Windows a key at a time.

    Args:
        assigner: assigns records to windows.
        trigger: decides when they fire.
        lateness_ms: how long a window stays after its end for late records.
        parts: what engines work with.
        runtime: the runtime context.
    """

    def __init__(
        self,
        assigner: Any,
        trigger: Any,
        lateness_ms: int,
        parts: EngineParts,
        runtime: OperatorRuntimeContext,
    ) -> None:
        self._assigner = assigner
        self._assigner_context = AssignerContext(parts.timers, runtime)
        self._is_event_time: bool = assigner.is_event_time()
        self._trigger = trigger
        self._on_element: Callable[..., TriggerResult] = trigger.on_element
        self._context = EngineTriggerContext(parts.timers, parts.backend, runtime)
        self._lateness_ms = lateness_ms
        self._parts = parts
        self._contents = parts.contents
        self._timers = parts.timers
        self._backend = parts.backend
        self._name = f"the windows' {type(trigger).__qualname__} or {parts.contents.name}"
        self._holder: Hashable = _CONTINUE  # namespace the contents are at; at first none
        self._known: dict[Any, _Known] = {}
        self._merging: MergingWindows | None = None
        if callable(getattr(assigner, "merge_windows", None)):
            if not trigger.can_merge():
                msg = f"{type(trigger).__qualname__} cannot be used with windows that merge"
                raise UnsupportedMergeError(msg, remedy="use a trigger whose can_merge() is true")
            self._merging = MergingWindows(assigner, parts.backend)

    def use(self, assigner: Any) -> None:
        """Assign by this assigner from now on."""
        self._assigner = assigner

    # -- records

    def process(self, keys: list[Any], values: list[Any], timestamps: Timestamps) -> None:
        """Add a batch to its windows."""
        backend = self._backend
        add = self._add if self._merging is None else self._add_merging
        rows = iter(values)
        late: list[int] = []
        late_until = self._timers.current_watermark - self._lateness_ms
        fixed = self._fixed_windows(timestamps)
        try:
            for i, (backend.current_key, value, time) in enumerate(
                zip(keys, rows, timestamps.tolist(), strict=False)
            ):
                windows = self._assigned(value, time) if fixed is None else fixed[i]
                if not add(value, time, windows) and self._is_event_time and time <= late_until:
                    late.append(i)
            if self._merging is not None:
                self._merging.store()
        except Exception as error:
            raise row_error(self._parts.operator, self._name, error, rows, len(values)) from error
        if late:
            self._parts.late.take(np.array(late, dtype=np.int64), values, timestamps)
        self._parts.results.flush()

    def _fixed_windows(self, timestamps: Timestamps) -> list[Collection[_Known]] | None:
        """The windows of each record where neither it nor its key decides; None where they do."""
        assigner = self._assigner
        if type(assigner) is TumblingEventTimeWindows:
            size = assigner.size
            starts = (timestamps - (timestamps - assigner.offset) % size).tolist()
            made = {s: (self._know(TimeWindow(s, s + size)),) for s in set(starts)}
            return [made[start] for start in starts]
        if type(assigner) is GlobalWindows:
            return [(self._know(GlobalWindow.get()),)] * len(timestamps)
        return None

    def _assigned(self, value: Any, time: int) -> Collection[_Known]:
        windows = self._assigner.assign_windows(value, time, self._assigner_context)
        if windows is None:
            name = function_name(self._assigner)
            msg = f"{name}.assign_windows returned None instead of windows for {value!r:.200}"
            raise InvalidResultError(msg, remedy="return a list, empty for no window")
        return [self._know(window) for window in windows]

    def _know(self, window: Any) -> _Known:
        known = self._known.get(window)
        if known is None:
            if len(self._known) >= KNOWN_WINDOWS_MAX:
                self._known.clear()
            known = self._known[window] = _Known(window, self._cleanup_time(window))
        return known

    def _add(self, value: Any, time: int, windows: Collection[_Known]) -> bool:
        """Add a record; whether any window took it."""
        taken = False
        for known in windows:
            if self._is_event_time and known.cleanup <= self._timers.current_watermark:
                continue
            taken = True
            self._put(value, time, known, known.namespace)
        return taken

    def _put(self, value: Any, time: int, known: _Known, holder: Hashable) -> None:
        """Add a record to a window whose contents lie under the namespace ``holder``."""
        if self._holder != holder:
            self._turn(holder)
        fresh = self._contents.put(value, time)
        context = self._context
        context.namespace = known.namespace
        decision = self._on_element(value, time, known.window, context)
        if decision is not _CONTINUE:
            self._act(decision, known.window, holder)
        if fresh or self._merging is not None:
            self._register_cleanup(known.window, known.namespace)

    def _turn(self, holder: Hashable) -> None:
        self._contents.state.set_namespace(holder)
        self._holder = holder

    def _add_merging(self, value: Any, time: int, windows: Collection[_Known]) -> bool:
        merging = self._merging
        assert merging is not None
        merging.load()
        taken = False
        for assigned in windows:
            actual = merging.add(assigned.window, self._merge)
            known = self._know(actual)
            if self._is_event_time and known.cleanup <= self._timers.current_watermark:
                merging.retire(actual)
                continue
            taken = True
            self._put(value, time, known, merging.holder(actual))
        return taken

    def _merge(
        self, result: Any, merged: Sequence[Any], holder: Hashable, sources: Sequence[Hashable]
    ) -> None:
        """Windows ``merged`` have become ``result``; their contents move to ``holder``."""
        end = result.max_timestamp()
        if self._is_event_time and self._cleanup_time(result) <= self._timers.current_watermark:
            msg = f"merging made a window end at {end}, before the watermark"
            raise UnsupportedMergeError(msg)
        context, trigger = self._context, self._trigger
        context.namespace = namespace_of(result)
        context.merged = [namespace_of(window) for window in merged]
        trigger.on_merge(result, context)
        for window, namespace in zip(merged, context.merged, strict=True):
            if window == result:
                continue  # it has taken up the others: its timers and state are the result's
            context.namespace = namespace
            trigger.clear(window, context)
            self._delete_cleanup(window, namespace)
        context.merged = ()
        self._contents.merge(holder, sources)
        self._holder = _CONTINUE

    def _act(self, decision: TriggerResult, window: Any, holder: Hashable) -> None:
        contents = self._contents
        if self._holder != holder:
            self._turn(holder)
        if decision.is_fire():
            content = contents.load()
            if content is not None:
                self._give(window, holder, content)
        if decision.is_purge():
            self._turn(holder)
            contents.state.clear()

    def _give(self, window: Any, holder: Hashable, content: Any) -> None:
        contents, results = self._contents, self._parts.results
        key = self._backend.current_key
        if not isinstance(contents, EvictedContents):
            results.fire(key, window, contents.elements(content))
            return
        kept = contents.fire(
            content, window, self._context, lambda elements: results.fire(key, window, elements)
        )
        self._turn(holder)
        contents.save(kept)

    # -- time

    def advance(self, time: int) -> Iterator[None]:
        """Fire event-time timers."""
        timers, backend = self._timers, self._backend
        timers.current_watermark = time
        first = timers.event.peek()
        if first is None or first > time:
            return
        due = timers.event.pop_until(time)
        for count, (at, backend.current_key, namespace) in enumerate(due, 1):
            try:
                self._on_timer(at, namespace, event_time=True)
            except Exception as error:
                raise function_error(self._parts.operator, self._name, error) from error
            if count % FIRED_KEYS_MAX == 0:
                yield

    def on_processing_timer(self, timestamp: int, key: Any, namespace: Any) -> None:
        """A processing-time timer of a window."""
        try:
            self._on_timer(timestamp, namespace, event_time=False)
        except Exception as error:
            raise function_error(self._parts.operator, self._name, error) from error

    def _on_timer(self, timestamp: int, namespace: Any, *, event_time: bool) -> None:
        window = window_of(namespace)
        holder: Hashable = namespace
        merging = self._merging
        if merging is not None:
            merging.load()
            if not merging.has(window):
                merging.store()
                return  # a trigger left a timer of a window that has merged into another
            holder = merging.holder(window)
        context, trigger = self._context, self._trigger
        context.namespace = namespace
        decide = trigger.on_event_time if event_time else trigger.on_processing_time
        decision = decide(timestamp, window, context)
        if decision is not _CONTINUE:
            self._act(decision, window, holder)
        if event_time == self._is_event_time and timestamp == self._cleanup_time(window):
            self._turn(holder)
            self._contents.state.clear()
            context.namespace = namespace
            trigger.clear(window, context)
            if merging is None:
                self._parts.results.clear(window)
            else:
                merging.retire(window)
        if merging is not None:
            merging.store()

    def _cleanup_time(self, window: Any) -> int:
        end: int = window.max_timestamp()
        return min(end + self._lateness_ms, MAX_TIMESTAMP) if self._is_event_time else end

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
        """Take over the windows of the other engines, which have no timers."""
        backend = self._backend
        sessions = list(backend.keys(SESSIONS_STATE))
        if (sessions and self._merging is None) or (windows and self._merging is not None):
            msg = f"the restored windows are of another kind than those of {self._assigner!r}"
            raise StateError(msg, remedy="give the operator another uid to start it without state")
        if sessions:
            self._take_sessions(sessions)
        saved = SavedWindows(windows, backend)
        for namespace in saved.namespaces():
            window = window_of(namespace)
            keys = list(backend.keys(CONTENTS_STATE, namespace))
            for backend.current_key in keys:
                self._give_timers(window, saved.waits(namespace, backend.current_key))

    def _give_timers(self, window: Any, waits: bool) -> None:
        """Timers of a window of the current key, as if the default trigger had set them."""
        namespace = namespace_of(window)
        if waits:
            self._context.namespace = namespace
            end = window.max_timestamp()
            if self._is_event_time or end == MAX_TIMESTAMP:
                self._context.register_event_time_timer(end)
            else:
                self._context.register_processing_time_timer(end)
        self._register_cleanup(window, namespace)

    def _take_sessions(self, keys: list[Any]) -> None:
        backend, merging = self._backend, self._merging
        assert merging is not None
        state: Any = backend.get_state(ValueStateDescriptor(SESSIONS_STATE))
        for backend.current_key in keys:
            merging.load()
            for start, end, fired, content in state.value():
                window = TimeWindow(start, end)
                merging.put(window, namespace_of(window))
                self._turn(namespace_of(window))
                self._contents.save(content)
                self._give_timers(window, not fired)
            state.clear()
        merging.store()


def require_timestamps(timestamps: Timestamps | None) -> bool:
    """Whether every record has an event time."""
    return timestamps is not None and not bool((timestamps == NO_TIMESTAMP).any())
