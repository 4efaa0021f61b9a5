"""Kafka: source and exactly-once sink on ``confluent-kafka`` (extra ``kafka``)."""

from __future__ import annotations

from lesto.connectors.kafka.builders import KafkaSinkBuilder, KafkaSourceBuilder
from lesto.connectors.kafka.offsets import (
    KafkaOffsetResetStrategy,
    KafkaOffsetsInitializer,
    KafkaTopicPartition,
)
from lesto.connectors.kafka.serialization import (
    KafkaRecordSerializationSchema,
    KafkaRecordSerializationSchemaBuilder,
    KafkaTopicSelector,
)
from lesto.connectors.kafka.sink import DeliveryGuarantee, KafkaSink
from lesto.connectors.kafka.source import KafkaSource

__all__ = [
    "DeliveryGuarantee",
    "KafkaOffsetResetStrategy",
    "KafkaOffsetsInitializer",
    "KafkaRecordSerializationSchema",
    "KafkaRecordSerializationSchemaBuilder",
    "KafkaSink",
    "KafkaSinkBuilder",
    "KafkaSource",
    "KafkaSourceBuilder",
    "KafkaTopicPartition",
    "KafkaTopicSelector",
]
