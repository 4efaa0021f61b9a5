"""The modules that fill the table of functions."""

from __future__ import annotations

import importlib
from typing import Final

MODULES: Final = (
    "comparison",
    "logic",
    "arithmetic",
    "mathematics",
    "strings",
    "matching",
    "temporal",
    "formats",
    "collections",
    "json_functions",
)


def load() -> None:
    """Import them all; each registers its functions."""
    for module in MODULES:
        importlib.import_module(f"lesto.sql.functions.{module}")
