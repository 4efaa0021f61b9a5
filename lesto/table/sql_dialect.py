"""Dialects. As in ``pyflink.table.sql_dialect``."""

from lesto.client.table.settings import SqlDialect

__all__ = ["SqlDialect"]
