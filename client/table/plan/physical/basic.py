"""Rules of what only computes, reads or writes: Scan, Values, Project, Filter, Watermark, UNION
ALL, Sink.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Final, Protocol, runtime_checkable

import pyarrow as pa

from lesto.client.table.errors import UnsupportedSqlError
from lesto.client.table.plan import logical as p
from lesto.client.table.plan.physical.scans import (
    connector_scan,
    connector_sink,
    split_watermarks,
)
from lesto.client.table.plan.physical.streams import (
    FORWARD,
    SINGLE,
    PhysicalStream,
    physical_schema,
)
from lesto.client.table.plan.physical.translator import Translator, translates
from lesto.common.option_types import parse_duration
from lesto.common.source import Source
from lesto.common.watermarks import WatermarkStrategy
from lesto.sql.evaluator import evaluate_constant
from lesto.sql.expressions import Call, Expression, InputRef
from lesto.sql.values import EvaluationContext

_MILLISECOND: Final = timedelta(milliseconds=1)


@runtime_checkable
class BoundSource(Protocol):
    """A Python object behind a table that knows how to become a stream."""

    def stream(self, t: Translator, node: p.Scan) -> PhysicalStream:
        """Columns of the node's schema."""
        ...


def calc(
    t: Translator,
    node: p.Node,
    source: PhysicalStream,
    expressions: tuple[Expression, ...] | None,
    condition: Expression | None = None,
    schema: pa.Schema | None = None,
) -> PhysicalStream:
    """Filter and compute; nothing is added where nothing is to be done."""
    schema = schema or physical_schema(node.schema)
    passed = expressions is None or (
        len(expressions) == len(source.schema)
        and all(isinstance(e, InputRef) and e.index == i for i, e in enumerate(expressions))
    )
    if passed and condition is None and schema.names == source.schema.names:
        return source
    return t.add(
        node,
        "Calc",
        "calc:CalcOperator",
        (expressions, schema, condition),
        [(source, FORWARD)],
        schema,
    )


@translates(p.Project)
def project(t: Translator, node: p.Project) -> PhysicalStream:
    """Computes columns; a filter below becomes part of it."""
    below: p.Node = node.input
    condition = None
    if isinstance(below, p.Filter):
        condition, below = below.condition, below.input
    return calc(t, node, t.input(below), node.expressions, condition)


@translates(p.Filter)
def filtered(t: Translator, node: p.Filter) -> PhysicalStream:
    """Keeps rows."""
    return calc(t, node, t.input(node.input), None, node.condition)


@translates(p.Values)
def values(t: Translator, node: p.Values) -> PhysicalStream:
    """Constant rows, computed when the job is built."""
    from lesto.connectors.memory.collection import ArrowSource

    schema = physical_schema(node.schema)
    context = EvaluationContext(t.sql_context.time_zone)
    if node.schema:
        columns = [
            pa.concat_arrays([evaluate_constant(row[i], context) for row in node.rows])
            if node.rows
            else pa.array([], field.type)
            for i, field in enumerate(schema)
        ]
    else:
        columns = [pa.array([0] * len(node.rows), pa.int8())]
    source = ArrowSource(pa.Table.from_arrays(columns, schema=schema))
    return source_stream(t, "Values", source, parallelism=1)


def source_stream(
    t: Translator, name: str, source: Source, parallelism: int | None = None
) -> PhysicalStream:
    """The batches of a source."""
    if source.schema is None:
        msg = f"the source of {name} has no columns"
        raise UnsupportedSqlError(msg, remedy="give it a schema")
    strategy = WatermarkStrategy.no_watermarks()
    stream = t.env._source(source, strategy, name, source.schema, None)
    node = stream._upstreams[0].node
    if parallelism is not None:
        node.parallelism, node.parallelism_fixed = parallelism, True
    return t.stream_of(node)


