"""Binds what stands in FROM: tables, views, joins, table functions."""

from __future__ import annotations

from typing import Any

from lesto.client.table.catalog.objects import CatalogTable, CatalogView
from lesto.client.table.errors import (
    InvalidQueryError,
    MissingTimeAttributeError,
    SqlTypeError,
    UnknownSqlFunctionError,
    UnknownTableError,
    UnsupportedSqlError,
)
from lesto.client.table.plan import logical as p
from lesto.client.table.plan.rules.joins import specialise
from lesto.client.table.plan.schema import Column, Schema, TimeKind
from lesto.client.table.sql.binder import user_functions as users
from lesto.client.table.sql.binder.context import Context
from lesto.client.table.sql.binder.expressions import ExpressionBinder
from lesto.client.table.sql.binder.hints import (
    check_hints,
    lookup_hints,
    state_ttls,
    table_names,
    ttl_of,
)
from lesto.client.table.sql.binder.scope import Scope, Source
from lesto.client.table.sql.binder.windows import is_window_function, window_function
from lesto.client.table.sql.trees import RowPattern, exp
from lesto.common.errors import did_you_mean
from lesto.sql import types as t
from lesto.sql.builder import call, coerce, literal
from lesto.sql.expressions import Expression, InputRef
from lesto.sql.rewrite import conjunction, shift_refs
from lesto.sql.type_rules import find_common_type
from lesto.sql.types import TypeRoot


def empty_row() -> p.Node:
    """One row of no columns: what a query without FROM reads."""
    return p.Values(((),), Schema(()))


def table_plan(
    context: Context, path: tuple[str, ...], table: CatalogTable, options: tuple[Any, ...] = ()
) -> p.Node:
    """The plan that reads a table: scan, computed columns, watermark."""
    from lesto.client.table.sql.dialect import parse_expression

    merged = {**dict(table.options), **dict(options)}
    read = table.read_columns()
    node: p.Node = p.Scan(path, table, tuple(range(len(read))), (), tuple(merged.items()))
    names = tuple(c.name for c in read)
    if len(read) < len(table.columns):
        scope = Scope(node, [Source((), 0, names)])
        found: list[Expression] = []
        for c in table.columns:
            if c.kind == "computed":
                inner = context.inner(text=c.expression)
                tree = parse_expression(c.expression)
                found.append(ExpressionBinder(inner, scope, "a computed column").bind(tree))
            else:
                i = names.index(c.name)
                found.append(InputRef(i, c.type, c.name))
        node = p.Project(node, tuple(c.name for c in table.columns), tuple(found))
    if table.watermark is not None:
        column, text = table.watermark
        scope = Scope(node, [Source((), 0, node.schema.names)])
        tree = parse_expression(text)
        expression = ExpressionBinder(context.inner(text=text), scope, "a watermark").bind(tree)
        node = p.Watermark(node, node.schema.index(column), expression)
    return node


