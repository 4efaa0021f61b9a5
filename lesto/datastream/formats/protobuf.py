"""Protobuf messages; PyFlink has them in SQL only."""

from lesto.connectors.formats.protobuf import ProtobufFormat
from lesto.connectors.formats.registry import SchemaRegistry

__all__ = [
    "ProtobufFormat",
    "SchemaRegistry",
]
