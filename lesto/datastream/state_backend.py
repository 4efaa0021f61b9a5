"""Where keyed state lives. As in ``pyflink.datastream.state_backend``."""

from typing import TYPE_CHECKING

from lesto.client.datastream.missing import missing_names
from lesto.client.datastream.state_backends import (
    CustomStateBackend,
    EmbeddedRocksDBStateBackend,
    HashMapStateBackend,
    PredefinedOptions,
    StateBackend,
)

__all__ = [
    "CustomStateBackend",
    "EmbeddedRocksDBStateBackend",
    "HashMapStateBackend",
    "PredefinedOptions",
    "StateBackend",
]

if not TYPE_CHECKING:
    __getattr__ = missing_names(__name__)
