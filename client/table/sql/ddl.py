"""Makes tables of CREATE TABLE, and changes them by ALTER TABLE."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from lesto.client.table.catalog.objects import CatalogTable, CatalogView, TableColumn
from lesto.client.table.errors import (
    InvalidTableError,
    SqlTypeError,
    UnknownColumnError,
    UnknownTableError,
    UnsupportedSqlError,
)
from lesto.client.table.plan import logical as p
from lesto.client.table.plan.schema import Column, Schema
from lesto.client.table.sql import statements as s
from lesto.client.table.sql.binder.context import Context
from lesto.client.table.sql.binder.expressions import ExpressionBinder
from lesto.client.table.sql.binder.queries import QueryBinder
from lesto.client.table.sql.binder.relations import table_plan
from lesto.client.table.sql.binder.scope import Scope, Source
from lesto.common.errors import did_you_mean
from lesto.sql.errors import SqlExpressionError
from lesto.sql.expressions import Call
from lesto.sql.type_parser import parse_type
from lesto.sql.types import TIMESTAMPS, SqlType


def create_table(context: Context, statement: s.CreateTable) -> CatalogTable:
    """The table of CREATE TABLE; of AS SELECT, with the query's columns.

    Raises:
        SqlError: the definition contradicts itself or names what is not there.
    """
    columns, computed, watermark, key = [], [], statement.watermark, statement.primary_key
    base = _like(context, statement)
    columns += list(base.columns)
    for column in statement.columns:
        if any(c.name == column.name for c in columns):
            context.fail(
                InvalidTableError, f"two columns are called {column.name}", column.position
            )
        if column.expression is not None:
            computed.append(column)
            columns.append(TableColumn(column.name, parse_type("INT"), "computed"))
        else:
            columns.append(_column(context, column))
    if statement.query is not None:
        columns += _of_query(context, statement, columns)
    if not columns:
        context.fail(InvalidTableError, "the table has no columns", statement.position)
    table = CatalogTable(
        tuple(columns),
        base.watermark,
        key or base.primary_key,
        statement.partitioned_by or base.partition_keys,
        tuple({**dict(base.options), **dict(statement.options)}.items()),
        statement.comment or base.comment,
        statement.distributed_by or base.distribution,
        base.proctime,
        (),
        statement.key_name or base.key_name,
    )
    table = _with_key(table)
    for column in computed:
        table = _with_computed(context, table, column)
    if watermark is not None:
        table = _with_watermark(context, table, watermark)
    return _checked(context, table, statement.position)


def _type(context: Context, text: str, position: int) -> SqlType:
    try:
        return parse_type(text)
    except SqlExpressionError as error:
        raise SqlTypeError(
            error.message, remedy=error.remedy, text=context.text, offset=position
        ) from error


def _column(context: Context, column: s.ColumnDefinition) -> TableColumn:
    kind = _type(context, column.type_text, column.type_position)
    if column.metadata is None:
        return TableColumn(column.name, kind, comment=column.comment)
    return TableColumn(
        column.name, kind, "metadata", "", column.metadata, column.virtual, column.comment
    )


def _of_query(
    context: Context, statement: s.CreateTable, there: list[TableColumn]
) -> list[TableColumn]:
    schema = QueryBinder(context).query(statement.query).schema
    names = schema.names
    if statement.named_columns:
        for name in statement.named_columns:
            if name not in names:
                context.fail(
                    UnknownColumnError,
                    f"the query has no column {name}{did_you_mean(name, names)}",
                    statement.position,
                )
        names = statement.named_columns
    known = {c.name for c in there}
    return [TableColumn(n, schema[schema.index(n)].type) for n in names if n not in known]


def _like(context: Context, statement: s.CreateTable) -> CatalogTable:
    """What LIKE takes over: by default all, options overwritten, other things added."""
    if statement.like is None:
        return CatalogTable(())
    like = statement.like
    found = context.catalogs.find(like.source)
    if found is None:
        context.fail(UnknownTableError, context.catalogs.unknown(like.source), like.position)
    base = found[1]
    if isinstance(base, CatalogView):
        context.fail(UnsupportedSqlError, "LIKE takes a table, and this is a view", like.position)
    how = {
        what: "INCLUDING"
        for what in (
            "CONSTRAINTS",
            "DISTRIBUTION",
            "GENERATED",
            "METADATA",
            "OPTIONS",
            "PARTITIONS",
            "WATERMARKS",
        )
    }
    every = dict((what, h) for h, what in like.options).get("ALL")
    if every is not None:
        how = dict.fromkeys(how, every)
    how.update({what: h for h, what in like.options if what != "ALL"})

    def takes(what: str) -> bool:
        return how[what] != "EXCLUDING"

    columns = tuple(
        c
        for c in base.columns
        if c.kind == "physical"
        or (c.kind == "computed" and takes("GENERATED"))
        or (c.kind == "metadata" and takes("METADATA"))
    )
    return CatalogTable(
        columns,
        base.watermark if takes("WATERMARKS") else None,
        base.primary_key if takes("CONSTRAINTS") else (),
        base.partition_keys if takes("PARTITIONS") else (),
        base.options if takes("OPTIONS") else (),
        "",
        base.distribution if takes("DISTRIBUTION") else "",
        base.proctime if takes("GENERATED") else (),
        (),
        base.key_name,
    )


def _with_computed(
    context: Context, table: CatalogTable, column: s.ColumnDefinition
) -> CatalogTable:
    """The table with a computed column's type; it may read columns that are not computed."""
    read = [c for c in table.columns if c.kind != "computed"]
    schema = Schema(tuple(Column(c.name, c.type) for c in read))
    scope = Scope(p.Values((), schema), [Source((), 0, schema.names)])
    bound = ExpressionBinder(context, scope, "a computed column").bind(column.expression)
    proctime = isinstance(bound, Call) and bound.function == "PROCTIME"
    new = TableColumn(
        column.name, bound.type, "computed", column.expression_text, comment=column.comment
    )
    columns = tuple(new if c.name == column.name else c for c in table.columns)
    marks = (*table.proctime, column.name) if proctime else table.proctime
    return replace(table, columns=columns, proctime=marks)


