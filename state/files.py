"""Files on any URI, with the durability each kind of storage offers; errors have names."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

import pyarrow as pa
from pyarrow import fs as pafs

from lesto.state import storage_settings
from lesto.state.arrow_objects import S3_SCHEMES, ArrowObjects, filesystem
from lesto.state.errors import CheckpointExistsError, MissingFileError, StorageError
from lesto.state.local_objects import LocalObjects, sync_directory
from lesto.state.objects import Objects, Reader
from lesto.state.retrying import RetryingObjects
from lesto.state.storage_settings import StorageSettings

__all__ = ["Files", "open_objects", "register_scheme", "sync_directory"]

#: Makes the objects of a URI, and the path inside them.
Opener = Callable[[str], tuple[Objects, str]]
#: Buckets whose clients, with their connections, stay open.
BUCKETS_MAX = 16
_OPENERS: dict[str, Opener] = {}


def register_scheme(scheme: str, opener: Opener) -> None:
    """Have URIs of a scheme opened by ``opener``, in this process."""
    _OPENERS[scheme] = opener


def open_objects(uri: str) -> tuple[Objects, str]:
    """The storage of a URI or local path, and the path inside it.

    Raises:
        StorageError: the scheme is unknown or the store cannot be reached.
    """
    scheme = uri.partition("://")[0] if "://" in uri else ""
    if not scheme:
        return LocalObjects(), os.path.abspath(uri)
    if scheme in _OPENERS:
        return _OPENERS[scheme](uri)
    settings = storage_settings.current()
    if scheme in S3_SCHEMES:
        bucket, path = urlsplit(uri).netloc, urlsplit(uri).path
        return _s3(bucket, settings), f"{bucket}{path}"
    try:
        system, path = filesystem(uri)
    except (pa.ArrowException, OSError, ValueError) as error:
        msg = f"cannot use checkpoint storage {uri}: {error}"
        raise StorageError(
            msg,
            remedy="give a local path, or a file://, s3:// or hdfs:// URI this host can reach",
        ) from error
    if isinstance(system, pafs.LocalFileSystem):
        return LocalObjects(), os.path.abspath(path)
    return RetryingObjects(ArrowObjects(system), settings.retry), path


@lru_cache(maxsize=BUCKETS_MAX)
def _s3(bucket: str, settings: StorageSettings) -> Objects:
    """One client a bucket: its connections are used again."""
    from lesto.state.s3_objects import S3Objects

    return RetryingObjects(S3Objects(bucket, settings), settings.retry)


class Files:
    """Reads and writes objects below one root. Objects appear whole or not at all.

    Args:
        root_uri: URI or local path.
        objects: what to use instead of the storage that the URI names.
    """

    def __init__(self, root_uri: str, objects: Objects | None = None) -> None:
        self.root_uri = root_uri.rstrip("/") or "/"
        if objects is None:
            self._objects, self._root = open_objects(self.root_uri)
        else:
            self._objects, self._root = objects, self.root_uri
        self.is_local = isinstance(self._objects, LocalObjects)

    def path(self, relative: str) -> str:
        """Path inside the storage of a path relative to the root."""
        return f"{self._root.rstrip('/')}/{relative}" if relative else self._root

    def write(self, relative: str, chunks: Callable[[], Iterator[bytes]]) -> None:
        """Write a new object durably; ``chunks`` is called once a try.

        Raises:
            StorageError: the storage refused (disk full, permission, network); nothing is left
                behind.
        """
        path = self.path(relative)
        self._named("write", path, lambda: self._objects.write(path, chunks))

    def create(self, relative: str, data: bytes) -> None:
        """Write an object that must not be there yet.

        Atomic on local file systems (hard link of the synced file) and on S3 (conditional PUT).
        Storage without either gets a check before the write: there the job's epoch, which a
        high-availability service hands to one JobManager at a time, is the fence.

        Raises:
            CheckpointExistsError: the object exists.
            StorageError: the storage refused.
        """
        path = self.path(relative)
        try:
            self._named("write", path, lambda: self._objects.create(path, data))
        except FileExistsError as error:
            msg = f"{path} exists: another JobManager has completed this checkpoint"
            raise CheckpointExistsError(
                msg, remedy="this JobManager is stale; let it end"
            ) from error

    def open_input(self, relative: str) -> Reader:
        """A reader from the front.

        Raises:
            MissingFileError: it is not there.
            StorageError: the storage refused.
        """
        path = self.path(relative)

        def fetch(start: int, length: int) -> bytes:
            part: bytes = self._found("read", path, lambda: self._objects.read(path, start, length))
            return part

        return Reader(self._found("read", path, lambda: self._objects.size(path)), fetch)

    def exists(self, relative: str) -> bool:
        """Whether a file or directory is there."""
        path = self.path(relative)
        there: bool = self._named("look up", path, lambda: self._objects.exists(path))
        return there

    def list(self, relative: str, *, recursive: bool = False) -> list[str]:
        """Relative paths of the files below a directory, with directories (marked by a trailing
        ``/``).
        """
        path = self.path(relative)
        found = self._named("list", path, lambda: self._objects.list(path, recursive=recursive))
        start = len(self._root.rstrip("/")) + 1
        return sorted(item[start:] for item in found)

    def delete(self, relative: str) -> bool:
        """Delete a file; False when it was gone already."""
        path = self.path(relative)
        was_there: bool = self._named("delete", path, lambda: self._objects.delete(path))
        return was_there

    def delete_directory(self, relative: str) -> None:
        """Delete a directory and what is in it; nothing happens when it is gone already."""
        path = self.path(relative)
        self._named("delete", path, lambda: self._objects.delete_directory(path))

    def _found(self, verb: str, path: str, work: Callable[[], Any]) -> Any:
        try:
            return self._named(verb, path, work)
        except FileNotFoundError as error:
            msg = f"file {path} is missing"
            raise MissingFileError(
                msg, remedy="restore from another checkpoint, or bring the file back"
            ) from error

    def _named(self, verb: str, path: str, work: Callable[[], Any]) -> Any:
        try:
            return work()
        except FileExistsError:
            if verb != "write":
                raise _refused(path, verb, "it exists") from None
            raise
        except FileNotFoundError as error:
            if verb != "read":
                raise _refused(path, verb, error) from error
            raise
        except OSError as error:
            raise _refused(path, verb, error) from error


def _refused(path: str, verb: str, error: object) -> StorageError:
    msg = f"checkpoint storage refused to {verb} {path}: {error}"
    return StorageError(msg, remedy="check free space, permissions and the network of the storage")
