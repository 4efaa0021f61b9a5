"""Top-N and deduplication from ROW_NUMBER and a filter of it."""

from __future__ import annotations

from dataclasses import replace

from lesto.client.table.plan import logical as p
from lesto.client.table.plan.rules.windows import windowed
from lesto.sql.expressions import Call, Expression, InputRef, Literal
from lesto.sql.rewrite import conjunction, conjuncts, input_refs

_RANKS = {"ROW_NUMBER", "RANK", "DENSE_RANK"}
_FLIPPED = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "=": "="}


def ranked(node: p.Node) -> p.Node:
    """A filter of a row number over it becomes a Top-N."""
    if not isinstance(node, p.Filter) or not isinstance(node.input, p.Over):
        return node
    over = node.input
    if len(over.calls) != 1 or over.calls[0].function not in _RANKS:
        return node
    at = len(over.input.schema)
    start, end = 1, None
    rest: list[Expression] = []
    for part in conjuncts(node.condition):
        bound = _bound(part, at)
        if bound is None:
            rest.append(part)
            continue
        low, high = bound
        start = max(start, low)
        end = high if end is None or (high is not None and high < end) else end
    if end is None:
        return node
    source = over.input
    columns = windowed(source)
    if columns is not None and not {columns.start, columns.end} <= set(over.partition):
        columns = None
    name = over.calls[0].name
    rank = p.Rank(
        source, over.calls[0].function, over.partition, over.order, start, end, name, columns
    )
    return p.Filter(rank, conjunction(rest)) if rest else rank


def _bound(part: Expression, at: int) -> tuple[int, int | None] | None:
    if not isinstance(part, Call) or len(part.args) != 2:
        if isinstance(part, Call) and part.function == "BETWEEN":
            tested, low, high = part.args
            if _is_rank(tested, at) and _number(low) is not None and _number(high) is not None:
                return _number(low) or 0, _number(high)
        return None
    a, b = part.args
    sign = part.function
    if sign not in _FLIPPED:
        return None
    if not _is_rank(a, at):
        a, b, sign = b, a, _FLIPPED[sign]
    value = _number(b)
    if not _is_rank(a, at) or value is None:
        return None
    match sign:
        case "<=":
            return 1, value
        case "<":
            return 1, value - 1
        case "=":
            return value, value
        case ">":
            return value + 1, None
        case _:
            return value, None


def _is_rank(e: Expression, at: int) -> bool:
    from lesto.sql.expressions import Cast

    while isinstance(e, Cast):
        e = e.operand
    return isinstance(e, InputRef) and e.index == at


def _number(e: Expression) -> int | None:
    from lesto.sql.expressions import Cast

    while isinstance(e, Cast):
        e = e.operand
    return e.value if isinstance(e, Literal) and isinstance(e.value, int) else None


def without_rank(node: p.Node) -> p.Node:
    """A Top-N whose rank nothing reads does not give it."""
    if not isinstance(node, p.Project):
        return node
    below, filters = node.input, []
    while isinstance(below, p.Filter):
        filters.append(below.condition)
        below = below.input
    if not isinstance(below, p.Rank) or not below.rank_name:
        return node
    at = len(below.input.schema)
    if any(at in input_refs(e) for e in (*node.expressions, *filters)):
        return node
    found: p.Node = deduplicated(replace(below, rank_name=""))
    for condition in reversed(filters):
        found = p.Filter(found, condition)
    return replace(node, input=found)


def deduplicated(node: p.Node) -> p.Node:
    """Row number 1 by a time attribute is the first or last row of a key."""
    if not isinstance(node, p.Rank) or node.rank_name or node.function != "ROW_NUMBER":
        return node
    if (node.start, node.end) != (1, 1) or len(node.order) != 1:
        return node
    key = node.order[0]
    if node.input.schema[key.index].time is None:
        return node
    from lesto.client.table.plan.changelog import provided

    if provided(node.input) != frozenset("I"):
        return node
    return p.Deduplicate(node.input, node.partition, key.index, key.descending, node.window)


def constant_rank(node: p.Node) -> p.Node:
    """A rank that is always the same number is a constant above a Top-N without it."""
    if not isinstance(node, p.Rank) or not node.rank_name or node.start != node.end:
        return node
    if node.function != "ROW_NUMBER":
        return node
    schema = node.schema
    below = deduplicated(replace(node, rank_name=""))
    refs = p.identity(below.schema)
    number = Literal(node.start, schema[len(refs)].type)
    return p.Project(below, schema.names, (*refs, number))
