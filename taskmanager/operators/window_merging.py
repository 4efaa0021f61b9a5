"""Which windows of a key there are when windows merge, and where the contents of each lie.

When sessions A and B merge, the contents of B move under A's namespace, and the merged window
refers to it: state moves once a merge, and never because a window merely grows (Flink's
MergingWindowSet).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Any, Final

from lesto.common.elements import MAX_TIMESTAMP
from lesto.common.windowing import (
    DynamicEventTimeSessionWindows,
    DynamicProcessingTimeSessionWindows,
    EventTimeSessionWindows,
    ProcessingTimeSessionWindows,
)
from lesto.state.backend import KeyedStateBackend
from lesto.state.descriptors import ValueStateDescriptor
from lesto.taskmanager.operators.timer_service import InternalTimers
from lesto.taskmanager.operators.window_contents import WindowContents
from lesto.taskmanager.operators.window_output import namespace_of, window_of

SESSIONS: Final = frozenset(
    {
        EventTimeSessionWindows,
        DynamicEventTimeSessionWindows,
        ProcessingTimeSessionWindows,
        DynamicProcessingTimeSessionWindows,
    }
)
MERGING_STATE: Final = "_merging_windows"

#: (result, merged windows, namespace that holds the contents, namespaces that move there).
OnMerge = Callable[[Any, Sequence[Any], Hashable, Sequence[Hashable]], None]


class _Merges:
    """Collects what the assigner reports."""

    def __init__(self) -> None:
        self.found: list[tuple[Any, list[Any]]] = []

    def merge(self, to_be_merged: Iterable[Any], merge_result: Any) -> None:
        """These become this one."""
        self.found.append((merge_result, list(to_be_merged)))


class _OfKey:
    """The windows of one key: what is stored, and what is true."""

    __slots__ = ("holders", "stored")

    def __init__(self, stored: tuple[tuple[Hashable, Hashable], ...]) -> None:
        self.stored = stored
        self.holders: dict[Any, Hashable] = {window_of(n): holder for n, holder in stored}


class MergingWindows:
    """The windows of the backend's current key.

    Args:
        assigner: tells what merges.
        backend: keeps the windows of each key.
    """

    def __init__(self, assigner: Any, backend: KeyedStateBackend) -> None:
        self._assigner = assigner
        self._backend = backend
        # Lesto's own sessions merge exactly where windows intersect.
        self._sessions = type(assigner) in SESSIONS
        self._state: Any = backend.get_state(ValueStateDescriptor(MERGING_STATE))
        self._loaded: dict[Any, _OfKey] = {}
        self._holders: dict[Any, Hashable] = {}

    def load(self) -> None:
        """Turn to the current key. Its windows stay in hand until :meth:`store`."""
        key = self._backend.current_key
        found = self._loaded.get(key)
        if found is None:
            found = self._loaded[key] = _OfKey(self._state.value() or ())
        self._holders = found.holders

    def store(self) -> None:
        """Keep the changes of all keys in hand, at the end of a batch or of a timer."""
        backend, update = self._backend, self._state.update
        for backend.current_key, found in self._loaded.items():
            pairs = tuple((namespace_of(window), at) for window, at in found.holders.items())
            if pairs != found.stored:
                update(pairs or None)
        self._loaded.clear()

    def has(self, window: Any) -> bool:
        """Whether there is such a window."""
        return window in self._holders

    def holder(self, window: Any) -> Hashable:
        """The namespace of a window's contents."""
        return self._holders[window]

    def put(self, window: Any, holder: Hashable) -> None:
        """A restored window."""
        self._holders[window] = holder

    def retire(self, window: Any) -> None:
        """The window has ended."""
        del self._holders[window]

    def add(self, window: Any, on_merge: OnMerge) -> Any:
        """Add a window, merging as the assigner says; gives the window it is part of."""
        holders = self._holders
        if self._sessions:
            touched = [w for w in holders if window.start <= w.end and w.start <= window.end]
            if not touched:
                holders[window] = namespace_of(window)
                return window
            only = touched[0]
            if len(touched) == 1 and only.start <= window.start and window.end <= only.end:
                return only
        elif not holders:
            holders[window] = namespace_of(window)
            return window
        return self._merge([*holders, window], window, on_merge)

    def _merge(self, windows: list[Any], window: Any, on_merge: OnMerge) -> Any:
        holders = self._holders
        merges = _Merges()
        self._assigner.merge_windows(windows, merges)
        result = window
        for merged_into, group in merges.found:
            olds = list(dict.fromkeys(w for w in group if w in holders))
            if window in group:
                result = merged_into
            if not olds:
                continue
            places = [holders.pop(old) for old in olds]
            holders[merged_into] = places[0]
            if olds != [merged_into]:
                on_merge(merged_into, olds, places[0], places[1:])
        holders.setdefault(result, namespace_of(result))
        return result


def take_merging_windows(
    backend: KeyedStateBackend,
    timers: InternalTimers,
    contents: WindowContents,
    *,
    by_clock: bool,
    lateness: int,
) -> dict[Any, list[tuple[int, int, bool, Any]]]:
    """Take the sessions out of the state of the general engine, which keeps them so.

    Args:
        backend: the keyed state.
        timers: a session that has no timer at its end has fired.
        contents: how contents are kept.
        by_clock: the timers are those of processing time.
        lateness: ms that a session stays after its end; without, none that has fired stays.

    Returns:
        By key: start, end, whether it has fired, and content of each session.
    """
    found: dict[Any, list[tuple[int, int, bool, Any]]] = defaultdict(list)
    keys = list(backend.keys(MERGING_STATE))
    if not keys:
        return found
    queue = timers.processing if by_clock else timers.event
    waiting = {
        (key, namespace)
        for at, key, namespace in list(queue.pop_until(MAX_TIMESTAMP))
        if at == namespace[1] - 1
    }
    state: Any = backend.get_state(ValueStateDescriptor(MERGING_STATE))
    for backend.current_key in keys:
        key = backend.current_key
        for namespace, holder in state.value():
            contents.state.set_namespace(holder)
            content = contents.load()
            contents.state.clear()
            fired = (key, namespace) not in waiting
            if content is not None and (lateness or not fired):
                found[key].append((*namespace, fired, content))
        state.clear()
    return found
