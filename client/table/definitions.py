"""CREATE, ALTER and DROP of everything but the data."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from lesto.client.table.catalog.objects import (
    CatalogDatabase,
    CatalogFunction,
    CatalogTable,
    CatalogView,
)
from lesto.client.table.errors import (
    SqlError,
    UnknownSqlFunctionError,
    UnknownTableError,
    UnsupportedSqlError,
)
from lesto.client.table.sql import statements as s
from lesto.client.table.sql.binder import user_functions
from lesto.client.table.sql.binder.queries import QueryBinder
from lesto.client.table.sql.ddl import alter_table
from lesto.common.errors import did_you_mean

if TYPE_CHECKING:
    from lesto.client.table.session import Session


def define(session: Session, parsed: s.Parsed) -> bool:
    """Carry out a definition; False if the statement is none (or is CREATE TABLE AS SELECT).

    Raises:
        SqlError: it names what is not there, or is there already, or contradicts itself.
    """
    statement = parsed.statement
    match statement:
        case s.CreateTable() if statement.query is not None:
            return False
        case s.CreateTable() | s.CreateView():
            session.planner.define(parsed)
        case s.CreateFunction():
            _function(session, statement, parsed.text)
        case s.CreateDatabase():
            _database(session, statement)
        case s.CreateCatalog():
            if not (statement.if_not_exists and statement.name in session.catalogs.catalogs):
                session.catalogs.create_catalog(
                    statement.name, dict(statement.options), statement.comment
                )
        case s.Drop():
            _drop(session, statement, parsed.text)
        case s.Alter():
            _alter(session, statement, parsed.text)
        case s.Use():
            if statement.kind == "CATALOG":
                session.catalogs.use_catalog(statement.name[-1])
            else:
                session.catalogs.use_database(statement.name)
        case _:
            return False
    return True


def _function(session: Session, statement: s.CreateFunction, text: str) -> None:
    catalogs = session.catalogs
    at: dict[str, Any] = {"text": text, "offset": statement.position}
    name = ".".join(statement.name)
    if statement.language != "PYTHON":
        msg = f"function {name} is of language {statement.language}, and there is no JVM"
        raise UnsupportedSqlError(
            msg, remedy=f"write AS '{statement.target}' LANGUAGE PYTHON: module and name", **at
        )
    there = catalogs.function(statement.name) is not None
    if statement.alter and not there:
        msg = f"there is no function {name}{did_you_mean(name, catalogs.function_names())}"
        raise UnknownSqlFunctionError(msg, remedy="SHOW USER FUNCTIONS lists them", **at)
    function = CatalogFunction(statement.target, "PYTHON")
    try:
        loaded = user_functions.load(function)
    except SqlError as error:
        raise type(error)(error.plain, remedy=error.remedy, **at) from error
    kinds = (
        user_functions.ScalarDefinition,
        user_functions.TableDefinition,
        user_functions.AggregateDefinition,
    )
    if not isinstance(loaded, kinds):
        msg = f"{statement.target} is a {type(loaded).__name__}, and no function of SQL"
        raise UnsupportedSqlError(
            msg, remedy="make it one by udf, udtf or udaf of lesto.table.udf", **at
        )
    catalogs.create_function(
        statement.name,
        function,
        temporary=statement.temporary,
        system=statement.system,
        ignore=statement.if_not_exists,
        replace=statement.alter,
    )


def _database(session: Session, statement: s.CreateDatabase) -> None:
    catalogs = session.catalogs
    path = statement.name
    catalog = catalogs.catalog(path[0] if len(path) > 1 else catalogs.current_catalog)
    if statement.if_not_exists and catalog.has_database(path[-1]):
        return
    catalog.create_database(path[-1], CatalogDatabase(statement.comment, statement.options))


# ---------------------------------------------------------------------- DROP


def _drop(session: Session, statement: s.Drop, text: str) -> None:
    catalogs = session.catalogs
    match statement.kind:
        case "CATALOG":
            if not (statement.if_exists and statement.name[-1] not in catalogs.catalogs):
                catalogs.drop_catalog(statement.name[-1])
        case "DATABASE":
            _drop_database(session, statement, text)
        case "FUNCTION":
            gone = catalogs.drop_function(
                statement.name, temporary=statement.temporary, system=statement.system
            )
            if not gone and not statement.if_exists:
                name = ".".join(statement.name)
                msg = f"there is no function {name}{did_you_mean(name, catalogs.function_names())}"
                raise UnknownSqlFunctionError(msg, text=text, offset=statement.position)
        case kind:
            _drop_object(session, statement, kind, text)


def _drop_database(session: Session, statement: s.Drop, text: str) -> None:
    catalogs = session.catalogs
    path = statement.name
    name = path[0] if len(path) > 1 else catalogs.current_catalog
    catalog = catalogs.catalog(name)
    if statement.if_exists and not catalog.has_database(path[-1]):
        return
    if (name, path[-1]) == (catalogs.current_catalog, catalogs.current_database):
        msg = f"database {path[-1]} is in use"
        raise UnsupportedSqlError(
            msg, remedy="USE another one first", text=text, offset=statement.position
        )
    catalog.drop_database(path[-1], statement.cascade)


def _drop_object(session: Session, statement: s.Drop, kind: str, text: str) -> None:
    catalogs = session.catalogs
    found = catalogs.find(statement.name)
    is_view = found is not None and isinstance(found[1], CatalogView)
    if found is None and statement.if_exists:
        return
    if found is None or is_view is not (kind == "VIEW"):
        name = ".".join(statement.name)
        message = catalogs.unknown(statement.name) if found is None else (
            f"{name} is a {'view' if is_view else 'table'}"
        )  # fmt: skip
        remedy = "" if found is None else f"write DROP {'VIEW' if is_view else 'TABLE'} {name}"
        raise UnknownTableError(message, remedy=remedy, text=text, offset=statement.position)
    catalogs.drop(statement.name, temporary=statement.temporary)


# ---------------------------------------------------------------------- ALTER


def _alter(session: Session, statement: s.Alter, text: str) -> None:
    catalogs = session.catalogs
    match statement.kind:
        case "DATABASE":
            _alter_database(session, statement, text)
            return
        case "CATALOG" if [c.kind for c in statement.changes] == ["comment"]:
            catalogs.catalog(statement.name[-1]).comment = statement.changes[0].names[0]
            return
        case "CATALOG":
            msg = "ALTER CATALOG is not supported: a catalog's options are those it was made with"
            raise UnsupportedSqlError(
                msg, remedy="DROP and CREATE it", text=text, offset=statement.position
            )
    found = catalogs.find(statement.name)
    if found is None and statement.if_exists:
        return
    is_view = found is not None and isinstance(found[1], CatalogView)
    if found is None or is_view is not (statement.kind == "VIEW"):
        message = (
            catalogs.unknown(statement.name)
            if found is None
            else f"{'.'.join(statement.name)} is a {'view' if is_view else 'table'}"
        )
        raise UnknownTableError(message, text=text, offset=statement.position)
    what = found[1]
    if statement.changes and statement.changes[0].kind == "rename":
        catalogs.rename(statement.name, statement.changes[0].names[-1])
        return
    if isinstance(what, CatalogTable):
        changed: CatalogTable | CatalogView = alter_table(
            session.planner.context(text), what, statement.changes
        )
    else:
        changed = _altered_view(session, what, statement, text)
    catalogs.replace(statement.name, changed)


def _altered_view(
    session: Session, view: CatalogView, statement: s.Alter, text: str
) -> CatalogView:
    catalogs = session.catalogs
    for change in statement.changes:
        match change.kind:
            case "as":
                QueryBinder(session.planner.context(text)).query(change.query)
                path = (catalogs.current_catalog, catalogs.current_database)
                view = replace(view, query=change.query_text, plan=None, columns=(), path=path)
            case "set":
                view = replace(
                    view, options=tuple({**dict(view.options), **dict(change.options)}.items())
                )
            case "reset":
                kept = tuple((k, v) for k, v in view.options if k not in change.names)
                view = replace(view, options=kept)
            case "comment":
                view = replace(view, comment=change.names[0])
            case kind:
                msg = f"{kind.upper()} does not go with views"
                raise UnsupportedSqlError(msg, text=text, offset=change.position)
    return view


def _alter_database(session: Session, statement: s.Alter, text: str) -> None:
    name, database = session.catalogs.database_path(statement.name)
    catalog = session.catalogs.catalog(name)
    found = catalog.database(database)
    for change in statement.changes:
        if change.kind != "set":
            msg = f"{change.kind.upper()} does not go with databases"
            raise UnsupportedSqlError(msg, text=text, offset=change.position)
        options = {**dict(found.options), **dict(change.options)}
        found = replace(found, options=tuple(options.items()))
    catalog.alter_database(database, found)
