"""The interface of keyed state: hashmap and RocksDB lie behind it.

A backend belongs to one operator of one subtask and owns a range of key groups. It is used from
the mailbox
thread only, except :meth:`PendingSnapshot.finish`, which runs on an I/O thread.

Row-wise functions set ``current_key`` and use the state objects. Vectorised operators use *state
tables*
(:class:`lesto.state.table.StateTable`) obtained from :meth:`KeyedStateBackend.table`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from lesto.common.clock import Clock
from lesto.proto import checkpoint_pb2

if TYPE_CHECKING:
    from lesto.state.descriptors import State, StateDescriptor
    from lesto.state.row_table import RowTable, RowTableDescriptor
    from lesto.state.storage import SnapshotStore
    from lesto.state.table import StateTable, TableDescriptor
    from lesto.state.timed_rows import TimedRows, TimedRowsDescriptor

#: Namespace of state that belongs to the key alone (not to a window).
VOID_NAMESPACE: None = None


class PendingSnapshot(Protocol):
    """A snapshot whose synchronous part is done: later changes of state do not affect it."""

    def finish(self, store: SnapshotStore) -> checkpoint_pb2.KeyedStateHandle:
        """Write and upload the files; called once, on an I/O thread."""
        ...

    def build_on_nothing(self) -> None:
        """Reference no file of an earlier checkpoint; called before ``finish``."""
        ...

    def discard(self) -> None:
        """Release what the snapshot holds (cancelled before or after ``finish``)."""
        ...


class TimerQueue(ABC):
    """Timers of one kind, deduplicated by (timestamp, key, namespace), part of the keyed state."""

    @abstractmethod
    def register(self, timestamp: int, key: Hashable, namespace: Hashable = None) -> bool:
        """Add a timer; False when it was there already."""

    @abstractmethod
    def delete(self, timestamp: int, key: Hashable, namespace: Hashable = None) -> bool:
        """Remove a timer; False when it was not there."""

    @abstractmethod
    def peek(self) -> int | None:
        """Smallest timestamp, or None."""

    @abstractmethod
    def pop_until(self, timestamp: int) -> Iterator[tuple[int, Any, Any]]:
        """Remove and give (timestamp, key, namespace) with timestamp <= the argument, in time
        order.

        Timers registered while iterating, if due, are given too.
        """

    @abstractmethod
    def __len__(self) -> int: ...


class KeyedStateBackend(ABC):
    """Keyed state of one operator subtask.

    Attributes:
        current_key: set by the operator before each row-wise call; a plain attribute, for speed.
        max_parallelism: number of key groups of the operator.
        key_group_start: first key group owned.
        key_group_end: last key group owned, inclusive.
        clock: for the time-to-live by the wall clock.
        event_time: ms; set by the operator when its watermark advances, for the time-to-live by
            event time.
        element_time: set by an operator that knows the event time of the record at hand (ms).
        on_expiring: told once when there is state to be swept.
    """

    clock: Clock
    event_time: int
    element_time: Callable[[], int | None] | None
    on_expiring: Callable[[], None] | None
    current_key: Any
    max_parallelism: int
    key_group_start: int
    key_group_end: int

    @abstractmethod
    def get_state(self, descriptor: StateDescriptor, namespace: Hashable = None) -> State:
        """The state object for a descriptor.

        It always refers to ``current_key`` at the time of access. The namespace is fixed at this
        call;
        ``set_namespace`` on the returned object moves it (window operators).
        """

    @abstractmethod
    def table(self, descriptor: TableDescriptor) -> StateTable:
        """The columnar state table for a descriptor; the same object at each call."""

    @abstractmethod
    def timed_rows(self, descriptor: TimedRowsDescriptor) -> TimedRows:
        """The rows kept by key and time of a descriptor; the same object at each call."""

    @abstractmethod
    def row_table(self, descriptor: RowTableDescriptor) -> RowTable:
        """The rows kept by key of a descriptor; the same object at each call."""

    @abstractmethod
    def timers(self, name: str) -> TimerQueue:
        """The timer queue ``name`` ("event", "processing"); the same object at each call."""

    @abstractmethod
    def keys(self, state_name: str, namespace: Hashable = None) -> Iterator[Any]:
        """Keys that have a value in the state."""

    @abstractmethod
    def has_state(self, name: str) -> bool:
        """Whether a state or table of this name was restored or has been asked for."""

    @abstractmethod
    def prefetch(self, keys: Sequence[Any]) -> None:
        """Hint that these keys will be used by the next batch, so that one multi-get can serve
        them.
        """

    @abstractmethod
    def snapshot(self, checkpoint_id: int, *, canonical: bool) -> PendingSnapshot:
        """The synchronous part. ``canonical``: a savepoint that any backend can restore."""

    @abstractmethod
    def restore(
        self, handles: Sequence[checkpoint_pb2.KeyedStateHandle], store: SnapshotStore
    ) -> None:
        """Load the parts of the handles that fall in the own key groups; called once, before any
        access.
        """

    @abstractmethod
    def notify_checkpoint_complete(self, checkpoint_id: int) -> None:
        """The files of the checkpoint may be built upon by incremental snapshots."""

    @abstractmethod
    def notify_checkpoint_aborted(self, checkpoint_id: int) -> None:
        """The files of the checkpoint must not be built upon."""

    @abstractmethod
    def close(self) -> None:
        """Release memory and local files."""
