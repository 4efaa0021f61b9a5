"""Where keyed state lives. As in ``pyflink.datastream.state_backend``."""

from lesto.client.datastream.settings import (
    EmbeddedRocksDBStateBackend,
    HashMapStateBackend,
    StateBackend,
)

__all__ = [
    "EmbeddedRocksDBStateBackend",
    "HashMapStateBackend",
    "StateBackend",
]
