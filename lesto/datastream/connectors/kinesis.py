"""Kinesis. As in ``pyflink.datastream.connectors.kinesis``: not there, by name."""

from lesto.client.datastream.absent import absent

_REMEDY = "write a Source or a Sink with boto3, or go through Kafka"

KinesisShardAssigner = absent("KinesisShardAssigner", _REMEDY)
KinesisDeserializationSchema = absent("KinesisDeserializationSchema", _REMEDY)
WatermarkTracker = absent("WatermarkTracker", _REMEDY)
PartitionKeyGenerator = absent("PartitionKeyGenerator", _REMEDY)
FlinkKinesisConsumer = absent("FlinkKinesisConsumer", _REMEDY)
KinesisStreamsSink = absent("KinesisStreamsSink", _REMEDY)
KinesisStreamsSinkBuilder = absent("KinesisStreamsSinkBuilder", _REMEDY)
KinesisFirehoseSink = absent("KinesisFirehoseSink", _REMEDY)
KinesisFirehoseSinkBuilder = absent("KinesisFirehoseSinkBuilder", _REMEDY)

__all__ = [
    "FlinkKinesisConsumer",
    "KinesisDeserializationSchema",
    "KinesisFirehoseSink",
    "KinesisFirehoseSinkBuilder",
    "KinesisShardAssigner",
    "KinesisStreamsSink",
    "KinesisStreamsSinkBuilder",
    "PartitionKeyGenerator",
    "WatermarkTracker",
]
