"""Subqueries: IN and EXISTS in conditions, values, LATERAL."""

from __future__ import annotations

from typing import Any

from lesto.client.table.errors import SqlError, SqlTypeError, UnsupportedSqlError
from lesto.client.table.plan import logical as p
from lesto.client.table.plan.rules import decorrelate as d
from lesto.client.table.plan.rules.joins import specialise
from lesto.client.table.sql.binder.context import Context
from lesto.client.table.sql.binder.expressions import ExpressionBinder
from lesto.client.table.sql.binder.scope import Scope
from lesto.client.table.sql.trees import exp
from lesto.sql.aggregates.table import bind_aggregate
from lesto.sql.builder import call, literal
from lesto.sql.expressions import Expression, InputRef
from lesto.sql.rewrite import conjunction
from lesto.sql.type_rules import find_common_type


def conditions(tree: Any) -> list[Any]:
    """The parts of a tree that AND joins."""
    if isinstance(tree, exp.And):
        return [*conditions(tree.this), *conditions(tree.expression)]
    if isinstance(tree, exp.Paren):
        return conditions(tree.this)
    return [tree]


def is_subquery_condition(tree: Any) -> bool:
    """Whether a part of a condition is [NOT] IN (query) or [NOT] EXISTS."""
    inner = _positive(tree)[0]
    if isinstance(inner, exp.In):
        return inner.args.get("query") is not None
    return isinstance(inner, exp.Exists)


def _positive(tree: Any) -> tuple[Any, bool]:
    negated = False
    while isinstance(tree, (exp.Not, exp.Paren)):
        negated ^= isinstance(tree, exp.Not)
        tree = tree.this
    return tree, negated


def _query(context: Context, tree: Any, outer: Scope) -> p.Node:
    from lesto.client.table.sql.binder.queries import QueryBinder

    inner = tree.this if isinstance(tree, exp.Subquery) else tree
    return QueryBinder(context, outer).query(inner)


def semi(binder: ExpressionBinder, tree: Any) -> None:
    """Add the join of an IN or EXISTS to the scope's node."""
    context, scope = binder.context, binder.scope
    inner, negated = _positive(tree)
    if isinstance(inner, exp.Exists):
        query = _query(context, inner.this, scope)
        _join(context, tree, scope, query, [], negated, False)
        return
    query = _query(context, inner.args["query"], scope)
    value = inner.this
    while isinstance(value, exp.Paren):
        value = value.this
    trees = value.expressions if isinstance(value, exp.Tuple) else [value]
    if len(trees) != len(query.schema):
        context.fail(
            SqlTypeError,
            f"IN compares {len(trees)} values with a query of {len(query.schema)} columns",
            tree,
        )
    values = [binder.bind(x) for x in trees]
    for value_, column in zip(values, query.schema, strict=True):
        if find_common_type([value_.type, column.type]) is None:
            context.fail(
                SqlTypeError,
                f"IN compares {value_.type} with {column.type}",
                tree,
                "cast one of them",
            )
    nullable = any(v.type.nullable for v in values) or any(c.type.nullable for c in query.schema)
    _join(context, tree, scope, query, values, negated, negated and nullable)


def _join(
    context: Context,
    tree: Any,
    scope: Scope,
    query: p.Node,
    values: list[Expression],
    negated: bool,
    null_aware: bool,
) -> None:
    try:
        scope.node = d.semi_join(scope.node, query, values, negated=negated, null_aware=null_aware)
    except UnsupportedSqlError as error:
        context.fail(UnsupportedSqlError, error.plain, tree, error.remedy)


def scalar(context: Context, binder: ExpressionBinder, tree: Any) -> Expression:
    """Join a query of one value to the scope's node, and refer to its column."""
    scope = binder.scope
    query = _query(context, tree, scope)
    if len(query.schema) != 1:
        context.fail(
            SqlTypeError,
            f"a query that stands for a value has one column, and this has {len(query.schema)}",
            tree,
        )
    if not _one_row(query):
        column = query.schema[0]
        single = bind_aggregate(
            "SINGLE_VALUE", [InputRef(0, column.type, column.name)], grouped=False
        )
        named = p.AggregateCall(column.name, "SINGLE_VALUE", single.args, single.type)
        query = _single(query, named)
    counts = _counts(query)
    try:
        inner, taken = d.pull_up(query)
    except SqlError as error:
        context.fail(UnsupportedSqlError, error.plain, tree, error.remedy)
    width = len(scope.node.schema)
    condition = conjunction(d.joined_condition(taken, width))
    scope.node = p.Join(scope.node, inner, p.JoinKind.LEFT, condition)
    column = scope.node.schema[width]
    found: Expression = InputRef(width, column.type, column.name)
    if counts and taken:
        found = call("COALESCE", [found, literal(0)])
    return found


def _single(query: p.Node, single: p.AggregateCall) -> p.Node:
    return p.Aggregate(query, (), (single,))


def _one_row(node: p.Node) -> bool:
    match node:
        case p.Aggregate():
            return not node.keys
        case p.Project() | p.Sort():
            return _one_row(node.input)
        case p.Values():
            return len(node.rows) == 1
        case p.Limit():
            return node.fetch is not None and node.fetch <= 1 and not d.is_correlated(node)
        case _:
            return False


def _counts(node: p.Node) -> bool:
    """Whether the value is a COUNT, which is 0 and not NULL over no rows."""
    if isinstance(node, p.Project) and isinstance(node.expressions[0], InputRef):
        below = node.input
        index = node.expressions[0].index
        return isinstance(below, p.Aggregate) and (
            index >= len(below.keys) and below.calls[index - len(below.keys)].function == "COUNT"
        )
    return isinstance(node, p.Aggregate) and not node.keys and node.calls[0].function == "COUNT"


def lateral(
    context: Context, left: Scope, tree: Any, kind: p.JoinKind
) -> tuple[p.Node, tuple[str, ...]]:
    """LATERAL (query): a join; with ORDER BY and LIMIT in it, a Top-N of each outer row's key."""
    query = _query(context, tree, left)
    names = query.schema.names
    if isinstance(query, p.Limit) and isinstance(query.input, p.Sort) and d.is_correlated(query):
        return _lateral_top(context, left, tree, query, query.input, kind), names
    try:
        inner, taken = d.pull_up(query)
    except SqlError as error:
        context.fail(UnsupportedSqlError, error.plain, tree, error.remedy)
    width = len(left.node.schema)
    condition = conjunction(d.joined_condition(taken, width))
    return specialise(p.Join(left.node, inner, kind, condition)), names


def _lateral_top(
    context: Context, left: Scope, tree: Any, limit: p.Limit, sort: p.Sort, kind: p.JoinKind
) -> p.Node:
    try:
        inner, taken = d.pull_up(sort.input)
    except SqlError as error:
        context.fail(UnsupportedSqlError, error.plain, tree, error.remedy)
    width = len(left.node.schema)
    condition = conjunction(d.joined_condition(taken, width))
    pairs, rest = p.equi_keys(condition, width)
    if rest or limit.fetch is None:
        context.fail(
            UnsupportedSqlError,
            "LATERAL (... ORDER BY ... LIMIT n) takes conditions a.x = b.y on the outer columns",
            tree,
        )
    keys = tuple(sorted({b for _, b in pairs}))
    end = limit.offset + limit.fetch
    top = p.Rank(inner, "ROW_NUMBER", keys, sort.keys, limit.offset + 1, end)
    return p.Join(left.node, top, kind, condition)
