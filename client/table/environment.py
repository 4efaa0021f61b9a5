"""TableEnvironment: where SQL and the Table API start from."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from lesto.client.datastream.checks import check_instance
from lesto.client.datastream.environment import StreamExecutionEnvironment
from lesto.client.datastream.location import user_location
from lesto.client.table.catalog.memory import GenericInMemoryCatalog
from lesto.client.table.catalog.objects import (
    CatalogTable,
    CatalogView,
)
from lesto.client.table.environment_absences import EnvironmentAbsences
from lesto.client.table.environment_functions import EnvironmentFunctions
from lesto.client.table.errors import (
    TableProgramError,
    UnknownTableError,
    UnsupportedSqlError,
)
from lesto.client.table.executor import execute_sql
from lesto.client.table.kinds import DETAIL_NAMES
from lesto.client.table.locations import located
from lesto.client.table.python_tables import elements_table, frame_table
from lesto.client.table.results import TableResult
from lesto.client.table.session import Session
from lesto.client.table.settings import EnvironmentSettings, TableConfig
from lesto.client.table.shows import objects
from lesto.client.table.sql import statements as s
from lesto.client.table.sql.binder.relations import table_plan
from lesto.client.table.sql.dialect import parse_path, parse_statement
from lesto.client.table.statement_set import StatementSet
from lesto.client.table.table import Table
from lesto.client.table.table_descriptor import Schema, TableDescriptor
from lesto.common.checking import is_a
from lesto.common.config import Configuration


class TableEnvironment(EnvironmentFunctions, EnvironmentAbsences):
    """Runs SQL, makes Tables, keeps catalogs.

    >>> t_env = TableEnvironment.create(EnvironmentSettings.in_streaming_mode())
    >>> print(t_env.sql_query("SELECT 1 + 1 AS two").get_schema())
    root
     |-- two: INT NOT NULL
    <BLANKLINE>
    """

    def __init__(self, env: StreamExecutionEnvironment) -> None:
        self._session = Session(env)

    @staticmethod
    def create(environment_settings: EnvironmentSettings | Configuration) -> TableEnvironment:
        """An environment with these settings.

        Args:
            environment_settings: settings, or a configuration.
        """
        return TableEnvironment(_made(environment_settings))

    # ------------------------------------------------------------------ SQL

    def execute_sql(self, stmt: str) -> TableResult:
        """Carry out one statement.

        A query's rows come with the result. An INSERT's job goes on: ``wait()`` for its end.

        Raises:
            SqlError: the statement cannot be read or carried out; shows the place in the text.
        """
        return execute_sql(self._session, check_instance("execute_sql", "a text", stmt, str))

    def sql_query(self, query: str) -> Table:
        """The Table of a query.

        Raises:
            SqlError: it is no query, or names what is not there.
        """
        parsed = parse_statement(check_instance("sql_query", "a text", query, str))
        if not isinstance(parsed.statement, s.QueryStatement):
            msg = "sql_query takes a query"
            raise UnsupportedSqlError(
                msg, remedy="use execute_sql", text=query, offset=parsed.start
            )
        return Table(self, self._session.planner.bind(parsed))

    def explain_sql(self, stmt: str, *extra_details: int) -> str:
        """The plan of a query, INSERT or statement set."""
        parsed = parse_statement(stmt)
        statement = parsed.statement
        inner = statement.statement if isinstance(statement, s.Explain) else statement
        if not isinstance(inner, (s.QueryStatement, s.Insert, s.StatementSet)):
            msg = "explain_sql takes a query, an INSERT or a statement set"
            raise UnsupportedSqlError(msg, text=stmt, offset=parsed.start)
        words = ", ".join(DETAIL_NAMES[d] for d in extra_details)
        if words and not isinstance(statement, s.Explain):
            stmt = f"EXPLAIN {words} {stmt[parsed.start : parsed.end]}"
        return self._session.planner.explain(stmt)

    def create_statement_set(self) -> StatementSet:
        """INSERTs that become one job."""
        return StatementSet(self)

    # ------------------------------------------------------------------ settings

    def get_config(self) -> TableConfig:
        """The options; changes count for what follows."""
        return TableConfig(self._session.config)

    # ------------------------------------------------------------------ catalogs

    def create_catalog(self, catalog_name: str, catalog_descriptor: Any) -> None:
        """Add a catalog by its options (a dict, or a CatalogDescriptor)."""
        given = getattr(catalog_descriptor, "get_configuration", lambda: catalog_descriptor)()
        found = given.to_dict() if isinstance(given, Configuration) else dict(given)
        self._session.catalogs.create_catalog(catalog_name, found)

    def register_catalog(self, catalog_name: str, catalog: GenericInMemoryCatalog) -> None:
        """Add a catalog: a GenericInMemoryCatalog or FileCatalog."""
        if not is_a(catalog, GenericInMemoryCatalog):
            msg = f"register_catalog takes a catalog of Lesto, not {catalog!r:.80}"
            raise TableProgramError(msg, location=user_location())
        self._session.catalogs.register_catalog(catalog_name, catalog)

    def get_catalog(self, catalog_name: str) -> GenericInMemoryCatalog:
        """A catalog by name.

        Raises:
            UnknownTableError: there is none.
        """
        return self._session.catalogs.catalog(catalog_name)

    def list_catalogs(self) -> list[str]:
        """Names of the catalogs."""
        return sorted(self._session.catalogs.catalogs)

    def list_databases(self) -> list[str]:
        """Names of the current catalog's databases."""
        catalogs = self._session.catalogs
        return catalogs.catalog(catalogs.current_catalog).list_databases()

    def get_current_catalog(self) -> str:
        """Name of the current catalog."""
        return self._session.catalogs.current_catalog

    def use_catalog(self, catalog_name: str) -> None:
        """Make a catalog the current one."""
        self._session.catalogs.use_catalog(catalog_name)

    def get_current_database(self) -> str:
        """Name of the current database."""
        return self._session.catalogs.current_database

    def use_database(self, database_name: str) -> None:
        """Make a database of the current catalog the current one."""
        self._session.catalogs.use_database((database_name,))

    # ------------------------------------------------------------------ tables and views

    def list_tables(self) -> list[str]:
        """Names of tables and views of the current database."""
        return objects(self._session)

    def list_views(self) -> list[str]:
        """Names of views of the current database."""
        return objects(self._session, views_only=True)

    def list_temporary_tables(self) -> list[str]:
        """Names of temporary tables and views of the current database."""
        return self._temporary(CatalogTable, CatalogView)

    def list_temporary_views(self) -> list[str]:
        """Names of temporary views of the current database."""
        return self._temporary(CatalogView)

    def _temporary(self, *kinds: type) -> list[str]:
        catalogs = self._session.catalogs
        here = (catalogs.current_catalog, catalogs.current_database)
        found = catalogs.temporary.items()
        return sorted(k[2] for k, what in found if k[:2] == here and isinstance(what, kinds))

    def create_temporary_table(
        self,
        path: str,
        descriptor: TableDescriptor,
        ignoreIfExists: bool = False,
    ) -> None:
        """Make a temporary table of a descriptor."""
        self._define(path, descriptor, True, ignoreIfExists)

    def create_table(
        self,
        path: str,
        descriptor: TableDescriptor,
        ignoreIfExists: bool = False,
    ) -> bool:
        """Make a table of a descriptor; whether it was not there."""
        return self._define(path, descriptor, False, ignoreIfExists)

    def _define(
        self, path: str, descriptor: TableDescriptor, temporary: bool, ignore: bool
    ) -> bool:
        check_instance("create_table", "a TableDescriptor", descriptor, TableDescriptor)
        with located():
            statement = descriptor.statement(parse_path(path), temporary)
            table = self._session.planner.table(statement, "")
        return self._session.catalogs.create(
            statement.name, table, temporary=temporary, ignore=ignore
        )

    def create_temporary_view(
        self, view_path: str, table_or_data_stream: Any, *fields_or_schema: Any
    ) -> None:
        """Give a Table (or a DataStream, with fields or a schema) a name."""
        table = self._as_table(table_or_data_stream, fields_or_schema)
        view = CatalogView("", plan=table._node)
        self._session.catalogs.create(parse_path(view_path), view, temporary=True)

    def create_view(self, view_path: str, table: Table, ignore_if_exists: bool = False) -> bool:
        """Give a Table a name in the catalog of this process; whether it was not there."""
        check_instance("create_view", "a Table", table, Table)
        view = CatalogView("", plan=table._node)
        return self._session.catalogs.create(parse_path(view_path), view, ignore=ignore_if_exists)

    def _as_table(self, given: Any, fields: tuple[Any, ...]) -> Table:
        check_instance("create_temporary_view", "a Table", given, Table)
        if fields:
            msg = "create_temporary_view takes fields with a DataStream alone"
            raise TableProgramError(msg, remedy="use table.alias(...)", location=user_location())
        return given  # type: ignore[no-any-return]

    def from_path(self, path: str) -> Table:
        """The Table of a table or view.

        Raises:
            UnknownTableError: there is none.
        """
        with located():
            return self.sql_query(f"SELECT * FROM {_quoted(path)}")

    def from_descriptor(self, descriptor: TableDescriptor) -> Table:
        """The Table of a descriptor, which gets no name."""
        name = self._session.new_name()
        self.create_temporary_table(f"`{name}`", descriptor)
        return self.from_path(f"`{name}`")

    def drop_temporary_table(self, table_path: str) -> bool:
        """Forget a temporary table; whether there was one."""
        return self._drop(table_path, CatalogTable, temporary=True, ignore=True)

    def drop_temporary_view(self, view_path: str) -> bool:
        """Forget a temporary view; whether there was one."""
        return self._drop(view_path, CatalogView, temporary=True, ignore=True)

    def drop_table(self, table_path: str, ignore_if_not_exists: bool = True) -> bool:
        """Forget a table; whether there was one."""
        return self._drop(table_path, CatalogTable, temporary=False, ignore=ignore_if_not_exists)

    def drop_view(self, view_path: str, ignore_if_not_exists: bool = True) -> bool:
        """Forget a view; whether there was one."""
        return self._drop(view_path, CatalogView, temporary=False, ignore=ignore_if_not_exists)

    def _drop(self, path: str, kind: type, *, temporary: bool, ignore: bool) -> bool:
        catalogs = self._session.catalogs
        parts = parse_path(path)
        full = catalogs.full_path(parts)
        if temporary:
            if not isinstance(catalogs.temporary.get(full), kind):
                return False
            del catalogs.temporary[full]
            return True
        found = catalogs.find(parts)
        if found is None or not isinstance(found[1], kind):
            if ignore:
                return False
            raise UnknownTableError(catalogs.unknown(parts), location=user_location())
        catalogs.drop(parts)
        return True

    # ------------------------------------------------------------------ Python values

    def from_elements(
        self, elements: Iterable[Any], schema: Any = None, verify_schema: bool = True
    ) -> Table:
        """The Table of rows, tuples, dicts, or values of a single column.

        Args:
            elements: travel with the job; ``row(...)`` expressions too.
            schema: a ROW type, names of columns, or None to infer names and types.
            verify_schema: accepted; values are always checked.
        """
        from lesto.client.table.expression import Expression
        from lesto.client.table.table import values_table

        found = list(elements)
        if found and all(isinstance(e, Expression) for e in found):
            return values_table(self, found, schema)
        return self._of(elements_table(found, schema))

    def from_pandas(self, pdf: Any, schema: Any = None, splits_num: int = 1) -> Table:
        """The Table of a data frame, which travels with the job.

        Args:
            pdf: a frame of pandas (or anything that :meth:`from_arrow` takes).
            schema: a ROW type, names, or types of columns.
            splits_num: accepted; the rows are read by one source.
        """
        return self._of(frame_table(pdf, schema))

    def from_arrow(self, data: Any, schema: Any = None) -> Table:
        """The Table of an Arrow table, or of anything with ``__arrow_c_stream__``: frames of
        polars, relations of DuckDB. It travels with the job.
        """
        return self._of(frame_table(data, schema))

    def _of(self, table: CatalogTable) -> Table:
        """A Table of something that has no name."""
        catalogs = self._session.catalogs
        path = catalogs.full_path((self._session.new_name(),))
        return Table(self, table_plan(self._session.planner.context(), path, table))

    def _of_schema(self, schema: Schema, **more: Any) -> CatalogTable:
        with located():
            return self._session.planner.table(schema.statement(("",), **more), "")

    # ------------------------------------------------------------------ surroundings

    def add_python_file(self, file_path: str) -> None:
        """Make a file's folder, or a folder, importable where functions run."""
        self._session.env.add_python_file(file_path)

    def set_python_requirements(
        self, requirements_file_path: str, requirements_cache_dir: str | None = None
    ) -> None:
        """Not supported yet: install the packages where the TaskManagers run."""
        self._session.env.set_python_requirements(requirements_file_path, requirements_cache_dir)

    def add_python_archive(self, archive_path: str, target_dir: str | None = None) -> None:
        """Not supported yet: put the folder on a shared path and use add_python_file."""
        self._session.env.add_python_archive(archive_path, target_dir)


def _made(settings: Any) -> StreamExecutionEnvironment:
    if isinstance(settings, Configuration):
        return StreamExecutionEnvironment.get_execution_environment(settings)
    check_instance("create", "EnvironmentSettings", settings, EnvironmentSettings)
    found = settings.get_configuration()
    return StreamExecutionEnvironment.get_execution_environment(found)


def _quoted(path: str) -> str:
    from lesto.client.table.create_text import path_text

    return path_text(parse_path(path))
