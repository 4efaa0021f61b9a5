"""Pulsar. As in ``pyflink.datastream.connectors.pulsar``: not there, by name."""

from lesto.client.datastream.absent import absent

_REMEDY = "write a Source or a Sink with a Pulsar client, or go through Kafka"

PulsarSource = absent("PulsarSource", _REMEDY)
PulsarSourceBuilder = absent("PulsarSourceBuilder", _REMEDY)
StartCursor = absent("StartCursor", _REMEDY)
StopCursor = absent("StopCursor", _REMEDY)
RangeGenerator = absent("RangeGenerator", _REMEDY)
PulsarSink = absent("PulsarSink", _REMEDY)
PulsarSinkBuilder = absent("PulsarSinkBuilder", _REMEDY)
MessageDelayer = absent("MessageDelayer", _REMEDY)
TopicRoutingMode = absent("TopicRoutingMode", _REMEDY)

__all__ = [
    "MessageDelayer",
    "PulsarSink",
    "PulsarSinkBuilder",
    "PulsarSource",
    "PulsarSourceBuilder",
    "RangeGenerator",
    "StartCursor",
    "StopCursor",
    "TopicRoutingMode",
]
