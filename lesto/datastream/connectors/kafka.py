"""Kafka. As in ``pyflink.datastream.connectors.kafka``."""

from typing import TYPE_CHECKING

from lesto.client.datastream.absent import absent
from lesto.client.datastream.missing import missing_names
from lesto.connectors.kafka import (
    DeliveryGuarantee,
    KafkaOffsetResetStrategy,
    KafkaOffsetsInitializer,
    KafkaRecordSerializationSchema,
    KafkaRecordSerializationSchemaBuilder,
    KafkaSink,
    KafkaSinkBuilder,
    KafkaSource,
    KafkaSourceBuilder,
    KafkaTopicPartition,
    KafkaTopicSelector,
)

_CONSUMER = "use KafkaSource, as in Flink 2"
_PRODUCER = "use KafkaSink, as in Flink 2"
FlinkKafkaConsumerBase = absent("FlinkKafkaConsumerBase", _CONSUMER)
FlinkKafkaConsumer = absent("FlinkKafkaConsumer", _CONSUMER)
FlinkKafkaProducerBase = absent("FlinkKafkaProducerBase", _PRODUCER)
FlinkKafkaProducer = absent("FlinkKafkaProducer", _PRODUCER)
Semantic = absent("Semantic", "use DeliveryGuarantee, as in Flink 2")

__all__ = [
    "DeliveryGuarantee",
    "FlinkKafkaConsumer",
    "FlinkKafkaConsumerBase",
    "FlinkKafkaProducer",
    "FlinkKafkaProducerBase",
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
    "Semantic",
]

if not TYPE_CHECKING:
    __getattr__ = missing_names(__name__)
