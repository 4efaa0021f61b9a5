"""Moves conditions and projections towards the scans."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from lesto.client.table.plan import logical as p
from lesto.client.table.plan.rules.joins import specialise
from lesto.sql.evaluator import is_deterministic
from lesto.sql.expressions import Call, Expression, InputRef, walk
from lesto.sql.rewrite import (
    conjunction,
    conjuncts,
    input_refs,
    is_true,
    remap_refs,
    replace_refs,
    shift_refs,
)


def filtered(node: p.Node, parts: Sequence[Expression]) -> p.Node:
    """The rows of a node that meet all conditions, filtered as far down as can be."""
    parts = [e for e in dict.fromkeys(parts) if not is_true(e)]
    if not parts:
        return node
    if any(_marked(e) or not is_deterministic(e) for e in parts):
        return p.Filter(node, conjunction(parts))
    match node:
        case p.Filter():
            return _above(node.input, [*conjuncts(node.condition), *parts])
        case p.Project():
            return _through_project(node, parts)
        case p.Join():
            return _into_join(node, parts)
        case p.IntervalJoin() | p.WindowJoin() | p.TemporalJoin() | p.LookupJoin():
            return _into_special_join(node, parts)
        case p.WindowTvf() if node.window.kind is not p.WindowKind.SESSION:
            return _split(node, parts, set(range(len(node.input.schema))))
        case p.Correlate():
            return _split(node, parts, set(range(len(node.input.schema))))
        case p.Aggregate() if not node.sets and node.keys:
            return _through_aggregate(node, parts)
        case p.SetOp(kind=p.SetKind.UNION):
            sources = tuple(filtered(s, parts) for s in node.sources)
            return replace(node, sources=sources)
        case p.Scan():
            known = tuple(dict.fromkeys((*node.filters, *parts)))
            return p.Filter(replace(node, filters=known), conjunction(parts))
        case _:
            return p.Filter(node, conjunction(parts))


def _marked(e: Expression) -> bool:
    return any(isinstance(x, Call) and x.function == "$OUTER" for x in walk(e))


def _above(node: p.Node, parts: list[Expression]) -> p.Node:
    if any(_marked(e) for e in parts):
        return p.Filter(node, conjunction(parts))
    return filtered(node, parts)


def _through_project(node: p.Project, parts: Sequence[Expression]) -> p.Node:
    cheap = {i for i, e in enumerate(node.expressions) if _cheap(e)}
    low = [e for e in parts if input_refs(e) <= cheap]
    high = [e for e in parts if e not in low]
    below = filtered(node.input, [replace_refs(e, node.expressions) for e in low])
    found: p.Node = replace(node, input=below)
    return p.Filter(found, conjunction(high)) if high else found


def _cheap(e: Expression) -> bool:
    if not is_deterministic(e):
        return False
    return not any(
        isinstance(x, Call) and (x.user is not None or x.function in {"PROCTIME", "$OUTER"})
        for x in walk(e)
    )


def _split(node: p.Node, parts: Sequence[Expression], columns: set[int]) -> p.Node:
    low = [e for e in parts if input_refs(e) <= columns]
    high = [e for e in parts if e not in low]
    found = p.with_inputs(node, [filtered(node.inputs[0], low)]) if low else node
    return p.Filter(found, conjunction(high)) if high else found


def _through_aggregate(node: p.Aggregate, parts: Sequence[Expression]) -> p.Node:
    keys = set(range(len(node.keys)))
    low = [e for e in parts if input_refs(e) <= keys]
    high = [e for e in parts if e not in low]
    places = dict(enumerate(node.keys))
    below = filtered(node.input, [remap_refs(e, places) for e in low])
    found = replace(node, input=below)
    return p.Filter(found, conjunction(high)) if high else found


def _into_join(node: p.Join, parts: Sequence[Expression]) -> p.Node:
    width = len(node.left.schema)
    left, right, both = _by_side(parts, width)
    if node.kind is p.JoinKind.INNER:
        condition = [*conjuncts(node.condition), *both]
        own_left, own_right, rest = _by_side(condition, width)
        joined: p.Node = specialise(
            p.Join(
                filtered(node.left, [*left, *own_left]),
                filtered(node.right, [shift_refs(e, -width) for e in (*right, *own_right)]),
                node.kind,
                conjunction([e for e in rest if not is_true(e)]),
            )
        )
        return joined
    keep = [e for e in parts if e not in left]
    if node.kind in {p.JoinKind.RIGHT, p.JoinKind.FULL}:
        return p.Filter(node, conjunction(list(parts)))
    found: p.Node = specialise(replace(node, left=filtered(node.left, left)))
    return p.Filter(found, conjunction(keep)) if keep else found


def _into_special_join(node: p.Node, parts: Sequence[Expression]) -> p.Node:
    kind = getattr(node, "kind")  # noqa: B009 - all four have it
    if kind in {p.JoinKind.RIGHT, p.JoinKind.FULL}:
        return p.Filter(node, conjunction(list(parts)))
    left_node, right_node = node.inputs
    width = len(left_node.schema)
    left, right, both = _by_side(parts, width)
    inner = kind is p.JoinKind.INNER and isinstance(node, (p.IntervalJoin, p.WindowJoin))
    if not inner:
        both, right = [*right, *both], []
    rights = [shift_refs(e, -width) for e in right]
    found = p.with_inputs(node, [filtered(left_node, left), filtered(right_node, rights)])
    return p.Filter(found, conjunction(both)) if both else found


def _by_side(
    parts: Sequence[Expression], width: int
) -> tuple[list[Expression], list[Expression], list[Expression]]:
    left, right, both = [], [], []
    for e in parts:
        reads = p.sides(e, width)
        if reads == (True, False):
            left.append(e)
        elif reads == (False, True):
            right.append(e)
        else:
            both.append(e)
    return left, right, both


# ---------------------------------------------------------------------- columns


def pruned(node: p.Node) -> p.Node:
    """The plan without columns that nothing above needs; its own schema stays."""
    return _narrow(node, set(range(len(node.schema))))[0]


def _narrow(node: p.Node, needed: set[int]) -> tuple[p.Node, dict[int, int]]:
    """A node that gives at least some columns.

    Returns:
        The node, and where each of its columns that remain went.
    """
    match node:
        case p.Scan():
            reads = needed.union(*(input_refs(e) for e in node.filters)) or {0}
            kept = [i for i in range(len(node.columns)) if i in reads]
            places = {i: at for at, i in enumerate(kept)}
            filters = tuple(remap_refs(e, places) for e in node.filters)
            columns = tuple(node.columns[i] for i in kept)
            return replace(node, columns=columns, filters=filters), places
        case p.Project():
            kept = [i for i in range(len(node.names)) if i in needed] or [0]
            values = [node.expressions[i] for i in kept]
            below, moved = _narrow(node.input, _refs(values))
            names = tuple(node.names[i] for i in kept)
            found = p.Project(below, names, tuple(remap_refs(e, moved) for e in values))
            return found, {i: at for at, i in enumerate(kept)}
        case p.Filter():
            below, moved = _narrow(node.input, needed | input_refs(node.condition))
            return p.Filter(below, remap_refs(node.condition, moved)), moved
        case p.Watermark():
            wanted = needed | {node.column} | input_refs(node.expression)
            below, moved = _narrow(node.input, wanted)
            expression = remap_refs(node.expression, moved)
            return p.Watermark(below, moved[node.column], expression), moved
        case p.Join() | p.LookupJoin():
            return _narrow_join(node, needed)
        case p.Aggregate():
            wanted = {*node.keys, *_call_refs(node.calls)}
            below, moved = _narrow(node.input, wanted)
            keys = tuple(moved[k] for k in node.keys)
            calls = tuple(_moved_call(c, moved) for c in node.calls)
            return replace(node, input=below, keys=keys, calls=calls), _same(node)
        case p.WindowAggregate() if node.columns is None:
            window = node.window
            wanted = {*node.keys, *_call_refs(node.calls), window.time, *window.keys}
            below, moved = _narrow(node.input, wanted)
            found_ = replace(
                node, input=below, keys=tuple(moved[k] for k in node.keys),
                calls=tuple(_moved_call(c, moved) for c in node.calls),
                window=_moved_window(window, moved),
            )  # fmt: skip
            return found_, _same(node)
        case p.WindowTvf():
            width = len(node.input.schema)
            wanted = {i for i in needed if i < width} | {node.window.time, *node.window.keys}
            below, moved = _narrow(node.input, wanted)
            places = {**moved, **{width + i: len(below.schema) + i for i in range(3)}}
            return p.WindowTvf(below, _moved_window(node.window, moved)), places
        case _:
            return _narrow_below(node)


def _narrow_below(node: p.Node) -> tuple[p.Node, dict[int, int]]:
    """A node that keeps all of its inputs' columns, in their places."""
    return p.with_inputs(node, [pruned_input(child) for child in node.inputs]), _same(node)


