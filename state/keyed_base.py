"""What both backends share: names, state objects, timers, tables, loading of entries."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Hashable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, Final, cast

import numpy as np
import pyarrow as pa

from lesto.state import codec
from lesto.state.backend import KeyedStateBackend
from lesto.state.cells import NO_KEY, Cells
from lesto.state.composed_states import CellAggregatingState, CellListState, CellReducingState
from lesto.state.descriptors import (
    AggregatingStateDescriptor,
    ListStateDescriptor,
    MapStateDescriptor,
    ReducingStateDescriptor,
    State,
    StateDescriptor,
    ValueState,
    ValueStateDescriptor,
)
from lesto.state.entry_keys import split_by_prefix, take_sized, without_prefix
from lesto.state.registry import StateMeta, StateRegistry
from lesto.state.table_api import StoredTable, TableEntries, TableFactory
from lesto.state.timer_queue import HeapTimerQueue, decode_timer

if TYPE_CHECKING:
    from lesto.state.local_backup import LocalBackup
    from lesto.state.table import StateTable, TableDescriptor

TABLE: Final = "table"
TIMERS: Final = "timers"
TIMERS_PREFIX: Final = "__timers__"


def state_table(descriptor: TableDescriptor, *, max_parallelism: int) -> StoredTable:
    """The usual table factory."""
    from lesto.state.table import StateTable

    return cast(StoredTable, StateTable(descriptor, max_parallelism=max_parallelism))


class KeyedBackendBase(KeyedStateBackend):
    """Names, state objects, timers and tables.

    Args:
        key_group_start: first key group owned.
        key_group_end: last key group owned, inclusive.
        max_parallelism: number of key groups of the operator.
        table_factory: makes state tables.
    """

    def __init__(
        self,
        *,
        key_group_start: int,
        key_group_end: int,
        max_parallelism: int,
        table_factory: TableFactory = state_table,
    ) -> None:
        if not 0 <= key_group_start <= key_group_end < max_parallelism:
            msg = f"key groups {key_group_start}..{key_group_end} of {max_parallelism}"
            raise ValueError(msg)
        self.current_key = NO_KEY
        #: Copies of its checkpoints on this machine's disk, or None; closed with the backend.
        self.backup: LocalBackup | None = None
        self.key_group_start = key_group_start
        self.key_group_end = key_group_end
        self.max_parallelism = max_parallelism
        self.registry = StateRegistry()
        self._table_factory = table_factory
        self._cells: dict[str, Cells] = {}
        self._states: dict[str, tuple[StateDescriptor, State]] = {}
        self._timers: dict[str, HeapTimerQueue] = {}
        self._tables: dict[str, StoredTable] = {}

    # -- state objects

    def get_state(self, descriptor: StateDescriptor, namespace: Hashable = None) -> State:
        """The state object for a descriptor."""
        known = self._states.get(descriptor.name)
        if namespace is None and known is not None and known[0] is descriptor:
            return known[1]
        cells = self._cells.get(descriptor.name)
        if cells is None or cells.descriptor.kind != descriptor.kind:
            state_id = self.registry.register(meta_of(descriptor))
            cells = self._cells[descriptor.name] = self._make_cells(descriptor, state_id)
        state = self._make_state(cells, descriptor, namespace)
        if namespace is None:
            self._states[descriptor.name] = (descriptor, state)
        return state

    def _make_state(self, cells: Cells, descriptor: StateDescriptor, namespace: Hashable) -> State:
        match descriptor:
            case MapStateDescriptor():
                return self._make_map(cells, namespace)
            case ValueStateDescriptor():
                return self._make_value(cells, namespace)
            case ListStateDescriptor():
                return CellListState(self._make_value(cells, namespace), namespace)
            case ReducingStateDescriptor():
                cell = self._make_value(cells, namespace)
                return CellReducingState(cell, namespace, descriptor)
            case AggregatingStateDescriptor():
                cell = self._make_value(cells, namespace)
                return CellAggregatingState(cell, namespace, descriptor)
            case _:
                msg = f"not a state descriptor: {descriptor!r}"
                raise TypeError(msg)

    @abstractmethod
    def _make_cells(self, descriptor: StateDescriptor, state_id: int) -> Cells: ...

    @abstractmethod
    def _make_value(self, cells: Cells, namespace: Hashable) -> ValueState[Any]: ...

    @abstractmethod
    def _make_map(self, cells: Cells, namespace: Hashable) -> State: ...

    # -- checkpoints

    def notify_checkpoint_complete(self, checkpoint_id: int) -> None:
        """The files of the checkpoint may be built upon by incremental snapshots."""
        if self.backup is not None:
            self.backup.complete(checkpoint_id)

    def notify_checkpoint_aborted(self, checkpoint_id: int) -> None:
        """The files of the checkpoint must not be built upon."""
        if self.backup is not None:
            self.backup.abort(checkpoint_id)

    def close(self) -> None:
        """Release memory and local files."""
        if self.backup is not None:
            self.backup.close()
        self._cells.clear()
        self._states.clear()
        self._tables.clear()
        self._timers.clear()

    # -- timers and tables

    def timers(self, name: str) -> HeapTimerQueue:
        """The timer queue of a name, with its restored timers."""
        queue = self._timers.get(name)
        if queue is None:
            state_id = self.registry.register(StateMeta(TIMERS_PREFIX + name, TIMERS))
            queue = self._timers[name] = HeapTimerQueue(track_changes=self._tracks_changes)
            for keys, _ in self._stored_runs(state_id):
                for data in without_prefix(keys).to_pylist():
                    queue.load(decode_timer(data))
        return queue

    def table(self, descriptor: TableDescriptor) -> StateTable:
        """The state table of a descriptor, with its restored rows."""
        table = self._tables.get(descriptor.name)
        if table is None:
            table = self._table_factory(descriptor, max_parallelism=self.max_parallelism)
            stored = self.registry.get(descriptor.name)
            meta = StateMeta(descriptor.name, TABLE, extra=dict(table.meta()))
            if stored is not None and stored.kind == TABLE:
                table.check_meta(stored.extra)
            state_id = self.registry.register(meta)
            for keys, values in self._stored_runs(state_id):
                table.load_entries(table_entries(keys, values))
            self._tables[descriptor.name] = table
        return cast("StateTable", table)

    _tracks_changes = False

    @abstractmethod
    def _stored_runs(self, state_id: int) -> Iterator[tuple[pa.Array, pa.Array]]:
        """Restored entries (whole entry keys, values) of a state in the own key groups."""

    def _timer_ids(self) -> Iterator[tuple[int, HeapTimerQueue]]:
        for name, queue in self._timers.items():
            yield self._id_of(TIMERS_PREFIX + name), queue

    def _table_ids(self) -> Iterator[tuple[int, StoredTable]]:
        for name, table in self._tables.items():
            yield self._id_of(name), table

    def _id_of(self, name: str) -> int:
        state_id = self.registry.id_of(name)
        assert state_id is not None, name
        return state_id


def meta_of(descriptor: StateDescriptor) -> StateMeta:
    """What snapshots say of a descriptor's state."""
    types = descriptor.arrow_types()
    # For who reads snapshots: the values' own types decide at a restore.
    extra = {"arrow": pa.schema(list(types.items())).serialize().to_pybytes()} if types else {}
    return StateMeta(descriptor.name, descriptor.kind, tuple(descriptor.type_names()), extra)


def table_entries(keys: pa.Array, values: pa.Array) -> TableEntries:
    """Entries of one state as a table takes them."""
    groups = np.empty(len(keys), np.uint16)
    for key_group, _, start, end in split_by_prefix(keys):
        groups[start:end] = key_group
    return TableEntries(groups, without_prefix(keys), values)


def decode_cells(
    kind: str, keys: Iterable[bytes], values: Iterable[bytes]
) -> Iterator[tuple[Any, Any, Any, Any]]:
    """Cells of entries whose prefix is cut off: (namespace, key, map key or None, value)."""
    decode: Callable[[bytes], Any] = codec.decode
    namespaces: dict[bytes, Any] = {}
    is_map = kind == "map"
    for data, value in zip(keys, values, strict=True):
        key, at = take_sized(data, 0)
        raw, at = take_sized(data, at)
        if raw in namespaces:
            namespace = namespaces[raw]
        else:
            namespace = namespaces[raw] = decode(raw)
        yield namespace, decode(key), decode(data[at:]) if is_map else None, decode(value)
