"""A source whose pace and end the test decides: batches as given, in a few splits."""

import os

import pyarrow as pa

from lesto.common.elements import ColumnarBatch, RowBatch
from lesto.common.source import (
    EndOfSplits,
    NoData,
    Source,
    SourceBatch,
    SourceReader,
    SplitEnumerator,
    SplitFinished,
)
from lesto.connectors.splits import RangeSplit, decode_pool, decode_range, encode_range

#: How often a held reader looks for the file that releases it.
RELEASE_POLL_MS = 20


class GatedSource(Source):
    """Reads ``splits[i]``, lists of batches, one batch at a poll, in turn.

    Args:
        splits: per split its batches, per batch its records.
        hold: share of each split's batches after which reading stops for good; None: all are read
            and the source ends.
        pause_ms: least time between two batches of a reader.
        first_ms: time before the first batch of a reader.
        release: a file that ends the hold when it appears; empty: nothing does.
        marker: directory in which a file per held split appears once it is read up to the hold.
        schema: columns; records are then dicts. None: Python values.
    """

    first_ms = 0

    def __init__(self, splits, *, hold=None, pause_ms=0, marker="", schema=None, release=""):
        self.splits = splits
        self.hold = hold
        self.pause_ms = pause_ms
        self.marker = marker
        self.schema = schema
        self.release = release

    def held_at(self, index):
        """Position at which split ``index`` is held."""
        size = len(self.splits[index])
        return size if self.hold is None else int(size * self.hold)

    def create_enumerator(self, context, checkpoint):
        if checkpoint is None:
            pool = [RangeSplit(str(i), 0, 0, len(s)) for i, s in enumerate(self.splits)]
        else:
            pool = decode_pool(checkpoint, decode_range)
        return _Enumerator(context, pool)

    def create_reader(self, context):
        return _Reader(context, self)

    def serialize_split(self, split):
        return encode_range(split)

    def deserialize_split(self, data):
        return decode_range(data)

    def batch(self, split_id, position):
        values = self.splits[int(split_id)][position]
        if self.schema is None:
            return RowBatch(list(values))
        return ColumnarBatch(pa.RecordBatch.from_pylist(values, schema=self.schema))


class _Enumerator(SplitEnumerator):
    """Deals out all splits at the first request of each reader, so that no split starts late."""

    def __init__(self, context, pool):
        self._context = context
        self._pool = pool

    def handle_split_request(self, subtask):
        mine = [s for s in self._pool if int(s.split_id) % self._context.parallelism == subtask]
        self._pool = [s for s in self._pool if s not in mine]
        for split in mine:
            self._context.assign_split(split, subtask)
        self._context.signal_no_more_splits(subtask)

    def add_splits_back(self, splits, subtask):
        self._pool = [*splits, *self._pool]

    def snapshot_state(self, checkpoint_id):
        import msgspec

        return msgspec.msgpack.encode([encode_range(s) for s in self._pool])


class _Reader(SourceReader):
    def __init__(self, context, source):
        self._context = context
        self._source = source
        self._splits = []
        self._complete = False
        self._next_ms = None

    def start(self):
        self._context.request_split()

    def add_splits(self, splits):
        self._splits.extend(splits)

    def notify_no_more_splits(self):
        self._complete = True

    def poll(self):
        if not self._complete:  # all splits first: they are to advance side by side
            return NoData()
        if not self._splits:
            return EndOfSplits.END
        now = self._context.clock.monotonic_ms()
        if self._next_ms is None:
            self._next_ms = now + self._source.first_ms
        if now < self._next_ms:
            return NoData(self._next_ms)
        # Behind a rescaling one reader may have splits that others have read more or less of.
        self._splits.sort(key=lambda split: split.next)
        for _ in range(len(self._splits)):
            split = self._splits.pop(0)
            if split.next == split.end:
                return SplitFinished(split.split_id)
            self._splits.append(split)
            if split.next < self._source.held_at(int(split.split_id)):
                break
        else:
            if self._source.release and os.path.exists(self._source.release):
                self._source.hold = None
            return NoData(now + RELEASE_POLL_MS if self._source.release else None)
        batch = self._source.batch(split.split_id, split.next)
        self._splits[-1] = split.advanced_to(split.next + 1)
        self._next_ms = now + self._source.pause_ms
        self._mark(self._splits[-1])
        return SourceBatch(batch, split.split_id)

    def _mark(self, split):
        source = self._source
        if source.marker and split.next == source.held_at(int(split.split_id)):
            with open(os.path.join(source.marker, split.split_id), "w"):
                pass

    def snapshot_state(self, checkpoint_id):
        return list(self._splits)
