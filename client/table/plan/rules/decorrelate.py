"""Makes joins of subqueries: takes the conditions that name outer columns up to the join."""

from __future__ import annotations

from collections.abc import Sequence

from lesto.client.table.errors import UnsupportedSqlError
from lesto.client.table.plan import logical as p
from lesto.client.table.plan.rules.joins import specialise
from lesto.sql.builder import literal
from lesto.sql.expressions import Call, Expression, InputRef, walk
from lesto.sql.rewrite import (
    conjunction,
    conjuncts,
    input_refs,
    remap_refs,
    shift_refs,
    transform,
)

#: The function that marks a column of the outer query.
OUTER = "$OUTER"


def has_outer(e: Expression) -> bool:
    """Whether an expression names a column of the outer query."""
    return any(isinstance(x, Call) and x.function == OUTER for x in walk(e))


def _expressions(node: p.Node) -> list[Expression]:
    match node:
        case p.Project():
            return list(node.expressions)
        case p.Filter() | p.Join():
            return [node.condition]
        case p.Aggregate() | p.WindowAggregate() | p.Over():
            found = [a for c in node.calls for a in c.args]
            return found + [c.condition for c in node.calls if c.condition is not None]
        case p.Correlate():
            return list(node.args)
        case p.IntervalJoin() | p.WindowJoin() | p.TemporalJoin() | p.LookupJoin():
            return [node.condition]
        case p.Values():
            return [e for row in node.rows for e in row]
        case _:
            return []


def is_correlated(node: p.Node) -> bool:
    """Whether a plan names columns of the outer query."""
    return any(has_outer(e) for n in p.walk(node) for e in _expressions(n))


def pull_up(node: p.Node) -> tuple[p.Node, list[Expression]]:
    """A plan without its correlated conditions, and these, over its columns.

    The plan's first columns are those it had; what the conditions read besides comes behind.

    Raises:
        UnsupportedSqlError: outer columns are named where no join can take their place.
    """
    if not is_correlated(node):
        return node, []
    match node:
        case p.Filter():
            below, taken = pull_up(node.input)
            parts = conjuncts(node.condition)
            kept = [e for e in parts if not has_outer(e)]
            taken += [e for e in parts if has_outer(e)]
            return (p.Filter(below, conjunction(kept)) if kept else below), taken
        case p.Project() if not any(has_outer(e) for e in node.expressions):
            return _through_project(node)
        case p.Aggregate() if not node.sets and not _calls_outer(node):
            return _through_aggregate(node)
        case p.Join(kind=p.JoinKind.INNER):
            return _through_join(node)
    raise _unsupported(node)


def _unsupported(node: p.Node) -> UnsupportedSqlError:
    what = type(node).__name__
    return UnsupportedSqlError(
        f"a subquery names a column of the outer query within {what}({node.detail})",
        remedy="name outer columns in WHERE conditions alone, or write a join",
    )


def _calls_outer(node: p.Aggregate) -> bool:
    return any(has_outer(e) for e in _expressions(node))


def _inner_refs(parts: Sequence[Expression]) -> set[int]:
    """Columns of the plan itself that conditions read."""
    return set().union(*(input_refs(_without_outer(e)) for e in parts)) if parts else set()


def _without_outer(e: Expression) -> Expression:
    def change(x: Expression) -> Expression:
        return literal(None) if isinstance(x, Call) and x.function == OUTER else x

    return transform(e, change)


def _moved(e: Expression, places: dict[int, int]) -> Expression:
    """Renumber the plan's own columns, and leave those of the outer query."""
    if isinstance(e, Call) and e.function == OUTER:
        return e
    if isinstance(e, InputRef):
        return InputRef(places[e.index], e.type, e.name)
    from lesto.sql.expressions import children, with_children

    below = children(e)
    return with_children(e, [_moved(x, places) for x in below]) if below else e


