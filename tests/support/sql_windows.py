"""Windows in plain Python, row by row: what operators of windows must give."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from lesto.taskmanager.operators.sql.window_shapes import WindowSpec

#: (start, end), ms
Bounds = tuple[int, int]


def windows_of(spec: WindowSpec, time: int) -> list[Bounds]:
    """The windows of a time, by start and end."""
    size, slide, offset = spec.size_ms, spec.slide_ms, spec.offset_ms
    if spec.kind == "HOP":
        last = time - (time - offset) % slide
        starts = range(last, time - size, -slide)
        return sorted((s, s + size) for s in starts)
    start = time - (time - offset) % size
    if spec.kind == "CUMULATE":
        ends = range(start + slide, start + size + 1, slide)
        return [(start, end) for end in ends if end > time]
    return [(start, start + size)]


class WindowModel:
    """Rows by key and window.

    Args:
        spec: the windows.
        result: of the rows of a key and window, with their signs, in order of arrival.
    """

    def __init__(
        self, spec: WindowSpec, result: Callable[[Any, list[Any], Bounds], Iterable[Any]]
    ) -> None:
        self.spec = spec
        self.result = result
        self.watermark = -(10**15)
        self.late = 0
        self.open: dict[tuple[Any, Bounds], list[Any]] = defaultdict(list)

    def add(self, key: Any, time: int, row: Any) -> None:
        """A row comes."""
        found = windows_of(self.spec, time)
        there = [w for w in found if w[1] - 1 > self.watermark]
        self.late += bool(found) and not there
        for window in there:
            self.open[key, window].append(row)

    def advance(self, watermark: int) -> Counter[Any]:
        """Event time advances; what is given."""
        self.watermark = max(self.watermark, watermark)
        given: Counter[Any] = Counter()
        for key, window in [k for k in self.open if k[1][1] - 1 <= self.watermark]:
            given.update(self.result(key, self.open.pop((key, window)), window))
        return given


class SessionModel:
    """Sessions by key; a batch counts as a whole.

    Args:
        gap: ms.
        result: as of :class:`WindowModel`.
    """

    def __init__(self, gap: int, result: Callable[[Any, list[Any], Bounds], Iterable[Any]]) -> None:
        self.gap = gap
        self.result = result
        self.watermark = -(10**15)
        self.late = 0
        self.live: dict[Any, list[tuple[int, int, bool, list[Any]]]] = defaultdict(list)

    def add(self, rows: Sequence[tuple[Any, int, Any]]) -> None:
        """A batch of (key, time, row)."""
        for key in {k for k, _, _ in rows}:
            parts = [(s, e, True, own) for s, e, _, own in self.live[key]]
            parts += [(t, t + self.gap, False, [row]) for k, t, row in rows if k == key]
            merged: list[tuple[int, int, bool, list[Any]]] = []
            for start, end, old, own in sorted(parts, key=lambda x: x[:2]):
                if merged and start <= merged[-1][1]:
                    first, last, was, before = merged[-1]
                    merged[-1] = (first, max(last, end), was or old, [*before, *own])
                else:
                    merged.append((start, end, old, own))
            kept = [m for m in merged if m[2] or m[1] - 1 > self.watermark]
            self.late += sum(len(m[3]) for m in merged if m not in kept)
            self.live[key] = kept

    def advance(self, watermark: int) -> Counter[Any]:
        """Event time advances; what is given."""
        self.watermark = max(self.watermark, watermark)
        given: Counter[Any] = Counter()
        for key, sessions in self.live.items():
            for start, end, _, rows in sessions:
                if end - 1 <= self.watermark:
                    given.update(self.result(key, rows, (start, end)))
            self.live[key] = [s for s in sessions if s[1] - 1 > self.watermark]
        return given
