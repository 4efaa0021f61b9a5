"""The quick engine: windows whose bounds do not depend on the key, that fire at their end.

All keys share their windows, so a window is a dict of key -> content; a batch is grouped
by window with numpy and folded in one tight loop a window; time fires whole windows, in
order of their ends. No timers: a window's existence is its timer. At a snapshot what changed goes
to the keyed backend, under the same name and namespaces as the general engine uses, and the list of
windows to operator state.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from lesto.common.elements import MAX_TIMESTAMP, MIN_TIMESTAMP, Timestamps
from lesto.common.windowing import GlobalWindow, TimeWindow
from lesto.taskmanager.operators.user_functions import current_row, function_error
from lesto.taskmanager.operators.window_contents import CONTENTS_STATE, AggregatedContents
from lesto.taskmanager.operators.window_engine import FIRED_KEYS_MAX, EngineParts, WindowEngine
from lesto.taskmanager.operators.window_records import WINDOWS_STATE, SavedWindows, WindowRecord

Array = np.ndarray[Any, Any]
#: Keys whose state is cleared between two looks at the clock.
CLEARED_KEYS_MAX: Final = 4 * FIRED_KEYS_MAX


@dataclass(slots=True)
class Pane:
    """One window.

    Attributes:
        contents: key -> content.
        unsaved: keys whose content differs from the keyed state; None: all of them, and the keyed
            state has none.
        waiting: keys that are to fire at the window's end; None: all of them.
    """

    contents: dict[Any, Any] = field(default_factory=dict)
    unsaved: set[Any] | None = None
    waiting: set[Any] | None = None


class AlignedWindows(WindowEngine):
    """Windows of all keys at once.

    Args:
        assigner: tumbling or sliding windows.
        lateness_ms: how long a window of event time stays after its end for late records.
        parts: what engines work with. The queues of timers are empty but for a restore from the
            general engine.
    """

    def __init__(self, assigner: Any, lateness_ms: int, parts: EngineParts) -> None:
        self.by_clock = not assigner.is_event_time()
        self._lateness = 0 if self.by_clock else lateness_ms
        self._parts = parts
        self._panes: dict[int, Pane] = {}
        self._shape(assigner)

    def _shape(self, assigner: Any) -> None:
        self._size: int = assigner.size
        self._slide: int = getattr(assigner, "slide", assigner.size)
        self._offset: int = assigner.offset

    def use(self, assigner: Any) -> None:
        """Shift the windows that are yet to come."""
        self._shape(assigner)

    def _last_of(self, start: int) -> int:
        """The last ms of a window."""
        return start + self._size - 1

    def _window_of(self, start: int) -> Any:
        return TimeWindow(start, start + self._size)

    def _namespace_of(self, start: int) -> tuple[int, ...]:
        return (start, start + self._size)

    # -- records

    def process(self, keys: list[Any], values: list[Any], timestamps: Timestamps) -> None:
        """Add a batch to its windows."""
        if self.by_clock:
            self._process_now(keys, values)
            return
        last = timestamps - (timestamps - self._offset) % self._slide
        watermark = self._parts.timers.current_watermark
        # A window [start, start + size) is gone once the watermark has reached its last ms and
        # the lateness behind it.
        open_from = max(watermark - self._lateness - self._size + 1, MIN_TIMESTAMP)
        used = np.zeros(len(values), dtype=bool)
        rows, starts = [], []
        for back in range(0, self._size, self._slide):
            start = last - back
            fits = start > open_from
            if back or self._slide > self._size:
                fits &= start > timestamps - self._size
            rows.append(np.flatnonzero(fits))
            starts.append(start[rows[-1]])
            used |= fits
        self._add(rows, starts, keys, values)
        if not used.all():
            dropped = ~used & (timestamps <= watermark - self._lateness)
            if dropped.any():
                self._parts.late.take(np.flatnonzero(dropped), values, timestamps)

    def _process_now(self, keys: list[Any], values: list[Any]) -> None:
        now = self._parts.timers.now_ms()
        last = now - (now - self._offset) % self._slide
        for start in range(last, now - self._size, -self._slide):
            self._fold(start, keys, values, None)

    def _add(
        self, rows_of: list[Array], starts_of: list[Array], keys: list[Any], values: list[Any]
    ) -> None:
        """Fold rows into the windows that start there, in each in the order they came."""
        rows, starts = rows_of[0], starts_of[0]
        sliding = len(rows_of) > 1
        if sliding:
            rows, starts = np.concatenate(rows_of), np.concatenate(starts_of)
        if self._lateness and len(rows):
            ended = starts <= self._parts.timers.current_watermark - self._size + 1
            if ended.any():
                self._add_ended(rows[ended], starts[ended], keys, values)
                rows, starts = rows[~ended], starts[~ended]
        if not len(rows):
            return
        if len(rows) == len(values) and not sliding and starts.min() == starts.max():
            self._fold(int(starts[0]), keys, values, None)
            return
        # By start alone, a sliding window would take its newest slide before the older ones.
        order = np.lexsort((rows, starts)) if sliding else np.argsort(starts, kind="stable")
        rows, starts = rows[order], starts[order]
        cuts = np.flatnonzero(starts[1:] != starts[:-1]) + 1
        firsts = [0, *cuts.tolist()]
        for first, part in zip(firsts, np.split(rows, cuts), strict=True):
            index = part.tolist()
            picked_keys, picked = [keys[i] for i in index], [values[i] for i in index]
            self._fold(int(starts[first]), picked_keys, picked, index)

    def _add_ended(self, rows: Array, starts: Array, keys: list[Any], values: list[Any]) -> None:
        """Late records of windows that are kept for them: each gives a result at once."""
        parts = self._parts
        order = np.argsort(rows, kind="stable")  # of one record, the newest window first
        for row, start in zip(rows[order].tolist(), starts[order].tolist(), strict=True):
            key = keys[row]
            pane = self._panes.get(start)
            if pane is None:
                pane = self._panes[start] = Pane(waiting=set())
            self._fold(start, [key], [values[row]], [row])
            if pane.waiting is not None:
                pane.waiting.discard(key)
            parts.backend.current_key = key
            self._give(self._window_of(start), {key: pane.contents[key]})
        parts.results.flush()

    def _fold(
        self, start: int, keys: list[Any], values: list[Any], index: list[int] | None
    ) -> None:
        pane = self._panes.get(start)
        if pane is None:
            pane = self._panes[start] = Pane()
        rows = iter(values)
        parts = self._parts
        try:
            parts.contents.fold(pane.contents, keys, rows)
        except Exception as error:
            at = current_row(rows, len(values))
            raise function_error(
                parts.operator, parts.contents.name, error, at if index is None else index[at]
            ) from error
        if pane.unsaved is not None:
            pane.unsaved.update(keys)
        if pane.waiting is not None:
            pane.waiting.update(keys)

    # -- time

    def due_at(self) -> int | None:
        """When the earliest window ends by the wall clock."""
        return min(map(self._last_of, self._panes), default=None)

    def advance(self, time: int) -> Iterator[None]:
        """Fire the windows that end; forget those past their lateness."""
        if not self.by_clock:
            self._parts.timers.current_watermark = time
        for start in sorted(start for start in self._panes if self._last_of(start) <= time):
            pane = self._panes[start]
            if pane.waiting is None or pane.waiting:
                yield from self._fire(start, pane)
            if min(self._last_of(start) + self._lateness, MAX_TIMESTAMP) <= time:
                yield from self._drop(start, pane)

    def _fire(self, start: int, pane: Pane) -> Iterator[None]:
        window, contents = self._window_of(start), pane.contents
        due = contents if pane.waiting is None else pane.waiting
        if len(due) <= FIRED_KEYS_MAX and due is contents:
            self._give(window, contents)
            pane.waiting = set()
            yield
            return
        keys = list(due)
        pane.waiting = set(keys)
        for at in range(0, len(keys), FIRED_KEYS_MAX):
            some = keys[at : at + FIRED_KEYS_MAX]
            self._give(window, {key: contents[key] for key in some})
            pane.waiting.difference_update(some)
            yield

    def _give(self, window: Any, contents: dict[Any, Any]) -> None:
        """Results of some keys of a window."""
        results, backend = self._parts.results, self._parts.backend
        if results.function is None:
            results.add(self._plain_results(contents), window.max_timestamp())
            return
        elements = self._elements
        for backend.current_key, content in contents.items():
            results.fire(backend.current_key, window, elements(content))

    def _drop(self, start: int, pane: Pane) -> Iterator[None]:
        """A window is over. It is known until all is cleared: a snapshot may come in between."""
        parts, backend = self._parts, self._parts.backend
        if parts.results.clears:
            window = self._window_of(start)
            for backend.current_key in pane.contents:
                parts.results.clear(window)
        if pane.unsaved is not None:
            keys = list(pane.contents)
            clear = parts.contents.state.clear
            for at in range(0, len(keys), CLEARED_KEYS_MAX):
                parts.contents.state.set_namespace(self._namespace_of(start))
                some = keys[at : at + CLEARED_KEYS_MAX]
                for backend.current_key in some:
                    clear()
                pane.unsaved.difference_update(some)
                yield
        del self._panes[start]

    def _plain_results(self, found: dict[Any, Any]) -> Any:
        contents = self._parts.contents
        if not isinstance(contents, AggregatedContents):
            return found.values()
        rows = iter([*found.values()])
        try:
            return [*map(contents.result, rows)]
        except Exception as error:
            raise function_error(self._parts.operator, contents.result_name, error) from error

    def _elements(self, content: Any) -> list[Any]:
        contents = self._parts.contents
        try:
            return contents.elements(content)
        except Exception as error:
            raise function_error(self._parts.operator, contents.result_name, error) from error

    # -- state

    def save(self) -> dict[str, list[bytes]]:
        """Write what changed to the keyed state; gives the union list state."""
        backend, contents = self._parts.backend, self._parts.contents
        save = contents.save
        saved = []
        for start, pane in self._panes.items():
            namespace = self._namespace_of(start)
            contents.state.set_namespace(namespace)
            held = pane.contents
            for backend.current_key in held if pane.unsaved is None else pane.unsaved:
                save(held[backend.current_key])
            pane.unsaved = set()
            saved.append(WindowRecord(namespace, pane.waiting).encode(backend))
        return {WINDOWS_STATE: saved}

    def restore(self, windows: list[bytes]) -> None:
        """Load what was saved, by this engine or the general one."""
        parts, backend = self._parts, self._parts.backend
        queue = parts.timers.processing if self.by_clock else parts.timers.event
        saved = SavedWindows(windows, backend)
        saved.take_timers(queue, lambda namespace: self._last_of(namespace[0] if namespace else 0))
        contents = parts.contents
        for namespace in saved.namespaces():
            contents.state.set_namespace(namespace)
            pane = Pane(unsaved=set(), waiting=set())
            fired: set[Any] = set()
            keys = list(backend.keys(CONTENTS_STATE, namespace))
            for backend.current_key in keys:
                key = backend.current_key
                if not saved.waits(namespace, key):
                    if not self._lateness:
                        contents.state.clear()
                        continue
                    fired.add(key)
                pane.contents[key] = contents.load()
            pane.waiting = set(pane.contents) - fired if fired else None
            if pane.contents:
                self._panes[namespace[0] if namespace else 0] = pane


class EndWindows(AlignedWindows):
    """One window that fires at the end of bounded input, when event time has reached its end."""

    def __init__(self, assigner: Any, parts: EngineParts) -> None:
        super().__init__(assigner, 0, parts)
        self.by_clock = False

    def _shape(self, assigner: Any) -> None:
        self._size = self._slide = self._offset = 0

    def _last_of(self, start: int) -> int:
        return MAX_TIMESTAMP

    def _window_of(self, start: int) -> Any:
        return GlobalWindow.get()

    def _namespace_of(self, start: int) -> tuple[int, ...]:
        return ()

    def process(self, keys: list[Any], values: list[Any], timestamps: Timestamps) -> None:
        """Add a batch."""
        self._fold(0, keys, values, None)
