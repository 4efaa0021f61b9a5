"""Moves conditions towards the scans."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from lesto.client.table.plan import logical as p
from lesto.client.table.plan.rules.before_watermarks import before_watermarks
from lesto.client.table.plan.rules.joins import specialise
from lesto.sql.evaluator import is_deterministic
from lesto.sql.expressions import Call, Expression, walk
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
        case p.Watermark():
            low, high = before_watermarks(node, parts)
            if not low:
                return p.Filter(node, conjunction(parts))
            below: p.Node = replace(node, input=filtered(node.input, low))
            return p.Filter(below, conjunction(high)) if high else below
        case p.Scan() if _may_skip(node, parts):
            known = tuple(dict.fromkeys((*node.filters, *parts)))
            return p.Filter(replace(node, filters=known), conjunction(parts))
        case _:
            return p.Filter(node, conjunction(parts))


def _may_skip(node: p.Scan, parts: Sequence[Expression]) -> bool:
    """Whether a source may leave out rows: of changes only those of whole keys.

    An update may take a row out of what a condition meets, and a source without ``UB`` says so
    with the new row alone.
    """
    if node.table.source_kinds() == frozenset("I"):
        return True
    return any(input_refs(conjunction(parts)) <= key for key in node.unique_keys)


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
                ttls=node.ttls,
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
