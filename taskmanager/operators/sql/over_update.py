"""OVER of rows that change, or in an order other than time's: results are updated.

All rows are kept. Per batch the partitions that it touches are computed as they were and as they
are, and what differs is given.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from lesto.common.elements import Batch, ColumnarBatch
from lesto.kernels import jit
from lesto.kernels.partition import take_batch
from lesto.sql.settings import SqlSettings
from lesto.taskmanager.operators.sql.base import SqlOperator, signs
from lesto.taskmanager.operators.sql.over_program import (
    OverProgram,
    OverSpec,
    Stretch,
    window_times,
)
from lesto.taskmanager.operators.sql.rank_changes import given_pairs
from lesto.taskmanager.operators.sql.rank_rows import Flags, Ids, KeyedRows, Numbered, joined
from lesto.taskmanager.operators.sql.sort_order import permutation, sort_words


class OverUpdateOperator(SqlOperator):
    """Adds a column a call, and takes back what is not so any more.

    Args:
        settings: of the session.
        spec: the window and its calls.
        schema: of the results.
        give_before: whether updates are wanted with UB.
        row_key: a unique key of the input, None for none.
        ttl_ms: of idle rows, 0 for good.
    """

    def __init__(
        self,
        settings: SqlSettings,
        spec: OverSpec,
        schema: pa.Schema,
        give_before: bool,
        row_key: tuple[int, ...] | None,
        ttl_ms: int = 0,
    ) -> None:
        super().__init__(settings)
        self._spec = spec
        self._schema = schema
        self._give_before = give_before
        self._row_key = row_key
        self._ttl_ms = ttl_ms

    def open(self) -> None:
        """Compile; find the rows."""
        super().open()
        jit.warm(("frames",))
        self._program = OverProgram(self._spec)
        self._missing = self.context.metrics.counter("retractions_ignored")
        self._rows = KeyedRows(
            self.backend, "over", self.input_schema(), self._spec.partition, (), self._ttl_ms
        )

    def process_batch(self, batch: Batch, input_index: int = 0) -> None:
        """Change the rows, give what differs."""
        assert isinstance(batch, ColumnarBatch)
        data, rows, spec = batch.data, self._rows, self._spec
        rows.expire(self.context.clock)
        found = rows.numbered([data.column(i) for i in spec.partition], data.num_rows)
        before_groups, before_ids = rows.stored(found)
        before = self._computed(rows.table.take(before_ids), before_groups)
        # Rows are added before others are removed: no id is given anew within the batch.
        self._change(data, found, signs(batch.kinds, data.num_rows) > 0)
        after_groups, after_ids = rows.stored(found)
        after = self._computed(rows.table.take(after_ids), after_groups)
        whole = joined([before, after], self._schema)
        ids = np.union1d(before_ids, after_ids)
        before_at = np.full(len(ids), -1, np.int64)
        after_at = np.full(len(ids), -1, np.int64)
        before_at[np.searchsorted(ids, before_ids)] = np.arange(len(before_ids))
        after_at[np.searchsorted(ids, after_ids)] = np.arange(len(after_ids)) + len(before_ids)
        given = given_pairs(
            whole, before_at, after_at, give_before=self._give_before, row_key=self._row_key
        )
        if given is not None:
            self.emit(*given)

    def _change(self, data: pa.RecordBatch, found: Numbered, adds: Flags) -> None:
        """Add and remove rows."""
        rows = self._rows
        hashes = found.row_hashes if self._spec.partition else None
        if adds.all():
            rows.add(data, hashes)
            return
        plus, minus = np.flatnonzero(adds), np.flatnonzero(~adds)
        rows.add(take_batch(data, plus), None if hashes is None else hashes[plus])
        gone = rows.find(take_batch(data, minus), None if hashes is None else hashes[minus])
        self._missing.inc(int((gone < 0).sum()))
        rows.remove(gone[gone >= 0])

    def _computed(self, data: pa.RecordBatch, groups: Ids) -> pa.RecordBatch:
        """Rows with their results, in the order in which they were given."""
        spec, n = self._spec, data.num_rows
        words = sort_words([data.column(o.index) for o in spec.order], spec.order)
        order = permutation([groups, *words], n)
        ordered = take_batch(data, order)
        times = None
        if spec.preceding is not None and not spec.rows:
            times = window_times(ordered.column(spec.order[0].index), spec.order[0])
        rows = Stretch(
            ordered, groups[order], np.ones(n, np.bool_), [w[order] for w in words], times
        )
        results = self._program.compute(rows, self.evaluation())
        back = np.empty(n, np.int64)
        back[order] = np.arange(n)
        chosen = pa.array(back)
        columns = [*data.columns, *(c.take(chosen) for c in results.columns)]
        return pa.RecordBatch.from_arrays(columns, schema=self._schema)
