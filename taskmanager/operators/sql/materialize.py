"""Puts updates of one key of a sink in order, when the rows come by another key.

Flink calls it SinkUpsertMaterializer. Rows of different keys of the query may meet in one key of
the table; the deletion of one of them must bring back the one before it. All rows of a key are kept
in the order in which they came, and the last one is what the table has.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from lesto.common.elements import Batch, ColumnarBatch
from lesto.kernels.partition import take_batch
from lesto.sql.settings import SqlSettings
from lesto.taskmanager.operators.sql.base import SqlOperator, signs
from lesto.taskmanager.operators.sql.rank_rows import (
    Flags,
    Ids,
    KeyedRows,
    Numbered,
    Replaced,
    last_rows,
)


class UpsertMaterializeOperator(SqlOperator):
    """Gives I, UA and D by the sink's key.

    Args:
        settings: of the session.
        keys: positions of the sink's key.
        ttl_ms: of idle keys, 0 for good.
    """

    def __init__(self, settings: SqlSettings, keys: Sequence[int], ttl_ms: int = 0) -> None:
        super().__init__(settings)
        self._keys = tuple(keys)
        self._ttl_ms = ttl_ms

    def open(self) -> None:
        """Find the rows kept."""
        self._missing = self.context.metrics.counter("retractions_ignored")
        self._rows = KeyedRows(
            self.backend, "materialize", self.input_schema(), self._keys, ttl_ms=self._ttl_ms
        )

    def process_batch(self, batch: Batch, input_index: int = 0) -> None:
        """Add and take back rows; give the keys whose last row has changed."""
        assert isinstance(batch, ColumnarBatch)
        data, rows = batch.data, self._rows
        rows.expire(self.context.clock)
        found = rows.numbered([data.column(i) for i in self._keys], data.num_rows)
        old = self._last(found)
        before = rows.table.take(old[old >= 0])
        added = signs(batch.kinds, data.num_rows) > 0
        self._change(data, found, added)
        new = self._last(found)
        after = rows.table.take(new[new >= 0])
        given = Replaced(before, _places(old), after, _places(new)).changes(
            give_before=False, keep_equal=self._ttl_ms > 0
        )
        self.emit(*given)

    def _last(self, found: Numbered) -> Ids:
        """int64[keys]: the id of each key's last row, -1 where it has none."""
        numbers, ids = self._rows.stored(found)
        return last_rows(numbers, ids, len(found))

    def _change(self, data: pa.RecordBatch, found: Numbered, added: Flags) -> None:
        rows = self._rows
        hashes = found.row_hashes
        if added.all():
            rows.add(data, hashes)
            return
        plus, minus = np.flatnonzero(added), np.flatnonzero(~added)
        rows.add(take_batch(data, plus), hashes[plus] if self._keys else None)
        gone = rows.find(take_batch(data, minus), hashes[minus] if self._keys else None)
        self._missing.inc(int((gone < 0).sum()))
        rows.remove(gone[gone >= 0])


def _places(ids: Ids) -> Ids:
    """Where the rows of the ids that are there lie, when they are taken in order."""
    there = ids >= 0
    return np.where(there, np.cumsum(there) - 1, -1)
