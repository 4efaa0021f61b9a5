"""The modules that fill the table of functions."""

from __future__ import annotations

import functools
import importlib
from typing import Final

MODULES: Final = (
    "comparison",
    "logic",
    "arithmetic",
    "mathematics",
    "strings",
    "characters",
    "matching",
    "temporal",
    "formats",
    "collections",
    "arrays",
    "json_functions",
    "json_build",
    "hashing",
    "conversion",
)


@functools.cache
def load() -> None:
    """Import them all; each registers its functions."""
    for module in MODULES:
        importlib.import_module(f"lesto.sql.functions.{module}")
