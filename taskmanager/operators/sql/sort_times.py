"""Rows that wait for event time."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from lesto.common.elements import MAX_TIMESTAMP

Ids = npt.NDArray[np.int64]

_NONE: Final = np.zeros(0, np.int64)


class TimedIds:
    """Ids of rows with their times, which are asked for by time."""

    def __init__(self) -> None:
        self._ids: list[Ids] = []
        self._times: list[Ids] = []
        self._least = MAX_TIMESTAMP

    def add(self, ids: Ids, times: Ids) -> None:
        """Rows that wait; of ascending ids."""
        if len(ids):
            self._ids.append(ids)
            self._times.append(times)
            self._least = min(self._least, int(times.min()))

    def due(self, until: int) -> Ids:
        """The ids of times up to ``until`` ms, in the order of their adding; they leave."""
        if self._least > until or not self._ids:
            return _NONE
        ids, times = np.concatenate(self._ids), np.concatenate(self._times)
        now = times <= until
        self._ids, self._times, self._least = [], [], MAX_TIMESTAMP
        self.add(ids[~now], times[~now])
        return ids[now]

    def waiting(self) -> Ids:
        """All ids."""
        return np.concatenate(self._ids) if self._ids else _NONE

    def forget(self, ids: Ids) -> None:
        """These rows are gone."""
        if len(ids) and self._ids:
            every, times = np.concatenate(self._ids), np.concatenate(self._times)
            stays = ~np.isin(every, ids)
            self._ids, self._times, self._least = [], [], MAX_TIMESTAMP
            self.add(every[stays], times[stays])
