"""What a user's function may have beside its records: state of its own, and word of checkpoints."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, Protocol

from lesto.common.functions import KeyedStateStore


class OperatorStateStore(Protocol):
    """State of a subtask that belongs to no key. Ask for it in ``initialize_state``.

    The states are lists: ``get()``, ``add(value)``, ``add_all(values)``, ``update(values)`` and
    ``clear()``.
    """

    def get_list_state(self, descriptor: Any) -> Any:
        """A list whose items are dealt out anew when the parallelism changes."""
        ...

    def get_union_list_state(self, descriptor: Any) -> Any:
        """A list of which every subtask gets the items of all at a restore."""
        ...

    def get_broadcast_state(self, state_descriptor: Any) -> Any:
        """A map that is the same in every subtask; each must write the same."""
        ...


class FunctionInitializationContext(Protocol):
    """Given to ``initialize_state``."""

    def is_restored(self) -> bool:
        """Whether the job goes on from a checkpoint or savepoint."""
        ...

    def get_restored_checkpoint_id(self) -> int | None:
        """Number of that checkpoint; None when there is none."""
        ...

    def get_operator_state_store(self) -> OperatorStateStore:
        """State of this subtask."""
        ...

    def get_keyed_state_store(self) -> KeyedStateStore:
        """State of the current key; on keyed streams."""
        ...


class FunctionSnapshotContext(Protocol):
    """Given to ``snapshot_state``."""

    def get_checkpoint_id(self) -> int:
        """Number of the checkpoint."""
        ...

    def get_checkpoint_timestamp(self) -> int:
        """Wall clock, ms, when the subtask takes its snapshot."""
        ...


class CheckpointedFunction(ABC):
    """A function with operator state. Add it to the bases of any function class.

    ``initialize_state`` comes before ``open``.
    """

    @abstractmethod
    def initialize_state(self, context: FunctionInitializationContext) -> None:
        """Ask for state, and take over what it holds."""

    @abstractmethod
    def snapshot_state(self, context: FunctionSnapshotContext) -> None:
        """A checkpoint is taken: put into the state what is to be in it."""


class CheckpointListener(ABC):
    """A function that is told about checkpoints. Add it to the bases of any function class."""

    @abstractmethod
    def notify_checkpoint_complete(self, checkpoint_id: int) -> None:
        """The checkpoint is durable. May not come for every one, and not before a failure."""

    def notify_checkpoint_aborted(self, checkpoint_id: int) -> None:  # noqa: B027 - optional hook
        """The checkpoint will never be complete."""
