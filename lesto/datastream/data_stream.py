"""Streams in the making. As in ``pyflink.datastream.data_stream``."""

from typing import TYPE_CHECKING

from lesto.client.datastream.broadcast_stream import BroadcastConnectedStream, BroadcastStream
from lesto.client.datastream.connected_streams import ConnectedStreams
from lesto.client.datastream.data_stream import DataStream, DataStreamSink
from lesto.client.datastream.interval_join import IntervalJoin, IntervalJoined
from lesto.client.datastream.joined_streams import CoGroupedStreams, JoinedStreams
from lesto.client.datastream.keyed_stream import KeyedStream
from lesto.client.datastream.missing import missing_names
from lesto.client.datastream.partition_windowed_stream import PartitionWindowedStream
from lesto.client.datastream.windowed_stream import AllWindowedStream, WindowedStream
from lesto.client.results import CloseableIterator

__all__ = [
    "AllWindowedStream",
    "BroadcastConnectedStream",
    "BroadcastStream",
    "CloseableIterator",
    "CoGroupedStreams",
    "ConnectedStreams",
    "DataStream",
    "DataStreamSink",
    "IntervalJoin",
    "IntervalJoined",
    "JoinedStreams",
    "KeyedStream",
    "PartitionWindowedStream",
    "WindowedStream",
]

if not TYPE_CHECKING:
    __getattr__ = missing_names(__name__)
