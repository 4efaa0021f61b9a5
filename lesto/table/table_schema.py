"""Names and types. As in ``pyflink.table.table_schema``."""

from lesto.client.table.table_schema import TableSchema

__all__ = ["TableSchema"]
