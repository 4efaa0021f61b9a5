"""Elasticsearch. As in ``pyflink.datastream.connectors.elasticsearch``: not there, by name."""

from lesto.client.datastream.absent import absent

_REMEDY = "write a Sink with an Elasticsearch client"

FlushBackoffType = absent("FlushBackoffType", _REMEDY)
ElasticsearchEmitter = absent("ElasticsearchEmitter", _REMEDY)
Elasticsearch6SinkBuilder = absent("Elasticsearch6SinkBuilder", _REMEDY)
Elasticsearch7SinkBuilder = absent("Elasticsearch7SinkBuilder", _REMEDY)
ElasticsearchSinkBuilderBase = absent("ElasticsearchSinkBuilderBase", _REMEDY)
ElasticsearchSink = absent("ElasticsearchSink", _REMEDY)

__all__ = [
    "Elasticsearch6SinkBuilder",
    "Elasticsearch7SinkBuilder",
    "ElasticsearchEmitter",
    "ElasticsearchSink",
    "ElasticsearchSinkBuilderBase",
    "FlushBackoffType",
]
