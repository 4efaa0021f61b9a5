"""Several INSERTs as one job. As in ``pyflink.table.statement_set``."""

from lesto.client.table.statement_set import StatementSet

__all__ = ["StatementSet"]
