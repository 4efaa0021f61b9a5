"""Sources of generated records, optionally limited in rate."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np
import pyarrow as pa

from lesto.common.elements import Batch, ColumnarBatch, RowBatch
from lesto.common.source import (
    Boundedness,
    EnumeratorContext,
    NoData,
    PollResult,
    ReaderContext,
    Source,
    SourceReader,
    SourceSplit,
    SplitEnumerator,
)
from lesto.connectors.datagen.fields import Field, Positions
from lesto.connectors.errors import ConnectorConfigError
from lesto.connectors.memory.collection import RangeReader
from lesto.connectors.splits import (
    PooledEnumerator,
    RangeSplit,
    decode_pool,
    decode_range,
    encode_range,
)

#: Positions of an endless stream: no job lives to see its end.
UNBOUNDED_ROWS: Final = 2**62
#: A limited source emits at least this often, so that low rates have low latency.
PACE_MS: Final = 2


class _GeneratedSource(Source):
    """Positions ``0..rows-1`` dealt out to the readers in interleaved blocks.

    Interleaving keeps event time nearly equal on all readers: with one contiguous range a reader,
    the
    watermark of the whole would stand still until the first reader ends.
    """

    def __init__(self, rows: int | None, rows_per_second: float | None) -> None:
        if rows is not None and rows < 0:
            msg = f"rows must not be negative, got {rows}"
            raise ConnectorConfigError(msg)
        if rows_per_second is not None and rows_per_second <= 0:
            msg = f"rows_per_second must be positive, got {rows_per_second}"
            raise ConnectorConfigError(msg, remedy="leave it out for full speed")
        self.rows = UNBOUNDED_ROWS if rows is None else rows
        self.rows_per_second = rows_per_second
        self.boundedness = Boundedness.CONTINUOUS_UNBOUNDED if rows is None else Boundedness.BOUNDED

    def _generate(self, positions: Positions) -> Batch:
        raise NotImplementedError

    def create_enumerator(
        self, context: EnumeratorContext, checkpoint: bytes | None
    ) -> SplitEnumerator:
        """One lane of every n-th position per reader."""
        if checkpoint is not None:
            return PooledEnumerator(
                context, decode_pool(checkpoint, decode_range), encode=encode_range
            )
        lanes = context.parallelism
        splits = [
            RangeSplit(f"{lane}/{lanes}", 0, 0, (self.rows - lane + lanes - 1) // lanes)
            for lane in range(lanes)
        ]
        return PooledEnumerator(context, [s for s in splits if s.end], encode=encode_range)

    def create_reader(self, context: ReaderContext) -> SourceReader:
        """A reader of one or more lanes."""
        return _GeneratorReader(context, self)

    def serialize_split(self, split: SourceSplit) -> bytes:
        """The lane as msgpack."""
        return encode_range(split)

    def deserialize_split(self, data: bytes) -> SourceSplit:
        """Inverse of ``serialize_split``."""
        return decode_range(data)

    def read(self, split: RangeSplit, start: int, end: int) -> Batch:
        """Records ``start..end-1`` of a lane."""
        lanes = _lanes(split)
        lane = int(split.split_id.partition("/")[0])
        positions = np.arange(start, end, dtype=np.uint64) * np.uint64(lanes) + np.uint64(lane)
        return self._generate(positions)


class DataGenSource(_GeneratedSource):
    """Columnar generated records.

    Args:
        fields: column name to generator: ``{"key": pool(100_000), "value": random_int(0, 9)}``.
        rows: number of records; None: endless.
        rows_per_second: limit for all readers together; None: full speed.
    """

    def __init__(
        self,
        fields: Mapping[str, Field],
        *,
        rows: int | None = None,
        rows_per_second: float | None = None,
    ) -> None:
        super().__init__(rows, rows_per_second)
        if not fields:
            msg = "a generated source needs at least one field"
            raise ConnectorConfigError(msg)
        self.fields = dict(fields)
        self.schema = pa.schema([(name, f.type) for name, f in self.fields.items()])

    def _generate(self, positions: Positions) -> Batch:
        columns = [f.generate(positions) for f in self.fields.values()]
        return ColumnarBatch(pa.RecordBatch.from_arrays(columns, schema=self.schema))


class NumberSequenceSource(_GeneratedSource):
    """The numbers ``start..end`` inclusive, as plain ints as in Flink.

    ``DataGenSource({"value": sequence(start)}, rows=n)`` gives the same numbers as a column.
    """

    def __init__(self, start: int, end: int) -> None:
        super().__init__(max(0, end - start + 1), None)
        self._start = start

    def _generate(self, positions: Positions) -> Batch:
        return RowBatch((positions.astype(np.int64) + self._start).tolist())


class RowGenSource(_GeneratedSource):
    """Generated Python values: ``function(position)`` for each position.

    Args:
        function: from an int position to a record; must be deterministic for exactly-once.
        rows: number of records; None: endless.
        rows_per_second: limit for all readers together; None: full speed.
    """

    def __init__(
        self,
        function: Callable[[int], Any],
        rows: int | None = None,
        rows_per_second: float | None = None,
    ) -> None:
        super().__init__(rows, rows_per_second)
        self._function = function

    def _generate(self, positions: Positions) -> Batch:
        return RowBatch([self._function(p) for p in positions.tolist()])


def _lanes(split: RangeSplit) -> int:
    """Of how many lanes a split is one."""
    return int(split.split_id.partition("/")[2])


class _GeneratorReader(RangeReader):
    """Round-robins over its lanes so that event time advances evenly; keeps to the rate."""

    def __init__(self, context: ReaderContext, source: _GeneratedSource) -> None:
        super().__init__(context, source.read)
        self._rate = source.rows_per_second
        self._credit_rows = 0.0
        self._last_ms = context.clock.monotonic_ms() - PACE_MS

    def _share(self) -> float:
        """Rows a second of its lanes: behind a rescaling readers have several, or none."""
        assert self._rate is not None, "no rate, no share"
        return self._rate * len(self._splits) / _lanes(self._splits[0])

    def _allowance(self) -> int:
        """Rows that may be emitted now: a token bucket that holds one second."""
        if self._rate is None:
            return self._context.batch_rows
        share = self._share()
        now = self._context.clock.monotonic_ms()
        earned = share * (now - self._last_ms) / 1000
        self._last_ms = now
        self._credit_rows = min(self._credit_rows + earned, max(1.0, share))
        return min(int(self._credit_rows), self._context.batch_rows)

    def _wait_ms(self) -> int:
        """Until the next row is due: a slow source is not asked every few ms for nothing."""
        return max(PACE_MS, math.ceil(1000 * (1.0 - self._credit_rows) / self._share()))

    def poll(self) -> PollResult:
        """The next batch of the next lane, or a pause when the rate is used up."""
        if self._finished or not self._splits:
            return super().poll()
        allowed = self._allowance()
        if allowed <= 0:
            return NoData(wake_at_ms=self._last_ms + self._wait_ms())
        result = self._read_first(allowed)
        self._credit_rows -= len(result.batch)
        self._splits.rotate(-1)
        return result
