"""Table: a query under construction."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from lesto.client.datastream.checks import check_instance, unsupported
from lesto.client.datastream.location import user_location
from lesto.client.table import queries as q
from lesto.client.table.catalog.objects import CatalogTable, CatalogView
from lesto.client.table.errors import SqlTypeError, TableProgramError, UnknownTableError
from lesto.client.table.executor import run_query
from lesto.client.table.expression import (
    Expression,
    TreeContext,
    as_expression,
    cast_tree,
    column,
    fn,
    user_call,
)
from lesto.client.table.locations import located
from lesto.client.table.plan import logical as p
from lesto.client.table.results import TableResult
from lesto.client.table.sql.binder.inserts import written
from lesto.client.table.sql.dialect import parse_path
from lesto.client.table.sql.trees import exp
from lesto.client.table.statement_set import TablePipeline, explain_nodes
from lesto.client.table.table_descriptor import TableDescriptor
from lesto.client.table.table_schema import ResolvedSchema, TableSchema
from lesto.client.table.types import RowType
from lesto.client.table.udf import UserDefinedFunctionWrapper
from lesto.client.table.window import GroupWindow, OverWindow
from lesto.common.errors import did_you_mean
from lesto.sql.builder import call, cast, literal
from lesto.sql.expressions import Expression as ColumnValue
from lesto.sql.expressions import InputRef

if TYPE_CHECKING:
    from lesto.client.table.environment import TableEnvironment


class Table:
    """A query. Its methods give other Tables; ``execute`` and ``execute_insert`` run it.

    Columns are attributes too: ``table.a`` is ``col("a")``.
    """

    def __init__(self, environment: TableEnvironment, node: p.Node) -> None:
        self._env = environment
        self._node = node
        self._name = ""

    @property
    def _session(self) -> Any:
        return self._env._session

    def _with(self, node: p.Node) -> Table:
        return Table(self._env, node)

    def __getattr__(self, name: str) -> Expression:
        if name.startswith("_"):
            raise AttributeError(name)
        names = self._node.schema.names
        if name not in names:
            msg = f"there is no column {name}{did_you_mean(name, names)}"
            raise AttributeError(msg)
        return column(name)

    def __str__(self) -> str:
        """A name for the Table in SQL: ``f"SELECT * FROM {table}"``."""
        if not self._name:
            self._name = self._session.new_name()
            view = CatalogView("", plan=self._node)
            self._session.catalogs.create((self._name,), view, temporary=True)
        return f"`{self._name}`"

    def __repr__(self) -> str:
        return f"Table({self._node.schema})"

    # ------------------------------------------------------------------ rows and columns

    def select(self, *fields: Any) -> Table:
        """The fields, computed of each row; of all rows if they are aggregates.

        Raises:
            SqlError: a name is not known, or types do not fit; shows your line.
        """
        return self._with(q.select(self._session, self._node, fields))

    def alias(self, field: str, *fields: str) -> Table:
        """Other names for the first columns."""
        names = [field, *fields]
        have = self._node.schema.names
        if len(names) > len(have):
            msg = f"{len(names)} names are given for {len(have)} columns"
            raise TableProgramError(msg, location=user_location())
        return self._with(q.renamed(self._node, [*names, *have[len(names) :]]))

    def filter(self, predicate: Expression) -> Table:
        """The rows of which the predicate is TRUE."""
        context = TreeContext()
        where = exp.Where(this=q.as_field(predicate).tree(context))
        tree = q.select_tree([exp.Star()], where=where)
        return self._with(q.bound(self._session, tree, {q.LEFT: self._node}, context))

    def where(self, predicate: Expression) -> Table:
        """As :meth:`filter`."""
        return self.filter(predicate)

    def distinct(self) -> Table:
        """Each row once."""
        width = len(self._node.schema)
        return self._with(p.Aggregate(self._node, tuple(range(width)), ()))

    def add_columns(self, *fields: Any) -> Table:
        """All columns, and more.

        Raises:
            TableProgramError: there is a column of this name.
        """
        made = q.select(self._session, self._node, [_every(), *fields])
        width = len(self._node.schema)
        for name in made.schema.names[width:]:
            original = name.rstrip("0123456789")
            if original != name and original in self._node.schema.names:
                msg = f"there is a column {original}"
                raise TableProgramError(
                    msg, remedy="use add_or_replace_columns", location=user_location()
                )
        return self._with(made)

    def add_or_replace_columns(self, *fields: Any) -> Table:
        """All columns, and more; those of a name that is there take its place."""
        added = q.expanded(self._node, fields)
        by_name: dict[str, Expression] = {}
        unnamed: list[Expression] = []
        for e in added:
            name = e._names[0] if e._names else _plain_name(e)
            if name:
                by_name[name] = e
            else:
                unnamed.append(e)
        items = [by_name.pop(n, column(n)) for n in self._node.schema.names]
        return self._with(
            q.select(self._session, self._node, [*items, *by_name.values(), *unnamed])
        )

    def rename_columns(self, *fields: Expression) -> Table:
        """Other names: ``col("a").alias("b")``."""
        names = list(self._node.schema.names)
        for e in fields:
            old = q.column_name(as_expression(e))
            if len(e._names) != 1:
                msg = f"rename_columns takes col({old!r}).alias(new name)"
                raise TableProgramError(msg, location=user_location())
            names[q._position(names, old)] = e._names[0]
        return self._with(q.renamed(self._node, names))

    def drop_columns(self, *fields: Expression) -> Table:
        """All columns but these."""
        names = list(self._node.schema.names)
        gone = {q._position(names, n) for e in fields for n in q._named(self._node, e)}
        kept = [column(n) for i, n in enumerate(names) if i not in gone]
        return self._with(q.select(self._session, self._node, kept))

    # ------------------------------------------------------------------ groups and windows

    def group_by(self, *fields: Expression) -> GroupedTable:
        """Groups of rows with equal values."""
        from lesto.client.table.grouped import GroupedTable

        return GroupedTable(self, [q.as_field(e) for e in fields])

    def window(self, window: GroupWindow) -> GroupWindowedTable:
        """Windows of time, to be grouped by."""
        from lesto.client.table.grouped import GroupWindowedTable

        check_instance("window", "Tumble, Slide or Session with an alias", window, GroupWindow)
        return GroupWindowedTable(self, window)

    def over_window(self, *over_windows: OverWindow) -> OverWindowedTable:
        """Windows of rows, for aggregates with ``over``."""
        from lesto.client.table.grouped import OverWindowedTable

        for window in over_windows:
            check_instance("over_window", "an Over window with an alias", window, OverWindow)
        return OverWindowedTable(self, over_windows)

    # ------------------------------------------------------------------ joins

    def join(self, right: Table, join_predicate: Expression | None = None) -> Table:
        """The pairs of rows of which the predicate is TRUE."""
        return self._join(right, join_predicate, "")

    def left_outer_join(self, right: Table, join_predicate: Expression | None = None) -> Table:
        """A join; left rows without a partner come with NULLs."""
        return self._join(right, join_predicate, "LEFT")

    def right_outer_join(self, right: Table, join_predicate: Expression) -> Table:
        """A join; right rows without a partner come with NULLs."""
        return self._join(right, join_predicate, "RIGHT")

    def full_outer_join(self, right: Table, join_predicate: Expression) -> Table:
        """A join; rows without a partner come with NULLs."""
        return self._join(right, join_predicate, "FULL")

    def _join(self, right: Table, predicate: Expression | None, side: str) -> Table:
        check_instance("join", "a Table", right, Table)
        both = set(self._node.schema.names) & set(right._node.schema.names)
        if both:
            msg = f"both sides of the join have columns {', '.join(sorted(both))}"
            raise TableProgramError(
                msg, remedy="rename those of one: table.alias(...)", location=user_location()
            )
        context = TreeContext()
        join = exp.Join(this=q.table_tree(q.RIGHT), kind=None if side else "INNER")
        if side:
            join.set("side", side)
        if predicate is not None:
            join.set("on", q.as_field(predicate).tree(context))
        tree = q.select_tree([exp.Star()], joins=[join])
        tables = {q.LEFT: self._node, q.RIGHT: right._node}
        return self._with(q.bound(self._session, tree, tables, context))

    def join_lateral(self, table_function_call: Any, join_predicate: Any = None) -> Table:
        """Each row with the rows that a table function makes of it."""
        return self._lateral(table_function_call, join_predicate, "")

    def left_outer_join_lateral(
        self, table_function_call: Any, join_predicate: Any = None
    ) -> Table:
        """As :meth:`join_lateral`; with NULLs where the function gives no row."""
        return self._lateral(table_function_call, join_predicate, "LEFT")

    def _lateral(self, given: Any, predicate: Any, side: str) -> Table:
        context = TreeContext()
        e = self._called(given)
        lateral = exp.Lateral(this=e.tree(context))
        names = [exp.Identifier(this=n) for n in e._names]
        alias = exp.TableAlias(this=exp.Identifier(this="$lateral"), columns=names)
        lateral.set("alias", alias)
        join = exp.Join(this=lateral, kind=None if side else "INNER")
        if side:
            join.set("side", side)
        on = predicate if predicate is None else q.as_field(predicate)
        join.set("on", exp.Boolean(this=True) if on is None else on.tree(context))
        tree = q.select_tree([exp.Star()], joins=[join])
        return self._with(q.bound(self._session, tree, {q.LEFT: self._node}, context))

    # ------------------------------------------------------------------ users' functions of rows

    def _called(self, given: Any) -> Expression:
        """A call; a function alone gets the whole row."""
        if isinstance(given, Expression):
            return given
        check_instance("map", "a call of a function", given, UserDefinedFunctionWrapper)
        names = self._node.schema.names
        kind = _row_type_text(self._node)
        row = fn("ROW", *(column(n) for n in names))
        argument = Expression(lambda c: cast_tree(row.tree(c), kind))
        return user_call(given, [argument])

    def map(self, func: Any) -> Table:
        """A function's row in the place of each row."""
        e = self._called(func)
        names = e._names
        made = q.select(self._session, self._node, [e.with_(names=("$map",))])
        return self._with(_fields_of(made, 0, names))

    def flat_map(self, func: Any) -> Table:
        """The rows of a table function in the place of each row."""
        joined = self.join_lateral(func)._node
        width = len(self._node.schema)
        refs = p.identity(joined.schema)[width:]
        return self._with(p.Project(joined, joined.schema.names[width:], refs))

    def aggregate(self, func: Any) -> AggregatedTable:
        """A function of all rows."""
        return self.group_by().aggregate(func)

    def flat_aggregate(self, func: Any) -> FlatAggregateTable:
        """A table aggregate of all rows."""
        return self.group_by().flat_aggregate(func)

    # ------------------------------------------------------------------ sets

    def union(self, right: Table) -> Table:
        """The rows of both, each once."""
        return self._set(exp.Union, right, True)

    def union_all(self, right: Table) -> Table:
        """The rows of both."""
        return self._set(exp.Union, right, False)

    def intersect(self, right: Table) -> Table:
        """The rows that are in both, each once."""
        return self._set(exp.Intersect, right, True)

    def intersect_all(self, right: Table) -> Table:
        """The rows that are in both, as often as in both."""
        return self._set(exp.Intersect, right, False)

    def minus(self, right: Table) -> Table:
        """The rows that are not in the other, each once."""
        return self._set(exp.Except, right, True)

    def minus_all(self, right: Table) -> Table:
        """The rows, without as many as are in the other."""
        return self._set(exp.Except, right, False)

    def _set(self, kind: Any, right: Table, distinct: bool) -> Table:
        check_instance(kind.__name__.lower(), "a Table", right, Table)
        sides = [q.select_tree([exp.Star()], name) for name in (q.LEFT, q.RIGHT)]
        tree = kind(this=sides[0], expression=sides[1], distinct=distinct)
        tables = {q.LEFT: self._node, q.RIGHT: right._node}
        return self._with(q.bound(self._session, tree, tables, TreeContext()))

    # ------------------------------------------------------------------ order

    def order_by(self, *fields: Expression) -> Table:
        """Sorted; ascending unless ``.desc`` says so."""
        context = TreeContext()
        items = []
        for e in q.expanded(self._node, fields):
            items.append(
                exp.Ordered(this=e.tree(context), desc=e._order == "DESC", nulls_first=None)
            )
        tree = q.select_tree([exp.Star()], order=exp.Order(expressions=items))
        return self._with(q.bound(self._session, tree, {q.LEFT: self._node}, context))

    def offset(self, offset: int) -> Table:
        """Without the first rows."""
        return self._with(p.Limit(self._node, None, _count("offset", offset)))

    def fetch(self, fetch: int) -> Table:
        """The first rows."""
        count = _count("fetch", fetch)
        node = self._node
        if isinstance(node, p.Limit) and node.fetch is None:
            return self._with(p.Limit(node.input, count, node.offset))
        return self._with(p.Limit(node, count))

    def limit(self, fetch: int, offset: int = 0) -> Table:
        """The first rows behind an offset."""
        return self._with(p.Limit(self._node, _count("limit", fetch), _count("limit", offset)))

    # ------------------------------------------------------------------ about it

    def get_schema(self) -> TableSchema:
        """Names and types."""
        return TableSchema.of(self._node.schema)

    def get_resolved_schema(self) -> ResolvedSchema:
        """Names and types."""
        return ResolvedSchema(self._node.schema)

    def print_schema(self) -> None:
        """Print names and types."""
        lines = [f"  `{c.name}` {c.summary()}" for c in self._node.schema]
        sys.stdout.write("(\n" + ",\n".join(lines) + "\n)\n")

    def explain(self, *extra_details: int) -> str:
        """The plan."""
        return explain_nodes(self._env, [self._node], extra_details)

    def print_explain(self, *extra_details: int) -> None:
        """Print the plan."""
        sys.stdout.write(self.explain(*extra_details) + "\n")

    # ------------------------------------------------------------------ running

    def execute(self) -> TableResult:
        """Submit the query; its rows come with the result."""
        return run_query(self._session, self._node)

    def to_arrow(self) -> Any:
        """Run the query, and give its final rows as an Arrow table."""
        return self.execute().to_arrow()

    def to_pandas(self) -> Any:
        """Run the query, and give its final rows as a data frame."""
        return self.execute().to_pandas()

    def to_polars(self) -> Any:
        """Run the query, and give its final rows as a frame of polars."""
        return self.execute().to_polars()

    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any:
        """Run the query; its final rows for whoever takes Arrow streams."""
        return self.execute().__arrow_c_stream__(requested_schema)

    def insert_into(
        self, table_path_or_descriptor: str | TableDescriptor, overwrite: bool = False
    ) -> TablePipeline:
        """The Table on its way into another: ``execute()`` it, or add it to a StatementSet.

        Raises:
            SqlError: there is no such table, or the columns do not fit; shows your line.
        """
        session = self._session
        if isinstance(table_path_or_descriptor, TableDescriptor):
            descriptor = table_path_or_descriptor
            if descriptor.get_schema() is None:
                from lesto.client.table.table_descriptor import Schema

                schema = Schema.new_builder().from_resolved_schema(self._node.schema).build()
                descriptor = TableDescriptor(
                    schema,
                    descriptor.get_options(),
                    descriptor.get_partition_keys(),
                    descriptor.get_comment() or "",
                )
            path: tuple[str, ...] = (session.new_name(),)
            self._env.create_temporary_table(f"`{path[0]}`", descriptor)
        else:
            path = parse_path(table_path_or_descriptor)
        with located():
            full, target = session.catalogs.resolve(path)
            if not isinstance(target, CatalogTable):
                msg = f"{'.'.join(path)} is a view"
                raise UnknownTableError(msg)
            root = written(session.planner.context(), self._node, target)
        return TablePipeline(self._env, p.Sink(root, full, target, target.options, bool(overwrite)))

    def execute_insert(
        self, table_path_or_descriptor: str | TableDescriptor, overwrite: bool = False
    ) -> TableResult:
        """Submit the job that writes the Table."""
        return self.insert_into(table_path_or_descriptor, overwrite).execute()

    def to_changelog(self, *arguments: Any) -> Table:
        """Not supported yet: Flink's TO_CHANGELOG."""
        unsupported("Table.to_changelog", "use t_env.to_changelog_stream(table)")

    def from_changelog(self, *arguments: Any) -> Table:
        """Not supported yet: Flink's FROM_CHANGELOG."""
        unsupported("Table.from_changelog", "use t_env.from_changelog_stream(stream)")

    def _subquery(self, _context: TreeContext) -> Any:
        """The Table within a condition of another."""
        source = q.table_tree(str(self)[1:-1])
        return exp.Subquery(this=exp.Select(expressions=[exp.Star()], from_=exp.From(this=source)))


