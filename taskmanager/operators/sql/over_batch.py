"""OVER of bounded input: rows are sorted by partition and order, and partitions computed."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from lesto.common.elements import MAX_TIMESTAMP, Batch, ColumnarBatch
from lesto.kernels import jit
from lesto.sql.settings import SqlSettings
from lesto.taskmanager.operators.base import OperatorSnapshot
from lesto.taskmanager.operators.batch import BatchSavepointError
from lesto.taskmanager.operators.sql.base import SqlOperator
from lesto.taskmanager.operators.sql.over_program import (
    OverProgram,
    OverSpec,
    Stretch,
    window_times,
)
from lesto.taskmanager.operators.sql.rank_rows import RESULT_ROWS_MAX, Ids, joined
from lesto.taskmanager.operators.sql.sort_order import Order, changes_of, sort_words
from lesto.taskmanager.operators.sql.sort_runs import MEMORY_BYTES, ExternalSorter


class FinalOverOperator(SqlOperator):
    """Adds a column a call, when all rows have come.

    Args:
        settings: of the session.
        spec: the window and its calls.
        schema: of the results.
        memory_bytes: of rows in memory; the largest partition must fit it.
    """

    def __init__(
        self,
        settings: SqlSettings,
        spec: OverSpec,
        schema: pa.Schema,
        memory_bytes: int = MEMORY_BYTES,
    ) -> None:
        super().__init__(settings)
        self._spec = spec
        self._schema = schema
        self._memory_bytes = memory_bytes

    def open(self) -> None:
        """Compile."""
        super().open()
        jit.warm(("hashing", "hashindex", "textindex", "rowkeys", "rows", "frames"))
        self._program = OverProgram(self._spec)
        self._by = tuple(Order(i) for i in self._spec.partition)
        self._sorter = ExternalSorter(
            self.input_schema(),
            (*self._by, *self._spec.order),
            self.context.local_dir,
            self._memory_bytes,
        )

    def process_batch(self, batch: Batch, input_index: int = 0) -> None:
        """Take rows."""
        assert isinstance(batch, ColumnarBatch)
        self._sorter.add(batch.data)

    def process_watermark(self, timestamp: int) -> None:
        """The end of event time is passed on behind the rows."""
        if timestamp != MAX_TIMESTAMP:
            super().process_watermark(timestamp)

    def end_input(self, input_index: int = 0) -> None:
        """Give all rows. Operators before it may have given theirs just now."""
        self._give()
        super().process_watermark(MAX_TIMESTAMP)

    def _give(self) -> None:
        """Compute whole partitions, several at once."""
        held: list[pa.RecordBatch] = []
        rows = 0
        wanted = RESULT_ROWS_MAX
        for data in self._sorter.result():
            held.append(data)
            rows += data.num_rows
            if rows < wanted:
                continue
            whole = joined(held, data.schema)
            starts = np.flatnonzero(self._starts(whole))
            border = int(starts[-1])
            if border:
                self._compute(whole.slice(0, border))
            held = [whole.slice(border)]
            rows = whole.num_rows - border
            # A large partition is not joined anew with each batch of it.
            wanted = max(RESULT_ROWS_MAX, 2 * rows)
        if held:
            self._compute(joined(held, self.input_schema()))

    def _starts(self, data: pa.RecordBatch) -> np.ndarray:
        words = sort_words([data.column(o.index) for o in self._by], self._by)
        return changes_of(words, data.num_rows)

    def _compute(self, data: pa.RecordBatch) -> None:
        spec, n = self._spec, data.num_rows
        groups = np.cumsum(self._starts(data)) - 1
        words = sort_words([data.column(o.index) for o in spec.order], spec.order)
        times: Ids | None = None
        if spec.preceding is not None and not spec.rows:
            times = window_times(data.column(spec.order[0].index), spec.order[0])
        rows = Stretch(data, groups, np.ones(n, np.bool_), words, times)
        results = self._program.compute(rows, self.evaluation())
        whole = pa.RecordBatch.from_arrays([*data.columns, *results.columns], schema=self._schema)
        for at in range(0, n, RESULT_ROWS_MAX):
            self.emit(whole.slice(at, RESULT_ROWS_MAX))

    def snapshot(self, checkpoint_id: int, canonical: bool) -> OperatorSnapshot:
        """Only of the end, when everything has been given.

        Raises:
            BatchSavepointError: rows are still kept here.
        """
        if len(self._sorter):
            msg = f"'{self.context.operator_name}' waits for the end of input: it has no savepoints"
            raise BatchSavepointError(msg, remedy="let the job end, or run it in STREAMING mode")
        return super().snapshot(checkpoint_id, canonical)

    def close(self) -> None:
        """Remove what lies on disk."""
        sorter = getattr(self, "_sorter", None)
        if sorter is not None:
            sorter.close()
        super().close()
