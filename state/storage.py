"""Where the files of checkpoints are written, with length and checksum, and verified when read.

The checksum is the CRC-32 of the whole content (zlib's polynomial, about 1 GB/s a core without the
GIL) in the low 32 bits of ``FileHandle.checksum``; the high bits are zero.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

from lesto.proto.checkpoint_pb2 import FileHandle
from lesto.state import paths
from lesto.state.errors import CorruptFileError, StorageError
from lesto.state.files import Files

CHUNK_BYTES = 1 << 20
_DAMAGED = "restore from an earlier checkpoint; this file cannot be used"


class SnapshotStore:
    """Files of checkpoints below a root: a job's checkpoint root, or one savepoint.

    Used from I/O threads. Handles of files below the root carry relative paths, so that a directory
    can be moved as a whole.

    Args:
        root_uri: ``<checkpoint dir>/<job id>`` or a savepoint directory; any pyarrow.fs URI or
            local path.
        epoch: the job's epoch, part of every file name.
        attempt: the writing attempt, part of every file name.
    """

    def __init__(self, root_uri: str, *, epoch: int = 0, attempt: str = "0") -> None:
        self.root_uri = root_uri.rstrip("/") or "/"
        self._epoch = epoch
        self._attempt = attempt
        self._files = Files(self.root_uri)
        self._self_contained = paths.is_savepoint_root(self.root_uri)

    def write_shared(self, local_path: str | Path, *, checkpoint_id: int = 0) -> FileHandle:
        """Upload a file that later checkpoints may reference too.

        Raises:
            StorageError: the storage refused.
        """
        suffix = Path(local_path).suffix
        name = self._name(paths.SHARED, checkpoint_id, suffix)
        return self._write(name, lambda: _file_chunks(local_path))

    def write_exclusive(
        self, checkpoint_id: int, content: bytes | str | Path, *, suffix: str = ""
    ) -> FileHandle:
        """Write bytes, or upload a local file, for one checkpoint alone.

        Raises:
            StorageError: the storage refused.
        """
        name = self._name(f"chk-{checkpoint_id}", checkpoint_id, suffix)
        if isinstance(content, bytes):
            return self._write(name, lambda: iter([content]))
        return self._write(name, lambda: _file_chunks(content))

    def read(self, handle: FileHandle) -> bytes:
        """The verified content of a file.

        Raises:
            MissingFileError: it is not there.
            CorruptFileError: its length or checksum is not the handle's.
        """
        return b"".join(self._verified(handle))

    def download(self, handle: FileHandle, local_path: str | Path) -> None:
        """Copy a file here, verified. A damaged file leaves nothing under ``local_path``.

        Raises:
            MissingFileError: it is not there.
            CorruptFileError: its length or checksum is not the handle's.
        """
        target = Path(local_path)
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            with target.open("wb") as out:
                for chunk in self._verified(handle):
                    out.write(chunk)
        except BaseException as error:
            target.unlink(missing_ok=True)
            if isinstance(error, OSError):
                msg = f"cannot write {target}: {error}"
                raise StorageError(msg, remedy="check free space of the local directory") from error
            raise

    def verify(self, handle: FileHandle) -> None:
        """Read a file through.

        Raises:
            MissingFileError: it is not there.
            CorruptFileError: its length or checksum is not the handle's.
        """
        for _ in self._verified(handle):
            pass

    def local_path(self, handle: FileHandle) -> Path | None:
        """Where a file lies if the storage is a file system of this machine; may not exist."""
        files, path = self._locate(handle.path)
        return Path(files.path(path)) if files.is_local else None

    def delete(self, handle: FileHandle) -> bool:
        """Delete a file; False when it was gone already."""
        files, path = self._locate(handle.path)
        return files.delete(path)

    def _name(self, directory: str, checkpoint_id: int, suffix: str) -> str:
        name = paths.file_name(checkpoint_id, self._epoch, self._attempt, suffix)
        return f"files/{name}" if self._self_contained else f"{directory}/{name}"

    def _write(self, relative: str, chunks: Callable[[], Iterator[bytes]]) -> FileHandle:
        meter = _Meter()

        def metered() -> Iterator[bytes]:
            meter.restart()
            return meter.over(chunks())

        self._files.write(relative, metered)
        return FileHandle(path=relative, length_bytes=meter.length_bytes, checksum=meter.checksum)

    def _locate(self, path: str) -> tuple[Files, str]:
        if not paths.is_absolute(path):
            _refuse_escape(path)
            return self._files, path
        return Files(paths.parent(path)), path.rpartition("/")[2]

    def _verified(self, handle: FileHandle) -> Iterator[bytes]:
        files, path = self._locate(handle.path)
        source = files.open_input(path)
        with source:
            size = source.size()
            if size != handle.length_bytes:
                msg = f"file {files.path(path)} has {size} bytes, should have {handle.length_bytes}"
                raise CorruptFileError(msg, remedy=_DAMAGED)
            checksum = 0
            left = size
            while left:
                chunk = source.read(CHUNK_BYTES)
                if not chunk:
                    break
                checksum = zlib.crc32(chunk, checksum)
                left -= len(chunk)
                yield chunk
        if left or checksum != handle.checksum:
            msg = (
                f"file {files.path(path)} is damaged: checksum {checksum:08x}, "
                f"should be {handle.checksum:08x}"
            )
            raise CorruptFileError(msg, remedy=_DAMAGED)


class _Meter:
    """Passes chunks on while counting and summing them."""

    def __init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        """Another try, from the front."""
        self.length_bytes = 0
        self.checksum = 0

    def over(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        """The chunks."""
        for chunk in chunks:
            self.length_bytes += len(chunk)
            self.checksum = zlib.crc32(chunk, self.checksum)
            yield chunk


def _file_chunks(local_path: str | Path) -> Iterator[bytes]:
    with open(local_path, "rb") as source:
        while chunk := source.read(CHUNK_BYTES):
            yield chunk


def _refuse_escape(path: str) -> None:
    if os.path.normpath(path).startswith(".."):
        msg = f"file path {path!r} leads out of the checkpoint's directory"
        raise CorruptFileError(msg, remedy=_DAMAGED)
