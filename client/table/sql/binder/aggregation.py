"""GROUP BY, aggregates, and functions with OVER."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

from lesto.client.table.errors import (
    AggregateMisuseError,
    InvalidQueryError,
    MissingTimeAttributeError,
    SqlTypeError,
)
from lesto.client.table.plan import logical as p
from lesto.client.table.plan.rules.windows import window_aggregate
from lesto.client.table.sql.binder import user_functions as users
from lesto.client.table.sql.binder.expressions import (
    GROUP_WINDOWS,
    WINDOW_PROPERTIES,
    ExpressionBinder,
)
from lesto.client.table.sql.binder.scope import Scope
from lesto.client.table.sql.binder.windows import group_window
from lesto.client.table.sql.trees import ColumnReference, exp, position
from lesto.sql import types as t
from lesto.sql.aggregates.ranking import RANKING, ranking_type
from lesto.sql.aggregates.table import bind_aggregate, is_aggregate
from lesto.sql.errors import SqlExpressionError
from lesto.sql.expressions import Call, Expression, InputRef, Literal, walk
from lesto.sql.types import TypeRoot


def calls_in(tree: Any, inside_over: bool = False) -> Iterator[Any]:
    """Function calls of a tree, from the top, without those of subqueries.

    Args:
        tree: an expression.
        inside_over: whether the call itself of a function with OVER is among them.
    """
    if isinstance(tree, (exp.Subquery, exp.Exists)) and not isinstance(tree.this, exp.Paren):
        return
    if isinstance(tree, exp.Window):
        call = _plain(tree.this)[0]
        if inside_over:
            yield tree.this
        parts = [*call.iter_expressions()]
        parts += [x for k, x in _window_parts(tree) if k]
        for part in parts:
            yield from calls_in(part)
        return
    if isinstance(tree, (exp.Anonymous, exp.Filter, exp.IgnoreNulls, exp.RespectNulls)):
        yield tree
        if not isinstance(tree, exp.Anonymous):
            return
    if isinstance(tree, exp.Expression):
        for child in tree.iter_expressions():
            yield from calls_in(child)


def _window_parts(tree: Any) -> list[tuple[bool, Any]]:
    found = [(True, e) for e in tree.args.get("partition_by") or ()]
    order = tree.args.get("order")
    found += [(True, o.this) for o in order.expressions] if order is not None else []
    return found


def windows_in(tree: Any) -> Iterator[Any]:
    """Functions with OVER in a tree, without those of subqueries."""
    if isinstance(tree, exp.Window):
        yield tree
        return
    if isinstance(tree, (exp.Subquery, exp.Exists)):
        return
    if isinstance(tree, exp.Expression):
        for child in tree.iter_expressions():
            yield from windows_in(child)


def _plain(tree: Any) -> tuple[Any, Any, bool]:
    """The call below FILTER and IGNORE NULLS: call, condition, ignore nulls."""
    condition, ignore = None, False
    while not isinstance(tree, exp.Anonymous):
        if isinstance(tree, exp.Filter):
            condition = tree.expression.this
        ignore |= isinstance(tree, exp.IgnoreNulls)
        tree = tree.this
    return tree, condition, ignore


class Aggregation:
    """The aggregates of one SELECT.

    Args:
        binder: over the scope of FROM.
    """

    def __init__(self, binder: ExpressionBinder) -> None:
        self.binder = binder
        self.context = binder.context
        self.keys: list[Expression] = []
        self.names: list[str] = []
        self.sets: list[tuple[int, ...]] = []
        self.window: p.Window | None = None
        self.window_tree: Any = None
        self.properties: list[tuple[str, str]] = []
        self.calls: list[p.AggregateCall] = []
        self.trees: list[tuple[Any, int]] = []
        self.property_trees: list[tuple[Any, int]] = []
        #: Of STATE_TTL.
        self.ttl: int | None = None

    def is_aggregate(self, tree: Any) -> bool:
        """Whether a call is one of an aggregate."""
        call = _plain(tree)[0]
        name = str(call.this).upper()
        if not isinstance(tree, exp.Anonymous):
            return True
        user = self.context.user_function(str(call.this).split("."))
        if user is not None:
            return isinstance(user, users.AggregateDefinition)
        return is_aggregate(name) or name in {"GROUPING", "GROUPING_ID"}

    # ------------------------------------------------------------------ GROUP BY

    def group(self, tree: Any) -> None:
        """Read GROUP BY."""
        sets: list[list[tuple[int, ...]]] = []
        for item in tree.expressions if tree is not None else ():
            sets.append(self._item(item))
        if any(len(s) != 1 for s in sets):
            product = [
                tuple(dict.fromkeys(i for part in parts for i in part))
                for parts in itertools.product(*sets)
            ]
            self.sets = list(dict.fromkeys(product))

    def _item(self, item: Any) -> list[tuple[int, ...]]:
        if isinstance(item, exp.GroupingSets):
            return [s for e in item.expressions for s in self._item(e)]
        if isinstance(item, (exp.Cube, exp.Rollup)):
            parts = [self._item(e)[0] for e in item.expressions]
            if isinstance(item, exp.Rollup):
                chosen: list[tuple[tuple[int, ...], ...]] = [
                    tuple(parts[:n]) for n in range(len(parts), -1, -1)
                ]
            else:
                chosen = [
                    c for n in range(len(parts), -1, -1) for c in itertools.combinations(parts, n)
                ]
            return [tuple(i for part in c for i in part) for c in chosen]
        if isinstance(item, exp.Tuple):
            return [tuple(i for e in item.expressions for i in self._item(e)[0])]
        if isinstance(item, exp.Paren):
            return self._item(item.this)
        name = str(item.this).upper() if isinstance(item, exp.Anonymous) else ""
        if name in GROUP_WINDOWS:
            if self.window is not None:
                self.context.fail(InvalidQueryError, "GROUP BY takes one window", item)
            self.window = group_window(self.context, self.binder, item)
            self.window_tree = item
            return [()]
        return [(self._key(item),)]

    def _key(self, tree: Any) -> int:
        self.binder.place = "GROUP BY"
        found = self.binder.bind(tree)
        self.binder.place = ""
        if found in self.keys:
            return self.keys.index(found)
        self.keys.append(found)
        self.names.append(found.name if isinstance(found, InputRef) else f"$k{len(self.keys)}")
        return len(self.keys) - 1

    # ------------------------------------------------------------------ aggregates

    def collect(self, trees: Sequence[Any]) -> None:
        """Find the aggregates of SELECT, HAVING, ORDER BY."""
        for tree in trees:
            skip: set[int] = set()
            for call in calls_in(tree):
                if id(call) in skip:
                    continue
                if isinstance(call, exp.Anonymous) and self._property(call):
                    continue
                if self.is_aggregate(call):
                    self._call(call)
                    skip |= {id(x) for x in calls_in(call) if x is not call}

    def _property(self, tree: Any) -> bool:
        window, _, what = str(tree.this).upper().rpartition("_")
        if window not in GROUP_WINDOWS or what not in WINDOW_PROPERTIES:
            return False
        if self.window is None:
            self.context.fail(
                AggregateMisuseError, f"{tree.this} goes with GROUP BY {window}(...)", tree
            )
        if group_window(self.context, self.binder, exp.Anonymous(
            this=window, expressions=list(tree.expressions)
        )) != self.window:  # fmt: skip
            self.context.fail(
                AggregateMisuseError,
                f"{tree.this} has other arguments than the window of GROUP BY",
                tree,
                f"write the arguments of {self.window_tree.sql('flink')}",
            )
        name = WINDOW_PROPERTIES[what]
        if name == "rowtime" and self.window.time_kind is p.TimeKind.PROCTIME:
            self.context.fail(
                MissingTimeAttributeError,
                f"{tree.this} needs event time, and the window is of processing time",
                tree,
                f"write {window}_PROCTIME",
            )
        named = [w for _, w in self.properties]
        if name not in named:
            self.properties.append((f"w${name}", name))
            named.append(name)
        self.property_trees.append((tree, named.index(name)))
        return True

    def _call(self, tree: Any) -> None:
        call, condition_tree, ignore = _plain(tree)
        name = str(call.this).upper()
        if name in {"GROUPING", "GROUPING_ID"}:
            self.trees.append((tree, self._grouping(call, name)))
            return
        for inner in call.expressions:
            for nested in calls_in(inner):
                if self.is_aggregate(nested):
                    self.context.fail(
                        AggregateMisuseError,
                        f"an aggregate stands within the aggregate {name}",
                        nested,
                        "compute the inner one in a subquery",
                    )
        if ignore:
            self.context.fail(AggregateMisuseError, "IGNORE NULLS goes with OVER alone", tree)
        self.binder.place = f"the arguments of {name}"
        condition = None
        if condition_tree is not None:
            condition = self.binder.condition(condition_tree)
        grouped = bool(self.keys) or self.window is not None
        if self.sets and () in self.sets:
            grouped = bool(self.window)
        found = bound_call(self.binder, call, f"$a{len(self.calls)}", condition, grouped)
        self.binder.place = ""
        self.trees.append((tree, self._registered(found)))

    def _registered(self, call: p.AggregateCall) -> int:
        for i, old in enumerate(self.calls):
            if (old.function, old.args, old.distinct, old.condition, old.user) == (
                call.function, call.args, call.distinct, call.condition, call.user,
            ):  # fmt: skip
                return i
        self.calls.append(call)
        return len(self.calls) - 1

    def _grouping(self, call: Any, name: str) -> int:
        positions: list[Expression] = []
        for arg in call.expressions:
            bound = self.binder.bind(arg)
            if bound not in self.keys:
                self.context.fail(
                    AggregateMisuseError, f"{name} takes expressions of GROUP BY", arg
                )
            positions.append(Literal(self.keys.index(bound), t.INT().not_null()))
        found = p.AggregateCall(
            f"$a{len(self.calls)}", name, tuple(positions), t.BIGINT().not_null()
        )
        return self._registered(found)

    # ------------------------------------------------------------------ the node

    def finish(self) -> GroupedBinder:
        """Build the node; the binder returned gives expressions over it."""
        scope = self.binder.scope
        node = scope.node
        positions: list[int] = []
        names, expressions = list(node.schema.names), list(p.identity(node.schema))
        for name, key in zip(self.names, self.keys, strict=True):
            if isinstance(key, InputRef):
                positions.append(key.index)
            else:
                positions.append(len(names))
                names.append(name)
                expressions.append(key)
        if len(names) > len(node.schema):
            node = p.Project(node, tuple(names), tuple(expressions))
        keys, calls = tuple(positions), tuple(self.calls)
        if self.window is not None:
            grouped: p.Node = p.WindowAggregate(
                node, self.window, keys, calls, tuple(self.properties), None, True, tuple(self.sets)
            )
        else:
            grouped = window_aggregate(p.Aggregate(node, keys, calls, tuple(self.sets), self.ttl))
        binder = GroupedBinder(self, Scope(grouped, [], scope.outer))
        schema = grouped.schema
        for tree, i in self.trees:
            at = len(keys) + i
            binder.replaced[id(tree)] = InputRef(at, schema[at].type, schema[at].name)
        for tree, i in self.property_trees:
            at = len(keys) + len(calls) + i
            binder.replaced[id(tree)] = InputRef(at, schema[at].type, schema[at].name)
        return binder


class GroupedBinder(ExpressionBinder):
    """Binds what stands above GROUP BY: keys, aggregates, and what is computed of them."""

    def __init__(self, aggregation: Aggregation, scope: Scope) -> None:
        super().__init__(aggregation.context, scope)
        self.aggregation = aggregation

    def bind(self, tree: Any) -> Expression:
        """The expression of a tree over the groups."""
        if id(tree) in self.replaced:
            return self.replaced[id(tree)]
        key = self._key(tree)
        return super().bind(tree) if key is None else key

    def _key(self, tree: Any) -> Expression | None:
        if isinstance(tree, (exp.Literal, exp.Null, exp.Boolean, exp.Subquery, exp.Window)):
            return None
        keys = self.aggregation.keys
        base = self.aggregation.binder
        if not isinstance(tree, (exp.Column, ColumnReference)):
            if all(isinstance(k, InputRef) for k in keys):
                return None
            if any(self._replaces(c) for c in calls_in(tree)) or any(windows_in(tree)):
                return None
        found = base.bind(tree)
        if found in keys:
            at = keys.index(found)
            column = self.scope.node.schema[at]
            return InputRef(at, column.type, found.name if isinstance(found, InputRef) else "")
        if isinstance(tree, (exp.Column, ColumnReference)):
            if not any(isinstance(x, InputRef) for x in walk(found)):
                return found
            return self._of_row(tree, found)
        return None

    def _of_row(self, tree: Any, found: Expression) -> Expression | None:
        """A field of a key that is a row; else the column is not grouped by."""
        if isinstance(found, Call) and found.function == "$OUTER":
            return found
        if isinstance(found, Call) and found.function == "DOT":
            inner = found.args[0]
            keys = self.aggregation.keys
            if inner in keys:
                at = keys.index(inner)
                column = self.scope.node.schema[at]
                ref = InputRef(at, column.type, column.name)
                return self.call(tree, "DOT", [ref, found.args[1]])
        listed = ", ".join(str(k) for k in self.aggregation.keys)
        name = str(found) if isinstance(tree, ColumnReference) else tree.sql("flink")
        self.fail(
            AggregateMisuseError,
            f"column {name} is neither in GROUP BY nor in an aggregate",
            tree,
            f"add it to GROUP BY ({listed}), or write MAX({name})"
            if listed
            else f"add GROUP BY, or write MAX({name})",
        )

    def _replaces(self, call: Any) -> bool:
        return id(call) in self.replaced

    def column(self, tree: Any, parts: list[str]) -> Expression:
        """A column that is a key, or a field of one."""
        found = self.aggregation.binder.column(tree, parts)
        of_row = self._of_row(tree, found)
        assert of_row is not None
        return of_row


def bound_call(
    binder: ExpressionBinder,
    call: Any,
    name: str,
    condition: Expression | None,
    grouped: bool,
) -> p.AggregateCall:
    """An aggregate's call over a binder's scope."""
    function = str(call.this)
    trees = list(call.expressions)
    distinct = len(trees) == 1 and isinstance(trees[0], exp.Distinct)
    if distinct:
        trees = list(trees[0].expressions)
    if len(trees) == 1 and isinstance(trees[0], exp.Star):
        if function.upper() != "COUNT":
            binder.fail(AggregateMisuseError, f"* goes with COUNT, not with {function}", trees[0])
        trees = []
    args = [binder.bind(x) for x in trees]
    user = binder.context.user_function(function.split("."))
    if isinstance(user, users.AggregateDefinition):
        values, kind, called = user.bind_aggregate(function, args)
        return p.AggregateCall(name, function, values, kind, distinct, condition, called)
    try:
        bound = bind_aggregate(
            function, args, distinct=distinct, condition=condition, grouped=grouped
        )
    except SqlExpressionError as error:
        raise SqlTypeError(
            error.message, remedy=error.remedy, text=binder.context.text, offset=position(call)
        ) from error
    return p.AggregateCall(name, bound.function, bound.args, bound.type, bound.distinct, condition)


# ---------------------------------------------------------------------- OVER


def add_windows(binder: ExpressionBinder, trees: Sequence[Any], named: dict[str, Any]) -> None:
    """Add an Over node for each window of these trees, and remember their columns.

    Args:
        binder: over the rows of the query, groups perhaps.
        trees: of SELECT, QUALIFY, ORDER BY.
        named: windows of the WINDOW clause.
    """
    groups: dict[Any, list[Any]] = {}
    for tree in trees:
        for window in windows_in(tree):
            groups.setdefault(_spec(binder, window, named), []).append(window)
    for (partition, order, frame), windows in groups.items():
        _over(binder, partition, order, frame, windows)


def _spec(binder: ExpressionBinder, tree: Any, named: dict[str, Any]) -> Any:
    base = tree
    alias = tree.args.get("alias")
    parts, order, spec = (tree.args.get(k) for k in ("partition_by", "order", "spec"))
    if alias is not None:
        base = named.get(str(alias.this))
        if base is None:
            binder.fail(InvalidQueryError, f"there is no window {alias.this}", alias)
        parts = parts or base.args.get("partition_by")
        order = order or base.args.get("order")
        spec = spec or base.args.get("spec")
    partition = tuple(binder.bind(e) for e in parts or ())
    sort = tuple(
        (binder.bind(o.this), bool(o.args.get("desc")), o.args.get("nulls_first"))
        for o in (order.expressions if order is not None else ())
    )
    call = _plain(tree.this)[0]
    if str(call.this).upper() in RANKING:
        frame = p.Frame()
    else:
        frame = _frame(binder, tree, spec)
    return partition, sort, frame


def _frame(binder: ExpressionBinder, tree: Any, spec: Any) -> p.Frame:
    if spec is None:
        return p.Frame()
    rows = spec.args["kind"] == "ROWS"
    start, end = spec.args["start"], spec.args["end"]
    side = spec.args.get("start_side")
    if end != "CURRENT ROW" or (side != "PRECEDING" and start != "CURRENT ROW"):
        binder.fail(
            InvalidQueryError,
            "an OVER window ends with CURRENT ROW: rows that follow are not there yet",
            tree,
            "write BETWEEN ... PRECEDING AND CURRENT ROW",
        )
    if start == "UNBOUNDED":
        return p.Frame(rows)
    if start == "CURRENT ROW":
        return p.Frame(rows, 0)
    value = binder.bind(start)
    wanted = t.INTEGER if rows else {TypeRoot.DAY_TIME}
    if not isinstance(value, Literal) or value.type.root not in wanted:
        what = "a number of rows" if rows else "a constant interval"
        binder.fail(SqlTypeError, f"{'ROWS' if rows else 'RANGE'} takes {what}", start)
    if value.value < 0:
        binder.fail(
            InvalidQueryError,
            "an OVER window begins before its row: what is PRECEDING cannot be negative",
            tree,
            "write BETWEEN 1 PRECEDING AND CURRENT ROW",
        )
    return p.Frame(rows, int(value.value))


def _over(
    binder: ExpressionBinder,
    partition: tuple[Expression, ...],
    order: tuple[tuple[Expression, bool, bool | None], ...],
    frame: p.Frame,
    windows: list[Any],
) -> None:
    scope = binder.scope
    node = scope.node
    names, expressions = list(node.schema.names), list(p.identity(node.schema))

    def place(e: Expression) -> int:
        if isinstance(e, InputRef):
            return e.index
        if e in expressions:
            return expressions.index(e)
        names.append(f"$o{len(names)}")
        expressions.append(e)
        return len(expressions) - 1

    keys = tuple(place(e) for e in partition)
    sort = tuple(p.SortKey(place(e), desc, nulls) for e, desc, nulls in order)
    if len(names) > len(node.schema):
        node = p.Project(node, tuple(names), tuple(expressions))
    calls: list[p.AggregateCall] = []
    for i, window in enumerate(windows):
        calls.append(_over_call(binder, window, f"w{i}$o{len(names)}", bool(sort)))
    scope.node = p.Over(node, keys, sort, frame, tuple(calls))
    for i, window in enumerate(windows):
        at = len(names) + i
        binder.replaced[id(window)] = InputRef(at, calls[i].type, calls[i].name)


def _over_call(binder: ExpressionBinder, window: Any, name: str, ordered: bool) -> p.AggregateCall:
    call, condition_tree, _ = _plain(window.this)
    function = str(call.this).upper()
    if not ordered:
        binder.fail(
            InvalidQueryError,
            f"{function} OVER needs ORDER BY: on a stream rows have no last one",
            window,
            "order by a time attribute; ROW_NUMBER and RANK by any columns",
        )
    condition = None if condition_tree is None else binder.condition(condition_tree)
    if function in RANKING:
        args = [binder.bind(e) for e in call.expressions]
        try:
            kind = ranking_type(function, args)
        except SqlExpressionError as error:
            raise SqlTypeError(
                error.message, remedy=error.remedy, text=binder.context.text, offset=position(call)
            ) from error
        return p.AggregateCall(name, function, tuple(args), kind, False, condition)
    return bound_call(binder, call, name, condition, True)
