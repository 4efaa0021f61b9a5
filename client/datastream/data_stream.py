"""DataStream: a stream in the making. Each call adds a transformation to the environment's
graph.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, overload

import pyarrow as pa

from lesto.client.datastream import operators
from lesto.client.datastream.batch_functions import batch_function
from lesto.client.datastream.checks import (
    check_function,
    check_instance,
    check_type,
    output_schema,
    require_schema,
    unsupported,
    wrong,
)
from lesto.client.datastream.errors import JobBuildError
from lesto.client.datastream.location import user_location
from lesto.client.datastream.node_settings import NodeSettings
from lesto.client.datastream.stream_checks import (
    FieldsByPosition,
    check_same_schema,
    check_timestamp_column,
    chosen_exprs,
    single_type,
    strategy_functions,
)
from lesto.client.datastream.stream_partitioning import StreamPartitioning
from lesto.client.datastream.transformations import (
    Kind,
    Partition,
    Partitioning,
    Transformation,
    Upstream,
)
from lesto.common.checking import is_a
from lesto.common.elements import Form
from lesto.common.evaluator import Predicate, Projection, resolve_column
from lesto.common.expressions import Column, Expr
from lesto.common.functions import (
    FilterFunction,
    FlatMapFunction,
    KeySelector,
    MapFunction,
    OutputTag,
    ProcessFunction,
    as_callable,
)
from lesto.common.keys import FieldKeySelector, KeySpec
from lesto.common.sink import Sink
from lesto.common.types import TypeInformation, Types, from_arrow_schema
from lesto.common.watermarks import WatermarkStrategy
from lesto.common.windowing import WindowAssigner

if TYPE_CHECKING:
    from lesto.client.datastream.broadcast_stream import (
        BroadcastConnectedStream,
        BroadcastStream,
    )
    from lesto.client.datastream.connected_streams import ConnectedStreams
    from lesto.client.datastream.environment import StreamExecutionEnvironment
    from lesto.client.datastream.joined_streams import CoGroupedStreams, JoinedStreams
    from lesto.client.datastream.keyed_stream import KeyedStream
    from lesto.client.datastream.partition_windowed_stream import PartitionWindowedStream
    from lesto.client.datastream.windowed_stream import AllWindowedStream
    from lesto.client.results import AsyncRecords, CloseableIterator


#: Operators with a function that takes records one by one.
DEAD_LETTER_LABELS = frozenset(
    {"Map", "Filter", "Flat Map", "Process", "Keyed Process"}
    | {"Co-Map", "Co-Flat Map", "Co-Process", "Keyed Co-Process"}
)
#: Side output of dead letters that go straight to a sink.
DEAD_LETTER_TAG = "dead-letters"


class DataStream(StreamPartitioning):
    """A stream of records: columns when it has a schema, Python values otherwise.

    Functions take records one by one: values as they are, or a :class:`lesto.common.Row` a record
    of a
    stream with columns. Expressions (``col("x") > 3``) need columns and run on whole batches.
    """

    def __init__(
        self,
        env: StreamExecutionEnvironment,
        upstreams: tuple[Upstream, ...],
        type_info: TypeInformation | None = None,
    ) -> None:
        self._env = env
        self._upstreams = upstreams
        self._type_info = type_info

    # ------------------------------------------------------------------------------- inspection

    @property
    def schema(self) -> pa.Schema | None:
        """Columns, or None for a stream of Python values."""
        return self._upstreams[0].schema

    def get_type(self) -> TypeInformation:
        """Declared or known type of the records; opaque when neither."""
        if self._type_info is not None:
            return self._type_info
        return Types.PICKLED_BYTE_ARRAY() if self.schema is None else from_arrow_schema(self.schema)

    def get_execution_environment(self) -> StreamExecutionEnvironment:
        """The environment."""
        return self._env

    def get_execution_config(self) -> Any:
        """The environment's ExecutionConfig."""
        return self._env.get_config()

    def _own_node(self, method: str) -> Transformation:
        first = self._upstreams[0]
        plain = first.partitioning.kind is Partition.AUTO and not first.side_tag
        if len(self._upstreams) > 1 or not plain:
            what = "union" if len(self._upstreams) > 1 else "a partitioning or side output"
            msg = f"{method} belongs to an operator, and {what} is none"
            raise JobBuildError(
                msg, remedy="call it on the operator before or after", location=user_location()
            )
        return first.node

    # ------------------------------------------------------------------------- building blocks

    def _add(
        self,
        label: str,
        factory: operators.Thunk,
        schema: pa.Schema | None,
        *,
        functions: tuple[Any, ...] = (),
        keyed: bool = False,
        type_info: TypeInformation | None = None,
        description: str = "",
    ) -> DataStream:
        node = self._env._add_node(
            kind=Kind.TRANSFORM,
            label=label,
            description=description,
            factory=factory,
            inputs=self._upstreams,
            output_schema=schema,
            keyed=keyed,
            user_functions=functions,
            location=user_location(),
        )
        return DataStream(self._env, (Upstream(node, schema=schema),), type_info)

    def _partitioned(self, partitioning: Partitioning) -> DataStream:
        moved = tuple(Upstream(u.node, u.side_tag, partitioning, u.schema) for u in self._upstreams)
        return DataStream(self._env, moved, self._type_info)

    # --------------------------------------------------------------------------- record by record

    def map(
        self,
        func: Callable[[Any], Any] | MapFunction,
        output_type: TypeInformation | None = None,
        *,
        capacity: int | None = None,
    ) -> DataStream:
        """One record to one. With a row type with names as ``output_type`` the result has
        columns.

        An ``async def`` function has ``capacity`` calls under way at one time, 100 unless told;
        results keep the order of the records. So in flat_map, filter and process.

        On a stream with columns a function may take whole batches or columns, by its type hints
        (``pa.RecordBatch``, ``pd.DataFrame``, ``np.ndarray``, ...; see
        :mod:`lesto.common.function_forms`). So in flat_map, filter and process.
        """
        check_function("map", MapFunction, func)
        if awaited := self._async("map", func, output_type, capacity):
            return awaited
        if whole := self._batched("Map", "map", func, output_type):
            return whole
        schema = output_schema("map", output_type)
        factory = operators.stateless("MapOperator", func)
        return self._add("Map", factory, schema, functions=(func,), type_info=output_type)

    def flat_map(
        self,
        func: Callable[[Any], Any] | FlatMapFunction,
        output_type: TypeInformation | None = None,
        *,
        capacity: int | None = None,
    ) -> DataStream:
        """One record to any number."""
        check_function("flat_map", FlatMapFunction, func)
        if awaited := self._async("flat_map", func, output_type, capacity):
            return awaited
        if whole := self._batched("Flat Map", "flat_map", func, output_type):
            return whole
        schema = output_schema("flat_map", output_type)
        factory = operators.stateless("FlatMapOperator", func)
        return self._add("Flat Map", factory, schema, functions=(func,), type_info=output_type)

    def filter(
        self,
        func: Callable[[Any], bool] | FilterFunction | Expr,
        *,
        capacity: int | None = None,
    ) -> DataStream:
        """Keep the records for which a function, or an expression on columns, is true.

        Raises:
            ExpressionError: a column does not exist (with the nearest), or the types do not fit.
        """
        if isinstance(func, Expr):
            schema = require_schema("filter(expression)", self.schema)
            Predicate(func, schema, stream=self._stream_name(), location=user_location())
            factory = operators.columnar_filter(func)
            return self._add("Filter", factory, schema, description=f"filter {func}")
        check_function("filter", FilterFunction, func)
        if awaited := self._async("filter", func, None, capacity):
            return awaited
        if whole := self._batched("Filter", "filter", func, None):
            return whole
        factory = operators.stateless("FilterOperator", func)
        return self._add(
            "Filter", factory, self.schema, functions=(func,), type_info=self._type_info
        )

    def process(
        self,
        func: ProcessFunction,
        output_type: TypeInformation | None = None,
        *,
        capacity: int | None = None,
    ) -> DataStream:
        """The general function over records; reaches side outputs."""
        check_function("process", ProcessFunction, func, plain=False)
        if awaited := self._async("process_element", func, output_type, capacity):
            return awaited
        if whole := self._batched("Process", "process_element", func, output_type):
            return whole
        schema = output_schema("process", output_type)
        factory = operators.stateless("ProcessOperator", func)
        return self._add("Process", factory, schema, functions=(func,), type_info=output_type)

    def _batched(
        self, label: str, method: str, func: Any, output_type: TypeInformation | None
    ) -> DataStream | None:
        """The stream with a function of batches applied; None for a function of records."""
        found = batch_function(method, func, self.schema, output_type)
        if found is None:
            return None
        kept = self._type_info if method == "filter" else output_type
        return self._add(
            f"{label} of batches",
            found.factory,
            found.schema,
            functions=(func,),
            type_info=kept,
        )

    def _async(
        self, method: str, func: Any, output_type: TypeInformation | None, capacity: int | None
    ) -> DataStream | None:
        """The stream with an ``async def`` function applied; None for any other function."""
        from lesto.client.datastream.async_data_stream import add_async

        return add_async(self, method, func, output_type, capacity)

    def project(self, *field_indexes: int) -> DataStream:
        """Keep fields by position: of columns, or of tuples and Rows."""
        if not field_indexes or not all(isinstance(i, int) for i in field_indexes):
            wrong("project", "field positions", field_indexes)
        schema = self.schema
        if schema is not None:
            bad = [i for i in field_indexes if not 0 <= i < len(schema)]
            if bad:
                wrong("project", f"positions from 0 to {len(schema) - 1}", bad[0])
            return self.select(*[schema.names[i] for i in field_indexes])
        return self.map(FieldsByPosition(field_indexes))

    # -------------------------------------------------------------------------------- by column

    def select(self, *exprs: Expr | str, **named: Any) -> DataStream:
        """A stream of these columns: names, expressions, or ``name=expression``.

        Raises:
            ExpressionError: a column does not exist (with the nearest), or two have one name.
        """
        schema = require_schema("select", self.schema)
        chosen = chosen_exprs("select", exprs, named)
        if not chosen:
            wrong("select", "at least one column or expression", ())
        projection = Projection(
            chosen, schema, stream=self._stream_name(), location=user_location()
        )
        text = f"select {', '.join(map(str, chosen))}"
        factory = operators.select(chosen)
        return self._add("Select", factory, projection.schema, description=text)

    def with_columns(self, *exprs: Expr, **named: Any) -> DataStream:
        """The stream with columns added, or replaced where the name exists."""
        schema = require_schema("with_columns", self.schema)
        chosen = chosen_exprs("with_columns", exprs, named)
        if not chosen:
            wrong("with_columns", "at least one expression", ())
        added = Projection(chosen, schema, stream=self._stream_name(), location=user_location())
        fields = {field.name: field for field in schema} | {f.name: f for f in added.schema}
        return self._add(
            "With Columns",
            operators.with_columns(chosen),
            pa.schema(list(fields.values())),
            description=f"with columns {', '.join(map(str, chosen))}",
        )

    # --------------------------------------------------------------------------------- event time

    def assign_timestamps_and_watermarks(self, watermark_strategy: WatermarkStrategy) -> DataStream:
        """Give the records event time; replaces what the source gave."""
        check_instance(
            "assign_timestamps_and_watermarks",
            "a WatermarkStrategy",
            watermark_strategy,
            WatermarkStrategy,
        )
        check_timestamp_column(watermark_strategy, self.schema, self._stream_name())
        return self._add(
            "Timestamps/Watermarks",
            operators.timestamps(watermark_strategy),
            self.schema,
            functions=strategy_functions(watermark_strategy),
            type_info=self._type_info,
        )

    # ------------------------------------------------------------------------------- partitioning

    def key_by(
        self,
        key_selector: Callable[[Any], Any] | KeySelector | str | Column,
        key_type: TypeInformation | str | Column | None = None,
        *columns: str | Column,
    ) -> KeyedStream:
        """Group by a key: a selector function, or the names of one or more columns or fields.

        Args:
            key_selector: callable record -> key, or a name.
            key_type: type of the key (not needed), or a second name.
            columns: further names.

        Raises:
            ExpressionError: a column does not exist; names the nearest.
        """
        from lesto.client.datastream.keyed_stream import KeyedStream

        given = (key_selector, *(() if key_type is None else (key_type,)), *columns)
        if isinstance(key_selector, (str, Column)):
            if len(given) == 2 and isinstance(key_type, TypeInformation):
                given = given[:1]
            key = self._column_key([self._column_name("key_by", name) for name in given])
        else:
            check_type("key_by", key_type)
            check_function("key_by", KeySelector, key_selector)
            key = KeySpec(selector=as_callable(key_selector, KeySelector))
        partitioning = Partitioning(Partition.HASH, key=key, location=user_location())
        moved = self._partitioned(partitioning)
        declared = key_type if isinstance(key_type, TypeInformation) else None
        return KeyedStream(self._env, moved._upstreams, self, key, declared, self._type_info)

    def _column_name(self, method: str, value: Any) -> str:
        if isinstance(value, Column):
            return value.name
        return str(check_instance(method, "column names", value, str))

    def _column_key(self, names: list[str]) -> KeySpec:
        if self.schema is None:
            return KeySpec(selector=FieldKeySelector(tuple(names)))
        for name in names:
            resolve_column(name, self.schema, stream=self._stream_name(), location=user_location())
        return KeySpec(columns=tuple(names))

    # ----------------------------------------------------------------------------- several streams

    def union(self, *streams: DataStream) -> DataStream:
        """One stream of the records of all; of columns, they must have the same.

        Raises:
            SchemaConflictError: names the difference.
        """
        joined = self._upstreams
        for stream in streams:
            check_instance("union", "DataStreams", stream, DataStream)
            if stream._env is not self._env:
                msg = "union: the streams belong to different environments"
                raise JobBuildError(msg, location=user_location())
            check_same_schema(self.schema, stream.schema)
            joined = (*joined, *stream._upstreams)
        return DataStream(self._env, joined, self._type_info)

    @overload
    def connect(self, ds: DataStream) -> ConnectedStreams: ...

    @overload
    def connect(self, ds: BroadcastStream) -> BroadcastConnectedStream: ...

    def connect(
        self, ds: DataStream | BroadcastStream
    ) -> ConnectedStreams | BroadcastConnectedStream:
        """This stream and another of any type, before one operator with a function for each.

        Args:
            ds: a stream, or the result of ``broadcast(descriptor)``.
        """
        from lesto.client.datastream.broadcast_stream import (
            BroadcastConnectedStream,
            BroadcastStream,
        )
        from lesto.client.datastream.connected_streams import ConnectedStreams

        if isinstance(ds, BroadcastStream):
            return BroadcastConnectedStream(self, ds, ds.broadcast_state_descriptors)
        return ConnectedStreams(self, ds)

    def window_all(self, window_assigner: WindowAssigner[Any, Any]) -> AllWindowedStream:
        """Cut the whole stream into windows; one subtask computes them."""
        from lesto.client.datastream.windowed_stream import AllWindowedStream

        check_instance("window_all", "a WindowAssigner", window_assigner, WindowAssigner)
        return AllWindowedStream(self, window_assigner)

    def count_window_all(self, size: int, slide: int = 0) -> AllWindowedStream:
        """Windows of ``size`` records, or every ``slide`` records of the last ``size``."""
        from lesto.client.datastream.windowed_stream import count_assigner

        return self.window_all(count_assigner("count_window_all", size, slide))

    def join(self, other_stream: DataStream) -> JoinedStreams:
        """Pairs of records of two streams with the same key in the same window.

        ``a.join(b).where(key_a).equal_to(key_b).window(assigner).apply(function)``
        """
        from lesto.client.datastream.joined_streams import JoinedStreams

        return JoinedStreams(self, check_instance("join", "a DataStream", other_stream, DataStream))

    def co_group(self, other_stream: DataStream) -> CoGroupedStreams:
        """The two groups of records of two streams with the same key in the same window.

        ``a.co_group(b).where(key_a).equal_to(key_b).window(assigner).apply(function)``
        """
        from lesto.client.datastream.joined_streams import CoGroupedStreams

        other = check_instance("co_group", "a DataStream", other_stream, DataStream)
        return CoGroupedStreams(self, other)

    def full_window_partition(self) -> PartitionWindowedStream:
        """All records of each subtask, or of a keyed stream of each key, when the input has ended.

        For bounded input.
        """
        from lesto.client.datastream.partition_windowed_stream import PartitionWindowedStream

        return PartitionWindowedStream(self)

    def cache(self) -> Any:
        """Not supported: jobs share no intermediate results."""
        unsupported("DataStream.cache", "write the stream to files and read them")

    def get_side_output(self, output_tag: OutputTag) -> DataStream:
        """The side output of this operator under a tag."""
        check_instance("get_side_output", "an OutputTag", output_tag, OutputTag)
        node = self._own_node("get_side_output")
        schema = output_schema("get_side_output", single_type(output_tag))
        side = Upstream(node, side_tag=output_tag.tag_id, schema=schema)
        return DataStream(self._env, (side,), single_type(output_tag))

    def with_dead_letter(self, destination: OutputTag | Sink) -> DataStream:
        """Set aside the records that this operator's function raises on, instead of failing.

        A dead letter is a ``Row(record, error, operator, location, timestamp)``. Belongs behind
        ``map``, ``filter``, ``flat_map`` and ``process``. What a keyed function had changed in
        state before it raised stays. An ``OSError`` still fails the job and is tried again.

        Args:
            destination: a side output to be read with ``get_side_output``, or a sink.

        Raises:
            JobBuildError: the operator before has no function that takes records one by one.
        """
        node = self._own_node("with_dead_letter")
        if node.label not in DEAD_LETTER_LABELS or not node.user_functions:
            msg = f"with_dead_letter belongs behind a function of records; '{node.name}' is none"
            raise JobBuildError(
                msg,
                remedy="call it right behind map, filter, flat_map or process",
                location=user_location(),
            )
        tag = OutputTag(DEAD_LETTER_TAG) if isinstance(destination, Sink) else destination
        check_instance("with_dead_letter", "an OutputTag or a Sink", tag, OutputTag)
        node.factory = operators.dead_letters(node.factory, tag.tag_id)
        if isinstance(destination, Sink):
            letters = self.get_side_output(tag)
            letters.sink_to(destination).name(f"{node.name} (dead letters)")
        return self

    # -------------------------------------------------------------------------------------- output

    def sink_to(self, sink: Sink) -> DataStreamSink:
        """Write to a sink."""
        check_instance("sink_to", "a Sink", sink, Sink)
        if sink.input_form is Form.COLUMNAR and any(up.schema is None for up in self._upstreams):
            require_schema(f"sink_to({type(sink).__name__})", None)
        return self._sink(sink, "Sink", ())

    def add_sink(self, sink_func: Any) -> DataStreamSink:
        """Flink's old name of ``sink_to``; takes a Sink, as ``JdbcSink.sink(...)`` is one."""
        if isinstance(sink_func, Sink):
            return self.sink_to(sink_func)
        unsupported("DataStream.add_sink (SinkFunction)", "use sink_to with a Sink")

    def print(self, sink_identifier: str | None = None) -> DataStreamSink:
        """Write each record to the standard output of its slot."""
        from lesto.connectors.console import PrintSink

        if sink_identifier is not None:
            check_instance("print", "a text", sink_identifier, str)
        return self._sink(PrintSink(sink_identifier or ""), "Print to Std. Out", ())

    def _sink(self, sink: Sink, label: str, functions: tuple[Any, ...]) -> DataStreamSink:
        node = self._env._add_node(
            kind=Kind.SINK,
            label=f"{label}: {type(sink).__name__}" if label == "Sink" else label,
            factory=operators.sink(sink),
            inputs=self._upstreams,
            user_functions=functions or (sink,),
            location=user_location(),
        )
        return DataStreamSink(self._env, node)

    def execute_and_collect(
        self, job_execution_name: str | None = None, limit: int | None = None
    ) -> CloseableIterator | list[Any]:
        """Run the job and give this stream's records: an iterator, or with ``limit`` a list.

        A record is given once its checkpoint is complete, so failures neither lose nor repeat any.
        Close the iterator (or use ``with``) to cancel a job that has not ended.
        """
        from lesto.client.results import collect

        if limit is not None and (not is_a(limit, int) or limit <= 0):
            wrong("execute_and_collect", "a positive limit", limit)
        from lesto.connectors.memory.collect import CollectSink

        sink = self._sink(CollectSink(), "Collect", ())
        rows = collect(self._env, sink._node, job_execution_name)
        if limit is None:
            return rows
        with rows:
            return [row for row, _ in zip(rows, range(limit), strict=False)]

    def collect_async(self) -> AsyncRecords:
        """This stream's records, of the job that the environment's next ``execute`` runs.

        Several streams of one job may be collected. Iterate over the result after ``execute_async``
        (``execute`` ends before); closing it leaves the job alone.
        """
        from lesto.client.results import AsyncRecords
        from lesto.connectors.memory.collect import CollectSink

        sink = self._sink(CollectSink(), "Collect", ())
        records = AsyncRecords()
        self._env._collecting.append((sink._node, records))
        return records

    # ------------------------------------------------------------------------------------- details

    def _stream_name(self) -> str:
        return self._upstreams[0].node.name


class DataStreamSink(NodeSettings):
    """The end of a stream."""

    def __init__(self, env: StreamExecutionEnvironment, node: Transformation) -> None:
        self._env = env
        self._node = node

    def _own_node(self, method: str) -> Transformation:
        return self._node
