"""Binds queries: SELECT, set operations, VALUES, WITH, ORDER BY, LIMIT."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from lesto.client.table.errors import (
    InvalidQueryError,
    SqlTypeError,
    UnknownColumnError,
    UnsupportedSqlError,
)
from lesto.client.table.plan import logical as p
from lesto.client.table.plan.rules.push_down import filtered
from lesto.client.table.plan.schema import Column, Schema
from lesto.client.table.sql.binder.aggregation import (
    Aggregation,
    add_windows,
    calls_in,
)
from lesto.client.table.sql.binder.context import Context
from lesto.client.table.sql.binder.expressions import ExpressionBinder
from lesto.client.table.sql.binder.hints import only_ttl
from lesto.client.table.sql.binder.relations import RelationBinder, aligned, empty_row
from lesto.client.table.sql.binder.scope import Scope
from lesto.client.table.sql.binder.subqueries import conditions, is_subquery_condition, semi
from lesto.client.table.sql.trees import ColumnReference, exp
from lesto.common.errors import did_you_mean
from lesto.sql.builder import coerce
from lesto.sql.expressions import Expression, InputRef
from lesto.sql.rewrite import conjuncts
from lesto.sql.type_rules import find_common_type


class QueryBinder:
    """Makes logical plans of queries.

    Args:
        context: text, catalogs, common table expressions.
        outer: scope of the query around.
    """

    def __init__(self, context: Context, outer: Scope | None = None) -> None:
        self.context = context
        self.outer = outer

    def query(self, tree: Any) -> p.Node:
        """The plan of a query."""
        with_ = tree.args.get("with_")
        if with_ is not None:
            return self._with(tree, with_)
        return self._body(tree)

    def _body(self, tree: Any) -> p.Node:
        if isinstance(tree, exp.Select):
            return self._select(tree)
        if isinstance(tree, exp.Subquery):
            return self._tail(tree, QueryBinder(self.context, self.outer).query(tree.this))
        if isinstance(tree, exp.Values):
            return self._tail(tree, self._values(tree))
        if isinstance(tree, exp.SetOperation):
            return self._tail(tree, self._set_operation(tree))
        self.context.fail(UnsupportedSqlError, f"{tree.sql('flink')} is no query", tree)

    def _with(self, tree: Any, with_: Any) -> p.Node:
        ctes = dict(self.context.ctes)
        for cte in with_.expressions:
            binder = QueryBinder(self.context.inner(ctes=dict(ctes)), self.outer)
            node = binder.query(cte.this)
            alias = cte.args["alias"]
            names = [str(c.this) for c in alias.args.get("columns") or ()]
            if names:
                node = RelationBinder(self.context).renamed(node, names, alias)
            ctes[str(alias.this.this)] = node
        return QueryBinder(self.context.inner(ctes=ctes), self.outer)._body(tree)

    # ------------------------------------------------------------------ SELECT

    def _select(self, tree: Any) -> p.Node:
        scope = RelationBinder(self.context, self.outer).from_clause(tree)
        binder = ExpressionBinder(self.context, scope)
        if tree.args.get("where") is not None:
            self._where(binder, tree.args["where"].this, "WHERE")
        items = self._items(scope, tree)
        order = tree.args.get("order")
        order_trees = [o.this for o in order.expressions] if order is not None else []
        having, qualify = (
            x.this if x is not None else None
            for x in (tree.args.get("having"), tree.args.get("qualify"))
        )
        if qualify is not None:
            qualify = _with_aliases(qualify, tree)
        above = [*(e for e, _ in items), *order_trees]
        above += [x for x in (having, qualify) if x is not None]
        grouped = self._grouped(binder, tree, above, having is not None)
        if grouped is not None:
            binder = grouped
        if having is not None:
            self._where(binder, having, "HAVING")
        named = {str(w.this.this): w for w in tree.args.get("windows") or ()}
        add_windows(binder, above, named)
        if qualify is not None:
            binder.place = "QUALIFY"
            binder.scope.node = p.Filter(binder.scope.node, binder.condition(qualify))
        binder.place = "SELECT"
        bound = [(binder.bind(e), name) for e, name in items]
        return self._output(tree, binder, bound, order)

    def _where(self, binder: ExpressionBinder, tree: Any, place: str) -> None:
        binder.place = place
        subqueries = []
        parts: list[Expression] = []
        for part in conditions(tree):
            if is_subquery_condition(part):
                subqueries.append(part)
            else:
                parts += conjuncts(binder.condition(part))
        if parts:
            binder.scope.node = filtered(binder.scope.node, parts)
        for part in subqueries:
            semi(binder, part)
        binder.place = ""

    def _items(self, scope: Scope, tree: Any) -> list[tuple[Any, str]]:
        found: list[tuple[Any, str]] = []
        for item in tree.expressions:
            if isinstance(item, exp.Star):
                if not scope.sources:
                    self.context.fail(InvalidQueryError, "* needs FROM", item)
                found += self._star(scope, scope.sources, item)
            elif isinstance(item, exp.Column) and isinstance(item.this, exp.Star):
                parts = [str(x.this) for x in item.parts[:-1]]
                sources = scope.by_qualifier(parts)
                if not sources:
                    found += self._row_star(scope, item, parts)
                    continue
                found += self._star(scope, sources, item, every=True)
            elif isinstance(item, exp.Alias):
                found.append((item.this, str(item.args["alias"].this)))
            else:
                found.append((item, _name(item, len(found))))
        return found

    def _star(
        self, scope: Scope, sources: list[Any], tree: Any, every: bool = False
    ) -> list[tuple[Any, str]]:
        found: list[tuple[Any, str]] = []
        for source in sources:
            for i, name in enumerate(source.columns):
                if i in source.hidden and not every:
                    continue
                found.append((_reference(source.start + i, tree), name))
        return found

    def _row_star(self, scope: Scope, tree: Any, parts: list[str]) -> list[tuple[Any, str]]:
        names = [s.names[-1] for s in scope.sources if s.names]
        if not scope.find(parts)[0]:
            self.context.fail(
                UnknownColumnError,
                f"there is no table {'.'.join(parts)} in scope{did_you_mean(parts[0], names)}",
                tree,
                f"tables in scope are {', '.join(names)}",
            )
        row = ExpressionBinder(self.context, scope).column(tree, parts)
        if not row.type.names:
            self.context.fail(SqlTypeError, f"{row} is no row, so .* has no meaning", tree)
        column = exp.Column(this=exp.Identifier(this=parts[-1]))
        if len(parts) > 1:
            column.set("table", exp.Identifier(this=parts[-2]))
        column.meta.update(tree.meta)
        found = []
        for name in row.type.names:
            dot = exp.Dot(this=column.copy(), expression=exp.Identifier(this=name))
            dot.meta.update(tree.meta)
            found.append((dot, name))
        return found

    def _grouped(self, binder: ExpressionBinder, tree: Any, above: list[Any], having: bool) -> Any:
        aggregation = Aggregation(binder)
        group = tree.args.get("group")
        if group is None and not having:
            every = (c for e in above if not isinstance(e, ColumnReference) for c in calls_in(e))
            if not any(aggregation.is_aggregate(c) for c in every):
                return None
        aggregation.ttl = only_ttl(self.context, tree)
        aggregation.group(group)
        aggregation.collect([e for e in above if not isinstance(e, ColumnReference)])
        return aggregation.finish()

    def _output(
        self,
        tree: Any,
        binder: ExpressionBinder,
        bound: list[tuple[Expression, str]],
        order: Any,
    ) -> p.Node:
        names = unique_names([name for _, name in bound])
        expressions = [e for e, _ in bound]
        keys: list[p.SortKey] = []
        hidden: list[Expression] = []
        distinct = tree.args.get("distinct") is not None
        for item in order.expressions if order is not None else ():
            at = self._order_position(binder, item.this, names, expressions)
            if at is None:
                e = binder.bind(item.this)
                if e in expressions:
                    at = expressions.index(e)
                elif distinct:
                    self.context.fail(
                        InvalidQueryError,
                        "ORDER BY of SELECT DISTINCT takes columns that are selected",
                        item,
                    )
                else:
                    at = len(expressions) + len(hidden)
                    hidden.append(e)
            keys.append(p.SortKey(at, bool(item.args.get("desc")), item.args.get("nulls_first")))
        extra = [f"$s{i}" for i in range(len(hidden))]
        node: p.Node = p.Project(binder.scope.node, (*names, *extra), (*expressions, *hidden))
        if distinct:
            ttl = only_ttl(self.context, tree)
            node = p.Aggregate(node, tuple(range(len(names))), (), ttl=ttl)
        if keys:
            node = p.Sort(node, tuple(keys))
        node = self._limited(tree, node)
        if hidden:
            refs = p.identity(node.schema)[: len(names)]
            node = p.Project(node, tuple(names), refs)
        return node

    def _order_position(
        self, binder: ExpressionBinder, tree: Any, names: list[str], expressions: list[Expression]
    ) -> int | None:
        if isinstance(tree, exp.Literal) and not tree.is_string:
            number = int(str(tree.this))
            if not 1 <= number <= len(names):
                self.context.fail(
                    InvalidQueryError, f"ORDER BY {number}: there are {len(names)} columns", tree
                )
            return number - 1
        if isinstance(tree, exp.Column) and len(tree.parts) == 1:
            name = str(tree.this.this)
            if names.count(name) == 1:
                return names.index(name)
        return None

    def _tail(self, tree: Any, node: p.Node) -> p.Node:
        order = tree.args.get("order")
        if order is not None:
            names = list(node.schema.names)
            scope = RelationBinder(self.context, self.outer)._scope(node, ())
            binder = ExpressionBinder(self.context, scope, "ORDER BY")
            keys = []
            for item in order.expressions:
                at = self._order_position(binder, item.this, names, [])
                if at is None:
                    found = binder.bind(item.this)
                    if not isinstance(found, InputRef):
                        self.context.fail(
                            UnsupportedSqlError,
                            "ORDER BY of a set operation takes columns",
                            item,
                            "put the set operation into a subquery",
                        )
                    at = found.index
                keys.append(
                    p.SortKey(at, bool(item.args.get("desc")), item.args.get("nulls_first"))
                )
            node = p.Sort(node, tuple(keys))
        return self._limited(tree, node)

    def _limited(self, tree: Any, node: p.Node) -> p.Node:
        limit, offset = tree.args.get("limit"), tree.args.get("offset")
        if limit is None and offset is None:
            return node
        fetch = None if limit is None else int(str(limit.expression.this))
        skip = 0 if offset is None else int(str(offset.expression.this))
        return p.Limit(node, fetch, skip)

    # ------------------------------------------------------------------ the rest

    def _values(self, tree: Any) -> p.Node:
        binder = ExpressionBinder(self.context, Scope(empty_row(), [], self.outer), "VALUES")
        rows = [[binder.bind(e) for e in row.expressions] for row in tree.expressions]
        width = len(rows[0])
        columns = []
        for i, row in enumerate(rows):
            if len(row) != width:
                self.context.fail(
                    SqlTypeError,
                    f"a row of VALUES has {len(row)} values, and the first has {width}",
                    tree.expressions[i],
                )
        for i in range(width):
            kind = find_common_type([row[i].type for row in rows])
            if kind is None:
                listed = ", ".join(dict.fromkeys(str(row[i].type) for row in rows))
                self.context.fail(
                    SqlTypeError, f"values of one column have the types {listed}", tree
                )
            columns.append(Column(f"EXPR${i}", kind))
        cast = tuple(
            tuple(coerce(e, c.type) for e, c in zip(row, columns, strict=True)) for row in rows
        )
        return p.Values(cast, Schema(tuple(columns)))

    def _set_operation(self, tree: Any) -> p.Node:
        kind = {exp.Union: "UNION", exp.Intersect: "INTERSECT", exp.Except: "EXCEPT"}[type(tree)]
        left = QueryBinder(self.context, self.outer).query(tree.this)
        right = QueryBinder(self.context, self.outer).query(tree.expression)
        sources = aligned(self.context, [left, right], tree, kind)
        every = not tree.args.get("distinct")
        first = sources[0]
        if (
            every
            and isinstance(first, p.SetOp)
            and first.every
            and kind == "UNION" == first.kind.value
        ):
            sources = [*first.sources, sources[1]]
        return p.SetOp(tuple(sources), p.SetKind[kind], every, _set_schema(sources, kind, every))


def _set_schema(sources: list[p.Node], kind: str, every: bool) -> Schema:
    columns = []
    for i, column in enumerate(sources[0].schema):
        others = [s.schema[i] for s in sources]
        times = {c.time for c in others}
        time = times.pop() if len(times) == 1 and kind == "UNION" and every else None
        nullable = any(c.type.nullable for c in others)
        columns.append(replace(column, type=column.type.with_nullable(nullable), time=time))
    return Schema(tuple(columns))


def _reference(index: int, tree: Any) -> ColumnReference:
    found = ColumnReference(index=index)
    found.meta.update(tree.meta)
    return found


def _name(tree: Any, position: int) -> str:
    while isinstance(tree, exp.Paren):
        tree = tree.this
    if isinstance(tree, exp.Column):
        return str(tree.parts[-1].this)
    if isinstance(tree, exp.Dot):
        return str(tree.expression.this)
    return f"EXPR${position}"


def unique_names(names: list[str]) -> list[str]:
    """Names made different by numbers, as Flink does: ``a``, ``a0``, ``a1``."""
    found: list[str] = []
    taken = set(names)
    seen: set[str] = set()
    for name in names:
        chosen, number = name, 0
        while chosen in seen or (chosen != name and chosen in taken):
            chosen = f"{name}{number}"
            number += 1
        seen.add(chosen)
        found.append(chosen)
    return found


def _with_aliases(qualify: Any, select: Any) -> Any:
    """QUALIFY with the names that SELECT gives replaced by what they stand for."""
    named = {
        str(item.args["alias"].this): item.this
        for item in select.expressions
        if isinstance(item, exp.Alias)
    }

    def replaced(node: Any) -> Any:
        if isinstance(node, exp.Column) and len(node.parts) == 1:
            found = named.get(str(node.this.this))
            return node if found is None else found.copy()
        return node

    return qualify.transform(replaced)
