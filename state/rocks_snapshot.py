"""Snapshots of the RocksDB backend: native and incremental, or canonical."""

from __future__ import annotations

import shutil
import threading
from dataclasses import dataclass, field
from pathlib import Path

from lesto.proto.checkpoint_pb2 import FileHandle, KeyedStateHandle, NamedFile
from lesto.state.canonical import write_canonical
from lesto.state.errors import StateError
from lesto.state.generations import Generation, GenerationQueue
from lesto.state.hashmap import CANONICAL_FILE, empty_canonical
from lesto.state.rocks_files import PACK_NAME, SST_SUFFIX, pack, read_range
from lesto.state.storage import SnapshotStore

NATIVE = "rocksdb"


@dataclass(frozen=True, slots=True)
class Uploaded:
    """SSTs of one snapshot in checkpoint storage.

    Attributes:
        checkpoint_id: the snapshot's checkpoint; 0 for what was restored.
        root_uri: the storage root their handles belong to.
        files: SST name -> handle.
    """

    checkpoint_id: int
    root_uri: str
    files: dict[str, FileHandle]


@dataclass(slots=True)
class UploadLedger:
    """Which SSTs need no upload: those of the newest completed checkpoint."""

    base: Uploaded | None = None
    _open: dict[int, Uploaded] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def reusable(self, root_uri: str) -> dict[str, FileHandle]:
        """SSTs already in a storage root."""
        with self._lock:
            base = self.base
            return dict(base.files) if base is not None and base.root_uri == root_uri else {}

    def record(self, uploaded: Uploaded) -> None:
        """A snapshot is in storage; its checkpoint may yet fail."""
        with self._lock:
            self._open[uploaded.checkpoint_id] = uploaded

    def complete(self, checkpoint_id: int) -> None:
        """A checkpoint is complete: later ones build upon it, earlier ones are settled."""
        with self._lock:
            done = self._open.pop(checkpoint_id, None)
            if done is not None and (self.base is None or self.base.checkpoint_id < checkpoint_id):
                self.base = done
            self._open = {n: kept for n, kept in self._open.items() if n > checkpoint_id}

    def abort(self, checkpoint_id: int) -> None:
        """A checkpoint will never complete: its files may go at any time."""
        with self._lock:
            self._open.pop(checkpoint_id, None)


class RocksSnapshot:
    """A pending snapshot: its generation is captured; all else happens in :meth:`finish`."""

    def __init__(
        self,
        *,
        checkpoint_id: int,
        canonical: bool,
        incremental: bool,
        key_groups: tuple[int, int],
        states_meta: bytes,
        generation: Generation,
        queue: GenerationQueue,
        ledger: UploadLedger,
    ) -> None:
        self._checkpoint_id = checkpoint_id
        self._canonical = canonical
        self._incremental = incremental
        self._key_groups = key_groups
        self._states_meta = states_meta
        self._generation = generation
        self._queue = queue
        self._ledger = ledger

    def finish(self, store: SnapshotStore) -> KeyedStateHandle:
        """Ingest what is due, make the local checkpoint, upload it.

        Raises:
            StorageError: the local disk or the storage failed.
        """
        try:
            self._queue.drain(self._generation.number)
            directory = self._generation.directory
            if self._generation.error is not None:
                raise self._generation.error
            if directory is None:
                msg = f"the snapshot for checkpoint {self._checkpoint_id} was discarded"
                raise StateError(msg)
            if not directory.exists():  # nothing was ever written
                return empty_canonical(self._key_groups, self._states_meta)
            if self._canonical:
                return self._write_canonical(directory, store)
            return self._upload(directory, store)
        finally:
            self.discard()

    def build_on_nothing(self) -> None:
        """Upload every file, also those that the last completed checkpoint has."""
        self._incremental = False

    def discard(self) -> None:
        """Remove the local checkpoint."""
        self._queue.abandon(self._generation)

    def _upload(self, directory: Path, store: SnapshotStore) -> KeyedStateHandle:
        handle = KeyedStateHandle(
            format=NATIVE,
            key_group_start=self._key_groups[0],
            key_group_end=self._key_groups[1],
            states_meta=self._states_meta,
        )
        known = self._ledger.reusable(store.root_uri) if self._incremental else {}
        files: dict[str, FileHandle] = {}
        for path in sorted(directory.glob(f"*{SST_SUFFIX}")):
            file = known.get(path.name)
            if file is None:
                file = store.write_shared(path, checkpoint_id=self._checkpoint_id)
            files[path.name] = file
            handle.files.append(NamedFile(name=path.name, file=file, shared=True))
        packed = store.write_exclusive(self._checkpoint_id, pack(directory), suffix=".pack")
        handle.files.append(NamedFile(name=PACK_NAME, file=packed))
        self._ledger.record(Uploaded(self._checkpoint_id, store.root_uri, files))
        return handle

    def _write_canonical(self, directory: Path, store: SnapshotStore) -> KeyedStateHandle:
        handle = empty_canonical(self._key_groups, self._states_meta)
        local = directory.with_suffix(".arrow")
        try:
            if write_canonical(str(local), read_range(directory, *self._key_groups)):
                written = store.write_exclusive(self._checkpoint_id, local, suffix=".arrow")
                handle.files.append(NamedFile(name=CANONICAL_FILE, file=written))
        finally:
            local.unlink(missing_ok=True)
            shutil.rmtree(directory, ignore_errors=True)
        return handle
