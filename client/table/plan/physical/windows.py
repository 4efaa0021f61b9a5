"""Rules of windows: window functions, aggregation, Top-N, deduplication and joins by window."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pyarrow as pa

from lesto.client.table.errors import UnsupportedSqlError
from lesto.client.table.plan import logical as p
from lesto.client.table.plan.physical.joins import comparable, keys_of
from lesto.client.table.plan.physical.streams import (
    FORWARD,
    PhysicalStream,
    hashed,
    physical_schema,
)
from lesto.client.table.plan.physical.translator import Translator, translates
from lesto.client.table.plan.schema import TimeKind
from lesto.sql.rewrite import conjunction, is_true
from lesto.sql.types import TypeRoot

_INSERT = frozenset({"I"})


def _spec(window: p.Window) -> Any:
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
    return _with_windows(t, node, t.input(node.input))


def _with_windows(t: Translator, node: p.WindowTvf, source: PhysicalStream) -> PhysicalStream:
    args = (_spec(node.window), physical_schema(node.schema), _zoned(node.input, node.window))
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

    source, keys, window = t.input(node.input), node.keys, node.window
    zoned = _zoned_columns(node)
    columns = None
    if node.columns is not None:
        _check_event_time("WindowAggregate of window columns", node.columns)
        columns = (node.columns.start, node.columns.end)
    session = columns is None and window.kind is p.WindowKind.SESSION
    if session and not node.legacy and (node.sets or set(window.keys) != set(keys)):
        # Sessions of other keys than the groups': the groups are of rows with their sessions.
        width = len(node.input.schema)
        _check_event_time(
            "WindowAggregate of sessions with other keys",
            p.WindowColumns(window, width, width + 1, width + 2),
        )
        source = _with_windows(t, p.WindowTvf(node.input, window), source)
        columns, session = (width, width + 1), False
    if node.sets:
        source, keys = _expanded(t, node, source)
    calls = tuple(
        CallSpec(c.function, c.args, c.type, c.distinct, c.condition, c.user) for c in node.calls
    )
    properties = tuple(what for _, what in node.properties)
    retracting = t.kinds(node.input) != _INSERT
    plan = AggregatePlan(_spec(window), keys, calls, properties, columns, node.sets, retracting)
    first = None if session else _first_phase(t, node, plan, source, zoned)
    if first is not None:
        source, keys = first, tuple(range(len(keys)))
        plan = replace(plan, keys=keys)
    module = "sessions:SessionAggregateOperator" if session else "aggregate:WindowAggregateOperator"
    return t.add(
        node,
        "GroupWindowAggregate" if node.legacy else "WindowAggregate",
        f"window_{module}",
        (plan, physical_schema(node.schema), zoned, *([True] if first is not None else [])),
        [(source, hashed(keys if columns is None else (*keys, columns[0])))],
        user_functions=[c.user for c in node.calls if c.user is not None],
    )


def _first_phase(
    t: Translator, node: p.WindowAggregate, plan: Any, source: PhysicalStream, zoned: bool
) -> PhysicalStream | None:
    """Rows folded by slice before they are sent by key; None where that is not wanted."""
    from lesto.taskmanager.operators.sql.window_local import partial_schema

    wanted = t.settings.get("table.optimizer.agg-phase-strategy", "AUTO").upper()
    alone = (source.parallelism or t.env.get_parallelism()) == 1
    if wanted == "ONE_PHASE" or (wanted == "AUTO" and alone):
        return None
    schema = partial_schema(plan, source.schema)
    if schema is None:
        return None
    label, operator = "LocalWindowAggregate", "window_local:WindowLocalOperator"
    return t.add(node, label, operator, (plan, schema, zoned), [(source, FORWARD)], schema)


def _zoned_columns(node: p.WindowAggregate) -> bool:
    if node.columns is None:
        return _zoned(node.input, node.window)
    return _given_zoned(node.input, node.columns)


def _given_zoned(node: p.Node, columns: p.WindowColumns) -> bool:
    """Whether windows that columns say are those of instants."""
    if columns.window.time_kind is TimeKind.PROCTIME:
        return True
    if columns.time >= 0:
        return node.schema[columns.time].type.root is TypeRoot.TIMESTAMP_LTZ
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


# ---------------------------------------------------------------------- rows with their windows


def window_rank(t: Translator, node: p.Rank) -> PhysicalStream:
    """The first rows of each partition and window."""
    from lesto.taskmanager.operators.sql.sort_order import Order
    from lesto.taskmanager.operators.sql.window_rank import RankPlan

    assert node.window is not None
    orders = tuple(Order(k.index, k.descending, k.nulls_come_first) for k in node.order)
    plan = RankPlan(
        node.function,
        node.partition,
        orders,
        node.start,
        node.end,
        node.window.end,
        bool(node.rank_name),
    )
    return _ranked(t, node, "WindowRank", plan, node.window)


def window_deduplicate(t: Translator, node: p.Deduplicate) -> PhysicalStream:
    """The first or last row of each key and window."""
    from lesto.taskmanager.operators.sql.sort_order import Order
    from lesto.taskmanager.operators.sql.window_rank import RankPlan

    assert node.window is not None
    order = Order(node.time, node.last, nulls_first=not node.last)
    plan = RankPlan(
        "ROW_NUMBER", node.keys, (order,), 1, 1, node.window.end, last_of_ties=node.last
    )
    return _ranked(t, node, "WindowDeduplicate", plan, node.window)


def _ranked(
    t: Translator, node: p.Rank | p.Deduplicate, label: str, plan: Any, window: p.WindowColumns
) -> PhysicalStream:
    _check_event_time(label, window)
    args = (plan, physical_schema(node.schema), _given_zoned(node.input, window))
    source = t.input(node.input)
    operator = "window_rank:WindowRankOperator"
    return t.add(node, label, operator, args, [(source, hashed(plan.partition))])


@translates(p.WindowJoin)
def window_join(t: Translator, node: p.WindowJoin) -> PhysicalStream:
    """Rows of both sides in the same window."""
    from lesto.taskmanager.operators.sql.window_join import WindowSide

    _check_event_time("WindowJoin", node.left_window)
    pairs, rest = keys_of(node.condition, len(node.left.schema), node)
    left, right, pairs = comparable(t, node, pairs)
    sides = tuple(
        WindowSide(tuple(keys), window.start, window.end, len(child.schema))
        for keys, window, child in (
            ([a for a, _ in pairs], node.left_window, node.left),
            ([b for _, b in pairs], node.right_window, node.right),
        )
    )
    condition = conjunction(rest)
    schema = physical_schema(node.schema)
    zoned = _given_zoned(node.left, node.left_window)
    args = (node.kind.value, sides, None if is_true(condition) else condition, schema, zoned)
    inputs = [(left, hashed(sides[0].placed)), (right, hashed(sides[1].placed))]
    return t.add(node, "WindowJoin", "window_join:WindowJoinOperator", args, inputs)


def _check_event_time(what: str, window: p.WindowColumns) -> None:
    if window.window.time_kind is TimeKind.PROCTIME:
        msg = (
            f"{what} waits for windows of event time to end, and these windows are of processing"
            " time"
        )
        raise UnsupportedSqlError(
            msg, remedy="window by a column with a WATERMARK, or aggregate by processing time first"
        )