def pruned_input(node: p.Node) -> p.Node:
    """A plan with all its columns in their order, pruned below."""
    found, places = _narrow(node, set(range(len(node.schema))))
    order = [places[i] for i in range(len(node.schema))]
    if order == list(range(len(found.schema))):
        return found
    schema = found.schema
    refs = tuple(InputRef(i, schema[i].type, schema[i].name) for i in order)
    return p.Project(found, node.schema.names, refs)


def _narrow_join(node: p.Join | p.LookupJoin, needed: set[int]) -> tuple[p.Node, dict[int, int]]:
    width = len(node.left.schema)
    wanted = needed | input_refs(node.condition)
    left, left_moved = _narrow_to(node.left, {i for i in wanted if i < width})
    right, right_moved = _narrow_to(node.right, {i - width for i in wanted if i >= width})
    new = len(left.schema)
    places = {**left_moved, **{width + i: new + at for i, at in right_moved.items()}}
    found = replace(node, left=left, right=right, condition=remap_refs(node.condition, places))
    if len(found.schema) == new:
        places = left_moved
    return found, places


def _narrow_to(node: p.Node, wanted: set[int]) -> tuple[p.Node, dict[int, int]]:
    """A node with no more columns than wanted: what a join keeps should be narrow."""
    if not wanted:
        wanted = {0}
    found, places = _narrow(node, wanted)
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
