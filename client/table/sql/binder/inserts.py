"""Binds INSERT: the query's columns to those of the table."""

from __future__ import annotations

from typing import Any

from lesto.client.table.catalog.objects import CatalogTable
from lesto.client.table.errors import (
    SqlTypeError,
    UnknownColumnError,
    UnknownTableError,
    UnsupportedSqlError,
)
from lesto.client.table.plan import logical as p
from lesto.client.table.sql import statements as s
from lesto.client.table.sql.binder.context import Context
from lesto.client.table.sql.binder.expressions import ExpressionBinder
from lesto.client.table.sql.binder.queries import QueryBinder
from lesto.client.table.sql.binder.relations import empty_row
from lesto.client.table.sql.binder.scope import Scope
from lesto.common.errors import did_you_mean
from lesto.sql.builder import cast
from lesto.sql.expressions import Expression, InputRef, Literal
from lesto.sql.type_rules import casts_implicitly


def bind_insert(context: Context, statement: s.Insert) -> p.Sink:
    """The plan of INSERT INTO.

    Raises:
        SqlError: no such table or column, or types that do not fit.
    """
    found = context.catalogs.find(statement.target)
    if found is None:
        context.fail(
            UnknownTableError,
            context.catalogs.unknown(statement.target),
            statement.position,
            "SHOW TABLES lists tables",
        )
    full, table = found
    if not isinstance(table, CatalogTable):
        context.fail(
            UnknownTableError, f"{'.'.join(statement.target)} is a view", statement.position
        )
    query = QueryBinder(context).query(statement.query)
    fixed = {
        name: ExpressionBinder(context, Scope(empty_row()), "PARTITION").bind(value)
        for name, value in statement.partition
    }
    node = written(context, query, table, statement.columns, fixed, statement.position)
    options = tuple({**dict(table.options), **dict(statement.hints)}.items())
    partition = tuple((k, str(getattr(v, "value", v))) for k, v in fixed.items())
    if statement.conflict in {"NOTHING", "ERROR"}:
        context.fail(
            UnsupportedSqlError,
            f"ON CONFLICT DO {statement.conflict} is not supported: the last change of a key"
            " counts",
            statement.position,
            "leave it out, or keep the first row by ROW_NUMBER() = 1",
        )
    return p.Sink(node, full, table, options, statement.overwrite, partition, statement.conflict)


def written(
    context: Context,
    query: p.Node,
    table: CatalogTable,
    columns: tuple[str, ...] = (),
    fixed: dict[str, Any] | None = None,
    position: int = -1,
) -> p.Node:
    """A query's columns as a table takes them: in its order, cast to its types.

    Args:
        context: for messages.
        query: what is written.
        table: where to.
        columns: the table's columns that the query's stand for; all by default.
        fixed: values of other columns.
        position: of the table's name in the text.
    """
    fixed = fixed or {}
    targets = table.written_columns()
    names = [c.name for c in targets]
    given = columns or tuple(n for n in names if n not in fixed)
    for name in (*given, *fixed):
        if name not in names:
            context.fail(
                UnknownColumnError,
                f"the table has no column {name} to write{did_you_mean(name, names)}",
                position,
                f"its columns are {', '.join(names)}",
            )
    schema = query.schema
    if len(given) != len(schema):
        wanted = ", ".join(f"{c.name} {c.type}" for c in targets if c.name in given)
        context.fail(
            SqlTypeError,
            f"the query gives {len(schema)} columns ({schema}), and the table takes {len(given)}"
            f" ({wanted})",
            position,
            "select as many columns, or name those that are written: INSERT INTO t (a, b) ...",
        )
    values: list[Expression] = []
    for target in targets:
        if target.name in fixed:
            value: Expression = fixed[target.name]
        elif target.name in given:
            i = given.index(target.name)
            value = InputRef(i, schema[i].type, schema[i].name)
        else:
            value = Literal(None, target.type.with_nullable(True))
        kind = target.type.with_nullable(value.type.nullable)
        if not casts_implicitly(value.type, kind):
            context.fail(
                SqlTypeError,
                f"column {target.name} is {target.type}, and the query gives {value.type}",
                position,
                f"write CAST(... AS {target.type.with_nullable(True)})",
            )
        values.append(value if value.type == kind else cast(value, kind))
    refs = p.identity(schema)
    if tuple(values) == refs and tuple(names) == schema.names:
        return query
    return p.Project(query, tuple(names), tuple(values))
