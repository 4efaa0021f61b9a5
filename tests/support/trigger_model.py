"""A plain model of windows with any trigger, lateness and evictor: one record at a time.

Written from the rules of Flink's documentation, with lists and scans only. Results are
(key, start, end, values).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

END = 2**63 - 1


@dataclass
class Win:
    """A window of a key: its records (value, time), and what its trigger knows."""

    key: Any
    start: int
    end: int
    records: list[tuple[Any, int]] = field(default_factory=list)
    waits: bool = False  # for its end
    merged: bool = False  # for its next firing, since it has merged
    count: int = 0
    next_fire: int | None = None
    last: Any = None


class Event:
    """Fires at the end, and for each late record."""

    def element(self, model, win, value, time):
        win.waits = win.end - 1 > model.watermark
        return not win.waits

    def advance(self, model, win):
        if win.waits and win.end - 1 <= model.watermark:
            win.waits = False
            yield True

    def merge(self, win, olds):
        win.waits = any(w.waits for w in olds)


@dataclass
class CountTo(Event):
    """Fires at every n-th record."""

    n: int

    def element(self, model, win, value, time):
        win.count += 1
        if win.count < self.n:
            return False
        win.count = 0
        return True

    def advance(self, model, win):
        return ()

    def merge(self, win, olds):
        win.count = sum(w.count for w in olds)


@dataclass
class Delta(CountTo):
    """Fires where a value is more than n above the one that fired last."""

    def element(self, model, win, value, time):
        if win.last is None:
            win.last = value
        elif value - win.last > self.n:
            win.last = value
            return True
        return False


@dataclass
class Continuous(Event):
    """Fires every interval of event time, and at the end."""

    interval: int

    def element(self, model, win, value, time):
        if win.end - 1 <= model.watermark:
            return True
        win.waits = True
        if win.next_fire is None:
            win.next_fire = min(time - time % self.interval + self.interval, win.end - 1)
        return False

    def advance(self, model, win):
        due = win.next_fire
        while (win.waits or win.merged) and due is not None and due <= model.watermark:
            yield True
            if due == win.end - 1:
                win.waits = win.merged = False
            else:
                win.next_fire = min(due + self.interval, win.end - 1)
            if not (win.waits or win.merged):
                break
            due = win.next_fire
        if win.waits and win.end - 1 <= model.watermark:
            win.waits = False
            yield True

    def merge(self, win, olds):
        super().merge(win, olds)
        win.next_fire = min((w.next_fire for w in olds if w.next_fire is not None), default=None)
        # As Flink's: the next firing gets its timer again, also where it has been.
        win.merged = win.next_fire is not None


class TriggerModel:
    """Windows by a trigger.

    Args:
        trigger: one of the above.
        windows_of: time -> (start, end) pairs; or None for sessions.
        gap_of: record -> gap of its session.
        lateness: ms.
        purge: contents go when they have fired.
        evict: from the records of a window that fires to those that stay, or None.
    """

    def __init__(self, trigger, windows_of=None, gap_of=None, lateness=0, purge=False, evict=None):
        self.trigger, self.windows_of, self.gap_of = trigger, windows_of, gap_of
        self.lateness, self.purge, self.evict = lateness, purge, evict
        self.watermark = -(2**63)
        self.open: list[Win] = []
        self.fired: list[tuple] = []
        self.dropped: list[Any] = []

    def record(self, key, value, time):
        taken = False
        if self.gap_of is None:
            wins = [Win(key, *bounds) for bounds in self.windows_of(time)]
        else:
            wins = [Win(key, time, time + self.gap_of(value))]
        for new in wins:
            win = self._find(new) if self.gap_of is None else self._merged(new)
            if win is None:
                continue
            taken = True
            win.records.append((value, time))
            if self.trigger.element(self, win, value, time):
                self._fire(win)
        if not taken and time + self.lateness <= self.watermark:
            self.dropped.append(value)

    def _gone(self, win):
        return win.end != END and win.end - 1 + self.lateness <= self.watermark

    def _find(self, new):
        for win in self.open:
            if (win.key, win.start, win.end) == (new.key, new.start, new.end):
                return win
        if self._gone(new):
            return None
        self.open.append(new)
        return new

    def _merged(self, new):
        olds = [
            w for w in self.open if w.key == new.key and w.start <= new.end and new.start <= w.end
        ]
        olds.sort(key=lambda w: w.start)
        start = min(w.start for w in [*olds, new])
        end = max(w.end for w in [*olds, new])
        if self._gone(Win(new.key, start, end)):
            return None
        if [(w.start, w.end) for w in olds] == [(start, end)]:
            return olds[0]
        win = Win(new.key, start, end, [r for w in olds for r in w.records])
        if olds:
            self.trigger.merge(win, olds)
        self.open = [w for w in self.open if w not in olds] + [win]
        return win

    def _fire(self, win):
        if win.records:
            if self.evict is not None:
                win.records = self.evict(win.records)
            self.fired.append((win.key, win.start, win.end, [v for v, _ in win.records]))
        if self.purge:
            win.records = []

    def advance(self, watermark):
        self.watermark = watermark
        for win in list(self.open):
            for _ in self.trigger.advance(self, win):
                self._fire(win)
            if self._gone(win):
                self.open.remove(win)