@translates(p.Scan)
def scan(t: Translator, node: p.Scan) -> PhysicalStream:
    """Reads a table."""
    behind = node.table.source
    if isinstance(behind, BoundSource):
        found = behind.stream(t, node)
    elif isinstance(behind, Source):
        whole = source_stream(t, ".".join(node.path), behind)
        picked = tuple(
            InputRef(at, node.schema[i].type, node.schema[i].name)
            for i, at in enumerate(node.columns)
        )
        found = calc(t, node, whole, picked)
    else:
        found = connector_scan(t, node)
    if t.is_normalized(node):
        from lesto.client.table.plan.physical.ranks import normalized

        key = next(iter(node.unique_keys))
        found = normalized(t, found, tuple(sorted(key)), node)
        return found
    return without_update_before(t, node, found)


def without_update_before(t: Translator, node: p.Scan, found: PhysicalStream) -> PhysicalStream:
    """The rows without those from before an update, where nobody behind the scan needs them."""
    if "UB" in node.table.source_kinds() and "UB" not in t.kinds(node):
        return t.add(node, "Drop Update Before", "kinds:DropUpdateBefore", (), [(found, FORWARD)])
    return found


@translates(p.Watermark)
def watermark(t: Translator, node: p.Watermark) -> PhysicalStream:
    """Makes event time follow a column; of a stream with watermarks nothing is to be done.

    Nor is it of bounded input: there nothing is late, and event time has but an end.
    """
    marked = isinstance(node.expression, Call) and node.expression.function == "SOURCE_WATERMARK"
    if marked or t.batch:
        return t.input(node.input)
    idle = t.settings.get("table.exec.source.idle-timeout")
    idle_ms = None
    if idle is not None:
        idle_ms = parse_duration(idle) // _MILLISECOND or None
    found = split_watermarks(t, node)
    if found is not None:
        below, strategy = found
        if idle_ms is not None:
            strategy = replace(strategy, idle_timeout_ms=idle_ms)
        stream = without_update_before(t, below, connector_scan(t, below, strategy))
        computed = node.input.expressions if isinstance(node.input, p.Project) else None
        return calc(t, node, stream, computed)
    return t.add(
        node,
        "Watermark",
        "watermarks:WatermarkOperator",
        (node.column, node.expression, node.schema[node.column].name, idle_ms),
        [(t.input(node.input), FORWARD)],
    )


@translates(p.SetOp)
def set_operation(t: Translator, node: p.SetOp) -> PhysicalStream:
    """UNION ALL merges streams; all others keep state."""
    if node.kind is not p.SetKind.UNION or not node.every:
        from lesto.client.table.plan.physical.joins import distinct_set_operation

        return distinct_set_operation(t, node)
    schema = physical_schema(node.schema)
    streams = [calc(t, node, t.input(source), None, schema=schema) for source in node.sources]
    degrees = {stream.parallelism for stream in streams}
    if len(degrees) > 1 and t.kinds(node) != frozenset({"I"}):
        # Among subtasks of another number the changes of one row would lose their order.
        streams = [
            t.add(
                node,
                "Gather",
                "calc:CalcOperator",
                (None, schema),
                [(s, SINGLE)],
                schema,
                keyed=False,
            )
            for s in streams
        ]
        degrees = {1}
    upstreams = tuple(up for stream in streams for up in stream.upstreams)
    return PhysicalStream(upstreams, schema, degrees.pop() if len(degrees) == 1 else None)


@translates(p.Sink)
def sink(t: Translator, node: p.Sink) -> PhysicalStream:
    """Writes a table."""
    stream = t.input(node.input)
    if t.is_materialized(node):
        from lesto.client.table.plan.physical.ranks import materialized

        names = [c.name for c in node.table.written_columns()]
        key = tuple(names.index(k) for k in node.table.primary_key)
        stream = materialized(t, stream, key, node)
    return connector_sink(t, node, stream)


def changelog_rows(t: Translator, node: p.Node, stream: PhysicalStream) -> PhysicalStream:
    """The rows with their kinds as a column in front: for who reads them outside SQL."""
    from lesto.taskmanager.operators.sql.kinds import KIND_COLUMN

    schema = pa.schema([pa.field(KIND_COLUMN, pa.int8()), *stream.schema])
    return t.add(node, "Changelog", "kinds:KindColumnOperator", (), [(stream, FORWARD)], schema)
