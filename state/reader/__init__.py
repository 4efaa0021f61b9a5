"""Reads checkpoints and savepoints as Arrow tables; see docs/state.md."""

from lesto.state.reader.savepoint import OperatorInfo, SavepointReader, StateInfo

__all__ = ["OperatorInfo", "SavepointReader", "StateInfo"]
