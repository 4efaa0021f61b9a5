"""Folds constants, merges neighbouring projections, drops what does nothing."""

from __future__ import annotations

from dataclasses import replace

from lesto.client.table.plan import logical as p
from lesto.sql.evaluator import is_deterministic
from lesto.sql.expressions import Call, Expression, InputRef, Literal, walk
from lesto.sql.rewrite import conjunction, conjuncts, fold, is_true, replace_refs


def folded(node: p.Node) -> p.Node:
    """Constant parts of expressions are computed."""
    match node:
        case p.Scan():
            return replace(node, filters=())  # they come again, folded, when filters are pushed
        case p.Project():
            return replace(node, expressions=tuple(fold(e) for e in node.expressions))
        case p.Filter():
            parts = [fold(e) for e in conjuncts(node.condition)]
            parts = [e for e in parts if not is_true(e)]
            if not parts:
                return node.input
            if any(isinstance(e, Literal) and e.value is not True for e in parts):
                return p.Values((), node.schema)
            return p.Filter(node.input, conjunction(parts))
        case p.Join() | p.IntervalJoin() | p.WindowJoin() | p.LookupJoin() | p.TemporalJoin():
            return replace(node, condition=fold(node.condition))
        case _:
            return node


def merged(node: p.Node) -> p.Node:
    """A projection of a projection is one; one that changes nothing is none."""
    if not isinstance(node, p.Project):
        return node
    below = node.input
    if isinstance(below, p.Project) and _mergeable(node, below):
        expressions = tuple(replace_refs(e, below.expressions) for e in node.expressions)
        return merged(p.Project(below.input, node.names, expressions))
    if node.expressions == p.identity(below.schema) and node.names == below.schema.names:
        return below
    return node


def _mergeable(upper: p.Project, lower: p.Project) -> bool:
    """Whether nothing costly or random would be computed twice."""
    uses: dict[int, int] = {}
    for e in upper.expressions:
        for x in walk(e):
            if isinstance(x, InputRef):
                uses[x.index] = uses.get(x.index, 0) + 1
    for i, e in enumerate(lower.expressions):
        if uses.get(i, 0) > 1 and not _plain(e):
            return False
        if not is_deterministic(e) or any(_proctime(x) for x in walk(e)):
            return all(isinstance(x, InputRef) for x in upper.expressions)
    return True


def _plain(e: Expression) -> bool:
    if isinstance(e, (InputRef, Literal)):
        return True
    return not any(isinstance(x, Call) and x.user is not None for x in walk(e))


def _proctime(e: Expression) -> bool:
    return isinstance(e, Call) and e.function == "PROCTIME"
