"""Databases. As in ``pyflink.datastream.connectors.jdbc``: not there, by name."""

from lesto.client.datastream.absent import absent

_REMEDY = "write a Sink with the database's driver"
JdbcSink = absent("JdbcSink", _REMEDY)
JdbcConnectionOptions = absent("JdbcConnectionOptions", _REMEDY)
JdbcExecutionOptions = absent("JdbcExecutionOptions", _REMEDY)

__all__ = ["JdbcConnectionOptions", "JdbcExecutionOptions", "JdbcSink"]
