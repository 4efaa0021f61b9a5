"""SHOW and DESCRIBE."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from lesto.client.table.catalog.objects import CatalogTable, CatalogView, TableColumn
from lesto.client.table.create_text import create_table, create_view, options_text, quoted, text
from lesto.client.table.errors import (
    UnknownSqlFunctionError,
    UnknownTableError,
    UnsupportedSqlError,
)
from lesto.client.table.plan.schema import Column, TimeKind
from lesto.client.table.results import TableResult, local_result
from lesto.client.table.sql import statements as s
from lesto.common.errors import did_you_mean
from lesto.sql import types as t
from lesto.sql.aggregates.ranking import RANKING
from lesto.sql.aggregates.table import aggregates
from lesto.sql.functions import table as scalars

if TYPE_CHECKING:
    from lesto.client.table.session import Session

_TEXT = t.STRING().not_null()


def texts(name: str, values: Iterable[str], *, raw: bool = False) -> TableResult:
    """A column of texts; printed as they are if ``raw``."""
    return local_result([Column(name, _TEXT)], [(v,) for v in values], raw=raw)


def pairs(names: tuple[str, str], rows: Iterable[tuple[str, str]]) -> TableResult:
    """Two columns of texts."""
    return local_result([Column(n, t.STRING()) for n in names], list(rows))


def like(pattern: str, *, ignore_case: bool = False) -> Callable[[str], bool]:
    """Whether a name is LIKE a pattern.

    >>> [name for name in ("orders", "order_items", "users") if like("order%")(name)]
    ['orders', 'order_items']
    """
    parts = {"%": ".*", "_": "."}
    regex = "".join(parts.get(c) or re.escape(c) for c in pattern)
    compiled = re.compile(regex, re.DOTALL | (re.IGNORECASE if ignore_case else 0))
    return lambda name: compiled.fullmatch(name) is not None


def _kept(statement: s.Show, names: Iterable[str]) -> list[str]:
    if statement.like is None:
        return list(names)
    fits = like(statement.like, ignore_case=statement.ilike)
    return [n for n in names if fits(n) is not statement.negated]


def show(session: Session, statement: s.Show, sql: str) -> TableResult:
    """The result of SHOW.

    Raises:
        UnknownTableError: there is no such thing.
        UnsupportedSqlError: Lesto has no such things.
    """
    catalogs = session.catalogs
    match statement.what:
        case "CATALOGS":
            return texts("catalog name", _kept(statement, sorted(catalogs.catalogs)))
        case "CURRENT CATALOG":
            return texts("current catalog name", [catalogs.current_catalog])
        case "CURRENT DATABASE":
            return texts("current database name", [catalogs.current_database])
        case "DATABASES":
            catalog = statement.scope[-1] if statement.scope else catalogs.current_catalog
            names = catalogs.catalog(catalog).list_databases()
            return texts("database name", _kept(statement, names))
        case "TABLES" | "VIEWS":
            views = statement.what == "VIEWS"
            names = objects(session, statement.scope, views_only=views)
            return texts("view name" if views else "table name", _kept(statement, names))
        case "FUNCTIONS" | "USER FUNCTIONS":
            names = users_functions(session, statement.scope)
            if statement.what == "FUNCTIONS":
                names = sorted({*names, *builtin_functions()})
            return texts("function name", _kept(statement, names))
        case "COLUMNS":
            return columns(session, statement)
        case "MODULES":
            return texts("module name", ["core"])
        case "JARS":
            return texts("jars", [])
        case what if what.startswith("CREATE "):
            return texts("result", [created(session, statement, sql)], raw=True)
    msg = f"SHOW {statement.what} is not supported"
    remedy = "look at `lesto list`" if statement.what == "JOBS" else ""
    raise UnsupportedSqlError(msg, remedy=remedy, text=sql, offset=statement.position)


def objects(session: Session, scope: Sequence[str] = (), *, views_only: bool = False) -> list[str]:
    """Names of tables and views."""
    catalogs = session.catalogs
    if scope:
        catalog, database = catalogs.database_path(scope)
    else:
        catalog, database = catalogs.current_catalog, catalogs.current_database
    names = catalogs.list_objects(catalog, database)
    if not views_only:
        return names
    found = ((n, catalogs.find((catalog, database, n))) for n in names)
    return [n for n, what in found if what is not None and isinstance(what[1], CatalogView)]


def users_functions(session: Session, scope: Sequence[str] = ()) -> list[str]:
    """Names of users' functions."""
    catalogs = session.catalogs
    if not scope:
        return catalogs.function_names()
    catalog, database = catalogs.database_path(scope)
    names = set(catalogs.catalog(catalog).list_functions(database))
    names |= {k[2] for k in catalogs.temporary_functions if k[:2] == (catalog, database)}
    return sorted(names)


def builtin_functions() -> list[str]:
    """Names of the functions there are, without operators."""
    names = {*scalars.callable_names(), *(a.name for a in aggregates()), *RANKING}
    return sorted(n.lower() for n in names)


# ---------------------------------------------------------------------- columns

_DESCRIBED = (
    Column("name", t.STRING()),
    Column("type", t.STRING()),
    Column("null", t.BOOLEAN()),
    Column("key", t.STRING()),
    Column("extras", t.STRING()),
    Column("watermark", t.STRING()),
)


def columns(session: Session, statement: s.Show) -> TableResult:
    """SHOW COLUMNS."""
    rows = described(session, statement.name)
    if statement.like is not None:
        kept = set(_kept(statement, [row[0] for row in rows]))
        rows = [row for row in rows if row[0] in kept]
    return _described(rows)


