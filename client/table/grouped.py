"""Tables that are grouped, or have windows: what stands between ``group_by`` and ``select``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lesto.client.datastream.location import user_location
from lesto.client.table import queries as q
from lesto.client.table.errors import TableProgramError
from lesto.client.table.expression import Expression, TreeContext, column, user_call
from lesto.client.table.plan import logical as p
from lesto.client.table.sql.trees import exp
from lesto.client.table.table import Table, _fields_of
from lesto.client.table.udf import UserDefinedAggregateFunctionWrapper
from lesto.common.errors import did_you_mean
from lesto.sql.types import TypeRoot

if TYPE_CHECKING:
    from lesto.client.table.window import GroupWindow, OverWindow


class GroupedTable:
    """Groups of rows."""

    def __init__(self, table: Table, keys: list[Expression]) -> None:
        self._table = table
        self._keys = keys

    def _select(self, fields: list[Any], context: TreeContext | None = None) -> p.Node:
        context = context or TreeContext()
        group = [e.tree(context) for e in self._keys]
        return q.select(
            self._table._session, self._table._node, fields, group=group, context=context
        )

    def select(self, *fields: Any) -> Table:
        """A row for each group: its keys, and aggregates."""
        return self._table._with(self._select(list(fields)))

    def _aggregate(self, func: Any) -> tuple[p.Node, Expression]:
        e = self._table._called(func)
        keys = q.expanded(self._table._node, self._keys)
        return self._select([*keys, e.with_(names=("$aggregate",))]), e

    def aggregate(self, func: Any) -> AggregatedTable:
        """An aggregate whose result is a row: its fields become columns."""
        node, e = self._aggregate(func)
        return AggregatedTable(self._table, _fields_of(node, len(node.schema) - 1, e._names))

    def flat_aggregate(self, func: Any) -> FlatAggregateTable:
        """A table aggregate: any number of rows for each group."""
        node, e = self._aggregate(_listing(func))
        return FlatAggregateTable(self._table, _unnested(node, e._names))


class GroupWindowedTable:
    """A table with windows of time, to be grouped by."""

    def __init__(self, table: Table, window: GroupWindow) -> None:
        self._table = table
        self._window = window

    def group_by(self, *fields: Expression) -> WindowGroupedTable:
        """Groups of rows of one window and of equal values; the window must be among them."""
        keys = []
        found = False
        for given in fields:
            e = q.as_field(given)
            tree = e.tree()
            if isinstance(tree, exp.Column) and str(tree.this.this) == self._window.name:
                found = True
            else:
                keys.append(e)
        if not found:
            names = [str(e) for e in fields]
            meant = did_you_mean(self._window.name, [n.strip("`") for n in names])
            msg = f"the window {self._window.name} is not among group_by's fields{meant}"
            raise TableProgramError(
                msg,
                remedy=f"write group_by(col({self._window.name!r}), ...)",
                location=user_location(),
            )
        return WindowGroupedTable(self._table, self._window, keys)


class WindowGroupedTable(GroupedTable):
    """Groups of rows of one window."""

    def __init__(self, table: Table, window: GroupWindow, keys: list[Expression]) -> None:
        super().__init__(table, keys)
        self._window = window

    def _select(self, fields: list[Any], context: TreeContext | None = None) -> p.Node:
        context = TreeContext(windows={self._window.name: self._window})
        group = [*(e.tree(context) for e in self._keys), self._window.tree(context)]
        return q.select(
            self._table._session, self._table._node, fields, group=group, context=context
        )

    def aggregate(self, func: Any) -> AggregatedTable:
        """An aggregate whose result is a row: its fields become columns."""
        e = self._table._called(func)
        return AggregatedTable(self._table, None, (self, e))

    def flat_aggregate(self, func: Any) -> FlatAggregateTable:
        """A table aggregate: any number of rows for each window and group."""
        e = self._table._called(_listing(func))
        return FlatAggregateTable(self._table, None, (self, e))


class OverWindowedTable:
    """A table with windows of rows."""

    def __init__(self, table: Table, windows: tuple[OverWindow, ...]) -> None:
        self._table = table
        self._windows = windows

    def select(self, *fields: Any) -> Table:
        """Fields of each row, aggregates with ``over(col("w"))`` among them."""
        context = TreeContext(over={w.name: w for w in self._windows})
        node = q.select(self._table._session, self._table._node, fields, context=context)
        return self._table._with(node)


class AggregatedTable:
    """An aggregate that lacks its ``select``."""

    def __init__(
        self,
        table: Table,
        node: p.Node | None,
        window: tuple[WindowGroupedTable, Expression] | None = None,
    ) -> None:
        self._table = table
        self._node = node
        self._window = window

    def select(self, *fields: Any) -> Table:
        """Keys, fields of the aggregate's row, and properties of the window."""
        session = self._table._session
        if self._window is None:
            assert self._node is not None
            return self._table._with(q.select(session, self._node, fields))
        grouped, e = self._window
        properties = ("start", "end", "rowtime") if _is_rowtime(grouped) else ("start", "end")
        name = grouped._window.name
        window = column(name)
        marks = [getattr(window, w).alias(f"{name}${w}") for w in properties]
        keys = q.expanded(self._table._node, grouped._keys)
        node = grouped._select([*keys, *marks, e.with_(names=("$aggregate",))])
        node = self._columns(node, e)
        context = TreeContext(windows={name: _Marks(name)})
        return self._table._with(q.select(session, node, fields, context=context))

    def _columns(self, node: p.Node, e: Expression) -> p.Node:
        return _fields_of(node, len(node.schema) - 1, e._names)


