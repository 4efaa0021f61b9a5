"""RocksDB as an ordered store of sorted runs: ingested whole, read by key or range, checkpointed by
links.

Nothing goes through the write-ahead log or (but for the range deletions of a restore) the memtable.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import islice, takewhile
from pathlib import Path
from typing import Any, Final, cast

import msgspec
import pyarrow as pa
from rocksdict import (
    AccessType,
    Checkpoint,
    DBCompressionType,
    IngestExternalFileOptions,
    Options,
    Rdict,
    ReadOptions,
    SstFileWriter,
    WriteOptions,
)

from lesto.proto.checkpoint_pb2 import KeyedStateHandle
from lesto.state import sst
from lesto.state.entries import FEW
from lesto.state.entry_keys import successor
from lesto.state.errors import CorruptFileError, StorageError
from lesto.state.storage import SnapshotStore

#: One file of a handle that holds all small files of a RocksDB checkpoint (manifest, options, ...).
PACK_NAME: Final = "native.pack"
SST_SUFFIX: Final = ".sst"
SCAN_ROWS: Final = 16_384
_LOG_FILES_MAX: Final = 1
#: Runs that lie beside each other before RocksDB merges them. Each spans all key groups, so every
#: merge writes the whole level anew; but a run is one more place to look for a key.
RUNS_READ_BY_KEY: Final = 4
#: Where nothing is read by key: tables are read as a whole, when they are restored.
RUNS_READ_WHOLE: Final = 32


def _options() -> Options:
    options = Options(raw_mode=True)
    options.create_if_missing(True)
    options.set_compression_type(DBCompressionType.lz4())
    options.set_max_background_jobs(2)
    options.set_keep_log_file_num(_LOG_FILES_MAX)
    options.set_max_open_files(256)
    options.set_level_zero_file_num_compaction_trigger(RUNS_READ_WHOLE)
    options.set_level_zero_slowdown_writes_trigger(4 * RUNS_READ_WHOLE)
    options.set_level_zero_stop_writes_trigger(6 * RUNS_READ_WHOLE)
    return options


class LocalDb:
    """One RocksDB in a directory of its own.

    Reads come from the mailbox thread; ingestion and checkpoints from I/O threads, one at a time.

    Args:
        path: directory; made when it is not there.
        scratch: directory on the same file system for files about to be ingested.
    """

    def __init__(self, path: Path, scratch: Path) -> None:
        self.path = path
        self._scratch = scratch
        self._runs = 0
        self._closed = False
        try:
            self._db = Rdict(str(path), _options())
        except Exception as error:  # rocksdict raises bare Exception
            raise _failed(path, "open", error) from error
        no_log = WriteOptions()
        no_log.disable_wal = True  # type: ignore[method-assign,assignment]
        self._db.set_write_options(no_log)

    def read_by_key(self) -> None:
        """Keys will be looked up: runs are merged while they are few."""
        self._db.set_options({"level0_file_num_compaction_trigger": str(RUNS_READ_BY_KEY)})

    def get(self, key: bytes) -> bytes | None:
        """The value of a key."""
        value: bytes | None = self._db.get(key)
        return value

    def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """The value of each key, by one multi-get."""
        found: list[bytes | None] = list(self._db.get(list(keys)) or ())
        return found

    def scan(self, prefix: bytes, start: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        """Keys that start with a prefix, in order, from ``start`` on, and their values."""
        rows = cast("Iterator[tuple[bytes, bytes]]", self._db.items(from_key=start or prefix))
        return takewhile(lambda row: row[0].startswith(prefix), rows)

    def runs(self, prefix: bytes) -> Iterator[tuple[pa.Array, pa.Array]]:
        """As :meth:`scan`, as columns of up to SCAN_ROWS entries."""
        bound = ReadOptions()
        bound.set_iterate_upper_bound(successor(prefix))
        rows = self._db.items(from_key=prefix, read_opt=bound)
        binary = pa.large_binary()
        while part := list(islice(rows, SCAN_ROWS)):
            keys, values = zip(*part, strict=True)
            yield pa.array(keys, binary), pa.array(values, binary)

    def ingest(self, keys: pa.Array, values: pa.Array) -> None:
        """Take in a sorted run without repeated keys; null values delete. Newer runs win.

        Raises:
            StorageError: the disk is full or fails; the store is as before.
        """
        if len(keys) == 0:
            return
        self._runs += 1
        path = self._scratch / f"run-{self._runs}{SST_SUFFIX}"
        try:
            write_run(path, keys, values)
            moving = IngestExternalFileOptions()
            moving.set_move_files(True)
            self._db.ingest_external_file([str(path)], moving)
        except Exception as error:
            raise _failed(self.path, "write", error) from error
        finally:
            path.unlink(missing_ok=True)

    def keep_range(self, low: bytes, high: bytes) -> None:
        """Delete all keys outside of ``low`` (included) to ``high`` (excluded)."""
        self._db.delete_range(b"", low)
        self._db.delete_range(high, b"\xff" * 8)
        self._db.flush()

    def checkpoint(self, directory: Path) -> None:
        """Hard links to the present files, in a new directory.

        Raises:
            StorageError: the disk is full or fails.
        """
        try:
            Checkpoint(self._db).create_checkpoint(str(directory))
        except Exception as error:
            shutil.rmtree(directory, ignore_errors=True)
            raise _failed(self.path, "checkpoint", error) from error

    def number(self, name: str) -> int | None:
        """A number that RocksDB keeps of itself, such as ``rocksdb.estimate-num-keys``; None when
        it has none of the name, or is closed. On any thread.
        """
        return None if self._closed else self._db.property_int_value(name)

    def close(self) -> None:
        """Close; the files stay."""
        self._closed = True
        self._db.close()


def write_run(path: Path, keys: pa.Array, values: pa.Array) -> None:
    """Write a sorted run as an SST file."""
    if len(keys) > FEW:
        sst.write_run(path, keys, values)
        return
    writer = SstFileWriter(_options())
    writer.open(str(path))
    for key, value in zip(keys.to_pylist(), values.to_pylist(), strict=True):
        if value is None:
            del writer[key]
        else:
            writer[key] = value
    writer.finish()


def read_range(directory: Path, low: int, high: int) -> Iterator[tuple[pa.Array, pa.Array]]:
    """Sorted runs of the entries in key groups ``low`` to ``high`` (inclusive) of a RocksDB
    directory.
    """
    binary = pa.large_binary()
    with open_read_only(directory) as db:
        end = (high + 1).to_bytes(2, "big")
        found = cast("Iterator[tuple[bytes, bytes]]", db.items(from_key=low.to_bytes(2, "big")))
        rows = takewhile(lambda row: row[0] < end, found)
        while part := list(islice(rows, SCAN_ROWS)):
            keys, values = zip(*part, strict=True)
            yield pa.array(keys, binary), pa.array(values, binary)


@contextmanager
def open_read_only(directory: Path) -> Iterator[Rdict]:
    """The RocksDB of a snapshot's files.

    Raises:
        CorruptFileError: they are none.
    """
    try:
        db = Rdict(str(directory), _options(), access_type=AccessType.read_only(False))
    except Exception as error:
        msg = f"a RocksDB snapshot cannot be opened: {error}"
        raise CorruptFileError(msg, remedy="restore from another checkpoint") from error
    try:
        yield db
    finally:
        db.close()


def pack(directory: Path) -> bytes:
    """All files of a checkpoint directory but the SSTs, in one piece."""
    content = {
        path.name: path.read_bytes()
        for path in sorted(directory.iterdir())
        if path.suffix != SST_SUFFIX and path.is_file()
    }
    return msgspec.msgpack.encode(content)


def download(handle: KeyedStateHandle, store: SnapshotStore, directory: Path) -> None:
    """Bring a native snapshot into a directory, ready to be opened.

    Raises:
        MissingFileError: a file is not there.
        CorruptFileError: a file is damaged.
    """
    directory.mkdir(parents=True, exist_ok=True)
    packed = False
    for named in handle.files:
        if named.name == PACK_NAME:
            packed = True
            content: dict[str, Any] = msgspec.msgpack.decode(store.read(named.file))
            for name, data in content.items():
                (directory / plain_name(name)).write_bytes(data)
        else:
            store.download(named.file, directory / plain_name(named.name))
    if not packed:
        msg = "a RocksDB snapshot lacks its manifest"
        raise CorruptFileError(msg, remedy="restore from another checkpoint")


def plain_name(name: str) -> str:
    """The name of a file in a snapshot, which must not lead anywhere else.

    Raises:
        CorruptFileError: it does.
    """
    if not name or "/" in name or name.startswith(".."):
        msg = f"a RocksDB snapshot names a file {name!r}"
        raise CorruptFileError(msg, remedy="restore from another checkpoint")
    return name


def _failed(path: Path, verb: str, error: Exception) -> StorageError:
    msg = f"RocksDB could not {verb} {path}: {error}"
    return StorageError(msg, remedy="check free space and permissions of the local directory")