def _described(rows: list[tuple[Any, ...]]) -> TableResult:
    if any(row[-1] for row in rows):
        return local_result([*_DESCRIBED, Column("comment", t.STRING())], rows)
    return local_result(_DESCRIBED, [row[:-1] for row in rows])


def described(session: Session, path: tuple[str, ...]) -> list[tuple[Any, ...]]:
    """Of each column: name, type, whether it may be NULL, key, extras, watermark, comment."""
    _, what = session.catalogs.resolve(path)
    schema = session.planner.schema(path)
    known: dict[str, TableColumn] = {}
    key: tuple[str, ...] = ()
    watermark = None
    if isinstance(what, CatalogTable):
        known = {c.name: c for c in what.columns}
        key, watermark = what.primary_key, what.watermark
    rows = []
    for c in schema:
        column = known.get(c.name)
        text_ = c.type.with_nullable(True).summary()
        if c.time is TimeKind.ROWTIME:
            text_ += " *ROWTIME*"
        elif c.time is TimeKind.PROCTIME:
            text_ += " *PROCTIME*"
        rows.append(
            (
                c.name,
                text_,
                c.type.nullable,
                f"PRI({', '.join(key)})" if c.name in key else None,
                _extras(column) if column is not None else None,
                watermark[1] if watermark is not None and watermark[0] == c.name else None,
                column.comment if column is not None else "",
            )
        )
    return rows


def _extras(c: TableColumn) -> str | None:
    if c.kind == "computed":
        return f"AS {c.expression}"
    if c.kind == "metadata":
        source = f" FROM {text(c.metadata)}" if c.metadata and c.metadata != c.name else ""
        return f"METADATA{source}{' VIRTUAL' if c.virtual else ''}"
    return None


def describe(session: Session, statement: s.Describe, sql: str) -> TableResult:
    """The result of DESCRIBE.

    Raises:
        UnknownTableError: there is no such thing.
        UnsupportedSqlError: of a job.
    """
    catalogs = session.catalogs
    names = ("info name", "info value")
    match statement.kind:
        case "TABLE":
            return _described(described(session, statement.name))
        case "CATALOG":
            found = catalogs.catalog(statement.name[-1])
            given = dict(found.options)
            rows = [("name", found.name), ("type", given.get("type", "generic_in_memory"))]
            rows.append(("comment", found.comment))
            if statement.extended:
                rows += [(f"option:{k}", v) for k, v in sorted(given.items()) if k != "type"]
            return pairs(names, rows)
        case "DATABASE":
            catalog, name = catalogs.database_path(statement.name)
            database = catalogs.catalog(catalog).database(name)
            rows = [("catalog name", catalog), ("database name", name)]
            rows += [("comment", database.comment)] if database.comment else []
            rows += list(database.options) if statement.extended else []
            return pairs(names, rows)
        case "FUNCTION":
            return pairs(names, _function(session, statement.name))
    msg = f"DESCRIBE {statement.kind} is not supported"
    raise UnsupportedSqlError(
        msg, remedy="look at `lesto list`", text=sql, offset=statement.position
    )


def _function(session: Session, path: tuple[str, ...]) -> list[tuple[str, str]]:
    found = session.catalogs.function(path)
    name = path[-1]
    if found is not None:
        made = "" if found.function is None else repr(found.function)
        rows = [("name", ".".join(path)), ("is system function", "false")]
        rows += [("language", found.language), ("class", found.target or made)]
        return rows
    if name.lower() in builtin_functions():
        return [("name", name.upper()), ("is system function", "true")]
    known = [*builtin_functions(), *session.catalogs.function_names()]
    msg = f"there is no function {name}{did_you_mean(name.lower(), known)}"
    raise UnknownSqlFunctionError(msg, remedy="SHOW FUNCTIONS lists them")


def created(session: Session, statement: s.Show, sql: str) -> str:
    """The text of SHOW CREATE."""
    catalogs = session.catalogs
    what = statement.what.removeprefix("CREATE ")
    if what == "CATALOG":
        catalog = catalogs.catalog(statement.name[-1])
        given = getattr(catalog, "options", ()) or (("type", "generic_in_memory"),)
        comment = f"\nCOMMENT {text(catalog.comment)}" if catalog.comment else ""
        return f"CREATE CATALOG {quoted(catalog.name)}{comment}\nWITH {options_text(tuple(given))}"
    if what == "DATABASE":
        name, database = catalogs.database_path(statement.name)
        found = catalogs.catalog(name).database(database)
        comment = f"\nCOMMENT {text(found.comment)}" if found.comment else ""
        given = f"\nWITH {options_text(found.options)}" if found.options else ""
        return f"CREATE DATABASE {quoted(name)}.{quoted(database)}{comment}{given}"
    if what == "FUNCTION":
        function = catalogs.function(statement.name)
        if function is None or not function.target:
            msg = f"there is no function {statement.name[-1]} that was made by CREATE FUNCTION"
            raise UnknownSqlFunctionError(msg, text=sql, offset=statement.position)
        return (
            f"CREATE FUNCTION {'.'.join(map(quoted, statement.name))} AS {text(function.target)}"
            f" LANGUAGE {function.language}"
        )
    full, thing = catalogs.resolve(statement.name)
    temporary = full in catalogs.temporary
    if isinstance(thing, CatalogTable) and what == "TABLE":
        return create_table(full, thing, temporary)
    if isinstance(thing, CatalogView) and what == "VIEW":
        return create_view(full, thing, session.planner.schema(full), temporary)
    is_what = "view" if isinstance(thing, CatalogView) else "table"
    msg = f"{'.'.join(statement.name)} is a {is_what}"
    raise UnknownTableError(
        msg, remedy=f"write SHOW CREATE {is_what.upper()}", text=sql, offset=statement.position
    )
