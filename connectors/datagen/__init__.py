"""Generated data: deterministic by position, so that a replay gives the same records."""

from lesto.connectors.datagen.fields import (
    Field,
    pool,
    random_float,
    random_int,
    sequence,
    timestamps,
)
from lesto.connectors.datagen.source import DataGenSource, NumberSequenceSource, RowGenSource

__all__ = [
    "DataGenSource",
    "Field",
    "NumberSequenceSource",
    "RowGenSource",
    "pool",
    "random_float",
    "random_int",
    "sequence",
    "timestamps",
]
