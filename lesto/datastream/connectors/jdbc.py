"""Databases. As in ``pyflink.datastream.connectors.jdbc``."""

from lesto.connectors.jdbc import JdbcConnectionOptions, JdbcExecutionOptions, JdbcSink

__all__ = ["JdbcConnectionOptions", "JdbcExecutionOptions", "JdbcSink"]