class FlatAggregateTable(AggregatedTable):
    """A table aggregate that lacks its ``select``."""

    def _columns(self, node: p.Node, e: Expression) -> p.Node:
        return _unnested(node, e._names)


class _Marks:
    """A window whose properties are columns already."""

    def __init__(self, name: str) -> None:
        self._name = name

    def property_tree(self, what: str, _context: TreeContext) -> Any:
        return exp.Column(this=exp.Identifier(this=f"{self._name}${what.lower()}"))


def _is_rowtime(grouped: WindowGroupedTable) -> bool:
    schema = grouped._table._node.schema
    at = schema.index(q.column_name(grouped._window.time))
    return at >= 0 and schema[at].time is p.TimeKind.ROWTIME


def _listing(func: Any) -> Any:
    """A table aggregate as an aggregate that gives its rows as one array."""
    wrapper = func._call[0] if isinstance(func, Expression) and func._call is not None else func
    if not isinstance(wrapper, UserDefinedAggregateFunctionWrapper) or (
        not wrapper._is_table_aggregate
    ):
        msg = f"flat_aggregate takes a udtaf, not {func!r:.80}"
        raise TableProgramError(msg, location=user_location())
    if isinstance(func, Expression) and func._call is not None:
        return user_call(wrapper, func._call[1]).with_(names=func._names)
    return func


def _unnested(node: p.Node, names: tuple[str, ...]) -> p.Node:
    """The rows of the last column, an array, with the columns before it."""
    schema = node.schema
    at = len(schema) - 1
    array = schema[at].type
    assert array.root is TypeRoot.ARRAY
    row = array.element
    given = names if len(names) == len(row.names) else row.names
    columns = [p.Column(n, k) for n, k in zip(given, row.children, strict=True)]
    joined = p.Correlate(
        node, "UNNEST", (p.identity(schema)[at],), p.Schema.of(columns), p.JoinKind.INNER
    )
    refs = p.identity(joined.schema)
    kept = [i for i in range(len(refs)) if i != at]
    named = joined.schema.names
    return p.Project(joined, tuple(named[i] for i in kept), tuple(refs[i] for i in kept))
