"""Which slots are due at a watermark, without looking at all of them."""

from __future__ import annotations

from bisect import bisect_right, insort

import numpy as np

from lesto.common.elements import Timestamps
from lesto.state.table import Slots
from lesto.taskmanager.operators.columnar.distinct import Distinct

_NEVER = -(2**63)


class DueSlots:
    """Slots by the time at which they want to be looked at, in buckets of some ms.

    A slot has one time. Entering it again with a later one changes nothing: it is given out at the
    earlier time, and its owner, finding that it wants to wait, enters it again. So a slot whose
    time moves on with every batch is not moved with every batch.

    Args:
        width_ms: width of a bucket.
    """

    def __init__(self, width_ms: int) -> None:
        self._width_ms = width_ms
        self._distinct = Distinct()
        self._buckets: dict[int, list[Slots]] = {}
        self._order: list[int] = []
        # By slot: the time for which it is entered, or _NEVER.
        self._times: Timestamps = np.full(1024, _NEVER, np.int64)

    def add(self, slots: Slots, times: Timestamps) -> None:
        """Enter slots, each once, at times in ms; the earlier of an old and the new time counts."""
        if len(slots) == 0:
            return
        bound = int(slots.max()) + 1
        if bound > len(self._times):
            longer = np.full(max(bound, 2 * len(self._times)), _NEVER, np.int64)
            longer[: len(self._times)] = self._times
            self._times = longer
        known = self._times[slots]
        wanted = (known == _NEVER) | (times < known)
        slots, times = slots[wanted], times[wanted]
        self._times[slots] = times
        numbers = times // self._width_ms
        order = np.argsort(numbers, kind="stable")
        slots, numbers = slots[order], numbers[order]
        cuts = np.flatnonzero(np.diff(numbers)) + 1
        for part in np.split(slots, cuts):
            if len(part):
                self._append(int(self._times[part[0]]) // self._width_ms, part)

    def forget(self, slots: Slots) -> None:
        """The slots are gone."""
        self._times[slots] = _NEVER

    def first(self) -> int | None:
        """The earliest time for which a slot is entered, ms."""
        for number in self._order:
            times = self._times[np.concatenate(self._buckets[number])]
            times = times[(times != _NEVER) & (times // self._width_ms == number)]
            if len(times):
                return int(times.min())
        return None

    def until(self, time: int) -> Slots:
        """Take out the slots with times up to and with this one, each once."""
        last = time // self._width_ms
        count = bisect_right(self._order, last)
        due: list[Slots] = []
        for number in self._order[:count]:
            found = self._distinct.values(np.concatenate(self._buckets.pop(number)))
            times = self._times[found]
            mine = (times != _NEVER) & (times // self._width_ms == number)
            ready = mine & (times <= time)
            due.append(found[ready])
            waiting = found[mine & ~ready]
            if len(waiting):
                self._buckets[number] = [waiting]
        self._order = [n for n in self._order[:count] if n in self._buckets] + self._order[count:]
        slots = np.concatenate(due) if due else np.empty(0, np.int64)
        self._times[slots] = _NEVER
        return slots

    def _append(self, number: int, slots: Slots) -> None:
        parts = self._buckets.get(number)
        if parts is None:
            self._buckets[number] = [slots]
            insort(self._order, number)
        else:
            parts.append(slots)
