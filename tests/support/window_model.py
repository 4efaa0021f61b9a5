"""A plain model of keyed event-time windows, one record at a time, with dicts and sorts only."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass
class Model:
    """Fires (key, start, end, values) at the end of each window.

    ``windows_of(time)`` gives (start, end) pairs; with ``gap`` windows are sessions instead.
    """

    windows_of: Any = None
    gap: int | None = None
    watermark: int = -(2**63)
    open: dict[tuple[str, int, int], list[Any]] = field(default_factory=dict)
    fired: list[tuple[str, int, int, list[Any]]] = field(default_factory=list)
    dropped: list[Any] = field(default_factory=list)

    def record(self, key: str, value: Any, time: int) -> None:
        if self.gap is not None:
            self._session(key, value, time)
            return
        taken = False
        for start, end in self.windows_of(time):
            if end - 1 > self.watermark:
                taken = True
                self.open.setdefault((key, start, end), []).append(value)
        if not taken and time <= self.watermark:
            self.dropped.append(value)

    def _session(self, key: str, value: Any, time: int) -> None:
        start, end, values = time, time + self.gap, []
        while touching := [w for w in self.open if w[0] == key and w[1] <= end and w[2] >= start]:
            for window in sorted(touching):
                values += self.open.pop(window)
                start, end = min(start, window[1]), max(end, window[2])
        if end - 1 <= self.watermark:
            self.dropped.append(value)
            return
        self.open[key, start, end] = [*values, value]

    def advance(self, watermark: int) -> None:
        self.watermark = watermark
        for window in sorted(self.open, key=lambda w: (w[2], w[1], w[0])):
            if window[2] - 1 <= watermark:
                self.fired.append((*window, self.open.pop(window)))
