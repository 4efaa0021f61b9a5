"""Schemas. As in ``pyflink.table.schema``."""

from lesto.client.table.table_descriptor import Schema

__all__ = ["Schema"]
