"""Lesto: Apache Flink's system natively in Python.

The public modules mirror pyflink's paths (``lesto.datastream``, ``lesto.table``, ...). Importing
``lesto`` itself loads nothing else, so that the command line starts fast.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    __version__: str

__all__ = ["__version__"]


def __getattr__(name: str) -> str:
    """Compute ``__version__`` from the installed distribution on first use."""
    if name == "__version__":
        from importlib.metadata import version

        value = version("lesto")
        globals()["__version__"] = value
        return value
    msg = f"module 'lesto' has no attribute {name!r}"
    raise AttributeError(msg)
