"""A bounded table of changes that travels with the job: for tests and small tables."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pyarrow as pa

from lesto.common.elements import Batch, ColumnarBatch, RowKinds
from lesto.common.source import ReaderContext, SourceBatch, SourceReader
from lesto.connectors.memory.collection import CollectionSource, RangeReader


class ChangelogSource(CollectionSource):
    """Reads rows with their kinds, in order, in one split.

    Args:
        data: the rows.
        kinds: int8[n] of :class:`lesto.common.elements.RowKind`; None: all insert.
        steps: numbers of rows after which a batch ends, ascending; none: as the reader likes.
    """

    def __init__(
        self,
        data: pa.Table | pa.RecordBatch,
        kinds: RowKinds | None = None,
        steps: Sequence[int] = (),
    ) -> None:
        table = pa.Table.from_batches([data]) if isinstance(data, pa.RecordBatch) else data
        batches = table.combine_chunks().to_batches()
        self.schema = table.schema
        self._data = batches[0] if batches else pa.RecordBatch.from_pylist([], table.schema)
        self._kinds = None if kinds is None else np.asarray(kinds, np.int8)
        self._steps = tuple(steps)

    def _rows(self) -> int:
        return int(self._data.num_rows)

    def _batch(self, split: object, start: int, end: int) -> Batch:
        kinds = None if self._kinds is None else self._kinds[start:end]
        return ColumnarBatch(self._data.slice(start, end - start), None, kinds)

    def create_reader(self, context: ReaderContext) -> SourceReader:
        """A reader that ends batches at the steps."""
        return _SteppedReader(context, self._batch, self._steps)


class _SteppedReader(RangeReader):
    def __init__(
        self, context: ReaderContext, read: Callable[..., Batch], steps: Sequence[int]
    ) -> None:
        super().__init__(context, read)
        self._steps = steps

    def _read_first(self, rows_max: int) -> SourceBatch:
        at = self._splits[0].next
        step = next((step - at for step in self._steps if step > at), rows_max)
        return super()._read_first(min(rows_max, step))
