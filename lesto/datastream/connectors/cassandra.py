"""Cassandra. As in ``pyflink.datastream.connectors.cassandra``: not there, by name."""

from lesto.client.datastream.absent import absent

_REMEDY = "write a Sink with a Cassandra driver"

CassandraSink = absent("CassandraSink", _REMEDY)
ConsistencyLevel = absent("ConsistencyLevel", _REMEDY)
MapperOptions = absent("MapperOptions", _REMEDY)
ClusterBuilder = absent("ClusterBuilder", _REMEDY)
CassandraCommitter = absent("CassandraCommitter", _REMEDY)
CassandraFailureHandler = absent("CassandraFailureHandler", _REMEDY)

__all__ = [
    "CassandraCommitter",
    "CassandraFailureHandler",
    "CassandraSink",
    "ClusterBuilder",
    "ConsistencyLevel",
    "MapperOptions",
]
