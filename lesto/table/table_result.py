"""Results. As in ``pyflink.table.table_result``."""

from lesto.client.table.results import CloseableIterator, TableResult

__all__ = ["CloseableIterator", "TableResult"]
