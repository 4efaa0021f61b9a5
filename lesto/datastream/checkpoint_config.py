"""How a job is checkpointed. As in ``pyflink.datastream.checkpoint_config``."""

from lesto.client.datastream.settings import CheckpointConfig, ExternalizedCheckpointRetention

__all__ = [
    "CheckpointConfig",
    "ExternalizedCheckpointRetention",
]