def _every() -> Expression:
    from lesto.client.table.expressions import with_all_columns

    return with_all_columns()


def _plain_name(e: Expression) -> str:
    tree = e.tree()
    return str(tree.this.this) if isinstance(tree, exp.Column) else ""


def _row_type_text(node: p.Node) -> str:
    fields = ", ".join(f"`{c.name}` {c.type.with_nullable(True)}" for c in node.schema)
    return f"ROW<{fields}>"


def _count(method: str, value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        msg = f"{method} takes a number of rows, not {value!r}"
        raise TableProgramError(msg, location=user_location())
    return value


def _fields_of(node: p.Node, at: int, names: tuple[str, ...]) -> p.Node:
    """The columns before a position, and the fields of the row there."""
    schema = node.schema
    refs = list(p.identity(schema))
    row = schema[at]
    kept, kept_names = refs[:at], list(schema.names[:at])
    if not row.type.names:
        given = list(names) or ["_c0"]
        values: list[ColumnValue] = [InputRef(at, row.type, row.name)]
    else:
        given = list(names) if len(names) == len(row.type.names) else list(row.type.names)
        values = [call("DOT", [refs[at], literal(n)]) for n in row.type.names]
    if len(given) != len(values):
        msg = f"{len(given)} names are given for {len(values)} columns"
        raise TableProgramError(msg, location=user_location())
    return p.Project(node, (*kept_names, *given), (*kept, *values))


def values_table(environment: TableEnvironment, rows: list[Expression], schema: Any) -> Table:
    """The Table of ``row(...)`` expressions."""
    context = TreeContext()
    tuples = []
    for e in rows:
        tree = e.tree(context)
        is_row = isinstance(tree, exp.Anonymous) and str(tree.this) == "ROW"
        tuples.append(exp.Tuple(expressions=tree.expressions if is_row else [tree]))
    node = q.bound(environment._session, exp.Values(expressions=tuples), {}, context)
    if not isinstance(schema, RowType):
        names = list(schema) if schema is not None else [f"f{i}" for i in range(len(node.schema))]
        return Table(environment, q.renamed(node, names))
    if len(schema) != len(node.schema):
        msg = f"rows have {len(node.schema)} values, and the schema {len(schema)} fields"
        raise SqlTypeError(msg, location=user_location())
    refs = p.identity(node.schema)
    with located():
        values = [cast(r, k) for r, k in zip(refs, schema.sql.children, strict=True)]
    return Table(environment, p.Project(node, schema.sql.names, tuple(values)))


if TYPE_CHECKING:
    from lesto.client.table.grouped import (
        AggregatedTable,
        FlatAggregateTable,
        GroupedTable,
        GroupWindowedTable,
        OverWindowedTable,
    )
