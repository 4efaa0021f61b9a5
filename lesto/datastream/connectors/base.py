"""What sources and sinks are. As in ``pyflink.datastream.connectors.base``."""

from typing import TYPE_CHECKING

from lesto.client.datastream.absent import absent
from lesto.client.datastream.missing import missing_names
from lesto.common.sink import Sink
from lesto.common.source import Source
from lesto.connectors.kafka.sink import DeliveryGuarantee

_APPLY = "apply a function to the stream before sink_to"
StreamTransformer = absent("StreamTransformer", _APPLY)
SupportsPreprocessing = absent("SupportsPreprocessing", _APPLY)

__all__ = [
    "DeliveryGuarantee",
    "Sink",
    "Source",
    "StreamTransformer",
    "SupportsPreprocessing",
]

if not TYPE_CHECKING:
    __getattr__ = missing_names(__name__)
