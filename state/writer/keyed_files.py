"""Entries of one operator, sorted on disk and written as files of the canonical form."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final, cast

import pyarrow as pa
import pyarrow.compute as pc

from lesto.proto.checkpoint_pb2 import KeyedStateHandle, NamedFile
from lesto.state.canonical import write_canonical
from lesto.state.entries import Entries
from lesto.state.entry_keys import with_state_ids
from lesto.state.reader.local_files import LocalHandle
from lesto.state.registry import StateMeta, encode_states
from lesto.state.rocks_files import LocalDb, open_read_only
from lesto.state.storage import SnapshotStore
from lesto.state.writer.encoding import Part, twice

#: Entries that are sorted in memory before they go to disk.
RUN_ROWS: Final = 262_144
RUN_BYTES: Final = 64 * 1024 * 1024
#: A file takes further key groups up to this size, so that a restore reads what it needs.
FILE_BYTES: Final = 64 * 1024 * 1024
_BINARY: Final = pa.large_binary()


class KeyedFiles:
    """Sorts entries in a RocksDB of its own, then writes them.

    Args:
        max_parallelism: key groups.
        scratch: directory for what is being sorted.
    """

    def __init__(self, max_parallelism: int, scratch: Path) -> None:
        self._groups = max_parallelism
        self._scratch = scratch
        self._db: LocalDb | None = None
        self._states: dict[int, StateMeta] = {}
        self._given: dict[int, int] = {}
        self._waiting: list[Entries] = []
        self._waiting_rows = 0
        self._waiting_bytes = 0

    @property
    def empty(self) -> bool:
        """Whether there is no state at all."""
        return not self._states

    def keep(self, meta: StateMeta, handles: Iterable[LocalHandle]) -> None:
        """Take a state over as it is.

        Raises:
            StateError: a file is missing or damaged.
        """
        own = self._number(meta)
        for handle in handles:
            stored = handle.state_id(meta.name)
            if stored is None:
                continue
            for keys, values in handle.runs(meta.name):
                self._take(own, with_state_ids(keys, {stored: own}), values)

    def add(self, part: Part) -> None:
        """Take a new state.

        Raises:
            SavepointWriteError: its data cannot be written.
        """
        own = self._number(part.meta)
        for keys, values in part.entries(own, self._groups):
            self._take(own, keys, values)

    def _number(self, meta: StateMeta) -> int:
        number = len(self._states)
        self._states[number] = meta
        self._given[number] = 0
        return number

    def _take(self, number: int, keys: pa.Array, values: pa.Array) -> None:
        self._given[number] += len(keys)
        self._waiting.append((keys, values))
        self._waiting_rows += len(keys)
        self._waiting_bytes += keys.nbytes + values.nbytes
        if self._waiting_rows >= RUN_ROWS or self._waiting_bytes >= RUN_BYTES:
            self._sort()

    def _sort(self) -> None:
        waiting, self._waiting = self._waiting, []
        self._waiting_rows = self._waiting_bytes = 0
        if not any(len(keys) for keys, _ in waiting):
            return
        keys = pa.concat_arrays([keys for keys, _ in waiting])
        values = pa.concat_arrays([values for _, values in waiting])
        order = pc.array_sort_indices(keys)
        keys, values = keys.take(order), values.take(order)
        same = pc.equal(keys[:-1], keys[1:]).index(True).as_py() if len(keys) > 1 else -1
        if same >= 0:
            number = int.from_bytes(keys[same].as_py()[2:4], "big")
            raise twice(self._states[number].name)
        if self._db is None:
            self._db = LocalDb(self._scratch / "db", self._scratch)
        self._db.ingest(keys, values)

    def write(self, store: SnapshotStore, checkpoint_id: int) -> list[KeyedStateHandle]:
        """Write everything; the handles cover all key groups together.

        Raises:
            SavepointWriteError: a key was given twice.
            StorageError: the storage refused.
        """
        self._sort()
        if self._db is not None:
            self._db.close()
        meta = encode_states(self._states)
        handles: list[KeyedStateHandle] = []
        first = 0
        written = dict.fromkeys(self._given, 0)
        for path, last in self._files(written):
            handle = KeyedStateHandle(
                format="canonical", key_group_start=first, key_group_end=last, states_meta=meta
            )
            file = store.write_exclusive(checkpoint_id, path, suffix=".arrow")
            handle.files.append(NamedFile(name="state.arrow", file=file))
            handles.append(handle)
            first = last + 1
        for number, count in self._given.items():
            if written[number] != count:
                raise twice(self._states[number].name)
        if not handles:
            handles.append(KeyedStateHandle(format="canonical", states_meta=meta))
        handles[-1].key_group_end = self._groups - 1
        return handles

    def _files(self, written: dict[int, int]) -> Iterator[tuple[Path, int]]:
        """Local files of the canonical form and the last key group in each."""
        if self._db is None:
            return
        path = self._scratch / "part.arrow"
        with (
            open_read_only(self._scratch / "db") as db,
            contextlib.closing(
                _Groups(cast("Iterator[tuple[bytes, bytes]]", db.items()), written)
            ) as groups,
        ):
            while groups.more():
                write_canonical(str(path), groups.runs())
                yield path, groups.last
                path.unlink()


class _Groups:
    """Entries in order, in stretches of whole key groups that make one file each."""

    def __init__(self, entries: Iterator[tuple[bytes, bytes]], written: dict[int, int]) -> None:
        self._entries = entries
        self._written = written
        self._next = next(entries, None)
        self.last = 0

    def close(self) -> None:
        """Let go of the database."""
        self._entries = iter(())

    def more(self) -> bool:
        """Whether anything is left."""
        return self._next is not None

    def runs(self) -> Iterator[Entries]:
        """The next stretch; ``last`` is its last key group afterwards."""
        keys: list[bytes] = []
        values: list[bytes] = []
        size = held = 0
        while self._next is not None:
            key, value = self._next
            group = int.from_bytes(key[:2], "big")
            if size >= FILE_BYTES and group != self.last:
                break
            self.last = group
            self._written[int.from_bytes(key[2:4], "big")] += 1
            keys.append(key)
            values.append(value)
            size += len(key) + len(value)
            held += len(key) + len(value)
            if len(keys) >= RUN_ROWS or held >= RUN_BYTES:
                yield pa.array(keys, _BINARY), pa.array(values, _BINARY)
                keys, values, held = [], [], 0
            self._next = next(self._entries, None)
        if keys:
            yield pa.array(keys, _BINARY), pa.array(values, _BINARY)
