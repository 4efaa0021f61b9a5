"""Which windows of a key there are when windows merge, and where the contents of each lie.

When sessions A and B merge, the contents of B move under A's namespace, and the merged window
refers to it: state moves once a merge, and never because a window merely grows (Flink's
MergingWindowSet).
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Any, Final

from lesto.common.windowing import (
    DynamicEventTimeSessionWindows,
    DynamicProcessingTimeSessionWindows,
    EventTimeSessionWindows,
    ProcessingTimeSessionWindows,
)
from lesto.state.backend import KeyedStateBackend
from lesto.state.descriptors import ValueStateDescriptor
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


class MergingWindows:
    """The windows of the backend's current key.

    Args:
        assigner: tells what merges.
        backend: keeps the windows of each key.
    """

    def __init__(self, assigner: Any, backend: KeyedStateBackend) -> None:
        self._assigner = assigner
        # Lesto's own sessions merge exactly where windows intersect.
        self._sessions = type(assigner) in SESSIONS
        self._state: Any = backend.get_state(ValueStateDescriptor(MERGING_STATE))
        self._stored: tuple[tuple[Hashable, Hashable], ...] = ()
        self._holders: dict[Any, Hashable] = {}

    def load(self) -> None:
        """Turn to the current key."""
        self._stored = self._state.value() or ()
        self._holders = {window_of(namespace): holder for namespace, holder in self._stored}

    def store(self) -> None:
        """Keep the changes."""
        pairs = tuple((namespace_of(window), at) for window, at in self._holders.items())
        if pairs != self._stored:
            self._stored = pairs
            self._state.update(pairs or None)

    def has(self, window: Any) -> bool:
        """Whether there is such a window."""
        return window in self._holders

    def holder(self, window: Any) -> Hashable:
        """The namespace of a window's contents."""
        return self._holders[window]

    def retire(self, window: Any) -> None:
        """The window has ended."""
        del self._holders[window]

    def add(self, window: Any, on_merge: OnMerge) -> Any:
        """Add a window, merging as the assigner says; gives the window it is part of."""
        holders = self._holders
        if not holders or (self._sessions and not any(window.intersects(w) for w in holders)):
            holders.setdefault(window, namespace_of(window))
            return window
        merges = _Merges()
        self._assigner.merge_windows([*holders, window], merges)
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
