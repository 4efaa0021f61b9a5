"""Leaves out columns that nothing needs.

What a plan reads several times (a scan, or the watermarks over one) is given the columns that all
its readers need, so that it stays one sub-plan and is carried out once.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

from lesto.client.table.plan import logical as p
from lesto.sql import types as t
from lesto.sql.expressions import Call, Expression, InputRef
from lesto.sql.rewrite import conjunction, input_refs, remap_refs

#: Columns that the readers of a scan or of watermarks need.
_Shared = dict[p.Node, set[int]]


def pruned_together(nodes: Sequence[p.Node]) -> list[p.Node]:
    """Plans that are carried out together, with all their columns in their order, pruned below."""
    nodes = _same_scans(nodes)
    shared: _Shared = defaultdict(set)
    for node in nodes:
        pruned_input(node, shared)
    return [pruned_input(node, shared) for node in nodes]


def _same_scans(nodes: Sequence[p.Node]) -> list[p.Node]:
    """Of a table that is read with different conditions, the rows that meet any are read once."""
    found: dict[object, dict[tuple[object, tuple[Expression, ...]], None]] = defaultdict(dict)
    for node in nodes:
        for x in p.walk(node):
            if isinstance(x, p.Scan):
                found[x.path, x.options][x.columns, x.filters] = None

    def change(x: p.Node) -> p.Node:
        if not isinstance(x, p.Scan) or len(found[x.path, x.options]) == 1:
            return x
        return replace(x, filters=_any_of(list(found[x.path, x.options])))

    return [p.transform(node, change) for node in nodes]


def _any_of(reads: Sequence[tuple[object, tuple[Expression, ...]]]) -> tuple[Expression, ...]:
    """What the rows meet of which one reader at least has use."""
    if len({columns for columns, _ in reads}) > 1 or not all(filters for _, filters in reads):
        return ()
    either = Call("OR", tuple(conjunction(filters) for _, filters in reads), t.BOOLEAN())
    return (either,)


def _narrow(node: p.Node, needed: set[int], shared: _Shared) -> tuple[p.Node, dict[int, int]]:
    """A node that gives at least some columns.

    Returns:
        The node, and where each of its columns that remain went.
    """
    if isinstance(node, (p.Scan, p.Watermark)):
        shared[node] |= needed
        needed = set(shared[node])
    match node:
        case p.Scan():
            reads = needed.union(_own_key(node), *(input_refs(e) for e in node.filters)) or {0}
            kept = [i for i in range(len(node.columns)) if i in reads]
            places = {i: at for at, i in enumerate(kept)}
            filters = tuple(remap_refs(e, places) for e in node.filters)
            columns = tuple(node.columns[i] for i in kept)
            return replace(node, columns=columns, filters=filters), places
        case p.Project():
            kept = [i for i in range(len(node.names)) if i in needed] or [0]
            values = [node.expressions[i] for i in kept]
            below, moved = _narrow(node.input, _refs(values), shared)
            names = tuple(node.names[i] for i in kept)
            found = p.Project(below, names, tuple(remap_refs(e, moved) for e in values))
            return found, {i: at for at, i in enumerate(kept)}
        case p.Filter():
            below, moved = _narrow(node.input, needed | input_refs(node.condition), shared)
            return p.Filter(below, remap_refs(node.condition, moved)), moved
        case p.Watermark():
            wanted = needed | {node.column} | input_refs(node.expression)
            below, moved = _narrow(node.input, wanted, shared)
            expression = remap_refs(node.expression, moved)
            return p.Watermark(below, moved[node.column], expression), moved
        case p.Join() | p.LookupJoin():
            return _narrow_join(node, needed, shared)
        case p.Aggregate():
            wanted = {*node.keys, *_call_refs(node.calls)}
            below, moved = _narrow(node.input, wanted, shared)
            keys = tuple(moved[k] for k in node.keys)
            calls = tuple(_moved_call(c, moved) for c in node.calls)
            return replace(node, input=below, keys=keys, calls=calls), _same(node)
        case p.WindowAggregate() if node.columns is None:
            window = node.window
            wanted = {*node.keys, *_call_refs(node.calls), window.time, *window.keys}
            below, moved = _narrow(node.input, wanted, shared)
            found_ = replace(
                node, input=below, keys=tuple(moved[k] for k in node.keys),
                calls=tuple(_moved_call(c, moved) for c in node.calls),
                window=_moved_window(window, moved),
            )  # fmt: skip
            return found_, _same(node)
        case p.WindowTvf():
            width = len(node.input.schema)
            wanted = {i for i in needed if i < width} | {node.window.time, *node.window.keys}
            below, moved = _narrow(node.input, wanted, shared)
            places = {**moved, **{width + i: len(below.schema) + i for i in range(3)}}
            return p.WindowTvf(below, _moved_window(node.window, moved)), places
        case _:
            return _narrow_below(node, shared)


def _own_key(node: p.Scan) -> set[int]:
    """The primary key of a source that upserts: without it nobody can tell what is replaced."""
    kinds = node.table.source_kinds()
    if "UB" in kinds or not kinds & {"UA", "D"}:
        return set()
    names = node.schema.names
    return {names.index(k) for k in node.table.primary_key if k in names}


def _narrow_below(node: p.Node, shared: _Shared) -> tuple[p.Node, dict[int, int]]:
    """A node that keeps all of its inputs' columns, in their places."""
    return p.with_inputs(node, [pruned_input(child, shared) for child in node.inputs]), _same(node)


