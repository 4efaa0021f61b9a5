"""Where reading starts and stops: offsets by partition, found out on the JobManager."""

from __future__ import annotations

import enum
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from lesto.connectors.errors import ConnectorConfigError, KafkaOffsetsLostError


class KafkaOffsetResetStrategy(enum.Enum):
    """What to do where an offset asked for is not there."""

    EARLIEST = "earliest"
    LATEST = "latest"
    NONE = "none"


@dataclass(frozen=True, slots=True, order=True)
class KafkaTopicPartition:
    """A partition of a topic."""

    topic: str
    partition: int

    def __str__(self) -> str:
        return f"{self.topic}-{self.partition}"


Offsets = Mapping[KafkaTopicPartition, int]


class OffsetLookup(Protocol):
    """What initializers may ask Kafka."""

    def earliest(self, partitions: Sequence[KafkaTopicPartition]) -> Offsets:
        """First offset that is there."""
        ...

    def latest(self, partitions: Sequence[KafkaTopicPartition]) -> Offsets:
        """One past the last record that may be read (the last stable offset)."""
        ...

    def committed(
        self, partitions: Sequence[KafkaTopicPartition]
    ) -> Mapping[KafkaTopicPartition, int | None]:
        """Offsets committed by the group; None where there is none."""
        ...

    def at_time(
        self, partitions: Sequence[KafkaTopicPartition], timestamp_ms: int
    ) -> Mapping[KafkaTopicPartition, int | None]:
        """First offset at or behind a time; None where all records are older."""
        ...


class KafkaOffsetsInitializer(ABC):
    """Chooses an offset for each partition, to start or to stop at."""

    #: Whether a consumer group is needed.
    needs_group: bool = False

    @abstractmethod
    def resolve(self, partitions: Sequence[KafkaTopicPartition], lookup: OffsetLookup) -> Offsets:
        """An offset for each partition."""

    @staticmethod
    def earliest() -> KafkaOffsetsInitializer:
        """From the first record that is there."""
        return _Earliest()

    @staticmethod
    def latest() -> KafkaOffsetsInitializer:
        """From (or up to) the end at the time of the start."""
        return _Latest()

    @staticmethod
    def committed_offsets(
        offset_reset_strategy: KafkaOffsetResetStrategy = KafkaOffsetResetStrategy.NONE,
    ) -> KafkaOffsetsInitializer:
        """From the offsets that the group has committed."""
        return _Committed(offset_reset_strategy)

    @staticmethod
    def timestamp(timestamp: int) -> KafkaOffsetsInitializer:
        """From the first record with this timestamp (ms since the epoch) or a later one."""
        return _Timestamp(timestamp)

    @staticmethod
    def offsets(
        offsets: Offsets,
        offset_reset_strategy: KafkaOffsetResetStrategy = KafkaOffsetResetStrategy.EARLIEST,
    ) -> KafkaOffsetsInitializer:
        """From given offsets; partitions that are not named go by the strategy."""
        return _Specified(dict(offsets), offset_reset_strategy)


class _Earliest(KafkaOffsetsInitializer):
    def resolve(self, partitions: Sequence[KafkaTopicPartition], lookup: OffsetLookup) -> Offsets:
        return lookup.earliest(partitions)


class _Latest(KafkaOffsetsInitializer):
    def resolve(self, partitions: Sequence[KafkaTopicPartition], lookup: OffsetLookup) -> Offsets:
        return lookup.latest(partitions)


class _Committed(KafkaOffsetsInitializer):
    needs_group = True

    def __init__(self, reset: KafkaOffsetResetStrategy) -> None:
        self.reset = reset

    def resolve(self, partitions: Sequence[KafkaTopicPartition], lookup: OffsetLookup) -> Offsets:
        return _filled(lookup.committed(partitions), partitions, self.reset, lookup, "committed")


class _Timestamp(KafkaOffsetsInitializer):
    def __init__(self, timestamp_ms: int) -> None:
        if timestamp_ms < 0:
            msg = f"a timestamp to read from must not be negative, got {timestamp_ms}"
            raise ConnectorConfigError(msg, remedy="give milliseconds since 1970")
        self.timestamp_ms = timestamp_ms

    def resolve(self, partitions: Sequence[KafkaTopicPartition], lookup: OffsetLookup) -> Offsets:
        found = lookup.at_time(partitions, self.timestamp_ms)
        return _filled(found, partitions, KafkaOffsetResetStrategy.LATEST, lookup, "at this time")


class _Specified(KafkaOffsetsInitializer):
    def __init__(
        self, offsets: dict[KafkaTopicPartition, int], reset: KafkaOffsetResetStrategy
    ) -> None:
        bad = {str(p): o for p, o in offsets.items() if o < 0}
        if bad:
            msg = f"offsets must not be negative: {bad}"
            raise ConnectorConfigError(msg)
        self.given = offsets
        self.reset = reset

    def resolve(self, partitions: Sequence[KafkaTopicPartition], lookup: OffsetLookup) -> Offsets:
        found = {p: self.given.get(p) for p in partitions}
        return _filled(found, partitions, self.reset, lookup, "given")


def _filled(
    found: Mapping[KafkaTopicPartition, int | None],
    partitions: Sequence[KafkaTopicPartition],
    reset: KafkaOffsetResetStrategy,
    lookup: OffsetLookup,
    what: str,
) -> Offsets:
    """The offsets found, and those of the strategy where there is none."""
    missing = [p for p in partitions if found.get(p) is None]
    if missing and reset is KafkaOffsetResetStrategy.NONE:
        named = ", ".join(map(str, missing[:5]))
        msg = f"no offset is {what} for {len(missing)} partitions: {named}"
        raise KafkaOffsetsLostError(msg, remedy="give an offset_reset_strategy: EARLIEST or LATEST")
    more: Offsets = {}
    if missing:
        earliest = reset is KafkaOffsetResetStrategy.EARLIEST
        more = lookup.earliest(missing) if earliest else lookup.latest(missing)
    result = {}
    for p in partitions:
        offset = found.get(p)
        result[p] = more[p] if offset is None else offset
    return result
