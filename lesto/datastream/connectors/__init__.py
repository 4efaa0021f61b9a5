"""Connectors, as in ``pyflink.datastream.connectors``, with the names kept for older programs."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from lesto.client.datastream.missing import missing_names
from lesto.common.sink import Sink
from lesto.common.source import Source
from lesto.connectors.kafka.sink import DeliveryGuarantee

__all__ = [
    "DeliveryGuarantee",
    "Sink",
    "Source",
]

_MODULES = {
    "dynamic_kafka": (
        "DynamicKafkaSource",
        "DynamicKafkaSourceBuilder",
        "KafkaMetadataService",
        "KafkaRecordDeserializationSchema",
        "KafkaStreamSetSubscriber",
        "KafkaStreamSubscriber",
        "SingleClusterTopicMetadataService",
        "StreamPatternSubscriber",
    ),
    "file_system": (
        "BucketAssigner",
        "FileEnumeratorProvider",
        "FileSink",
        "FileSource",
        "FileSourceBuilder",
        "FileSplitAssignerProvider",
        "OutputFileConfig",
        "RollingPolicy",
        "StreamFormat",
        "StreamingFileSink",
    ),
    "jdbc": ("JdbcConnectionOptions", "JdbcExecutionOptions", "JdbcSink"),
    "kafka": ("FlinkKafkaConsumer", "FlinkKafkaProducer", "KafkaSource", "Semantic"),
    "number_seq": ("NumberSequenceSource",),
    "pulsar": ("PulsarSource", "PulsarSourceBuilder", "StartCursor", "StopCursor"),
    "rabbitmq": ("RMQConnectionConfig", "RMQSink", "RMQSource"),
}
_HOMES = {name: module for module, names in _MODULES.items() for name in names}
_missing = missing_names(__name__)


def _find(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    return _missing(name)


if not TYPE_CHECKING:
    __getattr__ = _find
