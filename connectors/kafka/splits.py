"""A split is a partition with the next offset to read, and where to stop."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import msgspec

from lesto.common.source import SourceSplit
from lesto.connectors.kafka.offsets import KafkaTopicPartition

#: Stopping offset of a split that is read for ever.
NO_STOP: Final = -1


@dataclass(frozen=True, slots=True)
class PartitionSplit:
    """Offsets ``[next, stop)`` of a partition.

    Attributes:
        topic: the topic.
        partition: its number.
        next: offset of the next record to read.
        stop: one past the last offset to read; ``NO_STOP``: none.
    """

    topic: str
    partition: int
    next: int
    stop: int = NO_STOP

    @property
    def split_id(self) -> str:
        """``topic-partition``."""
        return f"{self.topic}-{self.partition}"

    @property
    def topic_partition(self) -> KafkaTopicPartition:
        """The partition."""
        return KafkaTopicPartition(self.topic, self.partition)

    @property
    def finished(self) -> bool:
        """Whether all is read."""
        return self.stop != NO_STOP and self.next >= self.stop

    def advanced_to(self, offset: int) -> PartitionSplit:
        """The same split with progress."""
        assert offset >= self.next, (self, offset)
        return replace(self, next=offset)


def encode_split(split: SourceSplit) -> bytes:
    """As msgpack."""
    assert isinstance(split, PartitionSplit)
    return msgspec.msgpack.encode([split.topic, split.partition, split.next, split.stop])


def decode_split(data: bytes) -> PartitionSplit:
    """Inverse of ``encode_split``."""
    return PartitionSplit(*msgspec.msgpack.decode(data, type=tuple[str, int, int, int]))
