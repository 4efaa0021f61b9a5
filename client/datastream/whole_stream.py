"""A stream as one group: what windows over all records are made of."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lesto.client.datastream.location import user_location
from lesto.client.datastream.transformations import Partition, Partitioning
from lesto.common.functions import NullByteKeySelector
from lesto.common.keys import KeySpec

if TYPE_CHECKING:
    from lesto.client.datastream.data_stream import DataStream
    from lesto.client.datastream.keyed_stream import KeyedStream


def whole_stream(stream: DataStream) -> KeyedStream:
    """The stream with one key; all records go to the first subtask, in columns if they are."""
    from lesto.client.datastream.keyed_stream import KeyedStream

    key = KeySpec(selector=NullByteKeySelector().get_key)
    moved = stream._partitioned(Partitioning(Partition.GLOBAL, location=user_location()))
    return KeyedStream(stream._env, moved._upstreams, stream, key, None, stream._type_info)