def _with_watermark(
    context: Context, table: CatalogTable, watermark: s.WatermarkDefinition
) -> CatalogTable:
    schema = Schema(tuple(Column(c.name, c.type) for c in table.columns))
    if len(watermark.column) > 1:
        context.fail(
            UnsupportedSqlError,
            "a watermark of a nested field is not supported",
            watermark.position,
            "compute a column of it: ts AS r.ts",
        )
    name = watermark.column[0]
    at = schema.index(name)
    if at < 0:
        context.fail(
            UnknownColumnError,
            f"there is no column {name}{did_you_mean(name, schema.names)}",
            watermark.position,
        )
    kind = schema[at].type
    if not kind.is_in(TIMESTAMPS) or kind.precision > 3:
        context.fail(
            SqlTypeError,
            f"a watermark goes with TIMESTAMP(3) or TIMESTAMP_LTZ(3), and {name} is {kind}",
            watermark.position,
            "compute a column: CAST(ts AS TIMESTAMP(3)) or TO_TIMESTAMP_LTZ(millis, 3)",
        )
    scope = Scope(p.Values((), schema), [Source((), 0, schema.names)])
    found = ExpressionBinder(context, scope, "a watermark").bind(watermark.expression)
    if not found.type.is_in(TIMESTAMPS):
        context.fail(
            SqlTypeError,
            f"the watermark's expression must be a timestamp, and it is {found.type}",
            watermark.expression,
            f"write {name} - INTERVAL '5' SECOND",
        )
    return replace(table, watermark=(name, watermark.expression_text))


def _with_key(table: CatalogTable) -> CatalogTable:
    """The columns of the primary key are never NULL."""
    columns = tuple(
        replace(c, type=c.type.not_null()) if c.name in table.primary_key else c
        for c in table.columns
    )
    return replace(table, columns=columns)


def _checked(context: Context, table: CatalogTable, position: int) -> CatalogTable:
    names = [c.name for c in table.columns]
    for what, keys in (("primary key", table.primary_key), ("partition key", table.partition_keys)):
        for key in keys:
            if key not in names:
                context.fail(
                    UnknownColumnError,
                    f"the {what} names {key}, which is no column{did_you_mean(key, names)}",
                    position,
                )
            if table.columns[names.index(key)].kind != "physical":
                context.fail(
                    InvalidTableError, f"the {what} names {key}, which is not physical", position
                )
        if len(set(keys)) < len(keys):
            context.fail(InvalidTableError, f"the {what} names a column twice", position)
    table = _with_key(table)
    table_plan(context, ("",), table)
    return table


# ---------------------------------------------------------------------- ALTER TABLE


def alter_table(
    context: Context, table: CatalogTable, changes: tuple[s.Change, ...]
) -> CatalogTable:
    """A table after the changes of ALTER TABLE (RENAME TO is the catalog's business).

    Raises:
        SqlError: a change names what is not there, or contradicts the table.
    """
    for change in changes:
        table = _altered(context, table, change)
    return _checked(context, table, changes[0].position if changes else -1)


