"""Options. As in ``pyflink.table.table_config``."""

from lesto.client.table.settings import TableConfig

__all__ = ["TableConfig"]
