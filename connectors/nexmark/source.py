"""The source of Nexmark's events: lanes of epochs, each read from the next event on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from lesto.common.elements import ColumnarBatch
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
from lesto.connectors.memory.collection import RangeReader
from lesto.connectors.nexmark.config import NexmarkConfig
from lesto.connectors.nexmark.generator import EventColumn, Generator, compiled_loops
from lesto.connectors.splits import (
    PooledEnumerator,
    RangeSplit,
    decode_pool,
    decode_range,
    encode_range,
)

#: Events of a stream without end, of each lane: no job lives to see them.
ENDLESS: Final = 2**55
#: A limited source gives events at least this often, in ms.
PACE_MS: Final = 2


class NexmarkSource(Source):
    """Events, each a function of its number alone: a replay gives the same ones.

    A reader has every n-th epoch of events, n being the parallelism at the first start; its
    position is that of the next event.

    Args:
        config: of the stream.
        columns: of the batches.
        kinds: of events that are given.
    """

    def __init__(
        self, config: NexmarkConfig, columns: Sequence[EventColumn], kinds: frozenset[int]
    ) -> None:
        self.config = config
        self.generator = Generator(config, columns, kinds)
        self.schema = self.generator.schema
        ends = config.events > 0 and not config.keep_alive
        self.boundedness = Boundedness.BOUNDED if ends else Boundedness.CONTINUOUS_UNBOUNDED

    def create_enumerator(
        self, context: EnumeratorContext, checkpoint: bytes | None
    ) -> SplitEnumerator:
        """A lane for each reader."""
        if checkpoint is not None:
            splits = decode_pool(checkpoint, decode_range)
        else:
            lanes, config = context.parallelism, self.config
            lengths = [
                config.lane_events(i, lanes) if config.events else ENDLESS for i in range(lanes)
            ]
            splits = [RangeSplit(f"{i}/{lanes}", 0, 0, n) for i, n in enumerate(lengths) if n]
        return PooledEnumerator(context, splits, encode=encode_range)

    def create_reader(self, context: ReaderContext) -> SourceReader:
        """A reader of one or more lanes."""
        return _NexmarkReader(context, self)

    def serialize_split(self, split: SourceSplit) -> bytes:
        """The lane as msgpack."""
        return encode_range(split)

    def deserialize_split(self, data: bytes) -> SourceSplit:
        """Inverse of ``serialize_split``."""
        return decode_range(data)


class _NexmarkReader(RangeReader):
    """Goes round its lanes, so that event time advances evenly; keeps to the rate."""

    def __init__(self, context: ReaderContext, source: NexmarkSource) -> None:
        super().__init__(context, self._batch)
        compiled_loops()  # before the first batch is asked for
        self._generator = source.generator
        self._keep_alive = source.config.keep_alive
        self._per_ms: float | None = None
        if source.config.limited:
            self._per_ms = source.config.rate / context.parallelism / 1000
        self._credit = 0.0
        self._last_ms = context.clock.monotonic_ms() - PACE_MS

    def _batch(self, split: RangeSplit, start: int, end: int) -> ColumnarBatch:
        lane, lanes = (int(x) for x in split.split_id.split("/"))
        return ColumnarBatch(self._generator.generate(lane, lanes, start, end))

    def _allowed(self) -> int:
        """Events that may be passed now: a bucket that fills with the rate and holds a second."""
        wanted = self._generator.positions_for(self._context.batch_rows)
        if self._per_ms is None:
            return wanted
        now = self._context.clock.monotonic_ms()
        earned = self._per_ms * (now - self._last_ms)
        self._last_ms = now
        self._credit = min(self._credit + earned, max(1.0, self._per_ms * 1000))
        return min(int(self._credit), wanted)

    def poll(self) -> PollResult:
        """The next batch of the next lane, or a pause when the rate is used up."""
        if self._keep_alive and not self._splits:
            self._finished.clear()
            return NoData()
        if self._finished or not self._splits:
            return super().poll()
        allowed = self._allowed()
        if allowed <= 0:
            return NoData(wake_at_ms=self._context.clock.monotonic_ms() + PACE_MS)
        before = self._splits[0].next
        after = min(before + allowed, self._splits[0].end)
        result = self._read_first(allowed)
        self._credit -= after - before
        if self._splits:
            self._splits.rotate(-1)
        if len(result.batch) == 0:
            return NoData(wake_at_ms=self._context.clock.monotonic_ms())
        return result
