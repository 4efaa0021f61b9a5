"""A source of a Python collection or an Arrow table, shipped with the job."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

import pyarrow as pa

from lesto.common.elements import Batch, ColumnarBatch, RowBatch
from lesto.common.source import (
    Boundedness,
    EndOfSplits,
    EnumeratorContext,
    NoData,
    PollResult,
    ReaderContext,
    Source,
    SourceBatch,
    SourceReader,
    SourceSplit,
    SplitEnumerator,
    SplitFinished,
)
from lesto.connectors.errors import ConnectorConfigError
from lesto.connectors.splits import (
    PooledEnumerator,
    RangeSplit,
    decode_pool,
    decode_range,
    encode_range,
)

#: A collection travels inside the job graph; larger input belongs in a file.
COLLECTION_BYTES_MAX: Final = 32 * 1024 * 1024


class CollectionSource(Source):
    """Reads a list of Python values in order (one split: order is kept).

    Args:
        values: the records.
    """

    boundedness = Boundedness.BOUNDED

    def __init__(self, values: Iterable[Any]) -> None:
        self.values = list(values)

    def _rows(self) -> int:
        return len(self.values)

    def _batch(self, split: RangeSplit, start: int, end: int) -> Batch:
        return RowBatch(self.values[start:end])

    def create_enumerator(
        self, context: EnumeratorContext, checkpoint: bytes | None
    ) -> SplitEnumerator:
        """One split with everything."""
        total = self._rows()
        whole = [RangeSplit("all", 0, 0, total)] if total else []
        splits = whole if checkpoint is None else decode_pool(checkpoint, decode_range)
        return PooledEnumerator(context, splits, encode=encode_range)

    def create_reader(self, context: ReaderContext) -> SourceReader:
        """A reader over the shipped values."""
        return RangeReader(context, self._batch)

    def serialize_split(self, split: SourceSplit) -> bytes:
        """The range as msgpack."""
        return encode_range(split)

    def deserialize_split(self, data: bytes) -> SourceSplit:
        """Inverse of ``serialize_split``."""
        return decode_range(data)


class ArrowSource(CollectionSource):
    """Reads an Arrow table, or anything with ``__arrow_c_stream__`` (polars, pandas, duckdb).

    Args:
        data: the records; at most 32 MiB, since they travel with the job.
    """

    def __init__(self, data: Any) -> None:
        table = data if isinstance(data, pa.Table) else pa.table(data)
        if table.nbytes > COLLECTION_BYTES_MAX:
            msg = f"a table of {table.nbytes:,} bytes is too large to travel with the job"
            raise ConnectorConfigError(
                msg, remedy="write it as Parquet and read it with FileSource"
            )
        self._table = table.combine_chunks()
        self.schema = table.schema

    def _rows(self) -> int:
        return int(self._table.num_rows)

    def _batch(self, split: RangeSplit, start: int, end: int) -> Batch:
        part = self._table.slice(start, end - start).combine_chunks().to_batches()
        return ColumnarBatch(part[0])


class RangeReader(SourceReader):
    """Reads range splits with a function from a split and ``[start, end)`` to a batch."""

    def __init__(
        self, context: ReaderContext, read: Callable[[RangeSplit, int, int], Batch]
    ) -> None:
        self._context = context
        self._read = read
        self._splits: deque[RangeSplit] = deque()
        self._finished: deque[str] = deque()
        self._requested = False
        self._no_more = False

    def start(self) -> None:
        """Ask for work unless some was restored."""
        self._request_if_empty()

    def _request_if_empty(self) -> None:
        if not self._splits and not self._requested and not self._no_more:
            self._requested = True
            self._context.request_split()

    def poll(self) -> PollResult:
        """The next batch of the first split."""
        if self._finished:
            return SplitFinished(self._finished.popleft())
        if not self._splits:
            return EndOfSplits.END if self._no_more else NoData()
        return self._read_first(self._context.batch_rows)

    def _read_first(self, rows_max: int) -> SourceBatch:
        split = self._splits[0]
        end = min(split.next + rows_max, split.end)
        batch = self._read(split, split.next, end)
        if end == split.end:
            self._splits.popleft()
            self._finished.append(split.split_id)
            self._request_if_empty()
        else:
            self._splits[0] = split.advanced_to(end)
        return SourceBatch(batch, split.split_id)

    def add_splits(self, splits: Sequence[SourceSplit]) -> None:
        """Read them after those it has."""
        self._requested = False
        for split in splits:
            assert isinstance(split, RangeSplit)
            self._splits.append(split)

    def notify_no_more_splits(self) -> None:
        """End when all is read."""
        self._no_more = True

    def snapshot_state(self, checkpoint_id: int) -> Sequence[SourceSplit]:
        """Unread ranges."""
        return list(self._splits)
