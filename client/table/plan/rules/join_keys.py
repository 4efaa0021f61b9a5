"""Makes columns of the expressions that a join equates, so that rows can be hashed by them."""

from __future__ import annotations

from dataclasses import replace

from lesto.client.table.plan import logical as p
from lesto.sql.builder import call
from lesto.sql.expressions import Call, Expression, InputRef
from lesto.sql.rewrite import conjunction, conjuncts, remap_refs, shift_refs

_JOINS = (p.Join, p.IntervalJoin, p.WindowJoin, p.TemporalJoin, p.LookupJoin)


def keyed(node: p.Node) -> p.Node:
    """``f(a) = g(b)`` becomes an equality of columns, computed below the join.

    What is looked up (the right side of a lookup join) stays as it is.
    """
    if not isinstance(node, _JOINS):
        return node
    width = len(node.left.schema)
    extra: tuple[list[Expression], list[Expression]] = ([], [])
    pairs: list[tuple[Expression, Expression] | Expression] = []
    for part in conjuncts(node.condition):
        sides = _sides(part, width)
        if sides is None or all(isinstance(e, InputRef) for e in sides):
            pairs.append(part)
            continue
        if isinstance(node, p.LookupJoin) and not isinstance(sides[1], InputRef):
            pairs.append(part)
            continue
        pairs.append(sides)
    for pair in pairs:
        for e, own in zip(pair, extra, strict=True) if isinstance(pair, tuple) else ():
            if not isinstance(e, InputRef) and e not in own:
                own.append(e)
    if not extra[0] and not extra[1]:
        return node
    new_width = width + len(extra[0])
    left = _extended(node.left, extra[0])
    right = _extended(node.right, extra[1])
    right_width = len(node.right.schema)
    places = {i: i if i < width else i - width + new_width for i in range(width + right_width)}
    parts = [
        _equality(pair, extra, width, new_width, right_width, places)
        if isinstance(pair, tuple)
        else remap_refs(pair, places)
        for pair in pairs
    ]
    joined = replace(node, left=left, right=right, condition=conjunction(parts))
    return _restored(joined, node, places)


def _sides(part: Expression, width: int) -> tuple[Expression, Expression] | None:
    """Left and right expressions (the right one counted from 0) that a part equates."""
    if not isinstance(part, Call) or part.function != "=" or part.user is not None:
        return None
    a, b = part.args
    reads_a, reads_b = p.sides(a, width), p.sides(b, width)
    if (reads_a, reads_b) == ((True, False), (False, True)):
        return a, shift_refs(b, -width)
    if (reads_a, reads_b) == ((False, True), (True, False)):
        return b, shift_refs(a, -width)
    return None


def _extended(node: p.Node, extra: list[Expression]) -> p.Node:
    if not extra:
        return node
    names = (*node.schema.names, *(f"$j{i}" for i in range(len(extra))))
    return p.Project(node, names, (*p.identity(node.schema), *extra))


def _equality(
    pair: tuple[Expression, Expression],
    extra: tuple[list[Expression], list[Expression]],
    width: int,
    new_width: int,
    right_width: int,
    places: dict[int, int],
) -> Expression:
    a, b = pair
    if not isinstance(a, InputRef):
        a = InputRef(width + extra[0].index(a), a.type, f"$j{extra[0].index(a)}")
    if isinstance(b, InputRef):
        b = InputRef(places[b.index + width], b.type, b.name)
    else:
        b = InputRef(new_width + right_width + extra[1].index(b), b.type, f"$j{extra[1].index(b)}")
    return call("=", [a, b])


def _restored(joined: p.Node, old: p.Node, places: dict[int, int]) -> p.Node:
    schema = old.schema
    now = joined.schema
    refs = tuple(InputRef(places[i], now[places[i]].type, c.name) for i, c in enumerate(schema))
    return p.Project(joined, schema.names, refs)
