"""What takes rows that have their windows in columns: Top-N, deduplication and joins by window."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from lesto.common.elements import ColumnarBatch, Timestamps
from lesto.kernels import hashing
from lesto.kernels.partition import take_batch
from lesto.kernels.timestamps import millis
from lesto.sql.settings import SqlSettings
from lesto.state.table import Hashes
from lesto.taskmanager.operators.columnar.columns import require_insertions
from lesto.taskmanager.operators.columnar.fired import FiredUntil
from lesto.taskmanager.operators.errors import MissingTimestampError
from lesto.taskmanager.operators.sql.window_aggregate import WindowOperator
from lesto.taskmanager.operators.sql.window_time import LocalTime


class GivenWindowsOperator(WindowOperator):
    """Base: rows wait for the end of the window that their columns say.

    Args:
        settings: of the session.
        zoned: whether windows are those of instants, in the session's zone.
    """

    def __init__(self, settings: SqlSettings, zoned: bool) -> None:
        super().__init__(settings)
        self._zoned = zoned

    def open(self) -> None:
        """Set the clock up."""
        super().open()
        self.fired = self.open_windows(LocalTime(self.settings.time_zone if self._zoned else None))

    def next_end(self) -> int | None:
        """Never by the clock."""
        return None

    def fired_until(self) -> FiredUntil:
        """What has fired."""
        return self.fired

    def in_time(
        self, batch: ColumnarBatch, end: int, keys: Sequence[int]
    ) -> tuple[pa.RecordBatch, Timestamps, Hashes]:
        """The rows whose windows have yet to end, the ends, and the hashes of their keys.

        Args:
            batch: that only inserts.
            end: position of window_end.
            keys: positions of the columns that decide where rows belong; none: one for all.

        Raises:
            MissingTimestampError: a row has no window.
        """
        require_insertions(batch, self.context.operator_name)
        data = batch.data
        column = data.column(end)
        if column.null_count:
            msg = f"'{self.context.operator_name}' got {column.null_count} rows without a window"
            raise MissingTimestampError(
                msg, remedy="filter them: WHERE window_end IS NOT NULL, below it"
            )
        ends = millis(column)
        hashes = key_hashes(data, keys)
        done: npt.NDArray[np.int64] | int = max(self.progress, self.fired.done)
        if self.fired.apart:
            done = np.maximum(self.fired.of(hashes), done)
        kept = np.flatnonzero(ends - 1 > done)
        if len(kept) < len(ends):
            self.late.inc(len(ends) - len(kept))
            data, ends, hashes = take_batch(data, kept), ends[kept], hashes[kept]
        return data, ends, hashes


def key_hashes(data: pa.RecordBatch, keys: Sequence[int]) -> Hashes:
    """Hashes of keys, as the exchange has them."""
    if not keys:
        return np.zeros(data.num_rows, np.uint64)
    columns = [data.column(i) for i in keys]
    return hashing.hash_column(columns[0]) if len(keys) == 1 else hashing.hash_columns(columns)
