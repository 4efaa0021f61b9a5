"""Kinds as a column: for results that leave SQL."""

from __future__ import annotations

from typing import Final

import numpy as np
import pyarrow as pa

from lesto.common.elements import Batch, ColumnarBatch
from lesto.kernels.partition import take_batch
from lesto.taskmanager.operators.sql.base import UPDATE_BEFORE, SqlOperator

#: int8, values of :class:`lesto.common.elements.RowKind`.
KIND_COLUMN: Final = "__kind"


class KindColumnOperator(SqlOperator):
    """Puts each row's kind in front of its columns; the rows given all insert."""

    def open(self) -> None:
        """Know the columns."""
        self._schema = pa.schema([pa.field(KIND_COLUMN, pa.int8()), *self.input_schema()])

    def process_batch(self, batch: Batch, input_index: int = 0) -> None:
        """Add the column."""
        assert isinstance(batch, ColumnarBatch)
        kinds = np.zeros(len(batch), np.int8) if batch.kinds is None else batch.kinds
        columns = [pa.array(kinds), *batch.data.columns]
        self.emit(pa.RecordBatch.from_arrays(columns, schema=self._schema))


class DropUpdateBefore(SqlOperator):
    """Leaves out rows as they were before an update, which nobody behind it needs."""

    def process_batch(self, batch: Batch, input_index: int = 0) -> None:
        """Keep all other kinds."""
        assert isinstance(batch, ColumnarBatch)
        if batch.kinds is None:
            self.emit(batch.data)
            return
        rows = np.flatnonzero(batch.kinds != UPDATE_BEFORE)
        if len(rows) == len(batch):
            self.emit(batch.data, batch.kinds)
        elif len(rows):
            self.emit(take_batch(batch.data, rows), batch.kinds[rows])
