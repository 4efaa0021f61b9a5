"""Execution modes. As in ``pyflink.datastream.execution_mode``."""

from lesto.client.datastream.settings import RuntimeExecutionMode

__all__ = [
    "RuntimeExecutionMode",
]