class RelationBinder:
    """Binds FROM into a scope.

    Args:
        context: shared things.
        outer: scope of the query around, for LATERAL and correlated names.
    """

    def __init__(self, context: Context, outer: Scope | None = None) -> None:
        self.context = context
        self.outer = outer

    def from_clause(self, select: Any) -> Scope:
        """The scope of a SELECT."""
        start = select.args.get("from_")
        if start is None:
            return Scope(empty_row(), [], self.outer)
        check_hints(self.context, select)
        ttls = state_ttls(self.context, select)
        scope = self._table(start.this)
        kept = ttl_of(ttls, table_names(start.this))
        for join in select.args.get("joins") or ():
            scope = self._join(scope, join, (kept, ttl_of(ttls, table_names(join.this))))
            kept = None
        return scope

    def _scope(self, node: p.Node, names: tuple[str, ...]) -> Scope:
        return Scope(node, [Source(names, 0, node.schema.names)], self.outer)

    # ------------------------------------------------------------------ tables

    def _table(self, tree: Any) -> Scope:
        alias = tree.args.get("alias")
        name = str(alias.this.this) if alias is not None else ""
        joins = tree.args.get("joins") or ()
        if isinstance(tree, RowPattern):
            self.context.fail(
                UnsupportedSqlError,
                "MATCH_RECOGNIZE is read, but not carried out yet",
                tree,
                "write the pattern with window functions or a process function",
            )
        if isinstance(tree, exp.Subquery):
            if isinstance(tree.this, (exp.Table, exp.Unnest, exp.Lateral)):
                scope = self._table(tree.this)
                if not name:
                    return scope
                return self._aliased(scope.node, name, alias)
            node = self._query(tree.this)
            scope = self._aliased(node, name, alias)
        elif isinstance(tree, (exp.Unnest, exp.Lateral)):
            scope = self._correlate(Scope(empty_row(), [], self.outer), tree, p.JoinKind.INNER)
        elif isinstance(tree.this, exp.Anonymous):
            scope = self._function(tree, name, alias)
        else:
            path = tuple(str(part.this) for part in tree.parts)
            if tree.args.get("version") is not None:
                self.context.fail(
                    UnsupportedSqlError,
                    "FOR SYSTEM_TIME AS OF goes with the right side of a JOIN alone: no catalog"
                    " keeps earlier states of a table",
                    tree,
                    "join the table: ... JOIN t FOR SYSTEM_TIME AS OF a.ts ON ...",
                )
            node, full = self.named(tree, path)
            scope = self._aliased(node, name, alias, full)
        for join in joins:
            scope = self._join(scope, join)
        return scope

    def _aliased(self, node: p.Node, name: str, alias: Any, path: tuple[str, ...] = ()) -> Scope:
        columns = [str(c.this) for c in (alias.args.get("columns") or ())] if alias else []
        if columns:
            node = self.renamed(node, columns, alias)
        return self._scope(node, (name,) if name else path)

    def renamed(self, node: p.Node, columns: list[str], tree: Any) -> p.Node:
        """The node with other names for its columns."""
        have = len(node.schema)
        if len(columns) != have:
            self.context.fail(
                SqlTypeError, f"{len(columns)} names are given for {have} columns", tree
            )
        return p.Project(node, tuple(columns), p.identity(node.schema))

    def _query(self, tree: Any, outer: Scope | None = None) -> p.Node:
        from lesto.client.table.sql.binder.queries import QueryBinder

        return QueryBinder(self.context, outer or self.outer).query(tree)

    def named(self, tree: Any, path: tuple[str, ...]) -> tuple[p.Node, tuple[str, ...]]:
        """The plan of a table, view or common table expression, and its full path."""
        if len(path) == 1 and path[0] in self.context.ctes:
            return self.context.ctes[path[0]], path
        catalogs = self.context.catalogs
        found = catalogs.find(path)
        if found is None:
            names = catalogs.list_objects(*catalogs.full_path(path)[:2]) if len(path) == 1 else []
            meant = did_you_mean(path[-1], [*names, *self.context.ctes]) if len(path) == 1 else ""
            message = f"there is no table {path[0]}{meant}" if len(path) == 1 else ""
            self.context.fail(
                UnknownTableError,
                message or catalogs.unknown(path),
                tree,
                "SHOW TABLES lists tables and views",
            )
        full, what = found
        if isinstance(what, CatalogView):
            return self._view(tree, full, what), full
        hints = self._options(tree)
        return table_plan(self.context, full, what, hints), full

    def _options(self, tree: Any) -> tuple[tuple[str, str], ...]:
        found: list[tuple[str, str]] = []
        for hint in tree.args.get("hints") or ():
            if hint.this != "OPTIONS":
                continue
            found += [(str(a.this.this), str(a.expression.this)) for a in hint.expressions]
        return tuple(found)

    def _view(self, tree: Any, path: tuple[str, ...], view: CatalogView) -> p.Node:
        if path in self.context.views:
            self.context.fail(
                InvalidQueryError, f"view {'.'.join(path)} is defined by itself", tree
            )
        if view.plan is not None:
            node: p.Node = view.plan
        else:
            node = view_plan(self.context, path, view)
        return self.renamed(node, list(view.columns), tree) if view.columns else node

    # ------------------------------------------------------------------ functions

    def _function(self, tree: Any, name: str, alias: Any) -> Scope:
        function = tree.this
        called = str(function.this)
        if is_window_function(called):
            return self._aliased(window_function(self, function), name, alias)
        lateral = exp.Lateral(this=function, alias=alias)
        lateral.meta.update(tree.meta)
        return self._correlate(Scope(empty_row(), [], self.outer), lateral, p.JoinKind.INNER)

    def table_argument(self, tree: Any) -> p.Node:
        """The plan of ``TABLE t`` or ``TABLE (query)`` among arguments."""
        inner = tree.this
        if isinstance(inner, exp.Subquery):
            return self._query(inner.this)
        return self.named(inner, tuple(str(part.this) for part in inner.parts))[0]

    # ------------------------------------------------------------------ joins

    def _join(
        self, left: Scope, join: Any, ttls: tuple[int | None, int | None] = (None, None)
    ) -> Scope:
        tree = join.this
        side = join.args.get("side")
        kind = p.JoinKind[side] if side else p.JoinKind.INNER
        if isinstance(tree, (exp.Unnest, exp.Lateral)) or (
            isinstance(tree, exp.Table)
            and isinstance(tree.this, exp.Anonymous)
            and not is_window_function(str(tree.this.this))
        ):
            return self._correlate(left, _lateral(tree), kind, join)
        if isinstance(tree, exp.Table) and tree.args.get("version") is not None:
            return self._temporal(left, join, kind)
        right = self._table(tree)
        width = len(left.node.schema)
        hidden, condition, binder = self._condition(left, right, join)
        sources = [
            *left.sources,
            *(
                Source(s.names, s.start + width, s.columns, s.hidden | hidden)
                for s in right.sources
            ),
        ]
        node = specialise(p.Join(left.node, right.node, kind, condition, ttls=ttls))
        scope = Scope(node, sources, self.outer)
        scope.correlated = left.correlated or right.correlated or binder.scope.correlated
        return scope

    def _condition(
        self, left: Scope, right: Scope, join: Any
    ) -> tuple[frozenset[int], Expression, ExpressionBinder]:
        width = len(left.node.schema)
        both = Scope(
            p.Join(left.node, right.node, p.JoinKind.INNER, literal(True)),
            [
                *left.sources,
                *(Source(s.names, s.start + width, s.columns, s.hidden) for s in right.sources),
            ],
            self.outer,
        )
        binder = ExpressionBinder(self.context, both, "ON")
        names: list[str] = []
        if join.args.get("method") == "NATURAL":
            names = [n for n in left.node.schema.names if n in right.node.schema.names]
        elif join.args.get("using"):
            names = [str(i.this) for i in join.args["using"]]
        elif join.args.get("on") is not None:
            return frozenset(), binder.condition(join.args["on"]), binder
        parts: list[Expression] = []
        hidden: set[int] = set()
        for name in names:
            a = ExpressionBinder(self.context, left, "USING").column(join, [name])
            b = ExpressionBinder(self.context, right, "USING").column(join, [name])
            parts.append(binder.call(join, "=", [a, shift_refs(b, width)]))
            if isinstance(b, InputRef):
                hidden.add(b.index)
        return frozenset(hidden), conjunction(parts), binder

    # ------------------------------------------------------------------ table functions

    def _correlate(self, left: Scope, tree: Any, kind: p.JoinKind, join: Any = None) -> Scope:
        if kind in {p.JoinKind.RIGHT, p.JoinKind.FULL}:
            self.context.fail(
                UnsupportedSqlError, f"{kind.value} JOIN does not go with table functions", tree
            )
        on = join.args.get("on") if join is not None else None
        plain = on is None or (isinstance(on, exp.Boolean) and on.this)
        if not plain and kind is p.JoinKind.LEFT:
            self.context.fail(
                UnsupportedSqlError,
                "LEFT JOIN of a table function takes ON TRUE alone",
                on,
                "put the condition into a subquery or the function",
            )
        if isinstance(tree, exp.Lateral) and isinstance(tree.this, exp.Subquery):
            return self._lateral_query(left, tree, kind, on)
        binder = ExpressionBinder(self.context, left, "the arguments of a table function")
        if isinstance(tree, exp.Unnest):
            node = self._unnest(left.node, binder, tree, kind)
        else:
            node = self._table_function(left.node, binder, tree, kind)
        node, name = self._named_columns(node, tree)
        width = len(left.node.schema)
        added = Source((name,) if name else (), width, node.columns.names)
        scope = Scope(node, [*left.sources, added], self.outer)
        scope.correlated = left.correlated
        if on is not None and not isinstance(on, exp.Boolean):
            scope.node = p.Filter(node, ExpressionBinder(self.context, scope, "ON").condition(on))
        return scope

    def _named_columns(self, node: p.Correlate, tree: Any) -> tuple[p.Correlate, str]:
        from dataclasses import replace

        alias = tree.args.get("alias")
        if alias is None:
            return node, ""
        names = [str(c.this) for c in (alias.args.get("columns") or ())]
        if names:
            if len(names) != len(node.columns):
                self.context.fail(
                    SqlTypeError,
                    f"{len(names)} names are given for {len(node.columns)} columns",
                    alias,
                )
            columns = Schema(
                tuple(Column(n, c.type) for n, c in zip(names, node.columns, strict=True))
            )
            node = replace(node, columns=columns)
        return node, str(alias.this.this)

    def _unnest(
        self, left: p.Node, binder: ExpressionBinder, tree: Any, kind: p.JoinKind
    ) -> p.Correlate:
        if len(tree.expressions) != 1:
            self.context.fail(UnsupportedSqlError, "UNNEST takes one collection", tree)
        value = binder.bind(tree.expressions[0])
        found = value.type
        match found.root:
            case TypeRoot.ARRAY | TypeRoot.MULTISET:
                element = found.element
                if element.root is TypeRoot.ROW:
                    pairs = zip(element.names, element.children, strict=True)
                    columns = [
                        Column(n, k.with_nullable(k.nullable or element.nullable)) for n, k in pairs
                    ]
                else:
                    columns = [Column("EXPR$0", element)]
            case TypeRoot.MAP:
                columns = [Column("KEY", found.children[0]), Column("VALUE", found.children[1])]
            case _:
                self.context.fail(
                    SqlTypeError,
                    f"UNNEST takes an ARRAY, MAP or MULTISET, and {value} is {found}",
                    tree.expressions[0],
                )
        ordinality = bool(tree.args.get("offset"))
        if ordinality:
            columns.append(Column("ORDINALITY", t.INT().not_null()))
        return p.Correlate(left, "UNNEST", (value,), Schema(tuple(columns)), kind, None, ordinality)

    def _table_function(
        self, left: p.Node, binder: ExpressionBinder, tree: Any, kind: p.JoinKind
    ) -> p.Correlate:
        function = tree.this
        name = str(function.this)
        user = self.context.user_function(name.split("."))
        if user is None or not isinstance(user, users.TableDefinition):
            known = [
                *self.context.catalogs.function_names(),
                "TUMBLE",
                "HOP",
                "CUMULATE",
                "SESSION",
            ]
            what = "is no table function" if user is not None else "is not known"
            self.context.fail(
                UnknownSqlFunctionError,
                f"table function {name} {what}{did_you_mean(name, known)}",
                function,
                "register a udtf under this name",
            )
        args = [binder.bind(e) for e in function.expressions]
        values, columns, called = user.bind_table(name, args)
        return p.Correlate(left, name, values, columns, kind, called)

    def _lateral_query(self, left: Scope, tree: Any, kind: p.JoinKind, on: Any) -> Scope:
        from lesto.client.table.sql.binder.subqueries import lateral

        node, names = lateral(self.context, left, tree.this.this, kind)
        alias = tree.args.get("alias")
        name = str(alias.this.this) if alias is not None else ""
        given = [str(c.this) for c in (alias.args.get("columns") or ())] if alias else []
        added = Source((name,) if name else (), len(left.node.schema), tuple(given) or names)
        scope = Scope(node, [*left.sources, added], self.outer)
        if on is not None and not isinstance(on, exp.Boolean):
            scope.node = p.Filter(node, ExpressionBinder(self.context, scope, "ON").condition(on))
        return scope

    # ------------------------------------------------------------------ temporal and lookup joins

    def _temporal(self, left: Scope, join: Any, kind: p.JoinKind) -> Scope:
        tree = join.this
        if kind not in {p.JoinKind.INNER, p.JoinKind.LEFT}:
            self.context.fail(
                UnsupportedSqlError, "FOR SYSTEM_TIME AS OF goes with JOIN and LEFT JOIN", join
            )
        moment = ExpressionBinder(self.context, left, "AS OF").bind(tree.args["version"].expression)
        time = left.node.schema[moment.index].time if isinstance(moment, InputRef) else None
        if not isinstance(moment, InputRef) or time is None:
            self.context.fail(
                MissingTimeAttributeError,
                f"FOR SYSTEM_TIME AS OF takes a time attribute of the left side, and {moment} is"
                " none",
                tree.args["version"],
                "use a column with a WATERMARK, or one that is PROCTIME()",
            )
        path = tuple(str(part.this) for part in tree.parts)
        node, full = self.named(tree, path)
        alias = tree.args.get("alias")
        name = str(alias.this.this) if alias is not None else ""
        right = self._aliased(node, name, alias, full)
        hidden, condition, _ = self._condition(left, right, join)
        width = len(left.node.schema)
        if time is TimeKind.PROCTIME:
            hints = lookup_hints(join.parent, table_names(tree))
            joined: p.Node = p.LookupJoin(left.node, right.node, kind, condition, hints)
        else:
            joined = self._versioned(left, right, tree, kind, condition, moment.index)
        sources = [
            *left.sources,
            *(Source(s.names, s.start + width, s.columns, hidden) for s in right.sources),
        ]
        return Scope(joined, sources, self.outer)

    def _versioned(
        self, left: Scope, right: Scope, tree: Any, kind: p.JoinKind, condition: Expression, at: int
    ) -> p.Node:
        schema = right.node.schema
        times = [i for i, c in enumerate(schema) if c.time is TimeKind.ROWTIME]
        name = ".".join(str(part.this) for part in tree.parts)
        if not times:
            self.context.fail(
                MissingTimeAttributeError,
                f"{name} has no time attribute, so its rows have no versions",
                tree,
                "declare a WATERMARK on it",
            )
        pairs, _ = p.equi_keys(condition, len(left.node.schema))
        equated = {b for _, b in pairs}
        keys = [k for k in right.node.unique_keys if k <= equated]
        if not keys:
            self.context.fail(
                InvalidQueryError,
                f"a temporal join needs the primary key of {name} in its condition",
                tree,
                "declare PRIMARY KEY (...) NOT ENFORCED, and equate all of it in ON",
            )
        lists: list[list[int]] = [sorted(k) for k in keys]
        shortest = min(lists, key=len)
        return p.TemporalJoin(left.node, right.node, kind, condition, at, times[0], tuple(shortest))


