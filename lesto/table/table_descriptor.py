"""Descriptors. As in ``pyflink.table.table_descriptor``."""

from lesto.client.table.table_descriptor import FormatDescriptor, TableDescriptor

__all__ = ["FormatDescriptor", "TableDescriptor"]
