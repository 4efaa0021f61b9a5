"""The first or last row of each key, by event time or by the order in which rows come."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import pyarrow as pa

from lesto.common.elements import MAX_TIMESTAMP, MIN_TIMESTAMP, Batch, ColumnarBatch
from lesto.kernels.partition import take_batch
from lesto.sql.settings import SqlSettings
from lesto.sql.values import ints
from lesto.taskmanager.operators.sql.base import SqlOperator
from lesto.taskmanager.operators.sql.rank_rows import (
    RESULT_ROWS_MAX,
    Flags,
    Ids,
    KeyedRows,
    Numbered,
    Replaced,
    last_rows,
)

_TIME: Final = "time"


class DeduplicateOperator(SqlOperator):
    """Keeps a row a key. Input only inserts.

    Where nobody asks for the row that is replaced, keys and times are all that is kept.

    Args:
        settings: of the session.
        keys: positions of the key.
        time: position of the event time, None to go by arrival.
        last: the last row is kept, else the first. Of rows of one time the one that came last is
            the last, the one that came first the first.
        give_before: whether updates are wanted with UB.
        ttl_ms: of idle keys, 0 for good.
        final: whether only the rows at the end of the input are given.
    """

    def __init__(
        self,
        settings: SqlSettings,
        keys: Sequence[int],
        time: int | None,
        last: bool,
        give_before: bool,
        ttl_ms: int = 0,
        final: bool = False,
    ) -> None:
        super().__init__(settings)
        self._keys = tuple(keys)
        self._time = time
        self._last = last
        self._give_before = give_before
        self._ttl_ms = ttl_ms
        #: Whether a key's row may be replaced.
        self._replaces = last or time is not None
        self._final = final and self._replaces
        self._whole = self._final or (self._replaces and give_before)
        self._ended = False

    def open(self) -> None:
        """Find the rows kept."""
        schema = self.input_schema()
        keys: Sequence[int] = self._keys
        #: Columns that are kept; a row of no columns is kept as its time.
        self._columns = list(range(len(schema)))
        if not self._whole:
            self._columns = list(keys) or [0]
            keys = range(len(keys))
        kept = pa.schema([schema.field(i).with_name(f"c{i}") for i in self._columns])
        self._kept = kept
        self._rows = KeyedRows(
            self.backend, "deduplicate", kept, keys, (_TIME,), ttl_ms=self._ttl_ms
        )

    def process_batch(self, batch: Batch, input_index: int = 0) -> None:
        """Choose among a key's rows of the batch, then between that one and the one kept."""
        assert isinstance(batch, ColumnarBatch)
        data, rows = batch.data, self._rows
        rows.expire(self.context.clock)
        found = rows.numbered([data.column(i) for i in self._keys], data.num_rows)
        times = self._times(data)
        best = self._best(found, times)
        numbers, ids = rows.stored(found)
        old = np.full(len(found), -1, np.int64)
        old[numbers] = ids
        wins = old < 0
        known = np.flatnonzero(~wins)
        if times is None:
            wins[known] = self._last
        elif len(known):
            before = rows.table.counter(_TIME)[old[known]]
            now = times[best[known]]
            wins[known] = now >= before if self._last else now < before
        if wins.any():
            self._replace(data, found, best, old, wins, times)

    def _times(self, data: pa.RecordBatch) -> Ids | None:
        if self._time is None:
            return None
        column = data.column(self._time)
        times = ints(column)
        if column.null_count:
            # A row without a time is the one to be replaced.
            worst = MIN_TIMESTAMP if self._last else MAX_TIMESTAMP
            times = np.where(np.asarray(column.is_null()), worst, times)
        return times

    def _best(self, found: Numbered, times: Ids | None) -> Ids:
        """int64[keys]: the row of each key that the batch alone would leave."""
        numbers = found.numbers
        rows = np.arange(len(numbers))
        if len(found) == len(numbers):
            return rows
        if times is None:
            return last_rows(numbers, rows, len(found)) if self._last else found.first
        if self._last:
            best = np.full(len(found), MIN_TIMESTAMP, np.int64)
            np.maximum.at(best, numbers, times)
        else:
            best = np.full(len(found), MAX_TIMESTAMP, np.int64)
            np.minimum.at(best, numbers, times)
            rows = rows[::-1]
        rows = rows[times[rows] == best[numbers[rows]]]
        return last_rows(numbers[rows], rows, len(found))

    def _replace(
        self,
        data: pa.RecordBatch,
        found: Numbered,
        best: Ids,
        old: Ids,
        wins: Flags,
        times: Ids | None,
    ) -> None:
        rows = self._rows
        new, replaced = best[wins], old[wins]
        before_at = np.where(replaced >= 0, np.cumsum(replaced >= 0) - 1, -1)
        gone = replaced[replaced >= 0]
        before = rows.table.take(gone) if self._whole and not self._final else None
        if before is not None:
            before = pa.RecordBatch.from_arrays(before.columns, schema=data.schema)
        if self._whole:
            rows.remove(gone)
            added = np.ones(len(new), np.bool_)
        else:
            added = replaced < 0
        chosen = new[added]
        kept = pa.RecordBatch.from_arrays(
            take_batch(data.select(self._columns), chosen).columns, schema=self._kept
        )
        ids = rows.add(kept, found.row_hashes[chosen] if self._keys else None)
        if times is not None:
            held = np.where(added, -1, replaced)
            held[added] = ids
            rows.table.counter(_TIME)[held] = times[new]
            rows.table.mark(held)
        elif not self._whole and len(gone):
            rows.table.mark(gone)
        if not self._final:
            given = Replaced(before, before_at, data, new).changes(
                give_before=self._give_before, keep_equal=self._ttl_ms > 0
            )
            self.emit(*given)

    def process_watermark(self, timestamp: int) -> None:
        """Of bounded input the end of event time is passed on behind the rows."""
        if not (timestamp == MAX_TIMESTAMP and self._final):
            super().process_watermark(timestamp)

    def end_input(self, input_index: int = 0) -> None:
        """Of bounded input give what is left: those before may have given theirs just now."""
        self._give_final()
        if self._final:
            super().process_watermark(MAX_TIMESTAMP)

    def _give_final(self) -> None:
        if not self._final or self._ended:
            return
        self._ended = True
        table, schema = self._rows.table, self.input_schema()
        ids = table.live()
        for at in range(0, len(ids), RESULT_ROWS_MAX):
            kept = table.take(ids[at : at + RESULT_ROWS_MAX])
            self.emit(pa.RecordBatch.from_arrays(kept.columns, schema=schema))
