"""Side outputs. As in ``pyflink.datastream.output_tag``."""

from lesto.common.functions import OutputTag

__all__ = [
    "OutputTag",
]
