"""Table environments. As in ``pyflink.table.table_environment``."""

from lesto.client.table.environment import TableEnvironment
from lesto.client.table.stream_environment import StreamTableEnvironment

__all__ = ["StreamTableEnvironment", "TableEnvironment"]
