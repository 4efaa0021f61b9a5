"""RabbitMQ. As in ``pyflink.datastream.connectors.rabbitmq``: not there, by name."""

from lesto.client.datastream.absent import absent

_REMEDY = "write a Source or a Sink with a RabbitMQ client"

RMQConnectionConfig = absent("RMQConnectionConfig", _REMEDY)
RMQSource = absent("RMQSource", _REMEDY)
RMQSink = absent("RMQSink", _REMEDY)

__all__ = [
    "RMQConnectionConfig",
    "RMQSink",
    "RMQSource",
]
