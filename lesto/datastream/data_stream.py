"""Streams in the making. As in ``pyflink.datastream.data_stream``."""

from typing import TYPE_CHECKING

from lesto.client.datastream.broadcast_stream import BroadcastConnectedStream, BroadcastStream
from lesto.client.datastream.connected_streams import ConnectedStreams
from lesto.client.datastream.data_stream import DataStream, DataStreamSink
from lesto.client.datastream.interval_join import IntervalJoin, IntervalJoined
from lesto.client.datastream.keyed_stream import KeyedStream
from lesto.client.datastream.missing import missing_names
from lesto.client.datastream.windowed_stream import WindowedStream
from lesto.client.results import CloseableIterator

__all__ = [
    "BroadcastConnectedStream",
    "BroadcastStream",
    "CloseableIterator",
    "ConnectedStreams",
    "DataStream",
    "DataStreamSink",
    "IntervalJoin",
    "IntervalJoined",
    "KeyedStream",
    "WindowedStream",
]

if not TYPE_CHECKING:
    __getattr__ = missing_names(__name__)
