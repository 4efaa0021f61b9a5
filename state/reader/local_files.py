"""The files of keyed handles, verified and on this machine's disk, one state at a time."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final, cast

import pyarrow as pa

from lesto.proto.checkpoint_pb2 import FileHandle, KeyedStateHandle
from lesto.state.canonical import read_canonical
from lesto.state.entry_keys import prefix, split_by_prefix
from lesto.state.errors import CorruptFileError
from lesto.state.registry import StateMeta, decode_states
from lesto.state.storage import SnapshotStore

#: Entries that are decoded at once at most.
PIECE_ROWS: Final = 16_384
#: Bytes of keys and values that are decoded at once at most; a larger single entry stands alone.
PIECE_BYTES: Final = 32 * 1024 * 1024
_CANONICAL: Final = "canonical"
_ROCKSDB: Final = "rocksdb"
_BINARY: Final = pa.large_binary()

Run = tuple[pa.Array, pa.Array]


class LocalHandle:
    """One keyed handle whose files are here.

    Files on this machine's file system are read where they lie (RocksDB's are linked), others are
    copied. Each is verified once.

    Args:
        handle: from the metadata.
        store: where its files are.
        scratch: a directory for copies, the reader's own.
    """

    def __init__(self, handle: KeyedStateHandle, store: SnapshotStore, scratch: Path) -> None:
        self.states: dict[int, StateMeta] = decode_states(handle.states_meta)
        self._handle = handle
        self._store = store
        self._scratch = scratch
        self._directory: Path | None = None
        self._paths: list[Path] | None = None

    def state_id(self, name: str) -> int | None:
        """The number of a state in this handle."""
        return next((i for i, meta in self.states.items() if meta.name == name), None)

    def runs(self, name: str) -> Iterator[Run]:
        """Sorted entries (whole entry keys, values) of one state, in pieces.

        Raises:
            MissingFileError: a file is not there.
            CorruptFileError: a file is damaged.
        """
        state_id = self.state_id(name)
        if state_id is None or not self._handle.files:
            return
        if self._handle.format == _CANONICAL:
            found = self._canonical(state_id)
        elif self._handle.format == _ROCKSDB:
            found = self._rocksdb(state_id)
        else:
            msg = f"keyed state of unknown format '{self._handle.format}'"
            raise CorruptFileError(
                msg, remedy="read it with the Lesto that wrote it, or a newer one"
            )
        for keys, values in found:
            yield from _pieces(keys, values)

    def _canonical(self, state_id: int) -> Iterator[Run]:
        if self._paths is None:
            self._paths = [self._here(named.file) for named in self._handle.files]
        low, high = self._handle.key_group_start, self._handle.key_group_end
        for path in self._paths:
            with pa.OSFile(str(path)) as source:
                for keys, values in read_canonical(source, low, high):
                    for _, found, start, end in split_by_prefix(keys):
                        if found == state_id:
                            yield keys.slice(start, end - start), values.slice(start, end - start)

    def _here(self, file: FileHandle) -> Path:
        local = self._store.local_path(file)
        if local is not None:
            self._store.verify(file)
            with contextlib.suppress(OSError):
                # A link outlives the deletion of the savepoint meanwhile.
                return _linked(local, self._scratch)
            return local
        descriptor, name = tempfile.mkstemp(dir=self._scratch)
        os.close(descriptor)
        self._store.download(file, name)
        return Path(name)

    def _rocksdb(self, state_id: int) -> Iterator[Run]:
        from lesto.state.rocks_files import open_read_only

        if self._directory is None:
            directory = Path(tempfile.mkdtemp(dir=self._scratch))
            self._bring(directory)
            self._directory = directory
        with open_read_only(self._directory) as db:
            for group in range(self._handle.key_group_start, self._handle.key_group_end + 1):
                head = prefix(group, state_id)
                entries = cast("Iterator[tuple[bytes, bytes]]", db.items(from_key=head))
                yield from _gathered(entries, head)

    def _bring(self, directory: Path) -> None:
        """All files of a native snapshot in one directory, linked where that is possible."""
        from lesto.state.rocks_files import PACK_NAME, download, plain_name

        rest = KeyedStateHandle()
        rest.CopyFrom(self._handle)
        del rest.files[:]
        for named in self._handle.files:
            local = self._store.local_path(named.file)
            if named.name != PACK_NAME and local is not None:
                self._store.verify(named.file)
                try:
                    os.link(local, directory / plain_name(named.name))
                except OSError:  # another file system
                    shutil.copyfile(local, directory / plain_name(named.name))
                continue
            rest.files.append(named)
        download(rest, self._store, directory)


def _gathered(entries: Iterator[tuple[bytes, bytes]], head: bytes) -> Iterator[Run]:
    """Entries that start with ``head``, in pieces."""
    keys: list[bytes] = []
    values: list[bytes] = []
    size = 0
    for key, value in entries:
        if not key.startswith(head):
            break
        keys.append(key)
        values.append(value)
        size += len(key) + len(value)
        if len(keys) >= PIECE_ROWS or size >= PIECE_BYTES:
            yield pa.array(keys, _BINARY), pa.array(values, _BINARY)
            keys, values, size = [], [], 0
    if keys:
        yield pa.array(keys, _BINARY), pa.array(values, _BINARY)


def _linked(path: Path, scratch: Path) -> Path:
    target = Path(tempfile.mkdtemp(dir=scratch)) / "state.arrow"
    os.link(path, target)
    return target


def _pieces(keys: pa.Array, values: pa.Array) -> Iterator[Run]:
    """The run in parts of bounded rows and bytes."""
    rows = len(keys)
    if rows == 0:
        return
    if rows > 1 and (rows > PIECE_ROWS or keys.nbytes + values.nbytes > PIECE_BYTES):
        half = rows // 2
        yield from _pieces(keys.slice(0, half), values.slice(0, half))
        yield from _pieces(keys.slice(half), values.slice(half))
        return
    yield keys, values
