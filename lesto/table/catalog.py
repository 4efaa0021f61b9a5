"""Catalogs. As in ``pyflink.table.catalog``."""

from lesto.client.table.catalog.files import FileCatalog
from lesto.client.table.catalog.memory import GenericInMemoryCatalog
from lesto.client.table.catalog.objects import CatalogDatabase, CatalogFunction
from lesto.client.table.identifiers import CatalogDescriptor, ObjectIdentifier, ObjectPath
from lesto.client.table.table_schema import ResolvedSchema

Catalog = GenericInMemoryCatalog

__all__ = [
    "Catalog",
    "CatalogDatabase",
    "CatalogDescriptor",
    "CatalogFunction",
    "FileCatalog",
    "GenericInMemoryCatalog",
    "ObjectIdentifier",
    "ObjectPath",
    "ResolvedSchema",
]