def _through_project(node: p.Project) -> tuple[p.Node, list[Expression]]:
    below, taken = pull_up(node.input)
    names, expressions = list(node.names), list(node.expressions)
    places: dict[int, int] = {}
    for index in sorted(_inner_refs(taken)):
        column = below.schema[index]
        places[index] = len(names)
        names.append(column.name)
        expressions.append(InputRef(index, column.type, column.name))
    return (
        p.Project(below, tuple(names), tuple(expressions)),
        [_moved(e, places) for e in taken],
    )


def _through_aggregate(node: p.Aggregate) -> tuple[p.Node, list[Expression]]:
    below, taken = pull_up(node.input)
    for part in taken:
        if not (isinstance(part, Call) and part.function == "="):
            raise _unsupported(node)
    extra = [i for i in sorted(_inner_refs(taken)) if i not in node.keys]
    keys = (*node.keys, *extra)
    grouped: p.Node = p.Aggregate(below, keys, node.calls, ttl=node.ttl)
    schema = grouped.schema
    old = list(range(len(node.keys)))
    calls = [len(keys) + i for i in range(len(node.calls))]
    new = [len(node.keys) + i for i in range(len(extra))]
    order = [*old, *calls, *new]
    names = tuple(schema[i].name for i in order)
    refs = tuple(InputRef(i, schema[i].type, schema[i].name) for i in order)
    at = {keys[i]: order.index(i) for i in range(len(keys))}
    return p.Project(grouped, names, refs), [_moved(e, at) for e in taken]


def _through_join(node: p.Join) -> tuple[p.Node, list[Expression]]:
    left, left_taken = pull_up(node.left)
    right, right_taken = pull_up(node.right)
    old_left, old_right = len(node.left.schema), len(node.right.schema)
    width = len(left.schema)
    shift = {i: i if i < old_left else i - old_left + width for i in range(old_left + old_right)}
    parts = conjuncts(node.condition)
    kept = conjunction([remap_refs(e, shift) for e in parts if not has_outer(e)])
    joined = specialise(p.Join(left, right, node.kind, kept, ttls=node.ttls))
    schema = joined.schema
    order = [
        *range(old_left),
        *range(width, width + old_right),
        *range(old_left, width),
        *range(width + old_right, len(schema)),
    ]
    at = {i: place for place, i in enumerate(order)}
    taken = [_moved(e, {i: at[i] for i in range(width)}) for e in left_taken]
    taken += [_moved(e, {i: at[i + width] for i in range(len(right.schema))}) for e in right_taken]
    taken += [_moved(e, {i: at[shift[i]] for i in shift}) for e in parts if has_outer(e)]
    names = tuple(schema[i].name for i in order)
    refs = tuple(InputRef(i, schema[i].type, schema[i].name) for i in order)
    return p.Project(joined, names, refs), taken


def joined_condition(taken: Sequence[Expression], width: int) -> list[Expression]:
    """Conditions over outer columns, then the subquery's."""

    def change(e: Expression) -> Expression:
        if isinstance(e, Call) and e.function == OUTER:
            return e.args[0]
        if isinstance(e, InputRef):
            return shift_refs(e, width)
        from lesto.sql.expressions import children, with_children

        below = children(e)
        return with_children(e, [change(x) for x in below]) if below else e

    return [change(e) for e in taken]


def semi_join(
    left: p.Node,
    query: p.Node,
    pairs: Sequence[Expression] = (),
    *,
    negated: bool = False,
    null_aware: bool = False,
) -> p.Node:
    """IN and EXISTS as a join.

    Args:
        left: the outer plan.
        query: the subquery's plan.
        pairs: the left values of IN, which must equal the subquery's columns.
        negated: NOT IN, NOT EXISTS.
        null_aware: whether NULLs count as in NOT IN.
    """
    from lesto.sql.builder import call

    inner, taken = pull_up(query)
    width = len(left.schema)
    parts = [
        call("=", [e, InputRef(width + i, c.type, c.name)])
        for i, (e, c) in enumerate(zip(pairs, inner.schema, strict=False))
    ]
    parts += joined_condition(taken, width)
    kind = p.JoinKind.ANTI if negated else p.JoinKind.SEMI
    return specialise(p.Join(left, inner, kind, conjunction(parts), null_aware * len(pairs)))
