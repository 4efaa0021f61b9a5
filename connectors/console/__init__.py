"""Records on standard output."""

from lesto.connectors.console.print_sink import PrintSink

__all__ = ["PrintSink"]