def _lateral(tree: Any) -> Any:
    if isinstance(tree, exp.Table):
        lateral = exp.Lateral(this=tree.this, alias=tree.args.get("alias"))
        lateral.meta.update(tree.meta)
        return lateral
    return tree


def view_plan(context: Context, path: tuple[str, ...], view: CatalogView) -> p.Node:
    """The plan of a view's query, its names resolved where the view was made."""
    from lesto.client.table.sql.binder.queries import QueryBinder
    from lesto.client.table.sql.dialect import parse_statement

    parsed: Any = parse_statement(view.query)
    catalogs = context.catalogs
    before = (catalogs.current_catalog, catalogs.current_database)
    if view.path:
        catalogs.current_catalog, catalogs.current_database = view.path[:2]
    try:
        inner = context.inner(text=view.query, ctes={}, views=(*context.views, path))
        return QueryBinder(inner).query(parsed.statement.query)
    finally:
        catalogs.current_catalog, catalogs.current_database = before


def aligned(context: Context, nodes: list[p.Node], tree: Any, what: str) -> list[p.Node]:
    """Inputs of a set operation, their columns cast to the common types."""
    widths = {len(n.schema) for n in nodes}
    if len(widths) > 1:
        counts = " and ".join(str(len(n.schema)) for n in nodes)
        context.fail(SqlTypeError, f"the queries of {what} have {counts} columns", tree)
    names = nodes[0].schema.names
    types = []
    for i, name in enumerate(names):
        given = [n.schema[i].type for n in nodes]
        common = find_common_type(given)
        if common is None:
            listed = " and ".join(str(k) for k in given)
            context.fail(
                SqlTypeError,
                f"column {name} of {what} has types that do not go together: {listed}",
                tree,
                "cast one of them",
            )
        types.append(common)
    found = []
    for node in nodes:
        refs = p.identity(node.schema)
        values = tuple(
            e if e.type.with_nullable(True) == k.with_nullable(True) else coerce(e, k)
            for e, k in zip(refs, types, strict=True)
        )
        found.append(node if values == refs else p.Project(node, names, values))
    return found


def equality(a: Expression, b: Expression) -> Expression:
    """``a = b``."""
    return call("=", [a, b])
