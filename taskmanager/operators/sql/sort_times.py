"""Rows that wait for event time."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from lesto.common.elements import MAX_TIMESTAMP
from lesto.kernels.partition import take_batch
from lesto.taskmanager.operators.sql.rank_rows import KeyedRows, joined

Ids = npt.NDArray[np.int64]

#: Bytes of rows that wait in memory between two snapshots.
WAITING_BYTES: Final = 64 << 20
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


class WaitingRows:
    """Rows that wait until the watermark has passed them.

    They lie in memory as they came, and are written to the table at a snapshot or when they are
    too many: most have gone before.

    Args:
        rows: where they are kept.
        counter: of their times there.
        restored: ids of those that are there.
    """

    def __init__(self, rows: KeyedRows, counter: str, restored: Ids) -> None:
        self._rows = rows
        self._counter = counter
        self.stored = TimedIds()
        self.stored.add(restored, rows.table.counter(counter)[restored])
        self._held: list[tuple[pa.RecordBatch, Ids]] = []
        self._least = MAX_TIMESTAMP
        self._bytes = 0

    def add(self, data: pa.RecordBatch, times: Ids) -> None:
        """Rows with their times, in ms."""
        if not len(times):
            return
        self._held.append((data, times))
        self._least = min(self._least, int(times.min()))
        self._bytes += data.nbytes
        if self._bytes > WAITING_BYTES:
            self.store()

    def due(self, until: int) -> tuple[pa.RecordBatch, Ids] | None:
        """Rows of times up to ``until``, in the order in which they came, which leave."""
        parts: list[pa.RecordBatch] = []
        times: list[Ids] = []
        ids = self.stored.due(until)
        if len(ids):
            parts.append(self._rows.table.take(ids))
            times.append(self._rows.table.counter(self._counter)[ids].copy())
            self._rows.remove(ids)
        if self._least <= until:
            held, self._held, self._least, self._bytes = self._held, [], MAX_TIMESTAMP, 0
            for data, at in held:
                now = at <= until
                if now.any():
                    rows = np.flatnonzero(now)
                    parts.append(data if now.all() else take_batch(data, rows))
                    times.append(at[rows])
                if not now.all():
                    later = np.flatnonzero(~now)
                    self.add(take_batch(data, later), at[later])
        if not parts:
            return None
        return joined(parts, parts[-1].schema), np.concatenate(times)

    def store(self) -> None:
        """Write what lies in memory to the table."""
        held, self._held, self._least, self._bytes = self._held, [], MAX_TIMESTAMP, 0
        table = self._rows.table
        for data, times in held:
            ids = self._rows.add(data)
            table.counter(self._counter)[ids] = times
            table.mark(ids)
            self.stored.add(ids, times)
