"""Questions about topics and offsets, put to Kafka from the JobManager."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeVar

from lesto.connectors.errors import KafkaRefusedError
from lesto.connectors.kafka.client import (
    admin_library,
    library,
    make_admin,
    make_consumer,
    named,
)
from lesto.connectors.kafka.offsets import KafkaTopicPartition, Offsets

#: Time for the questions at the start of a job.
START_TIMEOUT_S: Final = 20.0
#: Time for looking for new partitions: checkpoints wait meanwhile.
DISCOVERY_TIMEOUT_S: Final = 2.0

T = TypeVar("T")


class KafkaMetadata:
    """Implements ``OffsetLookup``; every method waits for at most ``timeout_s``.

    Args:
        properties: of the consumer.

    Raises (each method):
        KafkaUnavailableError: no answer.
        KafkaRefusedError: no such topic, or not authorised.
    """

    def __init__(self, properties: Mapping[str, Any]) -> None:
        self._properties = dict(properties)
        self._admin = make_admin(properties)
        self._isolation = str(properties.get("isolation.level", "read_committed"))
        self.timeout_s = START_TIMEOUT_S

    def close(self) -> None:
        """Let the client go."""
        self._admin = None

    def _asked(self, what: str, ask: Callable[[], T]) -> T:
        try:
            return ask()
        except library().KafkaException as error:
            raise named(error, what) from error

    def partitions(self, wanted: Callable[[str], bool]) -> list[KafkaTopicPartition]:
        """The partitions of all topics whose name is wanted."""
        what = "the topics cannot be listed"
        listed = self._asked(what, lambda: self._admin.list_topics(timeout=self.timeout_s))
        return sorted(
            KafkaTopicPartition(name, number)
            for name, topic in listed.topics.items()
            if wanted(name)
            for number in topic.partitions
        )

    def _listed(
        self, partitions: Sequence[KafkaTopicPartition], spec: Any
    ) -> dict[KafkaTopicPartition, int | None]:
        kafka, admin = library(), admin_library()
        committed = self._isolation == "read_committed"
        level = (
            kafka.IsolationLevel.READ_COMMITTED
            if committed
            else (kafka.IsolationLevel.READ_UNCOMMITTED)
        )
        asked = {
            kafka.TopicPartition(p.topic, p.partition): spec(admin.OffsetSpec) for p in partitions
        }
        futures = self._admin.list_offsets(
            asked, isolation_level=level, request_timeout=self.timeout_s
        )
        found: dict[KafkaTopicPartition, int | None] = {}
        for p, future in futures.items():
            what = f"the offsets of {p.topic}-{p.partition} cannot be looked up"
            result = self._asked(what, lambda future=future: future.result(self.timeout_s + 1))  # type: ignore[misc]
            at = KafkaTopicPartition(p.topic, p.partition)
            found[at] = result.offset if result.offset >= 0 else None
        return found

    def earliest(self, partitions: Sequence[KafkaTopicPartition]) -> Offsets:
        """First offset that is there."""
        found = self._listed(partitions, lambda spec: spec.earliest())
        return {p: offset or 0 for p, offset in found.items()}

    def latest(self, partitions: Sequence[KafkaTopicPartition]) -> Offsets:
        """The last stable offset, or the end with read_uncommitted."""
        found = self._listed(partitions, lambda spec: spec.latest())
        return {p: offset or 0 for p, offset in found.items()}

    def at_time(
        self, partitions: Sequence[KafkaTopicPartition], timestamp_ms: int
    ) -> Mapping[KafkaTopicPartition, int | None]:
        """First offset at or behind a time."""
        return self._listed(partitions, lambda spec: spec.for_timestamp(timestamp_ms))

    def committed(
        self, partitions: Sequence[KafkaTopicPartition]
    ) -> Mapping[KafkaTopicPartition, int | None]:
        """Offsets committed by the group."""
        kafka = library()
        asked = [kafka.TopicPartition(p.topic, p.partition) for p in partitions]
        consumer = make_consumer(self._properties)
        try:
            answer = self._asked(
                "committed offsets cannot be read",
                lambda: consumer.committed(asked, timeout=self.timeout_s),
            )
        finally:
            consumer.close()
        found: dict[KafkaTopicPartition, int | None] = {}
        for p in answer:
            if p.error is not None:
                raise named(p.error, f"no committed offset of {p.topic}-{p.partition}")
            found[KafkaTopicPartition(p.topic, p.partition)] = p.offset if p.offset >= 0 else None
        return found


def required(found: Sequence[KafkaTopicPartition], topics: Sequence[str]) -> None:
    """Each topic must be there.

    Raises:
        KafkaRefusedError: names those that are not.
    """
    missing = sorted(set(topics) - {p.topic for p in found})
    if missing:
        msg = f"Kafka has no topic {', '.join(repr(t) for t in missing)}"
        raise KafkaRefusedError(msg, remedy="create it, or correct the name in KafkaSource")
