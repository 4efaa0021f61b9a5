"""The quick engine: tumbling and sliding event-time windows that fire once, at their end.

All keys share their windows, so a window is a dict of key -> content; a batch is grouped
by window with numpy and folded in one tight loop a window; the watermark fires whole windows, in
order of their ends. No timers: a window's existence is its timer. At a snapshot what changed goes
to the keyed backend, under the same name and namespaces as the general engine uses, and the list of
windows to operator state.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

import msgspec
import numpy as np

from lesto.common.elements import MAX_TIMESTAMP, MIN_TIMESTAMP, Timestamps
from lesto.common.windowing import SlidingEventTimeWindows, TimeWindow, TumblingEventTimeWindows
from lesto.state.backend import KeyedStateBackend
from lesto.taskmanager.operators.timer_service import InternalTimers
from lesto.taskmanager.operators.user_functions import current_row, function_error
from lesto.taskmanager.operators.window_contents import (
    CONTENTS_STATE,
    AggregatedContents,
    WindowContents,
)
from lesto.taskmanager.operators.window_engine import LateRecords, WindowEngine
from lesto.taskmanager.operators.window_output import WindowResults

#: Union list state: (start, end) of each window that has contents in the keyed state.
WINDOWS_STATE: Final = "windows"

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(tuple[int, int]).decode


@dataclass(slots=True)
class _Pane:
    """One window.

    Attributes:
        contents: key -> content.
        unsaved: keys whose content differs from the keyed state; None: all of them.
    """

    contents: dict[Any, Any] = field(default_factory=dict)
    unsaved: set[Any] | None = None


class AlignedWindows(WindowEngine):
    """Windows of all keys at once.

    Args:
        assigner: tumbling or sliding event-time windows.
        contents: how contents are kept.
        results: where windows fire to.
        late: takes records for which all windows have fired.
        timers: event time; its queues are empty but for a restore from the general engine.
        backend: the keyed state.
        operator: the operator's name, for errors.
    """

    def __init__(
        self,
        assigner: TumblingEventTimeWindows | SlidingEventTimeWindows,
        contents: WindowContents,
        results: WindowResults,
        late: LateRecords,
        timers: InternalTimers,
        backend: KeyedStateBackend,
        operator: str,
    ) -> None:
        self._size = assigner.size
        self._offset = assigner.offset
        self._slide = (
            assigner.slide if isinstance(assigner, SlidingEventTimeWindows) else assigner.size
        )
        self._contents = contents
        self._results = results
        self._late = late
        self._timers = timers
        self._backend = backend
        self._operator = operator
        self._panes: dict[int, _Pane] = {}

    # -- records

    def process(self, keys: list[Any], values: list[Any], timestamps: Timestamps) -> None:
        """Add a batch to its windows."""
        last = timestamps - (timestamps - self._offset) % self._slide
        watermark = self._timers.current_watermark
        # A window [start, start + size) is late once the watermark has reached start + size - 1.
        open_from = max(watermark - self._size + 1, MIN_TIMESTAMP)
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
            dropped = ~used & (timestamps <= watermark)
            if dropped.any():
                self._late.take(np.flatnonzero(dropped), values, timestamps)

    def _add(
        self,
        rows_of: list[np.ndarray[Any, Any]],
        starts_of: list[np.ndarray[Any, Any]],
        keys: list[Any],
        values: list[Any],
    ) -> None:
        """Fold rows into the windows that start there, in each in the order they came."""
        rows, starts = rows_of[0], starts_of[0]
        sliding = len(rows_of) > 1
        if sliding:
            rows, starts = np.concatenate(rows_of), np.concatenate(starts_of)
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

    def _fold(
        self, start: int, keys: list[Any], values: list[Any], index: list[int] | None
    ) -> None:
        pane = self._panes.get(start)
        if pane is None:
            pane = self._panes[start] = _Pane()
        rows = iter(values)
        try:
            self._contents.fold(pane.contents, keys, rows)
        except Exception as error:
            at = current_row(rows, len(values))
            name = self._contents.name
            raise function_error(
                self._operator, name, error, at if index is None else index[at]
            ) from error
        if pane.unsaved is not None:
            pane.unsaved.update(keys)

    # -- time

    def advance(self, watermark: int) -> None:
        """Fire the windows that end."""
        self._timers.current_watermark = watermark
        due = sorted(start for start in self._panes if start + self._size - 1 <= watermark)
        for start in due:
            self._fire(start, self._panes.pop(start))
        self._results.flush()

    def _fire(self, start: int, pane: _Pane) -> None:
        window = TimeWindow(start, start + self._size)
        results, contents, backend = self._results, self._contents, self._backend
        if results.function is None:
            results.add(self._plain_results(pane.contents), window.max_timestamp())
        else:
            elements = self._elements
            for backend.current_key, content in pane.contents.items():
                results.fire(backend.current_key, window, elements(content))
                if results.clears:
                    results.clear(window)
        if pane.unsaved is not None:
            contents.state.set_namespace((start, window.end))
            clear = contents.state.clear
            for backend.current_key in pane.contents:
                clear()

    def _plain_results(self, contents: dict[Any, Any]) -> Any:
        if not isinstance(self._contents, AggregatedContents):
            return contents.values()
        values = [*contents.values()]
        rows = iter(values)
        try:
            return [*map(self._contents.result, rows)]
        except Exception as error:
            raise function_error(self._operator, self._contents.result_name, error) from error

    def _elements(self, content: Any) -> list[Any]:
        try:
            return self._contents.elements(content)
        except Exception as error:
            raise function_error(self._operator, self._contents.result_name, error) from error

    # -- state

    def save(self) -> dict[str, list[bytes]]:
        """Write what changed to the keyed state; gives the union list state."""
        backend, contents = self._backend, self._contents
        save = contents.save
        for start, pane in self._panes.items():
            contents.state.set_namespace((start, start + self._size))
            held = pane.contents
            for backend.current_key in held if pane.unsaved is None else pane.unsaved:
                save(held[backend.current_key])
            pane.unsaved = set()
        windows = [_encode((start, start + self._size)) for start in self._panes]
        return {WINDOWS_STATE: windows}

    def restore(self, windows: list[bytes]) -> None:
        """Load what was saved, by this engine or the general one."""
        found = {_decode(item) for item in windows}
        # The general engine has timers instead of the list; a window whose end has no timer has
        # fired.
        fired: set[Any] = set()
        for at, _, namespace in list(self._timers.event.pop_until(MAX_TIMESTAMP)):
            (found if at == namespace[1] - 1 else fired).add(namespace)
        backend, contents = self._backend, self._contents
        for namespace in sorted(found | fired):
            contents.state.set_namespace(namespace)
            keys = list(backend.keys(CONTENTS_STATE, namespace))
            pane = _Pane(unsaved=set())
            for backend.current_key in keys:
                if namespace in found:
                    pane.contents[backend.current_key] = contents.load()
                else:
                    contents.state.clear()
            if pane.contents:
                self._panes[namespace[0]] = pane
