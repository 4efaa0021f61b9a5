"""Kafka on several clusters: not there. As in ``pyflink.datastream.connectors.dynamic_kafka``."""

from lesto.client.datastream.absent import absent

_REMEDY = "use one KafkaSource a cluster, and union them"

DynamicKafkaSource = absent("DynamicKafkaSource", _REMEDY)
DynamicKafkaSourceBuilder = absent("DynamicKafkaSourceBuilder", _REMEDY)
KafkaMetadataService = absent("KafkaMetadataService", _REMEDY)
KafkaRecordDeserializationSchema = absent("KafkaRecordDeserializationSchema", _REMEDY)
KafkaStreamSetSubscriber = absent("KafkaStreamSetSubscriber", _REMEDY)
KafkaStreamSubscriber = absent("KafkaStreamSubscriber", _REMEDY)
StreamPatternSubscriber = absent("StreamPatternSubscriber", _REMEDY)
SingleClusterTopicMetadataService = absent("SingleClusterTopicMetadataService", _REMEDY)

__all__ = [
    "DynamicKafkaSource",
    "DynamicKafkaSourceBuilder",
    "KafkaMetadataService",
    "KafkaRecordDeserializationSchema",
    "KafkaStreamSetSubscriber",
    "KafkaStreamSubscriber",
    "SingleClusterTopicMetadataService",
    "StreamPatternSubscriber",
]
