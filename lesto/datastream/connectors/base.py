"""What sources and sinks are. As in ``pyflink.datastream.connectors.base``."""

from lesto.common.sink import Sink
from lesto.common.source import Source

__all__ = [
    "Sink",
    "Source",
]
