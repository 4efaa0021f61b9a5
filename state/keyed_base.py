"""What both backends share: names, state objects, timers, tables, loading of entries."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Hashable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, Final, cast

import numpy as np
import pyarrow as pa

from lesto.common.clock import Clock, SystemClock
from lesto.common.elements import MIN_TIMESTAMP
from lesto.state import codec
from lesto.state.backend import KeyedStateBackend
from lesto.state.cells import NO_KEY, Cells
from lesto.state.chunked_lists import ListJoiner
from lesto.state.composed_states import CellAggregatingState, CellReducingState
from lesto.state.descriptors import (
    AggregatingStateDescriptor,
    ListState,
    ListStateDescriptor,
    MapStateDescriptor,
    ReducingStateDescriptor,
    State,
    StateDescriptor,
    ValueState,
    ValueStateDescriptor,
)
from lesto.state.entry_keys import split_by_prefix, take_sized, without_prefix
from lesto.state.formats import CellChange, change_of, check_same
from lesto.state.registry import StateMeta, StateRegistry
from lesto.state.table_api import StoredTable, TableEntries, TableFactory
from lesto.state.timer_queue import HeapTimerQueue, decode_timer
from lesto.state.ttl import EVENT, Lifetime
from lesto.state.ttl_states import TtlListState, TtlMapState, TtlValueState
from lesto.state.typed_states import typed_list, typed_map, typed_value

if TYPE_CHECKING:
    from lesto.state.local_backup import LocalBackup
    from lesto.state.row_memory import TableMemory
    from lesto.state.row_table import RowTable, RowTableDescriptor
    from lesto.state.table import StateTable, TableDescriptor
    from lesto.state.timed_rows import TimedRows, TimedRowsDescriptor

TABLE: Final = "table"
TIMERS: Final = "timers"
TIMERS_PREFIX: Final = "__timers__"


def state_table(descriptor: TableDescriptor, *, max_parallelism: int) -> StoredTable:
    """The usual table factory."""
    from lesto.state.table import StateTable

    return cast(StoredTable, StateTable(descriptor, max_parallelism=max_parallelism))


def child_table(
    descriptor: TableDescriptor, parent: StateTable, *, max_parallelism: int
) -> StoredTable:
    """A table whose rows belong to those of another."""
    from lesto.state.child_table import ChildTable

    return cast(StoredTable, ChildTable(descriptor, parent, max_parallelism=max_parallelism))


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
        #: Where row tables lie; None takes the process's budget and the system's directory.
        self.table_memory: TableMemory | None = None
        self.key_group_start = key_group_start
        self.key_group_end = key_group_end
        self.max_parallelism = max_parallelism
        #: For the time-to-live by the wall clock.
        self.clock: Clock = SystemClock()
        #: Event time (ms) of the operator, for the time-to-live by it.
        self.event_time = MIN_TIMESTAMP
        #: Event time (ms) of the record at hand; None where there is none.
        self.element_time: Callable[[], int | None] | None = None
        #: Told when the first state that is to be swept is asked for.
        self.on_expiring: Callable[[], None] | None = None
        self._expiring: dict[str, tuple[Cells, Any, Lifetime]] = {}
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
            cells = self._claim(descriptor)
        elif cells.descriptor is not descriptor:
            check_same(descriptor.name, cells.descriptor.format, descriptor.format)
        state = self._make_state(cells, descriptor, namespace)
        if namespace is None:
            self._states[descriptor.name] = (descriptor, state)
        return state

    def _claim(self, descriptor: StateDescriptor) -> Cells:
        """The cells of a state that is asked for the first time, in the form it declares."""
        stored = self.registry.get(descriptor.name)
        change = None
        if stored is not None and stored.kind == descriptor.kind:
            change = change_of(stored, descriptor, self._now_of)
        state_id = self.registry.register(meta_of(descriptor))
        cells = self._make_cells(descriptor, state_id)
        if change is not None:
            self._rewrite(cells, change)
        self._cells[descriptor.name] = cells
        return cells

    def _make_state(self, cells: Cells, descriptor: StateDescriptor, namespace: Hashable) -> State:
        form = descriptor.format
        life = None if descriptor.ttl_config is None else self._lifetime(cells, descriptor)
        if isinstance(descriptor, MapStateDescriptor):
            a_map: Any = self._make_map(cells, namespace)
            if life is not None:
                a_map = TtlMapState(a_map, life)
            return typed_map(a_map, form.map_key, form.value)
        if isinstance(descriptor, ListStateDescriptor):
            a_list: Any = self._make_list(cells, namespace)
            if life is not None:
                a_list = TtlListState(a_list, life)
            return typed_list(a_list, form.value)
        cell: Any = self._make_value(cells, namespace)
        if life is not None:
            cell = TtlValueState(cell, life)
        cell = typed_value(cell, form.value)
        match descriptor:
            case ValueStateDescriptor():
                return cast(State, cell)
            case ReducingStateDescriptor():
                return CellReducingState(cell, namespace, descriptor)
            case AggregatingStateDescriptor():
                return CellAggregatingState(cell, namespace, descriptor)
            case _:
                msg = f"not a state descriptor: {descriptor!r}"
                raise TypeError(msg)

    # -- what expires

    def _lifetime(self, cells: Cells, descriptor: StateDescriptor) -> Lifetime:
        config = descriptor.ttl_config
        assert config is not None, descriptor
        known = self._expiring.get(descriptor.name)
        if known is not None and known[2].is_of(config):
            return known[2]
        if config.domain == EVENT:
            life = Lifetime(config, self._now_at_access, self._time_of_access, self._watermark)
        else:
            now = self.clock.now_ms
            life = Lifetime(config, now, now, now)
        if known is None:
            raw = self._make_raw(cells)
            self._expiring[descriptor.name] = (cells, raw, life)
            if life.sweeps and self.on_expiring is not None:
                self.on_expiring()
        return life

    def _make_raw(self, cells: Cells) -> Any:
        """The state as its cells hold it."""
        if cells.descriptor.kind == "map":
            return self._make_map(cells, None)
        if cells.descriptor.kind == "list":
            return self._make_list(cells, None)
        return self._make_value(cells, None)

    def expiring(self) -> Iterable[tuple[Cells, Any, Lifetime]]:
        """States that expire: cells, a raw state object for them, and their lifetime."""
        return list(self._expiring.values())

    def stored_cells(self, cells: Cells) -> Iterator[tuple[bytes, bytes]]:
        """Entries that lie on disk, perhaps not in memory: entry key behind the prefix, value."""
        return iter(())

    def _watermark(self) -> int:
        return self.event_time

    def _now_at_access(self) -> int:
        time = None if self.element_time is None else self.element_time()
        return self.event_time if time is None or time < self.event_time else time

    def _time_of_access(self) -> int:
        time = None if self.element_time is None else self.element_time()
        return self.event_time if time is None else time

    def _now_of(self, domain: str) -> int:
        return self.event_time if domain == EVENT else self.clock.now_ms()

    @abstractmethod
    def _rewrite(self, cells: Cells, change: CellChange) -> None:
        """Put restored cells, none of which is in use yet, into another form."""

    @abstractmethod
    def _make_cells(self, descriptor: StateDescriptor, state_id: int) -> Cells: ...

    @abstractmethod
    def _make_value(self, cells: Cells, namespace: Hashable) -> ValueState[Any]: ...

    @abstractmethod
    def _make_list(self, cells: Cells, namespace: Hashable) -> ListState[Any]: ...

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
        self._expiring.clear()
        self._tables.clear()
        self._timers.clear()

    def has_state(self, name: str) -> bool:
        """Whether a state or table of this name was restored or has been asked for."""
        return self.registry.get(name) is not None

    def entries_in_memory(self) -> int:
        """Keys, once a state, and rows of tables; on any thread, for metrics."""
        spaces = [list(cells.spaces.values()) for cells in list(self._cells.values())]
        return sum(len(space) for of_state in spaces for space in of_state) + sum(
            len(table) for table in list(self._tables.values())
        )

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
            if descriptor.parent is None:
                table = self._table_factory(descriptor, max_parallelism=self.max_parallelism)
            else:
                table = child_table(
                    descriptor, self.table(descriptor.parent), max_parallelism=self.max_parallelism
                )
            self._take_in(descriptor.name, table)
        return cast("StateTable", table)

    def timed_rows(self, descriptor: TimedRowsDescriptor) -> TimedRows:
        """The rows that an operator keeps by key and time, with those restored."""
        rows = self._tables.get(descriptor.name)
        if rows is None:
            rows = descriptor.create(self.max_parallelism)
            self._take_in(descriptor.name, rows)
        return cast("TimedRows", rows)

    def row_table(self, descriptor: RowTableDescriptor) -> RowTable:
        """The rows that an operator keeps by key, with those restored."""
        rows = self._tables.get(descriptor.name)
        if rows is None:
            from lesto.state.row_table import RowTable

            rows = RowTable(
                descriptor,
                max_parallelism=self.max_parallelism,
                clock=self.clock,
                memory=self.table_memory,
            )
            self._take_in(descriptor.name, rows)
        return cast("RowTable", rows)

    def _take_in(self, name: str, table: StoredTable) -> None:
        """Register a new table and give it its restored entries."""
        stored = self.registry.get(name)
        meta = StateMeta(name, TABLE, extra=dict(table.meta()))
        if stored is not None and stored.kind == TABLE:
            table.check_meta(stored.extra)
        state_id = self.registry.register(meta)
        for keys, values in self._stored_runs(state_id):
            table.load_entries(table_entries(keys, values))
        self._tables[name] = table

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


def meta_of(descriptor: StateDescriptor, *, bare: bool = False) -> StateMeta:
    """What snapshots say of a descriptor's state.

    Args:
        descriptor: the state.
        bare: values lie by their own types, without stamps, whatever the descriptor declares.
    """
    types = descriptor.arrow_types()
    # For who reads snapshots; what values are at a restore is what the format says.
    extra: dict[str, Any] = (
        {"arrow": pa.schema(list(types.items())).serialize().to_pybytes()} if types else {}
    )
    if not bare:
        extra |= descriptor.format.describe()
    return StateMeta(descriptor.name, descriptor.kind, tuple(descriptor.type_names()), extra)


def table_entries(keys: pa.Array, values: pa.Array) -> TableEntries:
    """Entries of one state as a table takes them."""
    groups = np.empty(len(keys), np.uint16)
    for key_group, _, start, end in split_by_prefix(keys):
        groups[start:end] = key_group
    return TableEntries(groups, without_prefix(keys), values)


def decode_cells(
    kind: str, keys: Iterable[bytes], values: Iterable[bytes], joiner: ListJoiner
) -> Iterator[tuple[Any, Any, Any, Any]]:
    """Cells of entries whose prefix is cut off: (namespace, key, map key or None, value).

    ``joiner`` has what is there of a list that goes on in the next run.
    """
    decode: Callable[[bytes], Any] = codec.decode
    namespaces: dict[bytes, Any] = {}
    is_map = kind == "map"
    entries: Iterable[tuple[bytes, Any]] = zip(keys, map(decode, values), strict=True)
    if kind == "list":
        joined = (joiner.add(data, value) for data, value in entries)
        entries = (done for done in joined if done is not None)
    for data, value in entries:
        key, at = take_sized(data, 0)
        raw, at = take_sized(data, at)
        if raw in namespaces:
            namespace = namespaces[raw]
        else:
            namespace = namespaces[raw] = decode(raw)
        yield namespace, decode(key), decode(data[at:]) if is_map else None, value
