"""Results to come, under PyFlink's module name. They live in the client, above this package."""

from importlib import import_module
from typing import Any

__all__ = ["CompletableFuture"]  # noqa: F822 - defined by __getattr__


def __getattr__(name: str) -> Any:
    """Find the class on first use."""
    if name != "CompletableFuture":
        msg = f"module '{__name__}' has no attribute {name!r}"
        raise AttributeError(msg)
    return getattr(import_module("lesto.client.job_client"), name)
