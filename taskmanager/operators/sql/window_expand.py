"""GROUPING SETS: each row once for each set, with NULL for the keys that are not in it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from lesto.common.elements import Batch, ColumnarBatch
from lesto.sql.settings import SqlSettings
from lesto.taskmanager.operators.sql.base import SqlOperator


class WindowExpandOperator(SqlOperator):
    """Gives the input's columns, a copy of each key (NULL where it is not in the set), the set.

    Args:
        settings: of the session.
        keys: positions of the keys.
        sets: positions in ``keys`` that each set groups by.
        schema: of the results; the last column is the set's number, int32.
    """

    def __init__(
        self,
        settings: SqlSettings,
        keys: Sequence[int],
        sets: Sequence[Sequence[int]],
        schema: pa.Schema,
    ) -> None:
        super().__init__(settings)
        self._keys = tuple(keys)
        self._sets = tuple(tuple(s) for s in sets)
        self._schema = schema

    def process_batch(self, batch: Batch, input_index: int = 0) -> None:
        """Give the rows, set by set."""
        assert isinstance(batch, ColumnarBatch)
        data = batch.data
        rows = data.num_rows
        for number, chosen in enumerate(self._sets):
            columns = list(data.columns)
            for i, key in enumerate(self._keys):
                column = data.column(key)
                columns.append(column if i in chosen else pa.nulls(rows, column.type))
            columns.append(pa.array(np.full(rows, number, np.int32)))
            self.emit(pa.RecordBatch.from_arrays(columns, schema=self._schema), batch.kinds)
