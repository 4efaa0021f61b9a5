"""How a job is checkpointed. As in ``pyflink.datastream.checkpoint_config``."""

from typing import TYPE_CHECKING

from lesto.client.datastream.missing import missing_names
from lesto.client.datastream.settings import CheckpointConfig, ExternalizedCheckpointRetention

__all__ = [
    "CheckpointConfig",
    "ExternalizedCheckpointRetention",
]

if not TYPE_CHECKING:
    __getattr__ = missing_names(__name__)
