"""Keyed state in RocksDB below a write-back object cache; incremental snapshots.

Row-wise state lives in caches (:mod:`lesto.state.cached`), tables and timers wholly in memory. At a
checkpoint only what changed is captured (mailbox thread), sorted, ingested as one SST and uploaded
(I/O thread). RocksDB holds everything as of the newest ingested generation.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Hashable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from lesto.kernels import keygroups
from lesto.kernels.hashing import hash_value
from lesto.proto.checkpoint_pb2 import KeyedStateHandle
from lesto.state import codec
from lesto.state.cached import CachedCells
from lesto.state.cached_lists import CachedListCells, CachedListState
from lesto.state.cached_maps import CachedMapCells
from lesto.state.cached_states import CachedMapState, CachedValueState
from lesto.state.cells import Cells
from lesto.state.descriptors import ListState, StateDescriptor, ValueState
from lesto.state.draining import BackgroundDrain
from lesto.state.entries import Captured, CapturedTable, CapturedTimers
from lesto.state.entry_keys import PREFIX_BYTES, prefix, with_state_ids
from lesto.state.formats import CellChange
from lesto.state.generations import GenerationQueue
from lesto.state.keyed_base import KeyedBackendBase
from lesto.state.registry import decode_states, encode_states
from lesto.state.restoring import read_entries
from lesto.state.rocks_files import SST_SUFFIX, LocalDb, download
from lesto.state.rocks_snapshot import NATIVE, RocksSnapshot, Uploaded, UploadLedger
from lesto.state.row_table import FLUSHED_BYTES, RowTable, RowTableDescriptor
from lesto.state.storage import SnapshotStore
from lesto.state.table_api import TableChanges

#: Memory of a cache entry beside its encoded bytes: dict slots, object headers.
ENTRY_OVERHEAD_BYTES: Final = 200
#: How much larger a Python object is than its encoding, roughly.
OBJECT_FACTOR: Final = 3
ENTRIES_MIN: Final = 64
RESTORE_ROWS: Final = 262_144
#: Rows that a sweep reads at once.
SWEPT_ROWS: Final = 256


_CELLS: Final[dict[str, type[CachedCells]]] = {"map": CachedMapCells, "list": CachedListCells}


class RocksDBBackend(KeyedBackendBase):
    """Keyed state of one operator subtask, in a RocksDB of its own.

    Args:
        local_dir: where the backend makes its directory; removed when closed.
        cache_bytes: estimated memory that cached objects may take.
        incremental: upload only SSTs that the last completed checkpoint has not.
        kwargs: see :class:`KeyedBackendBase`.
    """

    _tracks_changes = True

    def __init__(
        self, *, local_dir: Path, cache_bytes: int, incremental: bool = True, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        local_dir.mkdir(parents=True, exist_ok=True)
        self._directory = Path(tempfile.mkdtemp(prefix="state-", dir=local_dir))
        self._incremental = incremental
        self._cache_bytes = cache_bytes
        self._entries = 0  # encoded so far, to estimate the size of one
        self._encoded_bytes = 0
        self._room = self.entries_max  # entries that may come into memory before the next look
        self._read_by_key = False
        self._queue = GenerationQueue(self._open_db, self._measure)
        self._drain = BackgroundDrain(self._queue)
        self._ledger = UploadLedger()
        self._restored_ids: frozenset[int] = frozenset()
        self._snapshots = 0
        self._row_tables: dict[str, RowTable] = {}
        #: Whether snapshots are taken now and then: changes of large tables then do not wait.
        self.checkpointed = True

    # -- what the cache asks for

    def local_db(self) -> LocalDb | None:
        """The database, or None when nothing has been written or restored."""
        return self._queue.db

    def key_group(self, key: Any) -> int:
        """Key group of a key."""
        return keygroups.key_group_for_hash(hash_value(key), self.max_parallelism)

    def admit(self, count: int = 1) -> None:
        """Entries have come into memory: make room when there are too many."""
        self._room -= count
        if self._room < 0:
            self._make_room()

    @property
    def entries_max(self) -> int:
        """How many entries the cache may hold, by the mean size seen so far."""
        mean = self._encoded_bytes / self._entries if self._entries else 32
        return max(
            ENTRIES_MIN, int(self._cache_bytes / (ENTRY_OVERHEAD_BYTES + OBJECT_FACTOR * mean))
        )

    def _make_room(self) -> None:
        limit = self.entries_max
        self._settle()
        if self._count() > limit:
            self._evict(self._count() - limit * 3 // 4)
            if self._count() > limit * 7 // 8:  # too much is dirty: let RocksDB have it now
                self._queue.add(list(self._capture()), None)
                self._queue.drain(self._queue.next_number - 1)
                self._settle()
                self._evict(self._count() - limit * 3 // 4)
        self._room = max(limit - self._count(), limit // 16, 1)

    def _count(self) -> int:
        return sum(cells.count() for cells in self._cached())

    def _evict(self, wanted: int) -> None:
        for cells in sorted(self._cached(), key=lambda cells: -cells.count()):
            if wanted <= 0:
                return
            wanted -= cells.evict(wanted)

    def _settle(self) -> None:
        ingested = self._queue.ingested
        for cells in self._cached():
            cells.settle(ingested)

    def _cached(self) -> list[CachedCells]:
        return [cells for cells in self._cells.values() if isinstance(cells, CachedCells)]

    def _measure(self, entries: int, encoded_bytes: int) -> None:
        self._entries += entries
        self._encoded_bytes += encoded_bytes

    def _open_db(self) -> LocalDb:
        db = LocalDb(self._directory / "db", self._directory)
        if self._read_by_key:
            db.read_by_key()
        return db

    # -- state objects

    def _make_cells(self, descriptor: StateDescriptor, state_id: int) -> Cells:
        kind = _CELLS.get(descriptor.kind, CachedCells)
        if not self._read_by_key:
            self._read_by_key = True
            if (db := self._queue.db) is not None:
                db.read_by_key()
        return kind(self, descriptor, state_id, complete=state_id not in self._restored_ids)

    def _rewrite(self, cells: Cells, change: CellChange) -> None:
        # What was captured before belongs to snapshots that know the state as it was.
        self._queue.drain(self._queue.next_number - 1)
        if cells.descriptor.kind == "list":
            change = _of_chunks(change)
        for keys, values in self._stored_runs(cells.state_id):
            changed = [codec.encode(change(codec.decode(data))) for data in values.to_pylist()]
            self._queue.put(keys, pa.array(changed, pa.large_binary()))

    def stored_cells(self, cells: Cells) -> Iterator[tuple[bytes, bytes]]:
        """Entries that RocksDB has, a piece at a time: what comes meanwhile is given or not."""
        if not isinstance(cells, CachedCells) or cells.complete:
            return
        for key_group in range(self.key_group_start, self.key_group_end + 1):
            start = head = prefix(key_group, cells.state_id)
            while start:
                db = self.local_db()
                rows = [] if db is None else list(islice(db.scan(head, start), SWEPT_ROWS))
                for data, value in rows:
                    yield data[PREFIX_BYTES:], value
                start = rows[-1][0] + b"\0" if len(rows) == SWEPT_ROWS else b""

    def _make_value(self, cells: Cells, namespace: Hashable) -> ValueState[Any]:
        assert isinstance(cells, CachedCells)
        return CachedValueState(cells, namespace)

    def _make_list(self, cells: Cells, namespace: Hashable) -> ListState[Any]:
        assert isinstance(cells, CachedListCells)
        return CachedListState(cells, namespace)

    def _make_map(self, cells: Cells, namespace: Hashable) -> CachedMapState:
        assert isinstance(cells, CachedMapCells)
        return CachedMapState(cells, namespace)

    def keys(self, state_name: str, namespace: Hashable = None) -> Iterator[Any]:
        """Keys that have a value in the state."""
        cells = self._cells.get(state_name)
        if cells is None:
            meta = self.registry.get(state_name)
            if meta is None:
                return iter(())
            unnamed = StateDescriptor(state_name)
            kind = _CELLS.get(meta.kind, CachedCells)
            cells = kind(self, unnamed, self._id_of(state_name), complete=False)
        return cells.keys(namespace)

    def prefetch(self, keys: Sequence[Any]) -> None:
        """Bring the values of these keys into memory with one multi-get a state."""
        for cells in self._cached():
            if not cells.complete and not isinstance(cells, CachedMapCells):
                cells.load_many(list(keys))

    def _stored_runs(self, state_id: int) -> Iterator[tuple[pa.Array, pa.Array]]:
        db = self.local_db()
        if db is None or state_id not in self._restored_ids:
            return
        for key_group in range(self.key_group_start, self.key_group_end + 1):
            yield from db.runs(prefix(key_group, state_id))

    # -- snapshot

    def snapshot(self, checkpoint_id: int, *, canonical: bool) -> RocksSnapshot:
        """Capture the state; the rest is done by the snapshot's ``finish``."""
        self._settle()
        self._flush_rows()
        self._snapshots += 1
        directory = self._directory / f"chk-{checkpoint_id}-{self._snapshots}"
        generation = self._queue.add(list(self._capture()), directory)
        return RocksSnapshot(
            checkpoint_id=checkpoint_id,
            canonical=canonical,
            incremental=self._incremental,
            key_groups=(self.key_group_start, self.key_group_end),
            states_meta=encode_states(self.registry.states()),
            generation=generation,
            queue=self._queue,
            ledger=self._ledger,
        )

    def _capture(self) -> Iterator[Captured]:
        number = self._queue.next_number
        for cells in self._cached():
            yield from cells.capture(number)
        for state_id, queue in self._timer_ids():
            added, deleted = queue.take_changes()
            if added or deleted:
                yield CapturedTimers(state_id, added, deleted, self.max_parallelism)
        for state_id, table in self._table_ids():
            yield from self._captured_table(state_id, table.take_changes())

    def _captured_table(self, state_id: int, changes: TableChanges) -> Iterator[Captured]:
        if len(changes.upserts) or len(changes.deleted_keys):
            yield CapturedTable(
                state_id,
                changes.upserts,
                changes.deleted_key_groups,
                changes.deleted_keys,
                self.max_parallelism,
            )

    # -- tables of rows

    def row_table(self, descriptor: RowTableDescriptor) -> RowTable:
        """The rows that an operator keeps by key; RocksDB takes changes before they are many."""
        table = super().row_table(descriptor)
        self._row_tables[descriptor.name] = table
        if self.checkpointed:
            table.flush = self._flush_rows
        return table

    def _flush_rows(self) -> None:
        """Bring the changes of row tables to RocksDB, a piece at a time, but for a last piece.

        Raises:
            StorageError: the local disk failed, now or at the piece before.
        """
        for name, table in self._row_tables.items():
            state_id = self._id_of(name)
            while table.changed_bytes > FLUSHED_BYTES:
                changes = table.take_changes(FLUSHED_BYTES)
                self._queue.add(list(self._captured_table(state_id, changes)), None)
                del changes
                self._drain.start(self._queue.next_number - 1)

    def notify_checkpoint_complete(self, checkpoint_id: int) -> None:
        """Later snapshots build upon the files of the checkpoint."""
        super().notify_checkpoint_complete(checkpoint_id)
        self._ledger.complete(checkpoint_id)

    def notify_checkpoint_aborted(self, checkpoint_id: int) -> None:
        """The files of the checkpoint are not built upon."""
        super().notify_checkpoint_aborted(checkpoint_id)
        self._ledger.abort(checkpoint_id)

    # -- restore

    def restore(self, handles: Sequence[KeyedStateHandle], store: SnapshotStore) -> None:
        """Load the parts of the handles that fall in the own key groups."""
        base = self._choose_base(handles)
        if base is not None:
            self._open_base(base, store)
        for handle in handles:
            if handle is base:
                continue
            self._restore_entries(handle, store)
        if self.local_db() is not None:  # else the handles were empty: there is nothing to look up
            self._restored_ids = frozenset(self.registry.states())

    def _choose_base(self, handles: Sequence[KeyedStateHandle]) -> KeyedStateHandle | None:
        """The native snapshot that covers most of the range: its files are taken as is."""

        def overlap(handle: KeyedStateHandle) -> int:
            low = max(handle.key_group_start, self.key_group_start)
            return min(handle.key_group_end, self.key_group_end) - low + 1

        native = [h for h in handles if h.format == NATIVE and h.files and overlap(h) > 0]
        return max(native, key=overlap, default=None)

    def _open_base(self, base: KeyedStateHandle, store: SnapshotStore) -> None:
        download(base, store, self._directory / "db")
        db = self._queue.open()
        self.registry.adopt(decode_states(base.states_meta))
        if base.key_group_start < self.key_group_start or base.key_group_end > self.key_group_end:
            low = self.key_group_start.to_bytes(2, "big")
            db.keep_range(low, (self.key_group_end + 1).to_bytes(2, "big"))
        files = {f.name: f.file for f in base.files if f.name.endswith(SST_SUFFIX)}
        self._ledger.base = Uploaded(0, store.root_uri, files)

    def _restore_entries(self, handle: KeyedStateHandle, store: SnapshotStore) -> None:
        runs: list[tuple[pa.Array, pa.Array]] = []
        rows = 0
        for states, keys, values in read_entries(
            handle, store, self.key_group_start, self.key_group_end, scratch=self._directory
        ):
            numbers = self.registry.adopt(states)
            same = all(stored == own for stored, own in numbers.items())
            runs.append((keys if same else with_state_ids(keys, numbers), values))
            rows += len(keys)
            if rows >= RESTORE_ROWS:
                self._ingest_runs(runs)
                runs, rows = [], 0
        self._ingest_runs(runs)

    def _ingest_runs(self, runs: list[tuple[pa.Array, pa.Array]]) -> None:
        if not any(len(keys) for keys, _ in runs):
            return
        keys = pa.concat_arrays([keys for keys, _ in runs])
        values = pa.concat_arrays([values for _, values in runs])
        order = pc.array_sort_indices(keys)
        self._queue.open().ingest(keys.take(order), values.take(order))

    def close(self) -> None:
        """Release memory and local files."""
        self._drain.close()
        self._queue.close()
        super().close()
        self._row_tables.clear()
        shutil.rmtree(self._directory, ignore_errors=True)


def _of_chunks(change: CellChange) -> CellChange:
    """The change of a list's parts: a chunk, or how many there are and the rest."""

    def changed(part: Any) -> Any:
        return (part[0], change(part[1])) if isinstance(part, tuple) else change(part)

    return changed
