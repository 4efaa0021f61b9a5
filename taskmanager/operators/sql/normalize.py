"""Completes an upsert stream: each key's row is kept, so that updates come with what they replace.

Flink calls it ChangelogNormalize. What changes nothing is dropped: repeated rows, deletions of keys
that are not there. A deletion needs its key alone; the row that is kept is what is given.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lesto.common.elements import Batch, ColumnarBatch
from lesto.kernels.partition import take_batch
from lesto.sql.settings import SqlSettings
from lesto.taskmanager.operators.sql.base import SqlOperator
from lesto.taskmanager.operators.sql.rank_rows import UB, D, KeyedRows, Replaced, last_rows


class NormalizeOperator(SqlOperator):
    """Keeps the last row of each key.

    Args:
        settings: of the session.
        keys: positions of the key.
        give_before: whether updates are wanted with UB.
        ttl_ms: of idle keys, 0 for good.
    """

    def __init__(
        self, settings: SqlSettings, keys: Sequence[int], give_before: bool, ttl_ms: int = 0
    ) -> None:
        super().__init__(settings)
        self._keys = tuple(keys)
        self._give_before = give_before
        self._ttl_ms = ttl_ms

    def open(self) -> None:
        """Find the rows kept."""
        self._rows = KeyedRows(
            self.backend, "normalize", self.input_schema(), self._keys, ttl_ms=self._ttl_ms
        )

    def process_batch(self, batch: Batch, input_index: int = 0) -> None:
        """Fold each key's changes into one."""
        assert isinstance(batch, ColumnarBatch)
        data, kinds = batch.data, batch.kinds
        rows = self._rows
        rows.expire(self.context.clock)
        if kinds is not None and (kinds == UB).any():
            # What an update replaces is known here.
            kept = np.flatnonzero(kinds != UB)
            data, kinds = take_batch(data, kept), kinds[kept]
        if not data.num_rows:
            return
        found = rows.numbered([data.column(i) for i in self._keys], data.num_rows)
        after_at = last_rows(found.numbers, np.arange(data.num_rows), len(found))
        if kinds is not None:
            after_at[kinds[after_at] == D] = -1
        numbers, ids = rows.stored(found)
        before_at = np.full(len(found), -1, np.int64)
        before_at[numbers] = np.arange(len(ids))
        before = rows.table.take(ids)
        kept = after_at[after_at >= 0]
        given = Replaced(before, before_at, data, after_at).changes(
            give_before=self._give_before, keep_equal=self._ttl_ms > 0
        )
        rows.remove(ids)
        rows.add(take_batch(data, kept), found.row_hashes[kept] if self._keys else None)
        self.emit(*given)
