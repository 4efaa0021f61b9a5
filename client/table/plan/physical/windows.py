"""Rules of windows: window functions, aggregation, Top-N, deduplication and joins by window."""

from __future__ import annotations

import pyarrow as pa

from lesto.client.table.plan import logical as p
from lesto.client.table.plan.physical.streams import (
    FORWARD,
    PhysicalStream,
    hashed,
    physical_schema,
)
from lesto.client.table.plan.physical.translator import Translator, translates
from lesto.client.table.plan.schema import TimeKind
from lesto.sql.types import TypeRoot

_INSERT = frozenset({"I"})


def _spec(window: p.Window) -> object:
    from lesto.taskmanager.operators.sql.window_shapes import WindowSpec

    return WindowSpec(
        window.kind.value,
        window.time,
        window.time_kind is TimeKind.ROWTIME,
        window.size_ms,
        window.slide_ms,
        window.offset_ms,
        window.keys,
    )


def _zoned(node: p.Node, window: p.Window) -> bool:
    """Whether a window's time is that of instants, cut in the session's zone."""
    if window.time_kind is TimeKind.PROCTIME:
        return True
    return node.schema[window.time].type.root is TypeRoot.TIMESTAMP_LTZ


@translates(p.WindowTvf)
def window_function(t: Translator, node: p.WindowTvf) -> PhysicalStream:
    """Rows with their windows."""
    source = t.input(node.input)
    schema = physical_schema(node.schema)
    args = (_spec(node.window), schema, _zoned(node.input, node.window))
    if node.window.kind is p.WindowKind.SESSION:
        inputs = [(source, hashed(node.window.keys))]
        return t.add(node, "SessionWindows", "window_sessions:SessionTvfOperator", args, inputs)
    inputs = [(source, FORWARD)]
    return t.add(node, "WindowTableFunction", "window_tvf:WindowTvfOperator", args, inputs)


@translates(p.WindowAggregate)
def window_aggregate(t: Translator, node: p.WindowAggregate) -> PhysicalStream:
    """One result a group and window."""
    from lesto.taskmanager.operators.sql.window_aggregate import AggregatePlan
    from lesto.taskmanager.operators.sql.window_arguments import CallSpec

    source, keys = t.input(node.input), node.keys
    if node.sets:
        source, keys = _expanded(t, node, source)
    columns = None if node.columns is None else (node.columns.start, node.columns.end)
    plan = AggregatePlan(
        _spec(node.window),
        keys,
        tuple(
            CallSpec(c.function, c.args, c.type, c.distinct, c.condition, c.user)
            for c in node.calls
        ),
        tuple(what for _, what in node.properties),
        columns,
        node.sets,
        t.kinds(node.input) != _INSERT,
    )
    schema = physical_schema(node.schema)
    users = [c.user for c in node.calls if c.user is not None]
    args = (plan, schema, _zoned_columns(node))
    operator = "window_aggregate:WindowAggregateOperator"
    placed = keys if columns is None else (*keys, columns[0])
    if columns is None and node.window.kind is p.WindowKind.SESSION:
        operator = "window_sessions:SessionAggregateOperator"
    return t.add(
        node,
        "GroupWindowAggregate" if node.legacy else "WindowAggregate",
        operator,
        args,
        [(source, hashed(placed))],
        schema,
        user_functions=users,
    )


def _zoned_columns(node: p.WindowAggregate) -> bool:
    if node.columns is None:
        return _zoned(node.input, node.window)
    if node.window.time_kind is TimeKind.PROCTIME:
        return True
    at = node.columns.time
    if at >= 0:
        return node.input.schema[at].type.root is TypeRoot.TIMESTAMP_LTZ
    return _below_zoned(node.input)


def _below_zoned(node: p.Node) -> bool:
    """Whether the window function below is over TIMESTAMP_LTZ."""
    for below in p.walk(node):
        if isinstance(below, p.WindowTvf):
            return _zoned(below.input, below.window)
        if isinstance(below, p.WindowAggregate) and below.columns is None:
            return _zoned(below.input, below.window)
    return False


def _expanded(
    t: Translator, node: p.WindowAggregate, source: PhysicalStream
) -> tuple[PhysicalStream, tuple[int, ...]]:
    width = len(source.schema)
    fields = list(source.schema)
    fields += [source.schema.field(k).with_name(f"$g{i}") for i, k in enumerate(node.keys)]
    fields.append(pa.field("$set", pa.int32()))
    schema = pa.schema(fields)
    expanded = t.add(
        node,
        "Expand",
        "window_expand:WindowExpandOperator",
        (node.keys, node.sets, schema),
        [(source, FORWARD)],
        schema,
    )
    return expanded, tuple(range(width, width + len(node.keys) + 1))
