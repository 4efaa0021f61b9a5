"""Between DataStreams and tables: event time becomes a column, and a column event time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lesto.common.elements import NO_TIMESTAMP, Batch, ColumnarBatch
from lesto.sql.settings import SqlSettings
from lesto.taskmanager.operators.sql.base import SqlOperator

#: In the place of a column's position: the record's event time.
EVENT_TIME: Final = -1


class FromStreamOperator(SqlOperator):
    """Columns of a stream as those of a table.

    Args:
        settings: of the session.
        positions: for each column of the table that of the stream's column, or ``EVENT_TIME``.
        schema: of the table; columns are cast to its types.
    """

    def __init__(self, settings: SqlSettings, positions: Sequence[int], schema: pa.Schema) -> None:
        super().__init__(settings)
        self._positions = tuple(positions)
        self._schema = schema

    def process_batch(self, batch: Batch, input_index: int = 0) -> None:
        """Pick and cast; kinds stay."""
        assert isinstance(batch, ColumnarBatch)
        columns = []
        for at, field in zip(self._positions, self._schema, strict=True):
            column = _event_time(batch) if at == EVENT_TIME else batch.data.column(at)
            columns.append(column if column.type == field.type else pc.cast(column, field.type))
        if not columns:
            columns = [pa.repeat(pa.scalar(0, pa.int8()), len(batch))]
        data = pa.RecordBatch.from_arrays(columns, schema=self._schema)
        self.output.emit(ColumnarBatch(data, None, batch.kinds))


def _event_time(batch: ColumnarBatch) -> pa.Array:
    """int64 ms as a timestamp; NULL for records without."""
    if batch.timestamps is None:
        return pa.nulls(len(batch), pa.timestamp("ms"))
    missing = batch.timestamps == NO_TIMESTAMP
    mask = missing if missing.any() else None
    return pa.array(batch.timestamps, pa.int64(), mask=mask).view(pa.timestamp("ms"))


class ToStreamOperator(SqlOperator):
    """Rows of a table as records; a column becomes their event time.

    Args:
        settings: of the session.
        position: of the column.
    """

    def __init__(self, settings: SqlSettings, position: int) -> None:
        super().__init__(settings)
        self._position = position

    def process_batch(self, batch: Batch, input_index: int = 0) -> None:
        """Set the event time."""
        assert isinstance(batch, ColumnarBatch)
        column = pc.cast(batch.data.column(self._position), pa.timestamp("ms"), safe=False)
        values = np.asarray(column.view(pa.int64()).fill_null(NO_TIMESTAMP))
        self.output.emit(ColumnarBatch(batch.data, values.astype(np.int64), batch.kinds))
