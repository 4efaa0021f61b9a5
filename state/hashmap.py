"""Keyed state in memory; every checkpoint writes all of it, in canonical form."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Sequence
from typing import Any

import pyarrow as pa

from lesto.proto.checkpoint_pb2 import KeyedStateHandle, NamedFile
from lesto.state import codec
from lesto.state.canonical import canonical_bytes, drop_deleted
from lesto.state.cells import Cells, Space
from lesto.state.chunked_lists import ListJoiner
from lesto.state.composed_states import CellListState
from lesto.state.descriptors import ListState, StateDescriptor, ValueState
from lesto.state.entries import (
    Captured,
    CapturedBytes,
    CapturedCells,
    CapturedTable,
    CapturedTimers,
    cell_tail,
    key_groups_of,
    sorted_entries,
)
from lesto.state.entry_keys import prefixes, split_by_prefix, without_prefix
from lesto.state.formats import CellChange
from lesto.state.heap_states import HeapMapState, HeapValueState
from lesto.state.keyed_base import TABLE, TIMERS, KeyedBackendBase, decode_cells
from lesto.state.registry import StateMeta, encode_states
from lesto.state.restoring import read_entries
from lesto.state.storage import SnapshotStore

CANONICAL_FILE = "state.arrow"
CANONICAL = "canonical"


class HashMapBackend(KeyedBackendBase):
    """All state as Python objects and tables in memory."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        # Restored entries of timers and tables wait here, by state id, for whoever asks for them.
        self._stored: dict[int, list[tuple[pa.Array, pa.Array]]] = {}
        # Restored cells of states that no descriptor has named yet: kept, and written again.
        self._unclaimed: dict[str, dict[Hashable, Space]] = {}

    def _make_cells(self, descriptor: StateDescriptor, state_id: int) -> Cells:
        cells = Cells(self, descriptor, state_id)
        cells.spaces = self._unclaimed.pop(descriptor.name, {})
        return cells

    def _rewrite(self, cells: Cells, change: CellChange) -> None:
        is_map = cells.descriptor.kind == "map"
        for space in cells.spaces.values():
            for key, cell in space.items():
                if is_map:
                    space[key] = {map_key: change(value) for map_key, value in cell.items()}
                else:
                    space[key] = change(cell)

    def _make_value(self, cells: Cells, namespace: Hashable) -> ValueState[Any]:
        return HeapValueState(cells, namespace)

    def _make_list(self, cells: Cells, namespace: Hashable) -> ListState[Any]:
        return CellListState(HeapValueState(cells, namespace), namespace)

    def _make_map(self, cells: Cells, namespace: Hashable) -> HeapMapState:
        return HeapMapState(cells, namespace)

    def keys(self, state_name: str, namespace: Hashable = None) -> Iterator[Any]:
        """Keys that have a value in the state."""
        cells = self._cells.get(state_name)
        if cells is not None:
            return cells.keys(namespace)
        return iter(list(self._unclaimed.get(state_name, {}).get(namespace, ())))

    def prefetch(self, keys: Sequence[Any]) -> None:
        """All is in memory."""

    def _stored_runs(self, state_id: int) -> Iterator[tuple[pa.Array, pa.Array]]:
        return iter(self._stored.pop(state_id, []))

    # -- snapshot

    def snapshot(self, checkpoint_id: int, *, canonical: bool) -> HeapSnapshot:
        """Capture the state; the rest is done by the snapshot's ``finish``."""
        return HeapSnapshot(
            checkpoint_id,
            (self.key_group_start, self.key_group_end),
            encode_states(self.registry.states()),
            list(self._capture()),
        )

    def _capture(self) -> Iterator[Captured]:
        for cells in self._cells.values():
            cells.sweep()
            yield from self._capture_cells(cells.state_id, cells.descriptor.kind, cells.spaces)
        for name, spaces in self._unclaimed.items():
            meta = self.registry.get(name)
            assert meta is not None, name
            yield from self._capture_cells(self._id_of(name), meta.kind, spaces)
        for state_id, queue in self._timer_ids():
            yield CapturedTimers(state_id, queue.live(), [], self.max_parallelism)
        for state_id, table in self._table_ids():
            none = pa.array([], pa.large_binary())
            yield CapturedTable(state_id, table.all_entries(), [], none, self.max_parallelism)
        for runs in self._stored.values():
            for keys, values in runs:
                yield CapturedRun(keys, values)

    def _capture_cells(
        self, state_id: int, kind: str, spaces: dict[Hashable, Space]
    ) -> Iterator[Captured]:
        for namespace, space in spaces.items():
            if kind == "map":
                yield capture_maps(state_id, namespace, space, self.max_parallelism)
            elif space:
                yield CapturedCells(
                    state_id, namespace, list(space), list(space.values()), self.max_parallelism
                )

    # -- restore

    def restore(self, handles: Sequence[KeyedStateHandle], store: SnapshotStore) -> None:
        """Load the parts of the handles that fall in the own key groups."""
        for handle in handles:
            joiner = ListJoiner()  # a list may lie in two runs of a handle
            for states, keys, values in read_entries(
                handle, store, self.key_group_start, self.key_group_end
            ):
                self._load(states, keys, values, joiner)
            joiner.end()

    def _load(
        self, states: dict[int, StateMeta], keys: pa.Array, values: pa.Array, joiner: ListJoiner
    ) -> None:
        numbers = self.registry.adopt(states)
        for key_group, stored_id, start, end in split_by_prefix(keys):
            meta = states[stored_id]
            part, content = keys.slice(start, end - start), values.slice(start, end - start)
            tails = without_prefix(part)
            if meta.kind in (TABLE, TIMERS):
                own = numbers[stored_id]
                head = pa.array([prefixes(self.max_parallelism, own)[key_group]] * len(tails))
                whole = _joined(head, tails)
                self._stored.setdefault(own, []).append((whole, content))
                continue
            spaces = self._unclaimed.setdefault(meta.name, {})
            cells = decode_cells(meta.kind, tails.to_pylist(), content.to_pylist(), joiner)
            for namespace, key, map_key, value in cells:
                space = spaces.setdefault(namespace, {})
                if meta.kind == "map":
                    space.setdefault(key, {})[map_key] = value
                else:
                    space[key] = value

    def close(self) -> None:
        """Release memory."""
        super().close()
        self._stored.clear()
        self._unclaimed.clear()


