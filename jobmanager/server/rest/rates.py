"""Rates out of counts that are looked at now and then."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Final

#: Tasks of which two looks are kept; of more, those asked about last.
TASKS_MAX: Final = 4_096
#: A rate is over at least so much of the task's time, and over twice that while it is looked at.
WINDOW_MS: Final = 5_000


@dataclass(slots=True)
class _Look:
    elapsed_ms: int
    counts: Mapping[str, int]


class Rates:
    """Keeps two looks at each task; thread-safe.

    The first answer about a task is its mean since it began.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._looks: OrderedDict[Hashable, tuple[_Look, _Look]] = OrderedDict()

    def per_second(
        self, key: Hashable, elapsed_ms: int, counts: Mapping[str, int]
    ) -> dict[str, float]:
        """Return how fast counts have grown.

        Args:
            key: the task's attempt.
            elapsed_ms: its time, at the moment of the counts.
            counts: by name; all began at zero.

        >>> rates = Rates()
        >>> rates.per_second("task", 2_000, {"records": 10})
        {'records': 5.0}
        """
        look = _Look(elapsed_ms, dict(counts))
        with self._lock:
            found = self._looks.pop(key, None)
            before, last = found if found is not None else (_Look(0, {}), look)
            if elapsed_ms > last.elapsed_ms:
                if last.elapsed_ms - before.elapsed_ms >= WINDOW_MS:
                    before = last
                last = look
            self._looks[key] = (before, last)
            while len(self._looks) > TASKS_MAX:
                self._looks.popitem(last=False)
        seconds = (last.elapsed_ms - before.elapsed_ms) / 1000
        if seconds <= 0:
            return dict.fromkeys(counts, 0.0)
        return {
            name: max(0.0, (count - before.counts.get(name, 0)) / seconds)
            for name, count in last.counts.items()
        }
