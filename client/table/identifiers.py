"""Names of tables as PyFlink's objects, and catalogs as their options."""

from __future__ import annotations

from dataclasses import dataclass

from lesto.client.table.create_text import path_text
from lesto.client.table.sql.dialect import parse_path
from lesto.common.config import Configuration


@dataclass(frozen=True, slots=True, order=True)
class ObjectPath:
    """Database and name of a table.

    >>> str(ObjectPath.from_string("db.t"))
    'db.t'
    """

    database_name: str
    object_name: str

    @staticmethod
    def from_string(full_name: str) -> ObjectPath:
        """Of ``database.name``."""
        database, name = parse_path(full_name)[-2:]
        return ObjectPath(database, name)

    def get_database_name(self) -> str:
        """The database."""
        return self.database_name

    def get_object_name(self) -> str:
        """The name."""
        return self.object_name

    def get_full_name(self) -> str:
        """``database.name``."""
        return str(self)

    def __str__(self) -> str:
        return f"{self.database_name}.{self.object_name}"


@dataclass(frozen=True, slots=True)
class ObjectIdentifier:
    """Catalog, database and name of a table."""

    catalog_name: str
    database_name: str
    object_name: str

    @staticmethod
    def of(catalog_name: str, database_name: str, object_name: str) -> ObjectIdentifier:
        """Of its parts."""
        return ObjectIdentifier(catalog_name, database_name, object_name)

    def get_catalog_name(self) -> str:
        """The catalog."""
        return self.catalog_name

    def get_database_name(self) -> str:
        """The database."""
        return self.database_name

    def get_object_name(self) -> str:
        """The name."""
        return self.object_name

    def to_object_path(self) -> ObjectPath:
        """Without the catalog."""
        return ObjectPath(self.database_name, self.object_name)

    def to_list(self) -> list[str]:
        """The parts."""
        return [self.catalog_name, self.database_name, self.object_name]

    def as_serializable_string(self) -> str:
        """As SQL has it, each part in backticks."""
        return path_text(self.to_list())

    def as_summary_string(self) -> str:
        """Parts with points between them."""
        return ".".join(self.to_list())

    def __str__(self) -> str:
        return self.as_serializable_string()


class CatalogDescriptor:
    """A catalog's name and options."""

    def __init__(self, catalog_name: str, configuration: Configuration | dict[str, str]) -> None:
        self._name = catalog_name
        self._configuration = configuration

    @staticmethod
    def of(
        catalog_name: str,
        configuration: Configuration | dict[str, str],
        comment: str | None = None,
    ) -> CatalogDescriptor:
        """A descriptor; options are ``type``, ``path``, ``default-database``."""
        return CatalogDescriptor(catalog_name, configuration)

    def get_configuration(self) -> Configuration | dict[str, str]:
        """The options."""
        return self._configuration
