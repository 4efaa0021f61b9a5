"""What a checkpoint promises. As in ``pyflink.datastream.checkpointing_mode``."""

from lesto.common.options import CheckpointingMode

__all__ = [
    "CheckpointingMode",
]
