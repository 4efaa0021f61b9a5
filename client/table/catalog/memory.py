"""A catalog in memory, and what all catalogs can do."""

from __future__ import annotations

from dataclasses import dataclass, field

from lesto.client.table.catalog.objects import (
    CatalogDatabase,
    CatalogFunction,
    CatalogObject,
)
from lesto.client.table.errors import AlreadyExistsError, CatalogError, UnknownTableError
from lesto.common.errors import did_you_mean


@dataclass(slots=True)
class _Contents:
    database: CatalogDatabase
    objects: dict[str, CatalogObject] = field(default_factory=dict)
    functions: dict[str, CatalogFunction] = field(default_factory=dict)


class GenericInMemoryCatalog:
    """Keeps everything in this process.

    Args:
        name: of the catalog.
        default_database: made at once.

    >>> catalog = GenericInMemoryCatalog("c")
    >>> catalog.create_database("sales", CatalogDatabase())
    >>> catalog.list_databases()
    ['default', 'sales']
    """

    def __init__(self, name: str, default_database: str = "default") -> None:
        self.name = name
        self.default_database = default_database
        #: Of CREATE CATALOG.
        self.options: tuple[tuple[str, str], ...] = ()
        self.comment = ""
        self._databases: dict[str, _Contents] = {default_database: _Contents(CatalogDatabase())}

    # ------------------------------------------------------------------ databases

    def list_databases(self) -> list[str]:
        """Names, sorted."""
        return sorted(self._databases)

    def database(self, name: str) -> CatalogDatabase:
        """A database.

        Raises:
            UnknownTableError: there is none of this name.
        """
        return self._contents(name).database

    def has_database(self, name: str) -> bool:
        """Whether there is one."""
        return name in self._databases

    def create_database(self, name: str, database: CatalogDatabase) -> None:
        """Make a database.

        Raises:
            AlreadyExistsError: there is one.
        """
        if name in self._databases:
            msg = f"database {name} exists in catalog {self.name}"
            raise AlreadyExistsError(
                msg,
                remedy="write IF NOT EXISTS, or another name",
            )
        self._databases[name] = _Contents(database)
        self._changed(name)

    def alter_database(self, name: str, database: CatalogDatabase) -> None:
        """Replace a database's comment and options."""
        self._contents(name).database = database
        self._changed(name)

    def drop_database(self, name: str, cascade: bool = False) -> None:
        """Forget a database.

        Raises:
            CatalogError: it is not empty, and ``cascade`` is not said.
        """
        contents = self._contents(name)
        if (contents.objects or contents.functions) and not cascade:
            msg = f"database {name} is not empty"
            raise CatalogError(msg, remedy="write CASCADE to drop its tables too")
        del self._databases[name]
        self._changed(name)

    # ------------------------------------------------------------------ tables and views

    def list_objects(self, database: str) -> list[str]:
        """Names of tables and views, sorted."""
        return sorted(self._contents(database).objects)

    def get(self, database: str, name: str) -> CatalogObject | None:
        """A table or view; None if there is none."""
        if database not in self._databases:
            return None
        return self._databases[database].objects.get(name)

    def put(self, database: str, name: str, what: CatalogObject) -> None:
        """Make or replace a table or view."""
        self._contents(database).objects[name] = what
        self._changed(database)

    def drop(self, database: str, name: str) -> None:
        """Forget a table or view."""
        del self._contents(database).objects[name]
        self._changed(database)

    # ------------------------------------------------------------------ functions

    def list_functions(self, database: str) -> list[str]:
        """Names, sorted."""
        return sorted(self._contents(database).functions)

    def function(self, database: str, name: str) -> CatalogFunction | None:
        """A function, by its name in any case."""
        if database not in self._databases:
            return None
        return self._databases[database].functions.get(name.lower())

    def put_function(self, database: str, name: str, function: CatalogFunction) -> None:
        """Make or replace a function."""
        self._contents(database).functions[name.lower()] = function
        self._changed(database)

    def drop_function(self, database: str, name: str) -> None:
        """Forget a function."""
        del self._contents(database).functions[name.lower()]
        self._changed(database)

    # ------------------------------------------------------------------ helping

    def _contents(self, name: str) -> _Contents:
        if name not in self._databases:
            msg = (
                f"there is no database {name} in catalog {self.name}"
                f"{did_you_mean(name, self._databases)}"
            )
            raise UnknownTableError(
                msg,
                remedy="SHOW DATABASES lists them",
            )
        return self._databases[name]

    def _changed(self, database: str) -> None:
        """Called after each change of a database; a catalog that lasts writes it here."""
