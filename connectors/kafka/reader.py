"""The reader: hands out what the fetching thread has made, and keeps the positions."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from typing import Final, Protocol

from lesto.common.source import (
    EndOfSplits,
    NoData,
    PollResult,
    ReaderContext,
    SourceBatch,
    SourceReader,
    SourceSplit,
    SplitFinished,
)
from lesto.connectors.kafka.fetcher import Fetched, Key
from lesto.connectors.kafka.splits import PartitionSplit

#: Offsets of this many checkpoints are kept until one of them completes.
CHECKPOINTS_MAX: Final = 64


class FetcherLike(Protocol):
    """What the reader needs of the thread."""

    def add(self, splits: Sequence[PartitionSplit]) -> None:
        """Read these too."""
        ...

    def take(self) -> Fetched | None:
        """The next batch."""
        ...

    def pause(self, keys: frozenset[Key]) -> None:
        """Fetch nothing of these, and of all others again."""
        ...

    def commit(self, offsets: Mapping[Key, int]) -> None:
        """Commit to the group."""
        ...

    @property
    def ends(self) -> Mapping[Key, int]:
        """Offset behind the last record of each partition, where it is known."""
        ...

    def close(self) -> None:
        """Stop."""
        ...


class KafkaReader(SourceReader):
    """Reads its partitions side by side.

    Args:
        context: of the operator.
        fetcher: the thread.
        commits: whether offsets go to the group when a checkpoint is complete.
    """

    def __init__(self, context: ReaderContext, fetcher: FetcherLike, *, commits: bool) -> None:
        self._context = context
        self._fetcher = fetcher
        self._commits = commits
        self._splits: dict[Key, PartitionSplit] = {}
        self._ended: list[str] = []
        self._finished: dict[Key, int] = {}
        self._no_more = False
        self._snapshots: dict[int, dict[Key, int]] = {}
        self._committed: dict[Key, int] = {}
        self._paused: frozenset[Key] = frozenset()
        # Fetched before the pause; at most what the fetcher's queue holds.
        self._held: deque[Fetched] = deque()

    def start(self) -> None:
        """Ask for partitions; those restored are being read already."""
        self._context.request_split()

    def add_splits(self, splits: Sequence[SourceSplit]) -> None:
        """Read these too; one with nothing to read is finished at once."""
        fresh = []
        for split in splits:
            assert isinstance(split, PartitionSplit)
            if split.finished:
                self._ended.append(split.split_id)
                continue
            self._splits[split.topic, split.partition] = split
            fresh.append(split)
        if fresh:
            self._fetcher.add(fresh)

    def notify_no_more_splits(self) -> None:
        """End when all is read."""
        self._no_more = True

    def poll(self) -> PollResult:
        """The next batch of any partition."""
        while True:
            if self._ended:
                return SplitFinished(self._ended.pop())
            if self._no_more and not self._splits:
                return EndOfSplits.END
            item = self._take()
            if item is None:
                return NoData()
            split = self._splits.get(item.key)
            if split is None:
                continue
            if item.finished:
                self._ended.append(split.split_id)
                self._finished[item.key] = item.next
                del self._splits[item.key]
            elif item.next > split.next:
                self._splits[item.key] = split.advanced_to(item.next)
            if item.batch is not None and len(item.batch):
                return SourceBatch(item.batch, split.split_id)

    def pause_splits(self, split_ids: frozenset[str]) -> bool:
        """Give nothing of these partitions, and fetch nothing."""
        self._paused = frozenset(
            key for key, split in self._splits.items() if split.split_id in split_ids
        )
        self._fetcher.pause(self._paused)
        return True

    def _take(self) -> Fetched | None:
        for at, held in enumerate(self._held):
            if held.key not in self._paused:
                del self._held[at]
                return held
        while (item := self._fetcher.take()) is not None:
            if item.key not in self._paused:
                return item
            self._held.append(item)
        return None

    def snapshot_state(self, checkpoint_id: int) -> Sequence[SourceSplit]:
        """The partitions with the offsets behind the last batch given out."""
        if self._commits:
            offsets = {key: split.next for key, split in self._splits.items()}
            self._snapshots[checkpoint_id] = {**self._finished, **offsets}
            while len(self._snapshots) > CHECKPOINTS_MAX:
                del self._snapshots[min(self._snapshots)]
        return list(self._splits.values())

    def notify_checkpoint_complete(self, checkpoint_id: int) -> None:
        """Commit the offsets of this checkpoint that have changed."""
        offsets = self._snapshots.pop(checkpoint_id, None)
        for old in [i for i in self._snapshots if i < checkpoint_id]:
            del self._snapshots[old]
        changed = {k: o for k, o in (offsets or {}).items() if self._committed.get(k) != o}
        if changed:
            self._fetcher.commit(changed)
            self._committed.update(changed)

    def pending_records(self) -> int | None:
        """How far the positions are behind the partitions' ends, as these were a second ago."""
        ends = self._fetcher.ends
        lags = [ends[k] - s.next for k, s in list(self._splits.items()) if k in ends]
        return sum(max(0, lag) for lag in lags) if lags or not self._splits else None

    def close(self) -> None:
        """Stop the thread."""
        self._fetcher.close()
