"""Messages as they are."""

from lesto.connectors.formats.raw import ByteArraySchema, RawFormat, SimpleStringSchema

__all__ = [
    "ByteArraySchema",
    "RawFormat",
    "SimpleStringSchema",
]
