"""Partitions that are too far ahead of others wait, and lose nothing."""

from collections import deque

from lesto.common.elements import RowBatch
from lesto.common.source import NoData, SourceBatch
from lesto.connectors.kafka.fetcher import Fetched
from lesto.connectors.kafka.reader import KafkaReader
from lesto.connectors.kafka.splits import PartitionSplit


class FakeFetcher:
    def __init__(self):
        self.queue = deque()
        self.paused = frozenset()
        self.offsets = {}

    def put(self, partition, value):
        offset = self.offsets[partition] = self.offsets.get(partition, 0) + 1
        self.queue.append(Fetched(("t", partition), offset, RowBatch([value]), False, 1))

    def add(self, splits):
        pass

    def pause(self, keys):
        self.paused = keys

    def commit(self, offsets):
        pass

    def take(self):
        return self.queue.popleft() if self.queue else None

    def close(self):
        pass


class Context:
    def request_split(self):
        pass


def values(reader):
    found = []
    while isinstance(step := reader.poll(), SourceBatch):
        found += step.batch.values
    assert isinstance(step, NoData)
    return found


def test_a_paused_partition_waits_in_order_and_is_not_in_the_positions():
    fetcher = FakeFetcher()
    reader = KafkaReader(Context(), fetcher, commits=False)
    splits = [PartitionSplit("t", n, 0) for n in range(2)]
    reader.add_splits(splits)
    for value in range(3):
        fetcher.put(0, f"a{value}")
        fetcher.put(1, f"b{value}")
    assert reader.pause_splits(frozenset({splits[0].split_id}))
    assert fetcher.paused == {("t", 0)}
    assert values(reader) == ["b0", "b1", "b2"]
    positions = {s.partition: s.next for s in reader.snapshot_state(1)}
    assert positions == {0: 0, 1: 3}
    fetcher.put(1, "b3")
    assert reader.pause_splits(frozenset())
    assert fetcher.paused == frozenset()
    assert values(reader) == ["a0", "a1", "a2", "b3"]
    assert {s.partition: s.next for s in reader.snapshot_state(2)} == {0: 3, 1: 4}
