"""Bases for sources and sinks in a few lines of Python."""

from lesto.connectors.plain.async_sink import AsyncSink
from lesto.connectors.plain.sink import TwoPhaseSink
from lesto.connectors.plain.source import PlainSource

__all__ = ["AsyncSink", "PlainSource", "TwoPhaseSink"]
