"""A Table on its way into another. As in ``pyflink.table.table_pipeline``."""

from lesto.client.table.statement_set import TablePipeline

__all__ = ["TablePipeline"]
