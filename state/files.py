"""Files on any pyarrow.fs URI, with the durability each kind of storage offers."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import fs as pafs

from lesto.state.errors import CheckpointExistsError, MissingFileError, StorageError


def open_filesystem(uri: str) -> tuple[Any, str]:
    """The file system of a URI or local path, and the path inside it.

    Raises:
        StorageError: the scheme is unknown or the store cannot be reached.
    """
    if "://" not in uri:
        return pafs.LocalFileSystem(), os.path.abspath(uri)
    try:
        filesystem, path = pafs.FileSystem.from_uri(uri)
    except (pa.ArrowException, OSError, ValueError) as error:
        msg = f"cannot use checkpoint storage {uri}: {error}"
        raise StorageError(
            msg,
            remedy="give a local path, or a file://, s3:// or hdfs:// URI this host can reach",
        ) from error
    return filesystem, path


class Files:
    """Reads and writes objects below one root.

    Local files appear whole or not at all: written under a temporary name, synced, renamed, and the
    directory synced. Object stores give the same by themselves.
    """

    def __init__(self, root_uri: str) -> None:
        self.root_uri = root_uri.rstrip("/") or "/"
        self._fs, self._root = open_filesystem(self.root_uri)
        self.is_local = isinstance(self._fs, pafs.LocalFileSystem)
        self._known_directories: set[str] = set()

    def path(self, relative: str) -> str:
        """Path inside the file system of a path relative to the root."""
        return f"{self._root.rstrip('/')}/{relative}" if relative else self._root

    def write(self, relative: str, chunks: Iterator[bytes]) -> None:
        """Write a new object durably.

        Raises:
            StorageError: the storage refused (disk full, permission, network); nothing is left
                behind.
        """
        path = self.path(relative)
        try:
            if self.is_local:
                self._write_local(path, chunks, create_only=False)
            else:
                self._write_remote(path, chunks)
        except (OSError, pa.ArrowException) as error:
            raise _refused(path, "write", error) from error

    def create(self, relative: str, data: bytes) -> None:
        """Write an object that must not be there yet.

        Atomic on local file systems (hard link of the synced file). Object stores whose pyarrow
        client has no conditional put get a check before the write: there the job's epoch, which a
        high-availability service hands to one JobManager at a time, is the fence.

        Raises:
            CheckpointExistsError: the object exists.
            StorageError: the storage refused.
        """
        path = self.path(relative)
        try:
            if self.is_local:
                self._write_local(path, iter([data]), create_only=True)
                return
            if self._fs.get_file_info(path).type != pafs.FileType.NotFound:
                raise FileExistsError(path)
            self._write_remote(path, iter([data]))
        except FileExistsError as error:
            msg = f"{path} exists: another JobManager has completed this checkpoint"
            raise CheckpointExistsError(
                msg, remedy="this JobManager is stale; let it end"
            ) from error
        except (OSError, pa.ArrowException) as error:
            raise _refused(path, "write", error) from error

    def open_input(self, relative: str) -> Any:
        """A pyarrow NativeFile to read from.

        Raises:
            MissingFileError: it is not there.
            StorageError: the storage refused.
        """
        path = self.path(relative)
        try:
            return self._fs.open_input_file(path)
        except FileNotFoundError as error:
            msg = f"file {path} is missing"
            raise MissingFileError(
                msg, remedy="restore from another checkpoint, or bring the file back"
            ) from error
        except (OSError, pa.ArrowException) as error:
            raise _refused(path, "read", error) from error

    def exists(self, relative: str) -> bool:
        """Whether a file or directory is there."""
        try:
            return bool(self._fs.get_file_info(self.path(relative)).type != pafs.FileType.NotFound)
        except (OSError, pa.ArrowException) as error:
            raise _refused(self.path(relative), "look up", error) from error

    def list(self, relative: str, *, recursive: bool = False) -> list[str]:
        """Relative paths of the files below a directory, with directories (marked by a trailing
        ``/``).
        """
        selector = pafs.FileSelector(self.path(relative), allow_not_found=True, recursive=recursive)
        try:
            infos = self._fs.get_file_info(selector)
        except (OSError, pa.ArrowException) as error:
            raise _refused(self.path(relative), "list", error) from error
        start = len(self._root.rstrip("/")) + 1
        return sorted(
            info.path[start:] + ("/" if info.type == pafs.FileType.Directory else "")
            for info in infos
        )

    def delete(self, relative: str) -> bool:
        """Delete a file; False when it was gone already."""
        try:
            self._fs.delete_file(self.path(relative))
        except FileNotFoundError:
            return False
        except (OSError, pa.ArrowException) as error:
            if not self.exists(relative):
                return False
            raise _refused(self.path(relative), "delete", error) from error
        return True

    def delete_directory(self, relative: str) -> None:
        """Delete a directory and what is in it; nothing happens when it is gone already."""
        path = self.path(relative)
        self._known_directories.clear()
        try:
            self._fs.delete_dir(path)
        except FileNotFoundError:
            return
        except (OSError, pa.ArrowException) as error:
            if self.exists(relative):
                raise _refused(path, "delete", error) from error

    def _write_remote(self, path: str, chunks: Iterator[bytes]) -> None:
        with self._fs.open_output_stream(path) as out:
            for chunk in chunks:
                out.write(chunk)

    def _write_local(self, path: str, chunks: Iterator[bytes], *, create_only: bool) -> None:
        directory = os.path.dirname(path)
        self._make_directory(directory)
        temporary = f"{path}.{secrets.token_hex(6)}.tmp"
        try:
            with open(temporary, "xb") as out:
                for chunk in chunks:
                    out.write(chunk)
                out.flush()
                os.fsync(out.fileno())
            if create_only:
                os.link(temporary, path)  # fails when it exists, unlike rename
            else:
                os.rename(temporary, path)
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(temporary)
        sync_directory(directory)

    def _make_directory(self, directory: str) -> None:
        if directory in self._known_directories and os.path.isdir(directory):
            return
        missing = []
        at = directory
        while not os.path.isdir(at):
            missing.append(at)
            at = os.path.dirname(at)
        for path in reversed(missing):
            with contextlib.suppress(FileExistsError):
                os.mkdir(path)
            sync_directory(os.path.dirname(path))
        self._known_directories.add(directory)


def sync_directory(path: str | Path) -> None:
    """Make the names in a directory durable."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _refused(path: str, verb: str, error: BaseException) -> StorageError:
    msg = f"checkpoint storage refused to {verb} {path}: {error}"
    return StorageError(msg, remedy="check free space, permissions and the network of the storage")
