"""ORDER BY: of streams by an ascending time attribute first, of bounded input by anything."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import pyarrow as pa

from lesto.common.elements import MAX_TIMESTAMP, MIN_TIMESTAMP, Batch, ColumnarBatch
from lesto.kernels import jit
from lesto.kernels.partition import take_batch
from lesto.sql.settings import SqlSettings
from lesto.taskmanager.operators.base import OperatorSnapshot
from lesto.taskmanager.operators.batch import BatchSavepointError
from lesto.taskmanager.operators.sql.base import SqlOperator
from lesto.taskmanager.operators.sql.over_program import window_times
from lesto.taskmanager.operators.sql.rank_rows import RESULT_ROWS_MAX, KeyedRows
from lesto.taskmanager.operators.sql.sort_order import Order, permutation, sort_words
from lesto.taskmanager.operators.sql.sort_runs import MEMORY_BYTES, ExternalSorter
from lesto.taskmanager.operators.sql.sort_times import WaitingRows

#: Union list state: until when rows have been given.
FIRED_STATE: Final = "sort-fired"
_TIME: Final = "time"


def sorted_batch(data: pa.RecordBatch, orders: Sequence[Order]) -> pa.RecordBatch:
    """Rows in order."""
    words = sort_words([data.column(o.index) for o in orders], orders)
    return take_batch(data, permutation(words, data.num_rows)) if words else data


class TimeSortOperator(SqlOperator):
    """Rows wait until the watermark has passed them; late rows are dropped and counted.

    Args:
        settings: of the session.
        orders: sort keys; the first one is the event time, ascending.
    """

    def __init__(self, settings: SqlSettings, orders: Sequence[Order]) -> None:
        super().__init__(settings)
        self._orders = tuple(orders)
        self._fired = MIN_TIMESTAMP

    def open(self) -> None:
        """Find the rows that wait."""
        jit.warm(("rows",))
        self._late = self.context.metrics.counter("num_late_records_dropped")
        self._rows = KeyedRows(self.backend, "sort", self.input_schema(), (), (_TIME,))
        restored = self.context.restored_list(FIRED_STATE)
        self._fired = max((int(item) for item in restored), default=MIN_TIMESTAMP)
        self._waiting = WaitingRows(self._rows, _TIME, self._rows.table.live())

    def process_batch(self, batch: Batch, input_index: int = 0) -> None:
        """Keep rows."""
        assert isinstance(batch, ColumnarBatch)
        data = batch.data
        times = window_times(data.column(self._orders[0].index), self._orders[0])
        rows = np.flatnonzero(times > self._fired)
        if len(rows) < len(times):
            self._late.inc(len(times) - len(rows))
            data, times = take_batch(data, rows), times[rows]
        self._waiting.add(data, times)

    def process_watermark(self, timestamp: int) -> None:
        """Give the rows whose time has come."""
        due = self._waiting.due(timestamp)
        if due is not None:
            data = sorted_batch(due[0], self._orders)
            for at in range(0, data.num_rows, RESULT_ROWS_MAX):
                self.emit(data.slice(at, RESULT_ROWS_MAX))
        self._fired = max(self._fired, timestamp)
        super().process_watermark(timestamp)

    def snapshot(self, checkpoint_id: int, canonical: bool) -> OperatorSnapshot:
        """The rows that wait, and until when rows have been given."""
        self._waiting.store()
        found = super().snapshot(checkpoint_id, canonical)
        found.union_lists[FIRED_STATE] = [str(self._fired).encode()]
        return found


class ArrivalSortOperator(SqlOperator):
    """Sorts by processing time: what comes at once is of one time, and sorted by what follows.

    Args:
        settings: of the session.
        orders: sort keys behind the processing time.
    """

    def __init__(self, settings: SqlSettings, orders: Sequence[Order]) -> None:
        super().__init__(settings)
        self._orders = tuple(orders)

    def open(self) -> None:
        """Load what gathers rows."""
        jit.warm(("rows",))

    def process_batch(self, batch: Batch, input_index: int = 0) -> None:
        """Give the batch in order."""
        assert isinstance(batch, ColumnarBatch)
        self.emit(sorted_batch(batch.data, self._orders))


class FinalSortOperator(SqlOperator):
    """Sorts bounded input; what memory does not hold lies sorted on the local disk.

    Args:
        settings: of the session.
        orders: sort keys.
        memory_bytes: of rows in memory.
    """

    def __init__(
        self, settings: SqlSettings, orders: Sequence[Order], memory_bytes: int = MEMORY_BYTES
    ) -> None:
        super().__init__(settings)
        self._orders = tuple(orders)
        self._memory_bytes = memory_bytes

    def open(self) -> None:
        """Get ready to sort."""
        super().open()
        jit.warm(("rows",))
        self._sorter = ExternalSorter(
            self.input_schema(), self._orders, self.context.local_dir, self._memory_bytes
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
        for data in self._sorter.result():
            self.emit(data)

    def snapshot(self, checkpoint_id: int, canonical: bool) -> OperatorSnapshot:
        """Only of the end, when everything has been given.

        Raises:
            BatchSavepointError: rows are still kept here.
        """
        if len(self._sorter):
            msg = f"'{self.context.operator_name}' sorts bounded input, which has no savepoints"
            raise BatchSavepointError(msg, remedy="let the job end, or SET execution.runtime-mode")
        return super().snapshot(checkpoint_id, canonical)

    def close(self) -> None:
        """Remove what lies on disk."""
        sorter = getattr(self, "_sorter", None)
        if sorter is not None:
            sorter.close()
        super().close()
