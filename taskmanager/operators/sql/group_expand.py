"""GROUPING SETS: a row once for each set, the keys by which that set does not group NULL."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from lesto.common.elements import Batch, ColumnarBatch
from lesto.sql.settings import SqlSettings
from lesto.taskmanager.operators.sql.base import SqlOperator


class ExpandOperator(SqlOperator):
    """Gives the input's columns, the keys of a set, and the set's number; a batch for each set.

    Args:
        settings: of the session.
        keys: positions of the keys in the input.
        sets: numbers of the keys that each set groups by.
        schema: of what it gives.
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
        """Give the batch for each set; columns are not copied."""
        assert isinstance(batch, ColumnarBatch)
        data = batch.data
        for number, chosen in enumerate(self._sets):
            keys = [
                data.column(at) if i in chosen else pa.nulls(data.num_rows, data.column(at).type)
                for i, at in enumerate(self._keys)
            ]
            which = pa.repeat(pa.scalar(number, pa.int32()), data.num_rows)
            self.emit(
                pa.RecordBatch.from_arrays([*data.columns, *keys, which], schema=self._schema),
                batch.kinds,
            )
