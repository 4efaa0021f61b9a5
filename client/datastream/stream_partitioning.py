"""How the records of a stream go on to the subtasks of the next operator."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, overload

from lesto.client.datastream.checks import check_function
from lesto.client.datastream.location import user_location
from lesto.client.datastream.node_settings import NodeSettings
from lesto.client.datastream.transformations import Partition, Partitioning
from lesto.common.expressions import Column
from lesto.common.functions import KeySelector, Partitioner, as_callable
from lesto.common.keys import KeySpec

if TYPE_CHECKING:
    from lesto.client.datastream.broadcast_stream import BroadcastStream
    from lesto.client.datastream.data_stream import DataStream
    from lesto.state.descriptors import MapStateDescriptor


class StreamPartitioning(NodeSettings):
    """The partitionings of a DataStream but that by key."""

    @abstractmethod
    def _partitioned(self, partitioning: Partitioning) -> DataStream:
        """The stream, partitioned."""

    @abstractmethod
    def _column_name(self, method: str, value: Any) -> str:
        """A column's or field's name."""

    @abstractmethod
    def _column_key(self, names: list[str]) -> KeySpec:
        """The key made of columns or fields."""

    def rebalance(self) -> DataStream:
        """Spread evenly, round robin."""
        return self._partitioned(Partitioning(Partition.REBALANCE, location=user_location()))

    def rescale(self) -> DataStream:
        """Round robin to a subset of the subtasks, the nearer ones."""
        return self._partitioned(Partitioning(Partition.RESCALE, location=user_location()))

    def shuffle(self) -> DataStream:
        """At random."""
        return self._partitioned(Partitioning(Partition.SHUFFLE, location=user_location()))

    def forward(self) -> DataStream:
        """To the subtask of the same number; parallelism must be equal."""
        return self._partitioned(Partitioning(Partition.FORWARD, location=user_location()))

    def global_(self) -> DataStream:
        """All to the first subtask."""
        return self._partitioned(Partitioning(Partition.GLOBAL, location=user_location()))

    @overload
    def broadcast(self) -> DataStream: ...

    @overload
    def broadcast(
        self,
        broadcast_state_descriptor: MapStateDescriptor,
        *other_broadcast_state_descriptors: MapStateDescriptor,
    ) -> BroadcastStream: ...

    def broadcast(
        self,
        broadcast_state_descriptor: MapStateDescriptor | None = None,
        *other_broadcast_state_descriptors: MapStateDescriptor,
    ) -> DataStream | BroadcastStream:
        """Each record to every subtask.

        With state descriptors the result is a BroadcastStream: connected with another stream, its
        records make those states in every subtask. Without any it is a DataStream.
        """
        moved = self._partitioned(Partitioning(Partition.BROADCAST, location=user_location()))
        if broadcast_state_descriptor is None and not other_broadcast_state_descriptors:
            return moved
        from lesto.client.datastream.broadcast_stream import BroadcastStream

        descriptors = list(other_broadcast_state_descriptors)
        if broadcast_state_descriptor is not None:
            descriptors.insert(0, broadcast_state_descriptor)
        return BroadcastStream(moved, descriptors)

    def partition_custom(
        self,
        partitioner: Callable[[Any, int], int] | Partitioner,
        key_selector: Callable[[Any], Any] | KeySelector | str,
    ) -> DataStream:
        """To the subtask that ``partitioner(key, subtasks)`` names."""
        check_function("partition_custom", Partitioner, partitioner)
        if isinstance(key_selector, (str, Column)):
            key = self._column_key([self._column_name("partition_custom", key_selector)])
        else:
            check_function("partition_custom", KeySelector, key_selector)
            key = KeySpec(selector=as_callable(key_selector, KeySelector))
        function = as_callable(partitioner, Partitioner)
        return self._partitioned(
            Partitioning(Partition.CUSTOM, key=key, function=function, location=user_location())
        )