def _altered(context: Context, table: CatalogTable, change: s.Change) -> CatalogTable:
    options = dict(table.options)
    match change.kind:
        case "set":
            return replace(table, options=tuple({**options, **dict(change.options)}.items()))
        case "reset":
            if "connector" in change.names:
                context.fail(
                    InvalidTableError,
                    "RESET cannot take 'connector' from a table",
                    change.position,
                    "write SET ('connector' = '...')",
                )
            kept = tuple((k, v) for k, v in options.items() if k not in change.names)
            return replace(table, options=kept)
        case "add column" | "modify column":
            return _placed(context, table, change)
        case "drop column":
            return _without(context, table, change)
        case "rename column":
            return _renamed(context, table, change)
        case "add key" | "modify key":
            if change.kind == "add key" and table.primary_key:
                context.fail(
                    InvalidTableError,
                    "the table has a primary key",
                    change.position,
                    "write MODIFY",
                )
            return replace(table, key_name=change.names[0], primary_key=change.names[1:])
        case "drop key":
            if not table.primary_key:
                context.fail(InvalidTableError, "the table has no primary key", change.position)
            name = table.key_name or f"PK_{'_'.join(table.primary_key)}"
            if change.names and change.names[0] != name:
                near = did_you_mean(change.names[0], [name])
                context.fail(
                    InvalidTableError,
                    f"there is no constraint {change.names[0]}{near}",
                    change.position,
                    f"the primary key is called {name}",
                )
            return replace(table, primary_key=(), key_name="")
        case "add watermark" | "modify watermark":
            if change.kind == "add watermark" and table.watermark is not None:
                context.fail(
                    InvalidTableError, "the table has a watermark", change.position, "write MODIFY"
                )
            assert change.watermark is not None
            return _with_watermark(context, table, change.watermark)
        case "drop watermark":
            if table.watermark is None:
                context.fail(InvalidTableError, "the table has no watermark", change.position)
            return replace(table, watermark=None)
        case "add distribution" | "modify distribution" | "drop distribution":
            return _distributed(context, table, change)
    context.fail(
        UnsupportedSqlError, f"{change.kind.upper()} does not go with tables", change.position
    )


def _distributed(context: Context, table: CatalogTable, change: s.Change) -> CatalogTable:
    adding = change.kind == "add distribution"
    if adding is bool(table.distribution):
        there = "has a distribution" if adding else "has no distribution"
        remedy = "write MODIFY" if adding else ""
        context.fail(InvalidTableError, f"the table {there}", change.position, remedy)
    return replace(table, distribution=change.names[0] if change.names else "")


def _found(context: Context, table: CatalogTable, name: str, position: int) -> int:
    names = [c.name for c in table.columns]
    if name not in names:
        context.fail(
            UnknownColumnError,
            f"there is no column {name}{did_you_mean(name, names)}",
            position,
            f"the columns are {', '.join(names)}",
        )
    return names.index(name)


def _placed(context: Context, table: CatalogTable, change: s.Change) -> CatalogTable:
    column: Any = change.column
    names = [c.name for c in table.columns]
    columns = list(table.columns)
    new = (
        TableColumn(column.name, parse_type("INT"), "computed")
        if column.expression is not None
        else _column(context, column)
    )
    at = len(columns)
    if change.kind == "modify column":
        at = _found(context, table, column.name, change.position)
        del columns[at]
    elif column.name in names:
        context.fail(
            InvalidTableError, f"there is a column {column.name}", change.position, "write MODIFY"
        )
    if change.first:
        at = 0
    elif change.after:
        _found(context, table, change.after, change.position)
        at = [c.name for c in columns].index(change.after) + 1
    columns.insert(at, new)
    proctime = tuple(n for n in table.proctime if n != column.name)
    table = replace(table, columns=tuple(columns), proctime=proctime)
    return table if column.expression is None else _with_computed(context, table, column)


def _without(context: Context, table: CatalogTable, change: s.Change) -> CatalogTable:
    for name in change.names:
        _found(context, table, name, change.position)
        used = name in (*table.primary_key, *table.partition_keys) or (
            table.watermark is not None and table.watermark[0] == name
        )
        if used:
            context.fail(
                InvalidTableError,
                f"column {name} is used by the primary key, the partitions or the watermark",
                change.position,
                "drop these first",
            )
    kept = tuple(c for c in table.columns if c.name not in change.names)
    proctime = tuple(n for n in table.proctime if n not in change.names)
    return replace(table, columns=kept, proctime=proctime)


def _renamed(context: Context, table: CatalogTable, change: s.Change) -> CatalogTable:
    old, new = change.names
    at = _found(context, table, old, change.position)
    if any(c.name == new for c in table.columns):
        context.fail(InvalidTableError, f"there is a column {new}", change.position)
    columns = list(table.columns)
    columns[at] = replace(columns[at], name=new)

    def names(keys: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(new if k == old else k for k in keys)

    watermark = table.watermark
    if watermark is not None and watermark[0] == old:
        context.fail(
            InvalidTableError, f"the watermark is of column {old}", change.position, "drop it first"
        )
    return replace(
        table,
        columns=tuple(columns),
        primary_key=names(table.primary_key),
        partition_keys=names(table.partition_keys),
        proctime=names(table.proctime),
    )
