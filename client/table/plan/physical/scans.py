"""Tables behind connectors: what a scan asks of a source, and what a sink gets."""

from __future__ import annotations

from lesto.client.table.errors import UnsupportedSqlError
from lesto.client.table.plan import logical as p
from lesto.client.table.plan.physical.streams import PhysicalStream
from lesto.client.table.plan.physical.translator import Translator


def connector_scan(t: Translator, node: p.Scan) -> PhysicalStream:
    """Reads a table by its connector."""
    msg = f"connector {node.table.connector} cannot be read"
    raise UnsupportedSqlError(msg)


def connector_sink(t: Translator, node: p.Sink, stream: PhysicalStream) -> PhysicalStream:
    """Writes a table by its connector."""
    msg = f"connector {node.table.connector} cannot be written"
    raise UnsupportedSqlError(msg)
