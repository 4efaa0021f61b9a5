"""What becomes of checkpoints. As in ``pyflink.datastream.externalized_checkpoint_retention``."""

from lesto.client.datastream.settings import ExternalizedCheckpointRetention

__all__ = [
    "ExternalizedCheckpointRetention",
]
