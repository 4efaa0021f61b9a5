"""Databases, under PyFlink's names: through Python's drivers."""

from lesto.connectors.jdbc.options import JdbcConnectionOptions, JdbcExecutionOptions
from lesto.connectors.jdbc.sink import JdbcSink

__all__ = ["JdbcConnectionOptions", "JdbcExecutionOptions", "JdbcSink"]
