"""All catalogs of a session: what is current, what is temporary, how names are resolved."""

from __future__ import annotations

from collections.abc import Sequence

from lesto.client.table.catalog.files import FileCatalog
from lesto.client.table.catalog.memory import GenericInMemoryCatalog
from lesto.client.table.catalog.objects import CatalogFunction, CatalogObject
from lesto.client.table.errors import (
    AlreadyExistsError,
    CatalogError,
    UnknownTableError,
    UnknownTableOptionError,
)
from lesto.common.errors import did_you_mean

DEFAULT_CATALOG = "default_catalog"
DEFAULT_DATABASE = "default_database"
FullPath = tuple[str, str, str]


class CatalogManager:
    """Catalogs by name.

    >>> manager = CatalogManager()
    >>> manager.full_path(("t",))
    ('default_catalog', 'default_database', 't')
    """

    def __init__(self, catalog: str = DEFAULT_CATALOG, database: str = DEFAULT_DATABASE) -> None:
        self.catalogs: dict[str, GenericInMemoryCatalog] = {
            catalog: GenericInMemoryCatalog(catalog, database)
        }
        self.current_catalog = catalog
        self.current_database = database
        self.temporary: dict[FullPath, CatalogObject] = {}
        self.temporary_functions: dict[FullPath, CatalogFunction] = {}
        self.system_functions: dict[str, CatalogFunction] = {}

    # ------------------------------------------------------------------ catalogs

    def catalog(self, name: str) -> GenericInMemoryCatalog:
        """A catalog.

        Raises:
            UnknownTableError: there is none of this name.
        """
        if name not in self.catalogs:
            msg = f"there is no catalog {name}{did_you_mean(name, self.catalogs)}"
            raise UnknownTableError(
                msg,
                remedy="SHOW CATALOGS lists them",
            )
        return self.catalogs[name]

    def register_catalog(self, name: str, catalog: GenericInMemoryCatalog) -> None:
        """Add a catalog.

        Raises:
            AlreadyExistsError: there is one of this name.
        """
        if name in self.catalogs:
            msg = f"catalog {name} exists"
            raise AlreadyExistsError(msg, remedy="give another name")
        self.catalogs[name] = catalog

    def create_catalog(self, name: str, options: dict[str, str], comment: str = "") -> None:
        """Add a catalog by its options: ``type`` is ``generic_in_memory`` or ``file``.

        Raises:
            UnknownTableOptionError: no such type or option, or the path is missing.
        """
        kinds = {"generic_in_memory": {"default-database"}, "file": {"path", "default-database"}}
        kind = options.get("type", "")
        if kind not in kinds:
            msg = f"there is no catalog of type {kind!r}{did_you_mean(kind, kinds)}"
            raise UnknownTableOptionError(
                msg,
                remedy="'type' is 'generic_in_memory' or 'file'",
            )
        valid = kinds[kind] | {"type", "property-version"}
        for key in options:
            if key not in valid:
                msg = f"a catalog of type {kind} has no option {key!r}{did_you_mean(key, valid)}"
                raise UnknownTableOptionError(
                    msg,
                    remedy=f"its options are {', '.join(sorted(valid))}",
                )
        database = options.get("default-database", "default")
        if kind == "generic_in_memory":
            made = GenericInMemoryCatalog(name, database)
            made.options, made.comment = tuple(options.items()), comment
            self.register_catalog(name, made)
            return
        if "path" not in options:
            msg = "a catalog of type file needs the option 'path'"
            raise UnknownTableOptionError(msg, remedy="name a directory")
        if name in self.catalogs:
            msg = f"catalog {name} exists"
            raise AlreadyExistsError(msg, remedy="give another name")
        kept = FileCatalog(name, options["path"], database)
        kept.options, kept.comment = tuple(options.items()), comment
        self.register_catalog(name, kept)

    def drop_catalog(self, name: str) -> None:
        """Forget a catalog.

        Raises:
            CatalogError: it is the current one.
        """
        self.catalog(name)
        if name == self.current_catalog:
            msg = f"catalog {name} is in use"
            raise CatalogError(msg, remedy="USE CATALOG another one first")
        del self.catalogs[name]

    def use_catalog(self, name: str) -> None:
        """Make a catalog, and its default database, the current one."""
        self.current_database = self.catalog(name).default_database
        self.current_catalog = name

    def use_database(self, path: Sequence[str]) -> None:
        """Make a database the current one: ``db`` or ``catalog.db``."""
        catalog, database = self.database_path(path)
        self.current_catalog, self.current_database = catalog, database

    def database_path(self, path: Sequence[str]) -> tuple[str, str]:
        """Catalog and database of a path of one or two parts; both must be there."""
        catalog = path[0] if len(path) > 1 else self.current_catalog
        self.catalog(catalog).database(path[-1])
        return catalog, path[-1]

    # ------------------------------------------------------------------ tables and views

    def full_path(self, path: Sequence[str]) -> FullPath:
        """A path with the current catalog and database in front."""
        match tuple(path):
            case (name,):
                return (self.current_catalog, self.current_database, name)
            case (database, name):
                return (self.current_catalog, database, name)
            case (catalog, database, name):
                return (catalog, database, name)
        msg = f"{'.'.join(path)} has too many parts"
        raise UnknownTableError(msg, remedy="write catalog.database.table")

    def find(self, path: Sequence[str]) -> tuple[FullPath, CatalogObject] | None:
        """A table or view, a temporary one before others; None if there is none."""
        full = self.full_path(path)
        if full in self.temporary:
            return full, self.temporary[full]
        catalog = self.catalogs.get(full[0])
        found = catalog.get(full[1], full[2]) if catalog is not None else None
        return None if found is None else (full, found)

    def resolve(self, path: Sequence[str]) -> tuple[FullPath, CatalogObject]:
        """A table or view.

        Raises:
            UnknownTableError: there is none; the nearest name is told.
        """
        found = self.find(path)
        if found is None:
            raise UnknownTableError(self.unknown(path), remedy="SHOW TABLES lists tables and views")
        return found

    def unknown(self, path: Sequence[str]) -> str:
        """Why a path leads to nothing."""
        full = self.full_path(path)
        if full[0] not in self.catalogs:
            return f"there is no catalog {full[0]}{did_you_mean(full[0], self.catalogs)}"
        databases = self.catalogs[full[0]].list_databases()
        if full[1] not in databases and not any(k[:2] == full[:2] for k in self.temporary):
            meant = did_you_mean(full[1], databases)
            return f"there is no database {full[1]} in catalog {full[0]}{meant}"
        names = self.list_objects(full[0], full[1])
        return f"there is no table {'.'.join(path)}{did_you_mean(full[2], names)}"

    def list_objects(self, catalog: str, database: str) -> list[str]:
        """Names of tables and views, temporary ones among them."""
        kept = self.catalog(catalog)
        names = set(kept.list_objects(database)) if kept.has_database(database) else set()
        names |= {k[2] for k in self.temporary if k[:2] == (catalog, database)}
        return sorted(names)

    def create(
        self,
        path: Sequence[str],
        what: CatalogObject,
        *,
        temporary: bool = False,
        ignore: bool = False,
        replace: bool = False,
    ) -> bool:
        """Add a table or view.

        Returns:
            Whether it was added: not if there is one, and ``ignore`` is said.

        Raises:
            AlreadyExistsError: there is one, and neither ``ignore`` nor ``replace`` is said.
            UnknownTableError: there is no such catalog or database.
        """
        full = self.full_path(path)
        catalog = self.catalog(full[0])
        there = (full in self.temporary) if temporary else catalog.get(full[1], full[2]) is not None
        if there and not replace:
            if ignore:
                return False
            msg = f"table or view {'.'.join(full)} exists"
            raise AlreadyExistsError(
                msg,
                remedy="write IF NOT EXISTS, drop it first, or give another name",
            )
        if temporary:
            self.temporary[full] = what
        else:
            catalog.put(full[1], full[2], what)
        return True

    def replace(self, path: Sequence[str], what: CatalogObject) -> None:
        """Put a changed table or view in the place of the old one."""
        full, _ = self.resolve(path)
        if full in self.temporary:
            self.temporary[full] = what
        else:
            self.catalog(full[0]).put(full[1], full[2], what)

    def drop(self, path: Sequence[str], *, temporary: bool = False) -> None:
        """Forget a table or view that is there.

        Raises:
            UnknownTableError: it is not there.
            CatalogError: a temporary one hides it.
        """
        full, _ = self.resolve(path)
        if temporary:
            if full not in self.temporary:
                msg = f"{'.'.join(path)} is not temporary"
                raise UnknownTableError(msg, remedy="leave out TEMPORARY")
            del self.temporary[full]
            return
        if full in self.temporary:
            msg = f"a temporary table or view is called {'.'.join(path)}"
            raise CatalogError(
                msg,
                remedy="DROP TEMPORARY TABLE or VIEW first",
            )
        self.catalog(full[0]).drop(full[1], full[2])

    def rename(self, path: Sequence[str], new: str) -> None:
        """Give a table or view another name in its database."""
        full, what = self.resolve(path)
        target = (*full[:2], new)
        if self.find(target) is not None:
            msg = f"table or view {new} exists"
            raise AlreadyExistsError(msg, remedy="give another name")
        if full in self.temporary:
            self.temporary[target] = self.temporary.pop(full)
            return
        catalog = self.catalog(full[0])
        catalog.put(full[1], new, what)
        catalog.drop(full[1], full[2])

    # ------------------------------------------------------------------ functions

    def function(self, path: Sequence[str]) -> CatalogFunction | None:
        """A user's function; None if there is none."""
        if len(path) == 1 and path[0].lower() in self.system_functions:
            return self.system_functions[path[0].lower()]
        full = self.full_path(path)
        key = (full[0], full[1], full[2].lower())
        if key in self.temporary_functions:
            return self.temporary_functions[key]
        catalog = self.catalogs.get(full[0])
        return None if catalog is None else catalog.function(full[1], full[2])

    def function_names(self) -> list[str]:
        """Users' functions that a plain name reaches."""
        names = set(self.system_functions)
        names |= {
            k[2]
            for k in self.temporary_functions
            if k[:2] == (self.current_catalog, self.current_database)
        }
        catalog = self.catalogs[self.current_catalog]
        if catalog.has_database(self.current_database):
            names |= set(catalog.list_functions(self.current_database))
        return sorted(names)

    def create_function(
        self,
        path: Sequence[str],
        function: CatalogFunction,
        *,
        temporary: bool = False,
        system: bool = False,
        ignore: bool = False,
        replace: bool = False,
    ) -> bool:
        """Add a function; True unless there was one and ``ignore`` is said.

        Raises:
            AlreadyExistsError: there is one, and neither ``ignore`` nor ``replace`` is said.
        """
        full = self.full_path(path)
        key = (full[0], full[1], full[2].lower())
        if system:
            there = key[2] in self.system_functions
        elif temporary:
            there = key in self.temporary_functions
        else:
            there = self.catalog(full[0]).function(full[1], full[2]) is not None
        if there and not replace:
            if ignore:
                return False
            msg = f"function {'.'.join(path)} exists"
            raise AlreadyExistsError(msg, remedy="write IF NOT EXISTS, or drop it first")
        if system:
            self.system_functions[key[2]] = function
        elif temporary:
            self.temporary_functions[key] = function
        else:
            self.catalog(full[0]).put_function(full[1], full[2], function)
        return True

    def drop_function(
        self, path: Sequence[str], *, temporary: bool = False, system: bool = False
    ) -> bool:
        """Forget a function; whether it was there."""
        full = self.full_path(path)
        key = (full[0], full[1], full[2].lower())
        if system:
            return self.system_functions.pop(key[2], None) is not None
        if temporary:
            return self.temporary_functions.pop(key, None) is not None
        catalog = self.catalog(full[0])
        if catalog.function(full[1], full[2]) is None:
            return False
        catalog.drop_function(full[1], full[2])
        return True
