"""Copies of a subtask's newest checkpoint on this machine's disk, for a restore that need not wait
for remote storage.

Files of checkpoints have names of their own for ever, and their handles say length and checksum.
So a copy is found by name, wherever in the job it was made on this machine, and is used only when
it is byte for byte what the handle says; else the remote file is. Handles do not change, and the
JobManager need not know who has what.

::

    <TaskManager's working directory>/local-backup/<job id>/<operator uid>-<subtask>/
        .lock      held while the subtask lives
        <name>     RocksDB's files are links, which cost no space; others are copies
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import shutil
import threading
import time
import zlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

from lesto.common.logs import get_logger
from lesto.proto.checkpoint_pb2 import FileHandle, KeyedStateHandle
from lesto.state.paths import file_checkpoint
from lesto.state.storage import CHUNK_BYTES, SnapshotStore

LOCK_NAME: Final = ".lock"
#: Copies of a subtask that has gone are removed after this long; a restart takes less.
UNUSED_SECONDS: Final = 600
_OPEN_TRIES: Final = 3

_log = get_logger("lesto.state")


def _nothing() -> None:
    pass


class LocalBackup:
    """The copies of one operator of one subtask.

    ``complete`` and ``abort`` may come from another thread than the rest.

    Args:
        base: the TaskManager's directory of copies.
        job_id: the job.
        owner: operator and subtask.
        keeps: make copies.
        serves: use them at restore.
        on_local: told of each file taken from here.
        on_fallback: told of each file that is here but damaged, so that the remote one is taken.
        on_failure: told of each copy that could not be made.
    """

    def __init__(
        self,
        base: Path,
        job_id: str,
        owner: str,
        *,
        keeps: bool = True,
        serves: bool = True,
        on_local: Callable[[], None] = _nothing,
        on_fallback: Callable[[], None] = _nothing,
        on_failure: Callable[[], None] = _nothing,
    ) -> None:
        self.keeps = keeps
        self.serves = serves
        self._job = base / job_id
        self._own = self._job / owner
        self._on_local = on_local
        self._on_fallback = on_fallback
        self._on_failure = on_failure
        self._needed: dict[int, set[str]] = {}  # by checkpoint, of those that may yet complete
        self._mutex = threading.Lock()
        remove_unused(base)
        self._lock: int | None = _locked(self._own)
        for part in self._own.glob(".*.part"):  # of a process that was killed
            part.unlink(missing_ok=True)

    def close(self) -> None:
        """The subtask has ended; the copies stay for who comes after it."""
        with self._mutex:
            if self._lock is not None:
                with contextlib.suppress(OSError):
                    os.utime(self._own / LOCK_NAME)
                os.close(self._lock)
                self._lock = None

    # -------------------------------------------------------------------------------------- making

    def keep_file(self, handle: FileHandle, path: Path) -> None:
        """Link a local file that was uploaded or downloaded, or copy it from another disk."""

        def link(target: Path) -> None:
            try:
                os.link(path, target)
            except FileExistsError:
                return
            except OSError:
                shutil.copyfile(path, target)

        self._keep(handle, link)

    def keep_bytes(self, handle: FileHandle, content: bytes) -> None:
        """Keep a file's content."""

        def write(target: Path) -> None:
            target.write_bytes(content)

        self._keep(handle, write)

    def _keep(self, handle: FileHandle, make: Callable[[Path], None]) -> None:
        if not self.keeps:
            return
        name = _name(handle)
        part = self._own / f".{secrets.token_hex(8)}.part"
        try:
            make(part)
            part.replace(self._own / name)
        except OSError as error:  # a full disk must not fail the checkpoint
            self._on_failure()
            _log.warning("local_backup.failed", file=name, reason=str(error))
            part.unlink(missing_ok=True)

    # -------------------------------------------------------------------------------------- serving

    def find(self, handle: FileHandle) -> Path | None:
        """A whole copy of a file, made by whatever subtask of the job; None when there is none."""
        if not self.serves or file_checkpoint(_name(handle)) is None:
            return None
        for path in self._candidates(_name(handle)):
            reason = _difference(path, handle)
            if reason is None:
                self._on_local()
                return path
            if reason:
                self._on_fallback()
                _log.warning("local_backup.damaged", file=str(path), reason=reason)
                with contextlib.suppress(OSError):
                    path.unlink()
        return None

    def _candidates(self, name: str) -> Iterable[Path]:
        yield self._own / name
        try:
            owners = sorted(path for path in self._job.iterdir() if path != self._own)
        except OSError:
            return
        for owner in owners:
            yield owner / name

    # ------------------------------------------------------------------------------------ retention

    def record(self, checkpoint_id: int, handle: KeyedStateHandle) -> None:
        """What a checkpoint under way consists of."""
        with self._mutex:
            self._needed[checkpoint_id] = {_name(named.file) for named in handle.files}

    def complete(self, checkpoint_id: int) -> None:
        """A checkpoint is complete: only its files and those of later ones stay."""
        with self._mutex:
            if checkpoint_id not in self._needed:
                return  # of an earlier attempt, or one in which this subtask had no state
            self._needed = {n: names for n, names in self._needed.items() if n >= checkpoint_id}
            kept = set().union(*self._needed.values())
            self._remove(lambda name, writer: name not in kept and writer <= checkpoint_id)
            with contextlib.suppress(OSError):
                os.utime(self._own / LOCK_NAME)

    def abort(self, checkpoint_id: int) -> None:
        """A checkpoint will never complete: what was written for it goes."""
        with self._mutex:
            self._needed.pop(checkpoint_id, None)
            kept = set().union(*self._needed.values())
            self._remove(lambda name, writer: name not in kept and writer == checkpoint_id)

    def _remove(self, gone: Callable[[str, int], bool]) -> None:
        for name in _listed(self._own):
            writer = file_checkpoint(name)
            if writer is not None and gone(name, writer):
                with contextlib.suppress(OSError):
                    os.unlink(self._own / name)


