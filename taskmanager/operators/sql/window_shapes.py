"""Which windows there are, and the slices that they share.

A slice is the longest stretch of time of which every window is made up. Rows are folded into their
slice once, and slices are merged when a window ends. Times are local ms (see ``window_time``).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import gcd
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt

from lesto.common.elements import Timestamps
from lesto.kernels import windows

Kind = Literal["TUMBLE", "HOP", "CUMULATE", "SESSION"]
#: Start (None: it is among the keys) and end of a window.
Bounds = tuple[int | None, int]


@dataclass(frozen=True, slots=True)
class WindowSpec:
    """A windowing of rows, as operators are told of it.

    Attributes:
        kind: how windows follow each other.
        time: position of the time column.
        event_time: else the clock of the machine counts, and the column is not read.
        size_ms: length; of CUMULATE the greatest, of SESSION the gap.
        slide_ms: distance of HOP's windows, step of CUMULATE's.
        offset_ms: shift of windows' starts.
        keys: columns that sessions are partitioned by.
    """

    kind: Kind
    time: int
    event_time: bool
    size_ms: int
    slide_ms: int = 0
    offset_ms: int = 0
    keys: tuple[int, ...] = ()

    def shape(self) -> Tumbling | Hopping | Cumulating:
        """The slices; not of sessions."""
        if self.kind == "HOP" and self.slide_ms != self.size_ms:
            return Hopping(self.size_ms, self.slide_ms, self.offset_ms)
        if self.kind == "CUMULATE" and self.slide_ms != self.size_ms:
            return Cumulating(self.size_ms, self.slide_ms, self.offset_ms)
        return Tumbling(self.size_ms, self.offset_ms)


class Shape(Protocol):
    """Windows and their slices; a slice is called by a time."""

    @property
    def shared(self) -> bool:
        """Whether a window may have several slices, or a slice several windows."""
        ...

    def slices(self, times: Timestamps) -> Timestamps:
        """The slice of each time, int64[n]."""
        ...

    def last_ms(self, slices: Timestamps) -> Timestamps:
        """The last ms of the last window of slices; ascending with them."""
        ...

    def ended(self, slices: Sequence[int], done: int, progress: int) -> list[Bounds]:
        """Windows of the slices that have ended after ``done``, in the order of their ends."""
        ...

    def parts(self, bounds: Bounds) -> Iterable[int]:
        """The slices of a window, in order."""
        ...

    def first_due(self, slices: Sequence[int], done: int) -> int | None:
        """The last ms of the window that ends next; slices ascending."""
        ...


@dataclass(frozen=True, slots=True)
class Tumbling:
    """Windows that follow each other; a slice is a window, called by its start."""

    size: int
    offset: int = 0

    shared = False

    @property
    def slice_ms(self) -> int:
        """Length of a slice."""
        return self.size

    def slices(self, times: Timestamps) -> Timestamps:
        """Starts."""
        return windows.tumble(times, self.size, self.offset)

    def last_ms(self, slices: Timestamps) -> Timestamps:
        """Of the window."""
        return slices + (self.size - 1)

    def ended(self, slices: Sequence[int], done: int, progress: int) -> list[Bounds]:
        """Each slice is a window."""
        return [(s, s + self.size) for s in slices if done < s + self.size - 1 <= progress]

    def parts(self, bounds: Bounds) -> Iterable[int]:
        """The one."""
        return (bounds[1] - self.size,)

    def first_due(self, slices: Sequence[int], done: int) -> int | None:
        """The end of the first."""
        return next((s + self.size - 1 for s in slices if s + self.size - 1 > done), None)


@dataclass(frozen=True, slots=True)
class Given:
    """Windows that the input's columns say: a slice is called by its end, a start is a key."""

    shared = False

    def slices(self, times: Timestamps) -> Timestamps:
        """The ends themselves."""
        return times

    def last_ms(self, slices: Timestamps) -> Timestamps:
        """Before the end."""
        return slices - 1

    def ended(self, slices: Sequence[int], done: int, progress: int) -> list[Bounds]:
        """By their ends."""
        return [(None, s) for s in slices if done < s - 1 <= progress]

    def parts(self, bounds: Bounds) -> Iterable[int]:
        """The one."""
        return (bounds[1],)

    def first_due(self, slices: Sequence[int], done: int) -> int | None:
        """The first end."""
        return next((s - 1 for s in slices if s - 1 > done), None)


