"""The Kafka source."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

import pyarrow as pa

from lesto.common.source import (
    Boundedness,
    EnumeratorContext,
    ReaderContext,
    Source,
    SourceReader,
    SourceSplit,
    SplitEnumerator,
)
from lesto.connectors.errors import ConnectorConfigError
from lesto.connectors.files.malformed import MalformedPolicy
from lesto.connectors.formats import DeserializationSchema, message_format
from lesto.connectors.kafka.client import library
from lesto.connectors.kafka.offsets import (
    KafkaOffsetResetStrategy,
    KafkaOffsetsInitializer,
    KafkaTopicPartition,
)
from lesto.connectors.kafka.records import RecordDecoder, with_metadata
from lesto.connectors.kafka.splits import decode_split, encode_split

#: New partitions are looked for at this interval unless told otherwise, as in Flink.
DISCOVERY_MS: Final = 300_000
DISCOVERY_PROPERTY: Final = "partition.discovery.interval.ms"
COMMIT_PROPERTY: Final = "commit.offsets.on.checkpoint"
#: What is fetched ahead by librdkafka for all partitions of a reader.
PREFETCH_KBYTES: Final = 32_768

_STARTS: Final[dict[str, Callable[[], KafkaOffsetsInitializer]]] = {
    "earliest": KafkaOffsetsInitializer.earliest,
    "latest": KafkaOffsetsInitializer.latest,
    "committed": lambda: KafkaOffsetsInitializer.committed_offsets(
        KafkaOffsetResetStrategy.EARLIEST
    ),
}
Topics = str | Sequence[str] | re.Pattern[str]
Metadata = Sequence[str] | Mapping[str, str]
Start = str | KafkaOffsetsInitializer


class KafkaSource(Source):
    """Reads topics of Kafka.

    Args:
        topics: a name, several names, or a compiled pattern (matched against whole names).
        bootstrap_servers: ``host:port,...``.
        format: ``json``, ``csv``, ``raw``, ``string``, ``bytes``, or a deserialization schema.
        schema: columns, for ``json`` and ``csv``; ``json`` without gives Python values.
        start: ``earliest``, ``latest``, ``committed`` (the group's offsets, else the earliest), or
            a ``KafkaOffsetsInitializer``. The position in a checkpoint goes first.
        stop: where to end: ``latest`` (what is there at the start), or an initializer; None: never.
        group_id: consumer group; offsets are committed to it at checkpoints, for monitoring only.
        partitions: these partitions, in place of ``topics``.
        metadata: columns to add: ``topic``, ``partition``, ``offset``, ``timestamp``, ``key``,
            ``headers``; a mapping gives them other names (name to metadata).
        on_error: ``fail`` (names partition and offset), ``skip`` (counted) or ``dead-letter``.
        dead_letter_path: directory for malformed messages with ``dead-letter``.
        discovery_interval_ms: look for new partitions this often; None: do not. They are read from
            their beginning.
        properties: of librdkafka. ``isolation.level`` is ``read_committed`` unless set
            (Flink, and Java's consumer, read uncommitted data unless told otherwise);
            ``auto.offset.reset`` is ``error``: records lost by retention fail the job.

    Event time is the timestamp of each message unless the watermark strategy takes another.

    Raises:
        ConnectorConfigError: options that do not go together.
        MissingExtraError: confluent-kafka is not installed.
    """

    def __init__(
        self,
        topics: Topics | None = None,
        bootstrap_servers: str = "",
        *,
        format: DeserializationSchema | str = "json",
        schema: pa.Schema | None = None,
        start: Start = "earliest",
        stop: Start | None = None,
        group_id: str | None = None,
        partitions: Iterable[KafkaTopicPartition] | None = None,
        metadata: Metadata = (),
        on_error: str = "fail",
        dead_letter_path: str | None = None,
        discovery_interval_ms: int | None = DISCOVERY_MS,
        properties: Mapping[str, Any] | None = None,
    ) -> None:
        library()  # a package that is missing is named where the job is built
        given = {str(k): v for k, v in (properties or {}).items()}
        servers = bootstrap_servers or str(given.get("bootstrap.servers", ""))
        if not servers:
            msg = "a Kafka source needs bootstrap_servers"
            raise ConnectorConfigError(msg, remedy="bootstrap_servers='host:9092'")
        self._choose(topics, partitions)
        self.format = _format(format, schema)
        self.metadata = (
            dict(metadata) if isinstance(metadata, Mapping) else {name: name for name in metadata}
        )
        self.schema = with_metadata(self.format.schema, self.metadata, f"format={format!r}")
        self.policy = MalformedPolicy.of(on_error, dead_letter_path)
        self.start = _initializer(start, "start")
        self.stop = None if stop is None else _initializer(stop, "stop")
        ends = self.stop is not None
        self.boundedness = Boundedness.BOUNDED if ends else Boundedness.CONTINUOUS_UNBOUNDED
        interval = given.pop(DISCOVERY_PROPERTY, discovery_interval_ms)
        interval = None if interval is None or int(interval) <= 0 else int(interval)
        self.discovery_interval_ms = None if self.partitions is not None else interval
        self.group_id = group_id or given.pop("group.id", None)
        commits = str(given.pop(COMMIT_PROPERTY, "true")).lower() == "true"
        self.commits = commits and self.group_id is not None
        if self.group_id is None and self.start.needs_group:
            msg = "reading from committed offsets needs a consumer group"
            raise ConnectorConfigError(msg, remedy="give group_id='...'")
        self.properties = {
            "isolation.level": "read_committed",
            "auto.offset.reset": "error",
            "queued.max.messages.kbytes": PREFETCH_KBYTES,
            "fetch.queue.backoff.ms": 10,
            **given,
            "bootstrap.servers": servers,
            # librdkafka has no consumer without a group; without commits none comes into being.
            "group.id": self.group_id or "lesto-without-group",
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "enable.partition.eof": True,
        }

    def _choose(
        self, topics: Topics | None, partitions: Iterable[KafkaTopicPartition] | None
    ) -> None:
        if (topics is None) == (partitions is None):
            msg = "a Kafka source reads either topics or partitions"
            raise ConnectorConfigError(msg, remedy="give one of topics=..., partitions=[...]")
        self.pattern = topics if isinstance(topics, re.Pattern) else None
        self.partitions = None if partitions is None else frozenset(partitions)
        names: Sequence[str] = ()
        if isinstance(topics, str):
            names = (topics,)
        elif topics is not None and not isinstance(topics, re.Pattern):
            names = tuple(topics)
        elif self.partitions is not None:
            names = tuple(sorted({p.topic for p in self.partitions}))
        if not names and self.pattern is None:
            msg = "a Kafka source needs at least one topic"
            raise ConnectorConfigError(msg)
        self.required_topics = tuple(names)

    @staticmethod
    def builder() -> Any:
        """Flink's builder."""
        from lesto.connectors.kafka.builders import KafkaSourceBuilder

        return KafkaSourceBuilder()

    def wants(self, topic: str) -> bool:
        """Whether a topic is read."""
        if self.pattern is not None:
            return self.pattern.fullmatch(topic) is not None
        return topic in self.required_topics

    def create_enumerator(
        self, context: EnumeratorContext, checkpoint: bytes | None
    ) -> SplitEnumerator:
        """Finds partitions."""
        from lesto.connectors.kafka.enumerator import KafkaEnumerator
        from lesto.connectors.kafka.metadata import KafkaMetadata

        return KafkaEnumerator(context, self, lambda: KafkaMetadata(self.properties), checkpoint)

    def create_reader(self, context: ReaderContext) -> SourceReader:
        """Reads partitions."""
        from lesto.connectors.kafka.fetcher import Fetcher
        from lesto.connectors.kafka.reader import KafkaReader

        decoder = RecordDecoder(self.format, self.metadata, self.policy, context.count_error)
        fetcher = Fetcher(self.properties, decoder, context.wakeup, context.batch_rows)
        return KafkaReader(context, fetcher, commits=self.commits)

    def serialize_split(self, split: SourceSplit) -> bytes:
        """As msgpack."""
        return encode_split(split)

    def deserialize_split(self, data: bytes) -> SourceSplit:
        """Inverse of ``serialize_split``."""
        return decode_split(data)


def _format(given: Any, schema: pa.Schema | None) -> DeserializationSchema:
    if isinstance(given, str):
        made: DeserializationSchema = message_format(given, schema)
        return made
    if not isinstance(given, DeserializationSchema):
        msg = f"format is a name or a DeserializationSchema, not a {type(given).__name__}"
        raise ConnectorConfigError(msg)
    if schema is not None:
        msg = "the format has its own schema"
        raise ConnectorConfigError(msg, remedy="leave schema= out")
    return given


def _initializer(given: Start, what: str) -> KafkaOffsetsInitializer:
    if isinstance(given, KafkaOffsetsInitializer):
        return given
    if given not in _STARTS:
        msg = f"{what}={given!r} is not known"
        raise ConnectorConfigError(
            msg, remedy=f"use one of {', '.join(_STARTS)}, or a KafkaOffsetsInitializer"
        )
    return _STARTS[given]()
