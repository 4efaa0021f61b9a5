"""Restart strategies, under PyFlink's module name. They live in the client, above this package."""

from importlib import import_module
from typing import Any

__all__ = ["RestartStrategies", "RestartStrategyConfiguration"]  # noqa: F822 - by __getattr__


def __getattr__(name: str) -> Any:
    """Find the class on first use."""
    if name not in __all__:
        msg = f"module '{__name__}' has no attribute {name!r}"
        raise AttributeError(msg)
    return getattr(import_module("lesto.client.datastream.restart_strategies"), name)