class CapturedRun:
    """Entries as they were restored."""

    def __init__(self, keys: pa.Array, values: pa.Array) -> None:
        self._entries = (keys, values)

    def encode(self) -> tuple[pa.Array, pa.Array]:
        """The entries."""
        return self._entries


class HeapSnapshot:
    """A full snapshot: encoding, sorting and compression happen in :meth:`finish`."""

    def __init__(
        self,
        checkpoint_id: int,
        key_groups: tuple[int, int],
        states_meta: bytes,
        captured: Iterable[Captured],
    ) -> None:
        self._checkpoint_id = checkpoint_id
        self._key_groups = key_groups
        self._states_meta = states_meta
        self._captured = list(captured)

    def finish(self, store: SnapshotStore) -> KeyedStateHandle:
        """Write the file; nothing when there is no state."""
        keys, values = drop_deleted(*sorted_entries(self._captured))
        self._captured.clear()
        handle = empty_canonical(self._key_groups, self._states_meta)
        if len(keys):
            data = canonical_bytes(keys, values)
            written = store.write_exclusive(self._checkpoint_id, data, suffix=".arrow")
            handle.files.append(NamedFile(name=CANONICAL_FILE, file=written))
        return handle

    def build_on_nothing(self) -> None:
        """A full snapshot does anyway."""

    def discard(self) -> None:
        """Drop what was captured."""
        self._captured.clear()


def empty_canonical(key_groups: tuple[int, int], states_meta: bytes) -> KeyedStateHandle:
    """A canonical handle without files."""
    return KeyedStateHandle(
        format=CANONICAL,
        key_group_start=key_groups[0],
        key_group_end=key_groups[1],
        states_meta=states_meta,
    )


def capture_maps(
    state_id: int, namespace: Hashable, maps: dict[Any, dict[Any, Any]], max_parallelism: int
) -> CapturedBytes:
    """Maps of one namespace, one entry for each map entry."""
    heads = prefixes(max_parallelism, state_id)
    groups = key_groups_of(list(maps), max_parallelism)
    keys: list[bytes] = []
    values: list[bytes] = []
    for group, (key, content) in zip(groups, maps.items(), strict=True):
        head = heads[group] + cell_tail(key, namespace)
        keys.extend([head + codec.encode_key(map_key) for map_key in content])
        values.extend(codec.encode_all(list(content.values())))
    return CapturedBytes(keys, values)


def _joined(heads: pa.Array, tails: pa.Array) -> pa.Array:
    import pyarrow.compute as pc

    binary = pa.large_binary()
    return pc.binary_join_element_wise(heads.cast(binary), tails, pa.scalar(b"", binary))
