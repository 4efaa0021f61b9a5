"""What a sink's table demands of its rows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lesto.common.elements import Batch, ColumnarBatch
from lesto.kernels.partition import take_batch
from lesto.sql.errors import SqlEvaluationError
from lesto.sql.settings import SqlSettings
from lesto.taskmanager.operators.sql.base import SqlOperator


class NotNullOperator(SqlOperator):
    """Fails at, or drops, rows with NULL where the sink's table takes none.

    Args:
        settings: of the session.
        columns: positions and names.
        table: for messages.
        drop: whether such rows are dropped.
    """

    def __init__(
        self,
        settings: SqlSettings,
        columns: Sequence[tuple[int, str]],
        table: str,
        drop: bool,
    ) -> None:
        super().__init__(settings)
        self._columns = tuple(columns)
        self._table = table
        self._drop = drop

    def process_batch(self, batch: Batch, input_index: int = 0) -> None:
        """Look at the columns' validity."""
        assert isinstance(batch, ColumnarBatch)
        data, kinds = batch.data, batch.kinds
        wrong = [(i, name) for i, name in self._columns if data.column(i).null_count]
        if not wrong:
            self.emit(data, kinds)
            return
        if not self._drop:
            msg = f"a row for table {self._table} has NULL in '{wrong[0][1]}', which is NOT NULL"
            raise SqlEvaluationError(
                msg,
                remedy="filter such rows, or give a value by COALESCE; or SET"
                " 'table.exec.sink.not-null-enforcer' = 'DROP'",
            )
        kept = np.ones(data.num_rows, np.bool_)
        for i, _ in wrong:
            kept &= data.column(i).is_valid().to_numpy(zero_copy_only=False)
        rows = np.flatnonzero(kept)
        self.emit(take_batch(data, rows), None if kinds is None else kinds[rows])
