"""Finds the partitions of a source and gives each to one reader."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

import msgspec

from lesto.common.logs import get_logger
from lesto.common.source import EnumeratorContext, SourceSplit, SplitEnumerator
from lesto.connectors.errors import KafkaRefusedError, KafkaUnavailableError
from lesto.connectors.kafka.metadata import DISCOVERY_TIMEOUT_S, START_TIMEOUT_S, required
from lesto.connectors.kafka.offsets import KafkaTopicPartition, OffsetLookup
from lesto.connectors.kafka.splits import NO_STOP, PartitionSplit, decode_split, encode_split

if TYPE_CHECKING:
    from lesto.connectors.kafka.source import KafkaSource

logger = get_logger("lesto.connectors.kafka")


class Metadata(OffsetLookup, Protocol):
    """What the enumerator asks."""

    timeout_s: float

    def partitions(self, wanted: Callable[[str], bool]) -> list[KafkaTopicPartition]:
        """Partitions of the topics that are wanted."""
        ...

    def close(self) -> None:
        """Close the client."""
        ...


def owner(partition: KafkaTopicPartition, parallelism: int) -> int:
    """The reader of a partition: those of a topic are dealt out in turn, from a start by name."""
    digest = hashlib.sha256(partition.topic.encode()).digest()
    return (int.from_bytes(digest[:4], "big") + partition.partition) % parallelism


class KafkaEnumerator(SplitEnumerator):
    """Partitions found at the start begin where the user said, later ones at their beginning.

    Args:
        context: the JobManager's.
        source: what to read.
        connect: makes the client, on first use.
        checkpoint: of ``snapshot_state``.
    """

    def __init__(
        self,
        context: EnumeratorContext,
        source: KafkaSource,
        connect: Callable[[], Metadata],
        checkpoint: bytes | None,
    ) -> None:
        self._context = context
        self._source = source
        self._connect = connect
        self._metadata: Metadata | None = None
        self._known: set[KafkaTopicPartition] = set()
        self._pending: dict[int, list[PartitionSplit]] = {}
        self._readers: set[int] = set()
        self._fresh = checkpoint is None
        if checkpoint is not None:
            known, pending = msgspec.msgpack.decode(
                checkpoint, type=tuple[list[tuple[str, int]], list[bytes]]
            )
            self._known = {KafkaTopicPartition(t, p) for t, p in known}
            self._queue([decode_split(s) for s in pending])

    def start(self) -> None:
        """Look up partitions and offsets, unless they were restored."""
        if self._fresh:
            metadata = self._client(START_TIMEOUT_S)
            found = self._found(metadata)
            required(found, self._source.required_topics)
            self._add(found, first=True)
        interval = self._source.discovery_interval_ms
        if interval is not None and self._source.stop is None:
            self._context.discovery_interval_ms(interval)
        elif self._metadata is not None:
            self.close()

    def _client(self, timeout_s: float) -> Metadata:
        if self._metadata is None:
            self._metadata = self._connect()
        self._metadata.timeout_s = timeout_s
        return self._metadata

    def _found(self, metadata: Metadata) -> list[KafkaTopicPartition]:
        found = metadata.partitions(self._source.wants)
        chosen = self._source.partitions
        if chosen is None:
            return found
        if missing := sorted(chosen - set(found)):
            msg = f"Kafka has no partition {', '.join(map(str, missing))}"
            raise KafkaRefusedError(msg, remedy="correct the partitions of the KafkaSource")
        return sorted(chosen)

    def discover(self) -> None:
        """Look for new partitions; a broker that is away is asked again at the next turn."""
        try:
            metadata = self._client(DISCOVERY_TIMEOUT_S)
            found = self._found(metadata)
            self._add([p for p in found if p not in self._known], first=False)
        except KafkaUnavailableError as error:
            logger.warning("kafka.discovery_failed", error=error.message)
            return
        for reader in sorted(self._readers):
            self._assign(reader)

    def _add(self, found: Sequence[KafkaTopicPartition], *, first: bool) -> None:
        if not found:
            return
        metadata = self._client(self._metadata.timeout_s if self._metadata else START_TIMEOUT_S)
        source = self._source
        starts = source.start.resolve(found, metadata) if first else metadata.earliest(found)
        stops = {} if source.stop is None else source.stop.resolve(found, metadata)
        self._queue(
            [PartitionSplit(p.topic, p.partition, starts[p], stops.get(p, NO_STOP)) for p in found]
        )
        self._known.update(found)

    def _queue(self, splits: Sequence[PartitionSplit]) -> None:
        for split in splits:
            reader = owner(split.topic_partition, self._context.parallelism)
            self._pending.setdefault(reader, []).append(split)

    def _assign(self, reader: int) -> None:
        for split in self._pending.pop(reader, ()):
            self._context.assign_split(split, reader)

    def handle_split_request(self, subtask: int) -> None:
        """Give a reader its partitions; a bounded source then has no more for it."""
        self._readers.add(subtask)
        self._assign(subtask)
        if self._source.stop is not None:
            self._context.signal_no_more_splits(subtask)

    def add_splits_back(self, splits: Sequence[SourceSplit], subtask: int) -> None:
        """A reader is gone, and with it splits assigned since the checkpoint it goes back to."""
        self._readers.discard(subtask)
        back = []
        for split in splits:
            assert isinstance(split, PartitionSplit)
            back.append(split)
        self._queue(back)

    def snapshot_state(self, checkpoint_id: int) -> bytes:
        """All partitions known, and those not yet given to a reader."""
        known = sorted((p.topic, p.partition) for p in self._known)
        pending = [encode_split(s) for splits in self._pending.values() for s in splits]
        return msgspec.msgpack.encode((known, pending))

    def close(self) -> None:
        """Close the client."""
        metadata, self._metadata = self._metadata, None
        if metadata is not None:
            metadata.close()
