"""Number sequences. As in ``pyflink.datastream.connectors.number_seq``."""

from lesto.connectors.datagen import NumberSequenceSource

__all__ = [
    "NumberSequenceSource",
]
