"""Encoders, under PyFlink's module name. They live with the connectors, above this package."""

from importlib import import_module
from typing import Any

__all__ = ["Encoder"]  # noqa: F822 - defined by __getattr__


def __getattr__(name: str) -> Any:
    """Find the class on first use."""
    if name != "Encoder":
        missing = import_module("lesto.client.datastream.missing").missing_names
        return missing(__name__)(name)
    return getattr(import_module("lesto.connectors.files"), name)
