"""Flink's builders of the Kafka source and sink."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from lesto.common.source import Boundedness
from lesto.connectors.errors import ConnectorConfigError
from lesto.connectors.formats import DeserializationSchema
from lesto.connectors.kafka.offsets import KafkaOffsetsInitializer, KafkaTopicPartition
from lesto.connectors.kafka.serialization import KafkaRecordSerializationSchema
from lesto.connectors.kafka.sink import DeliveryGuarantee, KafkaSink
from lesto.connectors.kafka.source import KafkaSource, Metadata


class KafkaSourceBuilder:
    """Builds a ``KafkaSource``."""

    def __init__(self) -> None:
        self._options: dict[str, Any] = {}
        self._properties: dict[str, Any] = {}
        self._format: DeserializationSchema | str | None = None
        self._streams = False

    def set_bootstrap_servers(self, bootstrap_servers: str) -> KafkaSourceBuilder:
        """``host:port,...``."""
        self._options["bootstrap_servers"] = bootstrap_servers
        return self

    def set_group_id(self, group_id: str) -> KafkaSourceBuilder:
        """The consumer group that offsets are committed to."""
        self._options["group_id"] = group_id
        return self

    def set_topics(self, *topics: str) -> KafkaSourceBuilder:
        """Read all partitions of these topics."""
        return self._subscribe(topics=list(topics))

    def set_topic_pattern(self, topic_pattern: str) -> KafkaSourceBuilder:
        """Read all topics whose whole name matches."""
        return self._subscribe(topics=re.compile(topic_pattern))

    def set_partitions(self, partitions: Iterable[KafkaTopicPartition]) -> KafkaSourceBuilder:
        """Read these partitions."""
        return self._subscribe(partitions=list(partitions))

    def _subscribe(self, **what: Any) -> KafkaSourceBuilder:
        if "topics" in self._options or "partitions" in self._options:
            msg = "a Kafka source is told once what to read"
            raise ConnectorConfigError(
                msg, remedy="call one of set_topics, set_topic_pattern, set_partitions"
            )
        self._options.update(what)
        return self

    def set_starting_offsets(
        self, starting_offsets_initializer: KafkaOffsetsInitializer
    ) -> KafkaSourceBuilder:
        """Where to begin."""
        self._options["start"] = starting_offsets_initializer
        return self

    def set_unbounded(
        self, stopping_offsets_initializer: KafkaOffsetsInitializer
    ) -> KafkaSourceBuilder:
        """Where to stop a streaming job."""
        self._streams = True
        return self._stop(stopping_offsets_initializer)

    def set_bounded(
        self, stopping_offsets_initializer: KafkaOffsetsInitializer
    ) -> KafkaSourceBuilder:
        """Where to stop."""
        return self._stop(stopping_offsets_initializer)

    def _stop(self, initializer: KafkaOffsetsInitializer) -> KafkaSourceBuilder:
        if "stop" in self._options:
            msg = "a Kafka source is told once where to stop"
            raise ConnectorConfigError(msg, remedy="call one of set_bounded, set_unbounded")
        self._options["stop"] = initializer
        return self

    def set_value_only_deserializer(
        self, deserialization_schema: DeserializationSchema
    ) -> KafkaSourceBuilder:
        """Format of the values."""
        self._format = deserialization_schema
        return self

    def set_metadata(self, metadata: Metadata) -> KafkaSourceBuilder:
        """Columns of metadata to add; Lesto's own."""
        self._options["metadata"] = metadata
        return self

    def set_client_id_prefix(self, prefix: str) -> KafkaSourceBuilder:
        """Name of the clients in the brokers' logs and quotas."""
        return self.set_property("client.id", prefix)

    def set_property(self, key: str, value: str) -> KafkaSourceBuilder:
        """A property of librdkafka's consumer."""
        self._properties[key] = value
        return self

    def set_properties(self, props: Mapping[str, str]) -> KafkaSourceBuilder:
        """Properties of librdkafka's consumer."""
        self._properties.update(props)
        return self

    def build(self) -> KafkaSource:
        """The source.

        Raises:
            ConnectorConfigError: something is missing.
        """
        if self._format is None:
            msg = "a Kafka source needs a format"
            raise ConnectorConfigError(
                msg, remedy="call set_value_only_deserializer(SimpleStringSchema())"
            )
        made = KafkaSource(format=self._format, properties=self._properties, **self._options)
        if self._streams:
            made.boundedness = Boundedness.CONTINUOUS_UNBOUNDED
        return made


class KafkaSinkBuilder:
    """Builds a ``KafkaSink``."""

    def __init__(self) -> None:
        self._options: dict[str, Any] = {}
        self._properties: dict[str, Any] = {}

    def set_bootstrap_servers(self, bootstrap_servers: str) -> KafkaSinkBuilder:
        """``host:port,...``."""
        self._options["bootstrap_servers"] = bootstrap_servers
        return self

    def set_record_serializer(
        self, record_serializer: KafkaRecordSerializationSchema
    ) -> KafkaSinkBuilder:
        """Makes messages of records."""
        self._options["serializer"] = record_serializer
        return self

    def set_delivery_guarantee(self, delivery_guarantee: DeliveryGuarantee) -> KafkaSinkBuilder:
        """Exactly once unless set (Flink: none)."""
        self._options["delivery_guarantee"] = delivery_guarantee
        return self

    def set_transactional_id_prefix(self, transactional_id_prefix: str) -> KafkaSinkBuilder:
        """Prefix of the transactional ids; one for each running sink."""
        self._options["transactional_id_prefix"] = transactional_id_prefix
        return self

    def set_property(self, key: str, value: str) -> KafkaSinkBuilder:
        """A property of librdkafka's producer."""
        self._properties[key] = value
        return self

    def set_properties(self, props: Mapping[str, str]) -> KafkaSinkBuilder:
        """Properties of librdkafka's producer."""
        self._properties.update(props)
        return self

    def build(self) -> KafkaSink:
        """The sink.

        Raises:
            ConnectorConfigError: something is missing.
        """
        return KafkaSink(properties=self._properties, **self._options)