def pruned_input(node: p.Node, shared: _Shared) -> p.Node:
    """A plan with all its columns in their order, pruned below."""
    found, places = _narrow(node, set(range(len(node.schema))), shared)
    order = [places[i] for i in range(len(node.schema))]
    if order == list(range(len(found.schema))):
        return found
    schema = found.schema
    refs = tuple(InputRef(i, schema[i].type, schema[i].name) for i in order)
    return p.Project(found, node.schema.names, refs)


def _narrow_join(
    node: p.Join | p.LookupJoin, needed: set[int], shared: _Shared
) -> tuple[p.Node, dict[int, int]]:
    width = len(node.left.schema)
    wanted = needed | input_refs(node.condition)
    left, left_moved = _narrow_to(node.left, {i for i in wanted if i < width}, shared)
    right, right_moved = _narrow_to(node.right, {i - width for i in wanted if i >= width}, shared)
    new = len(left.schema)
    places = {**left_moved, **{width + i: new + at for i, at in right_moved.items()}}
    found = replace(node, left=left, right=right, condition=remap_refs(node.condition, places))
    if len(found.schema) == new:
        places = left_moved
    return found, places


def _narrow_to(node: p.Node, wanted: set[int], shared: _Shared) -> tuple[p.Node, dict[int, int]]:
    """A node with no more columns than wanted: what a join keeps should be narrow."""
    if not wanted:
        wanted = {0}
    found, places = _narrow(node, wanted, shared)
    if len(found.schema) <= len(wanted) or isinstance(found, p.Scan):
        return found, places
    kept = sorted(wanted)
    schema = found.schema
    refs = tuple(InputRef(places[i], schema[places[i]].type, schema[places[i]].name) for i in kept)
    names = tuple(schema[places[i]].name for i in kept)
    return p.Project(found, names, refs), {i: at for at, i in enumerate(kept)}


def _same(node: p.Node) -> dict[int, int]:
    return {i: i for i in range(len(node.schema))}


def _refs(values: Sequence[Expression]) -> set[int]:
    return set().union(*(input_refs(e) for e in values)) if values else set()


def _call_refs(calls: Sequence[p.AggregateCall]) -> set[int]:
    parts = [a for c in calls for a in c.args]
    parts += [c.condition for c in calls if c.condition is not None]
    return _refs(parts)


def _moved_call(call: p.AggregateCall, places: dict[int, int]) -> p.AggregateCall:
    condition = None if call.condition is None else remap_refs(call.condition, places)
    return replace(call, args=tuple(remap_refs(a, places) for a in call.args), condition=condition)


def _moved_window(window: p.Window, places: dict[int, int]) -> p.Window:
    keys = tuple(places[k] for k in window.keys)
    return replace(window, time=places[window.time], keys=keys)
