"""OFFSET and LIMIT of rows that only come: the first ones count."""

from __future__ import annotations

from typing import Final

from lesto.common.elements import Batch, ColumnarBatch
from lesto.sql.settings import SqlSettings
from lesto.taskmanager.operators.base import OperatorSnapshot
from lesto.taskmanager.operators.sql.base import SqlOperator

#: Operator list state: how many rows have come.
SEEN_STATE: Final = "limit-seen"


class LimitOperator(SqlOperator):
    """Passes some rows; one subtask alone.

    Args:
        settings: of the session.
        offset: rows that are left out.
        fetch: rows that follow, None for all.
    """

    def __init__(self, settings: SqlSettings, offset: int, fetch: int | None) -> None:
        super().__init__(settings)
        self._offset = offset
        self._fetch = fetch
        self._seen = 0

    def open(self) -> None:
        """Know how many rows have come."""
        self._seen = sum(int(item) for item in self.context.restored_list(SEEN_STATE))

    def process_batch(self, batch: Batch, input_index: int = 0) -> None:
        """Pass the rows that are within."""
        assert isinstance(batch, ColumnarBatch)
        n, seen = len(batch), self._seen
        end = n if self._fetch is None else min(n, self._offset + self._fetch - seen)
        begin = min(max(0, self._offset - seen), n)
        self._seen += n
        if end > begin:
            self.emit(batch.data.slice(begin, end - begin))

    def snapshot(self, checkpoint_id: int, canonical: bool) -> OperatorSnapshot:
        """How many rows have come."""
        found = super().snapshot(checkpoint_id, canonical)
        found.lists[SEEN_STATE] = [str(self._seen).encode()]
        return found
