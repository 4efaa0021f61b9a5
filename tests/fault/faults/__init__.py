"""The scenarios, a file for each kind of fault."""

import importlib

KINDS = (
    "kills", "zombies", "leaders", "networks", "wires", "machines", "snapshots", "stress", "sinks",
    "mixed",
)  # fmt: skip


def load():
    """Register them all."""
    for kind in KINDS:
        importlib.import_module(f"tests.fault.faults.{kind}")
