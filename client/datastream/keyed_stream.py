"""KeyedStream: a stream grouped by key, with state and windows."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from lesto.client.datastream import operators
from lesto.client.datastream.batch_functions import refuse_batches
from lesto.client.datastream.checks import (
    check_function,
    check_instance,
    output_schema,
    require_schema,
    wrong,
)
from lesto.client.datastream.data_stream import DataStream
from lesto.client.datastream.errors import SchemaRequiredError
from lesto.client.datastream.location import user_location
from lesto.client.datastream.transformations import Transformation, Upstream
from lesto.common.checking import is_a
from lesto.common.evaluator import resolve_column
from lesto.common.expressions import Expr
from lesto.common.function_adapters import KeyedFilter, KeyedFlatMap, KeyedMap
from lesto.common.functions import (
    FilterFunction,
    FlatMapFunction,
    KeyedProcessFunction,
    MapFunction,
    ReduceFunction,
)
from lesto.common.keys import KeySpec
from lesto.common.types import TypeInformation, Types, from_arrow_type
from lesto.common.windowing import WindowAssigner

if TYPE_CHECKING:
    from lesto.client.datastream.environment import StreamExecutionEnvironment
    from lesto.client.datastream.interval_join import IntervalJoin
    from lesto.client.datastream.windowed_stream import WindowedStream


class KeyedStream(DataStream):
    """A stream whose records of one key go to one subtask, in order."""

    def __init__(
        self,
        env: StreamExecutionEnvironment,
        upstreams: tuple[Upstream, ...],
        origin: DataStream,
        key: KeySpec,
        key_type: TypeInformation | None = None,
        type_info: TypeInformation | None = None,
    ) -> None:
        super().__init__(env, upstreams, type_info)
        self._origin = origin
        self._key = key
        self._declared_key_type = key_type

    @property
    def key_type(self) -> TypeInformation:
        """Type of the key: declared, or of the key columns; opaque otherwise."""
        if self._declared_key_type is not None:
            return self._declared_key_type
        if self._key.columns and self.schema is not None:
            types = [from_arrow_type(self.schema.field(name).type) for name in self._key.columns]
            return types[0] if len(types) == 1 else Types.TUPLE(types)
        return Types.PICKLED_BYTE_ARRAY()

    # ------------------------------------------------------------- functions with keyed state

    def map(
        self,
        func: Callable[[Any], Any] | MapFunction,
        output_type: TypeInformation | None = None,
        *,
        capacity: int | None = None,
    ) -> DataStream:
        """One record to one; a MapFunction reaches keyed state through its RuntimeContext.

        Of an ``async def`` method, one call of a key is under way at one time.
        """
        if isinstance(func, MapFunction) and not self._awaits(func, "map"):
            return self._process("Map", KeyedMap(func), func, "map", output_type)
        return super().map(func, output_type, capacity=capacity)

    def flat_map(
        self,
        func: Callable[[Any], Any] | FlatMapFunction,
        output_type: TypeInformation | None = None,
        *,
        capacity: int | None = None,
    ) -> DataStream:
        """One record to any number; a FlatMapFunction reaches keyed state."""
        if isinstance(func, FlatMapFunction) and not self._awaits(func, "flat_map"):
            return self._process("Flat Map", KeyedFlatMap(func), func, "flat_map", output_type)
        return super().flat_map(func, output_type, capacity=capacity)

    @staticmethod
    def _awaits(func: Any, method: str) -> bool:
        from lesto.client.datastream.async_data_stream import async_method

        return async_method(func, method)

    def filter(
        self,
        func: Callable[[Any], bool] | FilterFunction | Expr,
        *,
        capacity: int | None = None,
    ) -> DataStream:
        """Keep some records; a FilterFunction reaches keyed state."""
        if isinstance(func, FilterFunction) and not self._awaits(func, "filter"):
            stream = self._process("Filter", KeyedFilter(func), func, "filter", None)
            node = stream._upstreams[0].node
            node.output_schema = self.schema
            return DataStream(self._env, (Upstream(node, schema=self.schema),), self._type_info)
        return super().filter(func, capacity=capacity)

    def process(  # type: ignore[override]
        self,
        func: KeyedProcessFunction,
        output_type: TypeInformation | None = None,
        *,
        capacity: int | None = None,
    ) -> DataStream:
        """The general function with keyed state and timers."""
        check_function("process", KeyedProcessFunction, func, plain=False)
        if awaited := self._async("process_element", func, output_type, capacity):
            return awaited
        return self._process("Keyed Process", func, func, "process", output_type)

    def _process(
        self,
        label: str,
        run: KeyedProcessFunction,
        given: Any,
        method: str,
        output_type: TypeInformation | None,
    ) -> DataStream:
        refuse_batches(method, given)
        schema = output_schema(method, output_type)
        factory = operators.keyed_process(run, self._key)
        return self._add(
            label, factory, schema, functions=(given,), keyed=True, type_info=output_type
        )

    # --------------------------------------------------------------------- running aggregates

    def reduce(self, func: Callable[[Any, Any], Any] | ReduceFunction) -> DataStream:
        """For each record, the reduction of its key's records so far."""
        check_function("reduce", ReduceFunction, func)
        factory = operators.keyed_reduce(func, self._key)
        return self._add(
            "Reduce", factory, self.schema, functions=(func,), keyed=True, type_info=self._type_info
        )

    def sum(self, position_to_sum: int | str = 0) -> DataStream:
        """For each record, its key's first record with the field replaced by the sum so far."""
        return self._field("sum", position_to_sum)

    def min(self, position_to_min: int | str = 0) -> DataStream:
        """For each record, its key's first record with the field replaced by the minimum so far."""
        return self._field("min", position_to_min)

    def max(self, position_to_max: int | str = 0) -> DataStream:
        """For each record, its key's first record with the field replaced by the maximum so far."""
        return self._field("max", position_to_max)

    def min_by(self, position_to_min_by: int | str = 0) -> DataStream:
        """For each record, its key's record so far with the smallest value in the field."""
        return self._field("min_by", position_to_min_by)

    def max_by(self, position_to_max_by: int | str = 0) -> DataStream:
        """For each record, its key's record so far with the largest value in the field."""
        return self._field("max_by", position_to_max_by)

    def _field(self, kind: str, field: int | str) -> DataStream:
        if not is_a(field, int, str) or is_a(field, bool):
            wrong(kind, "a field position or name", field)
        schema = self.schema
        if schema is None:
            factory = operators.keyed_field(kind, field, self._key)
            return self._add(kind.title(), factory, None, keyed=True, type_info=self._type_info)
        if isinstance(field, int):
            if not 0 <= field < len(schema):
                wrong(kind, f"a position from 0 to {len(schema) - 1}", field)
            field = str(schema.names[field])
        resolve_column(field, schema, stream=self._stream_name(), location=user_location())
        if self._key.columns and kind in {"sum", "min", "max"} and field not in self._key.columns:
            from lesto.client.datastream.column_aggregates import first_of_others

            aggregates = first_of_others(schema, self._key.columns, kind, field)
            if aggregates is not None:
                return self._running(kind.title(), aggregates, keep_input=True)
        factory = operators.keyed_field(kind, field, self._key)
        text = f"{kind} of {field}"
        return self._add(kind.title(), factory, schema, keyed=True, description=text)

    def agg(self, *aggregates: Expr, **named: Expr) -> DataStream:
        """Running aggregates by column: for each record, the key and the aggregates so far.

        ``ds.key_by("user").agg(col("v").sum().alias("total"), count())`` gives the columns
        ``user``,
        ``total`` and ``count``.

        Raises:
            ExpressionError: an unknown column, or something that is not an aggregate.
        """
        from lesto.client.datastream.column_aggregates import check_aggregates

        self._columns("agg")
        return self._running("Aggregate", check_aggregates("agg", aggregates, named))

    def _running(
        self, label: str, aggregates: tuple[Expr, ...], *, keep_input: bool = False
    ) -> DataStream:
        from lesto.client.datastream.column_aggregates import running_schema

        keys = self._key.columns
        result = running_schema(self._columns("agg"), keys, aggregates, keep_input=keep_input)
        factory = operators.running_aggregate(keys, aggregates, keep_input)
        text = f"by {', '.join(keys)}: {', '.join(map(str, aggregates))}"
        return self._add(label, factory, result, keyed=True, description=text)

    def _columns(self, method: str) -> pa.Schema:
        schema = require_schema(method, self.schema)
        if not self._key.columns:
            msg = f"{method} with expressions needs a key made of columns, not of a function"
            raise SchemaRequiredError(
                msg, remedy="write key_by('column')", location=user_location()
            )
        return schema

    # -------------------------------------------------------------------------------- windows

    def window(self, window_assigner: WindowAssigner[Any, Any]) -> WindowedStream:
        """Cut each key's records into windows."""
        from lesto.client.datastream.windowed_stream import WindowedStream

        check_instance("window", "a WindowAssigner", window_assigner, WindowAssigner)
        return WindowedStream(self, window_assigner)

    def count_window(self, size: int, slide: int = 0) -> WindowedStream:
        """Windows of ``size`` records of a key, or every ``slide`` records of the last ``size``."""
        from lesto.client.datastream.windowed_stream import count_assigner

        return self.window(count_assigner("count_window", size, slide))

    # ---------------------------------------------------------- Flink's "not on a keyed stream"

    def _own_node(self, method: str) -> Transformation:
        return self._origin._own_node(method)

    def interval_join(self, other_stream: KeyedStream) -> IntervalJoin:
        """Join with the records of another keyed stream that have the same key and are near in
        time: ``a.interval_join(b).between("-5s", "1min").process(function)``.
        """
        from lesto.client.datastream.interval_join import IntervalJoin

        return IntervalJoin(self, other_stream)