@dataclass(frozen=True, slots=True)
class Hopping:
    """Windows of one size at equal distances; slices are called by their starts."""

    size: int
    slide: int
    offset: int = 0

    shared = True

    @property
    def slice_ms(self) -> int:
        """Length of a slice."""
        return gcd(self.size, self.slide)

    def slices(self, times: Timestamps) -> Timestamps:
        """Starts."""
        return windows.tumble(times, self.slice_ms, self.offset % self.slice_ms)

    def last_ms(self, slices: Timestamps) -> Timestamps:
        """Of the window that starts last; behind the slice's own end where it is in none."""
        last = slices - (slices - self.offset) % self.slide
        return last + (self.size - 1)

    def between(self, slices: Timestamps) -> npt.NDArray[np.bool_] | None:
        """Which lie between two windows; None if none can."""
        if self.slide <= self.size:
            return None
        return np.asarray((slices - self.offset) % self.slide >= self.size)

    def ended(self, slices: Sequence[int], done: int, progress: int) -> list[Bounds]:
        """Each slice is in size / slide windows."""
        found: set[int] = set()
        for at in slices:
            if at > progress:
                break
            last = at - (at - self.offset) % self.slide
            found.update(range(last, at - self.size, -self.slide))
        return [
            (start, start + self.size)
            for start in sorted(found)
            if done < start + self.size - 1 <= progress
        ]

    def parts(self, bounds: Bounds) -> Iterable[int]:
        """From start to end."""
        end = bounds[1]
        return range(end - self.size, end, self.slice_ms)

    def first_due(self, slices: Sequence[int], done: int) -> int | None:
        """Of the first slice with a window that has yet to end, the first such."""
        best: int | None = None
        for at in slices:
            last = at - (at - self.offset) % self.slide
            for start in range(last, at - self.size, -self.slide):
                due = start + self.size - 1
                if due > done and (best is None or due < best):
                    best = due
            if best is not None and at > best:
                break
        return best


@dataclass(frozen=True, slots=True)
class Cumulating:
    """Windows of one start that grow by steps; slices are steps, called by their starts.

    What has been given is collected in the first step, so that a window has two slices at most.
    """

    size: int
    step: int
    offset: int = 0

    shared = True

    @property
    def slice_ms(self) -> int:
        """Length of a slice."""
        return self.step

    def slices(self, times: Timestamps) -> Timestamps:
        """Starts."""
        return windows.tumble(times, self.step, self.offset % self.step)

    def base(self, slices: Timestamps) -> Timestamps:
        """The first step of the windows of slices."""
        return slices - (slices - self.offset) % self.size

    def last_ms(self, slices: Timestamps) -> Timestamps:
        """Of the greatest window."""
        return self.base(slices) + (self.size - 1)

    def ended(self, slices: Sequence[int], done: int, progress: int) -> list[Bounds]:
        """From each slice's end to that of the greatest window, by steps."""
        found: set[Bounds] = set()
        for at in slices:
            if at > progress:
                break
            base = at - (at - self.offset) % self.size
            first = at + self.step
            if done >= first - 1:
                first = at + (done + 1 - at) // self.step * self.step + self.step
            last = min(base + self.size, progress + 1)
            found.update((base, end) for end in range(first, last + 1, self.step))
        return sorted(found, key=lambda b: b[1])

    def parts(self, bounds: Bounds) -> Iterable[int]:
        """From start to end."""
        start, end = bounds
        assert start is not None
        return range(start, end, self.step)

    def first_due(self, slices: Sequence[int], done: int) -> int | None:
        """The next step of a slice that is not over."""
        best: int | None = None
        for at in slices:
            base = at - (at - self.offset) % self.size
            due = at + self.step - 1
            if due <= done:
                due = at + (done + 1 - at) // self.step * self.step + self.step - 1
            if due < base + self.size and (best is None or due < best):
                best = due
        return best
