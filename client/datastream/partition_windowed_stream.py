"""PartitionWindowedStream: all records of a subtask or key of a bounded stream as one window."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from lesto.client.datastream import operators
from lesto.client.datastream.checks import (
    check_function,
    check_instance,
    check_type,
    output_schema,
    wrong,
)
from lesto.client.datastream.windowed_stream import WindowedStream
from lesto.common.checking import is_a
from lesto.common.functions import AggregateFunction, KeySelector, ReduceFunction, as_callable
from lesto.common.types import TypeInformation
from lesto.common.window_functions import MapPartitionFunction, Order
from lesto.common.windowing import GlobalWindows

if TYPE_CHECKING:
    from lesto.client.datastream.data_stream import DataStream


class PartitionWindowedStream:
    """``stream.full_window_partition()``: results come when the input has ended.

    Of a stream without keys each subtask's records are a partition, of a keyed stream each key's.
    """

    def __init__(self, stream: DataStream) -> None:
        self._stream = stream

    def map_partition(
        self,
        map_partition_function: MapPartitionFunction[Any, Any] | Callable[[Any], Any],
        output_type: TypeInformation | None = None,
    ) -> DataStream:
        """Give all records of a partition to a function, in the order they came."""
        function = map_partition_function
        check_function("map_partition", MapPartitionFunction, function)
        from lesto.taskmanager.operators.partition_windows import MapPartition

        schema = output_schema("map_partition", output_type)
        return self._apply("Map Partition", MapPartition(function), function, schema, output_type)

    def sort_partition(
        self,
        field_or_key_selector: int | str | KeySelector | Callable[[Any], Any],
        order: Order = Order.ASCENDING,
        key_type: TypeInformation | None = None,
    ) -> DataStream:
        """The records of each partition, sorted by a field or by what a function gives; equal ones
        in the order they came.
        """
        by = field_or_key_selector
        check_instance("sort_partition", "an Order", order, Order)
        check_type("sort_partition", key_type)
        if is_a(by, bool) or not (is_a(by, int, str) or callable(by) or is_a(by, KeySelector)):
            wrong("sort_partition", "a field position or name, or a key selector", by)
        from lesto.taskmanager.operators.partition_windows import SortPartition

        stream = self._stream
        if not is_a(by, int, str):
            check_function("sort_partition", KeySelector, by)
            by = as_callable(by, KeySelector)
        elif isinstance(by, str) and stream.schema is not None:
            stream._column_key([by])
        run = SortPartition(by, descending=order is Order.DESCENDING)
        return self._apply("Sort Partition", run, by, stream.schema, stream._type_info)

    def aggregate(
        self,
        aggregate_function: AggregateFunction[Any, Any, Any],
        output_type: TypeInformation | None = None,
    ) -> DataStream:
        """Aggregate each partition's records as they come."""
        check_function("aggregate", AggregateFunction, aggregate_function, plain=False)
        if (windows := self._of_keys()) is not None:
            return windows.aggregate(aggregate_function, output_type=output_type)
        schema = output_schema("aggregate", output_type)
        return self._add("Aggregate", "aggregate", aggregate_function, schema, output_type)

    def reduce(self, reduce_function: ReduceFunction | Callable[[Any, Any], Any]) -> DataStream:
        """Reduce each partition's records as they come."""
        check_function("reduce", ReduceFunction, reduce_function)
        if (windows := self._of_keys()) is not None:
            return windows.reduce(reduce_function)
        stream = self._stream
        return self._add("Reduce", "reduce", reduce_function, stream.schema, stream._type_info)

    # ------------------------------------------------------------------------------------- details

    def _of_keys(self) -> WindowedStream | None:
        """The windows of the keys, if the stream is keyed."""
        from lesto.client.datastream.keyed_stream import KeyedStream

        if not isinstance(self._stream, KeyedStream):
            return None
        return self._stream.window(GlobalWindows.create_with_end_of_stream_trigger())

    def _apply(
        self, label: str, run: Any, given: Any, schema: Any, type_info: TypeInformation | None
    ) -> DataStream:
        windows = self._of_keys()
        if windows is not None:
            return windows._window(label, schema, type_info, window_fn=run, functions=(given,))
        return self._add(label, "apply", run, schema, type_info, given)

    def _add(
        self,
        label: str,
        kind: str,
        function: Any,
        schema: Any,
        type_info: TypeInformation | None,
        given: Any = None,
    ) -> DataStream:
        factory = operators.partition_window(kind, function)
        functions = (function if given is None else given,)
        return self._stream._add(label, factory, schema, functions=functions, type_info=type_info)
