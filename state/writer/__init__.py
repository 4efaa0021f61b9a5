"""Writes savepoints from Arrow tables, new or changed; see docs/state.md."""

from lesto.state.writer.bootstrap import OperatorBootstrap
from lesto.state.writer.savepoint import SavepointWriter

__all__ = ["OperatorBootstrap", "SavepointWriter"]
