"""Tables behind connectors: what a scan asks of a source, and what a sink gets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from lesto.client.datastream import operators
from lesto.client.datastream.location import user_location
from lesto.client.datastream.transformations import Kind
from lesto.client.table.catalog.objects import CatalogTable, TableColumn
from lesto.client.table.errors import UnsupportedSqlError
from lesto.client.table.plan import logical as p
from lesto.client.table.plan.physical.streams import FORWARD, PhysicalStream, hashed
from lesto.client.table.plan.physical.translator import Translator, follows_one
from lesto.common.watermarks import WatermarkStrategy
from lesto.connectors.tables.factory import connector, table_sink, table_source
from lesto.connectors.tables.requests import ScanRequest, SinkRequest, TableField
from lesto.sql.evaluator import is_deterministic
from lesto.sql.event_times import WatermarkTimes
from lesto.sql.expressions import Expression, InputRef
from lesto.sql.rewrite import replace_refs

_NOT_NULL: Final = "table.exec.sink.not-null-enforcer"


def table_fields(columns: Sequence[TableColumn]) -> tuple[TableField, ...]:
    """Columns as connectors know them."""
    return tuple(
        TableField(c.name, c.type, (c.metadata or c.name) if c.kind == "metadata" else "")
        for c in columns
    )


def scan_request(t: Translator, node: p.Scan) -> ScanRequest:
    """What a scan asks of its connector."""
    table = node.table
    return ScanRequest(
        options={**dict(table.options), **dict(node.options)},
        columns=table_fields(table.read_columns()),
        projection=node.columns,
        nested=t.nested(node),
        filters=node.filters,
        time_zone=t.sql_context.time_zone,
        bounded=t.batch,
        primary_key=table.primary_key,
        partition_keys=table.partition_keys,
        source=table.source,
        table=".".join(node.path),
    )


def split_watermarks(t: Translator, node: p.Watermark) -> tuple[p.Scan, WatermarkStrategy] | None:
    """Watermarks of each split, where they are made right behind a source with several."""
    project = node.input if isinstance(node.input, p.Project) else None
    below = node.input if project is None else project.input
    if not isinstance(below, p.Scan) or below.table.source is not None or t.is_normalized(below):
        return None
    if not connector(below.table.connector, ".".join(below.path)).split_watermarks:
        return None
    column = node.schema[node.column]
    time: Expression = InputRef(node.column, column.type, column.name)
    mark = node.expression
    if project is not None:
        time, mark = (replace_refs(e, project.expressions) for e in (time, mark))
    if not (is_deterministic(time) and is_deterministic(mark)):
        return None
    times: Any = WatermarkTimes(time, mark, column.name, t.sql_context.time_zone)
    # A watermark is what the expression says, not a millisecond less.
    return below, WatermarkStrategy(out_of_orderness_ms=-1, timestamp_assigner=times)


def connector_scan(
    t: Translator, node: p.Scan, strategy: WatermarkStrategy | None = None
) -> PhysicalStream:
    """Reads a table by its connector."""
    request = scan_request(t, node)
    found = table_source(_connector(node.table, request.table), request)
    source = found.source
    strategy = strategy or WatermarkStrategy.no_watermarks()
    stream = t.env._source(source, strategy, request.table, source.schema, None)
    made = stream._upstreams[0].node
    if found.parallelism is not None:
        made.parallelism, made.parallelism_fixed = found.parallelism, True
    return t.stream_of(made)


def connector_sink(t: Translator, node: p.Sink, stream: PhysicalStream) -> PhysicalStream:
    """Writes a table by its connector."""
    table = node.table
    columns = table.written_columns()
    names = [c.name for c in columns]
    kinds = t.kinds(node.input)
    request = SinkRequest(
        options={**dict(table.options), **dict(node.options)},
        columns=table_fields(columns),
        primary_key=tuple(names.index(k) for k in table.primary_key),
        partition_keys=tuple(names.index(k) for k in table.partition_keys),
        kinds=kinds,
        overwrite=node.overwrite,
        time_zone=t.sql_context.time_zone,
        bounded=t.batch,
        table=".".join(node.path),
    )
    found = table_sink(_connector(table, request.table), request)
    stream = _enforced(t, node, stream)
    spread = hashed(found.shuffle) if found.shuffle else FORWARD
    parallelism = stream.parallelism if found.parallelism is None else found.parallelism
    if parallelism != stream.parallelism and kinds != frozenset({"I"}):
        # The changes of one row must not overtake each other.
        spread = hashed(request.primary_key or range(len(columns)))
    made = t.env._add_node(
        kind=Kind.SINK,
        label=f"Sink: {request.table}",
        factory=operators.sink(found.sink),
        inputs=stream.spread(spread),
        user_functions=(found.sink,),
        location=user_location(),
        description=f"Sink({node.detail})",
        parallelism=parallelism,
        parallelism_fixed=parallelism is not None,
        max_parallelism=1 if parallelism == 1 and follows_one([(stream, spread)]) else None,
    )
    return PhysicalStream(stream.upstreams, stream.schema, made.parallelism)


def _enforced(t: Translator, node: p.Sink, stream: PhysicalStream) -> PhysicalStream:
    """NULL in a NOT NULL column is an error, or its row is dropped."""
    targets = node.table.written_columns()
    checked = tuple(
        (i, target.name)
        for i, (target, given) in enumerate(zip(targets, node.input.schema, strict=True))
        if not target.type.nullable and given.type.nullable
    )
    if not checked:
        return stream
    drop = t.settings.get(_NOT_NULL, "ERROR").upper() == "DROP"
    return t.add(
        node,
        "Constraint Enforcer",
        "constraints:NotNullOperator",
        (checked, ".".join(node.path), drop),
        [(stream, FORWARD)],
        stream.schema,
    )


def _connector(table: CatalogTable, name: str) -> str:
    if not table.connector:
        msg = f"table {name} has no connector, so there is nothing to read or write"
        raise UnsupportedSqlError(msg, remedy="add WITH ('connector' = '...')")
    return table.connector
