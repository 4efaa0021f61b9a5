"""Connectors. As in ``pyflink.datastream.connectors``."""

from lesto.common.sink import Sink
from lesto.common.source import Source

__all__ = [
    "Sink",
    "Source",
]