class BackedStore(SnapshotStore):
    """A snapshot store that makes local copies of what it writes and reads those first.

    Attributes:
        backup: the copies, or None to make and use none.
    """

    backup: LocalBackup | None = None

    def write_shared(self, local_path: str | Path, *, checkpoint_id: int = 0) -> FileHandle:
        """Upload a file that later checkpoints may reference too."""
        handle = super().write_shared(local_path, checkpoint_id=checkpoint_id)
        if self.backup is not None:
            self.backup.keep_file(handle, Path(local_path))
        return handle

    def write_exclusive(
        self, checkpoint_id: int, content: bytes | str | Path, *, suffix: str = ""
    ) -> FileHandle:
        """Write a file for one checkpoint alone."""
        handle = super().write_exclusive(checkpoint_id, content, suffix=suffix)
        if self.backup is not None:
            if isinstance(content, bytes):
                self.backup.keep_bytes(handle, content)
            else:
                self.backup.keep_file(handle, Path(content))
        return handle

    def read(self, handle: FileHandle) -> bytes:
        """The verified content of a file."""
        found = None if self.backup is None else self.backup.find(handle)
        if found is not None:
            with contextlib.suppress(OSError):  # gone this moment
                content = found.read_bytes()
                if len(content) == handle.length_bytes and zlib.crc32(content) == handle.checksum:
                    return content
        return super().read(handle)

    def download(self, handle: FileHandle, local_path: str | Path) -> None:
        """Have a file here, verified: a link to the copy, or the remote file."""
        found = None if self.backup is None else self.backup.find(handle)
        if found is not None:
            target = Path(local_path)
            target.parent.mkdir(parents=True, exist_ok=True)
            with contextlib.suppress(OSError):  # gone this moment, or on another disk
                os.link(found, target)
                return
        super().download(handle, local_path)
        if self.backup is not None:
            self.backup.keep_file(handle, Path(local_path))


def remove_unused(base: Path, *, unused_seconds: float = UNUSED_SECONDS) -> list[Path]:
    """Remove copies of subtasks that have been gone for a while; what was removed."""
    removed = []
    for lock in base.glob(f"*/*/{LOCK_NAME}"):
        with contextlib.suppress(OSError):  # in use, or just being removed by another
            if time.time() - lock.stat().st_mtime < unused_seconds:
                continue
            descriptor = os.open(lock, os.O_RDWR)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(lock.parent, ignore_errors=True)
                removed.append(lock.parent)
                lock.parent.parent.rmdir()  # the job's, once empty
            finally:
                os.close(descriptor)
    return removed


def _locked(directory: Path) -> int:
    """A shared lock on a directory that is there."""
    for tries_left in range(_OPEN_TRIES - 1, -1, -1):
        try:
            directory.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(directory / LOCK_NAME, os.O_RDWR | os.O_CREAT, 0o600)
            fcntl.flock(descriptor, fcntl.LOCK_SH)
            if (directory / LOCK_NAME).exists():  # nobody has removed it meanwhile
                os.utime(directory / LOCK_NAME)
                return descriptor
            os.close(descriptor)
        except FileNotFoundError:
            if not tries_left:
                raise
    msg = f"{directory} is removed again and again"
    raise OSError(msg)


def _difference(path: Path, handle: FileHandle) -> str | None:
    """Why a copy is not what a handle says: None when it is, empty when there is no copy."""
    try:
        with path.open("rb") as source:
            size = os.fstat(source.fileno()).st_size
            if size != handle.length_bytes:
                return f"{size} bytes, should be {handle.length_bytes}"
            checksum = 0
            while chunk := source.read(CHUNK_BYTES):
                checksum = zlib.crc32(chunk, checksum)
    except FileNotFoundError:
        return ""
    except OSError as error:
        return str(error)
    if checksum != handle.checksum:
        return f"checksum {checksum:08x}, should be {handle.checksum:08x}"
    return None


def _name(handle: FileHandle) -> str:
    return str(handle.path).rpartition("/")[2]


def _listed(directory: Path) -> list[str]:
    try:
        return os.listdir(directory)
    except OSError:
        return []
