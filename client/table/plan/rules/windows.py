"""Where relations have window columns; aggregation by them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from lesto.client.table.plan import logical as p
from lesto.sql.expressions import Expression, InputRef, Literal
from lesto.sql.rewrite import input_refs, remap_refs


def windowed(node: p.Node) -> p.WindowColumns | None:
    """Where a node's result has the columns of a window; None if it has none, or not both."""
    match node:
        case p.WindowTvf():
            width = len(node.input.schema)
            return p.WindowColumns(node.window, width, width + 1, width + 2)
        case p.WindowAggregate():
            first = len(node.keys) + len(node.calls)
            places = {what: first + i for i, (_, what) in enumerate(node.properties)}
            if "start" not in places or "end" not in places:
                return None
            time = places.get("rowtime", places.get("proctime", -1))
            return p.WindowColumns(node.window, places["start"], places["end"], time)
        case p.Project():
            below = windowed(node.input)
            if below is None:
                return None
            places_: dict[int, int] = {}
            for i, e in enumerate(node.expressions):
                if isinstance(e, InputRef):
                    places_.setdefault(e.index, i)
            return _moved(below, places_)
        case p.Filter() | p.Sort() | p.Over() | p.Correlate():
            return windowed(node.inputs[0])
        case p.Rank() | p.Deduplicate():
            return windowed(node.input) if node.window is not None else None
        case p.WindowJoin():
            return node.left_window
        case _:
            return None


def _moved(columns: p.WindowColumns, places: Mapping[int, int]) -> p.WindowColumns | None:
    if columns.start not in places or columns.end not in places:
        return None
    return p.WindowColumns(
        columns.window, places[columns.start], places[columns.end], places.get(columns.time, -1)
    )


def window_aggregate(node: p.Aggregate) -> p.Node:
    """An aggregate whose keys have window_start and window_end becomes a window aggregate."""
    columns = windowed(node.input)
    if columns is None or not {columns.start, columns.end} <= set(node.keys):
        return node
    kinds = {columns.start: "start", columns.end: "end", columns.time: _time_name(columns)}
    window_keys = [i for i, k in enumerate(node.keys) if k in kinds]
    plain = [i for i, k in enumerate(node.keys) if k not in kinds]
    if node.sets and any(i not in s for s in node.sets for i in window_keys):
        return node
    sets = tuple(tuple(plain.index(i) for i in s if i in plain) for s in node.sets)
    calls_ = tuple(_of_sets(c, plain) for c in node.calls)
    below = node.input.schema
    properties = tuple((below[node.keys[i]].name, kinds[node.keys[i]]) for i in window_keys)
    keys = tuple(node.keys[i] for i in plain)
    stripped = _stripped(node.input)
    built: p.WindowAggregate
    if stripped is None or any(_reads(c, set(kinds)) for c in node.calls):
        built = p.WindowAggregate(
            node.input, columns.window, keys, calls_, properties, columns, False, sets
        )
    else:
        source, places, window = stripped
        calls = tuple(_remapped(c, places) for c in calls_)
        built = p.WindowAggregate(
            source, window, tuple(places[k] for k in keys), calls, properties, None, False, sets
        )
    return _restored(node, built, plain, window_keys)


def _time_name(columns: p.WindowColumns) -> str:
    return columns.window.time_kind.value.lower()


def _restored(
    node: p.Aggregate, built: p.WindowAggregate, plain: list[int], window_keys: list[int]
) -> p.Node:
    """The columns in the order that the plain aggregate has them."""
    schema = built.schema
    order: list[int] = []
    for i in range(len(node.keys)):
        if i in plain:
            order.append(plain.index(i))
        else:
            order.append(len(plain) + len(node.calls) + window_keys.index(i))
    order += [len(plain) + i for i in range(len(node.calls))]
    if order == list(range(len(schema))):
        return built
    names = node.schema.names
    refs = tuple(InputRef(i, schema[i].type, schema[i].name) for i in order)
    return p.Project(built, names, refs)


def _of_sets(call: p.AggregateCall, plain: list[int]) -> p.AggregateCall:
    """GROUPING's arguments are keys by number: those of the window are in every set, -1."""
    if call.function not in {"GROUPING", "GROUPING_ID"}:
        return call
    args = tuple(
        replace(a, value=plain.index(a.value) if a.value in plain else -1)
        for a in call.args
        if isinstance(a, Literal)
    )
    return replace(call, args=args)


def _reads(call: p.AggregateCall, columns: set[int]) -> bool:
    parts = [*call.args, *([call.condition] if call.condition is not None else [])]
    return any(input_refs(e) & columns for e in parts)


def _remapped(call: p.AggregateCall, places: Mapping[int, int]) -> p.AggregateCall:
    condition = None if call.condition is None else remap_refs(call.condition, places)
    args = tuple(remap_refs(a, places) for a in call.args)
    return p.AggregateCall(
        call.name, call.function, args, call.type, call.distinct, condition, call.user
    )


def _stripped(node: p.Node) -> tuple[p.Node, dict[int, int], p.Window] | None:
    """What is below a window function, with the projections and filters above it.

    Returns:
        The node, where each column that is none of the window's went, and the window over it; None
        if something computes with window columns.
    """
    match node:
        case p.WindowTvf():
            places = {i: i for i in range(len(node.input.schema))}
            return node.input, places, node.window
        case p.Filter():
            below = _stripped(node.input)
            if below is None or not input_refs(node.condition) <= set(below[1]):
                return None
            return p.Filter(below[0], remap_refs(node.condition, below[1])), below[1], below[2]
        case p.Project():
            return _stripped_project(node)
        case _:
            return None


def _stripped_project(
    node: p.Project,
) -> tuple[p.Node, dict[int, int], p.Window] | None:
    below = _stripped(node.input)
    if below is None:
        return None
    source, places, window = below
    names: list[str] = []
    expressions: list[Expression] = []
    found: dict[int, int] = {}
    for i, (name, e) in enumerate(zip(node.names, node.expressions, strict=True)):
        if input_refs(e) <= set(places):
            found[i] = len(names)
            names.append(name)
            expressions.append(remap_refs(e, places))
        elif not isinstance(e, InputRef):
            return None
    needed = {window.time, *window.keys}
    where: dict[int, int] = {}
    for column in needed:
        at = next(
            (i for i, e in enumerate(expressions) if isinstance(e, InputRef) and e.index == column),
            -1,
        )
        if at < 0:
            at = len(names)
            below_column = source.schema[column]
            names.append(below_column.name)
            expressions.append(InputRef(column, below_column.type, below_column.name))
        where[column] = at
    moved = p.Window(
        window.kind, where[window.time], window.time_kind, window.size_ms, window.slide_ms,
        window.offset_ms, tuple(where[k] for k in window.keys),
    )  # fmt: skip
    return p.Project(source, tuple(names), tuple(expressions)), found, moved
