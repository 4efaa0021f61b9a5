"""The uploaded files: one folder, one file each, named by content.

A file appears under its name when it is complete, so that readers never see a half, equal content
is kept once, and a restart finds what is there. What runs has a copy of its own: deleting
disturbs nobody.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import stat
import threading
import time
import uuid
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from lesto.jobmanager.server.submission.errors import (
    DamagedArtifactError,
    InvalidUploadError,
    StorageError,
    StoreFullError,
    UnknownArtifactError,
    UploadTooLargeError,
)
from lesto.jobmanager.server.submission.names import artifact_id, label_of, parts_of

#: A half of an upload that is so old belongs to a JobManager that was killed.
ABANDONED_SECONDS: Final = 24 * 3600.0
_INCOMING: Final = ".incoming-"
_CHUNK_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class StoreLimits:
    """How much is kept.

    Attributes:
        file_bytes_max: of one file.
        files_max: number of files.
        total_bytes_max: of all files together, those that are just coming included.
    """

    file_bytes_max: int = 256 << 20
    files_max: int = 100
    total_bytes_max: int = 2 << 30


@dataclass(frozen=True, slots=True)
class Artifact:
    """An uploaded file.

    Attributes:
        id: names it.
        label: what its uploader called it, made harmless.
        size: in bytes.
        uploaded_ms: since 1970.
    """

    id: str
    label: str
    size: int
    uploaded_ms: int


@contextlib.contextmanager
def writing(what: str) -> Iterator[None]:
    """Give a full disk, or a folder that cannot be written, its name.

    Raises:
        StorageError: the block met one.
    """
    try:
        yield
    except OSError as error:
        msg = f"{what} cannot be written: {error.strerror}"
        raise StorageError(
            msg, remedy="Look at web.upload.dir and io.tmp.dirs: room, and permissions."
        ) from error


class ArtifactStore:
    """The files of one folder. Thread-safe; several JobManagers may share the folder.

    Args:
        folder: made if it is not there.
        limits: how much is kept.
    """

    def __init__(self, folder: Path, limits: StoreLimits | None = None) -> None:
        self.limits = limits or StoreLimits()
        self._folder = folder
        self._lock = threading.Lock()
        self._incoming_bytes = 0
        with writing("the folder of uploaded files"):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._remove_abandoned()

    # ------------------------------------------------------------------------------------- reading

    def list(self) -> list[Artifact]:
        """The files, the newest first."""
        found = []
        for entry in os.scandir(self._folder):
            with contextlib.suppress(FileNotFoundError):  # deleted meanwhile
                artifact = _artifact(entry.name, entry.stat(follow_symlinks=False))
                if artifact is not None:
                    found.append(artifact)
        return sorted(found, key=lambda a: (-a.uploaded_ms, a.id))

    def get(self, identifier: str) -> Artifact:
        """The file of an id.

        Raises:
            UnknownArtifactError: there is none.
        """
        found = None
        if parts_of(identifier) is not None:
            with contextlib.suppress(FileNotFoundError):
                found = _artifact(identifier, (self._folder / identifier).lstat())
        if found is None:
            msg = "no uploaded file has this id"
            raise UnknownArtifactError(msg, remedy="GET /jars lists them.")
        return found

    def copy(self, identifier: str, folder: Path) -> Path:
        """Copy the file into a folder under its label: what runs may change it, or outlive it here.

        Raises:
            UnknownArtifactError: there is none.
            DamagedArtifactError: it is not what was uploaded.
        """
        artifact = self.get(identifier)
        target = folder / artifact.label
        try:
            shutil.copyfile(self._folder / identifier, target, follow_symlinks=False)
        except FileNotFoundError:
            msg = "the uploaded file was deleted just now"
            raise UnknownArtifactError(msg, remedy="GET /jars lists what there is.") from None
        if not identifier.startswith(_digest(target)[:32] + "_"):
            msg = f"{artifact.label} is not what was uploaded: its checksum is wrong"
            raise DamagedArtifactError(msg, remedy="Delete it and upload it again.")
        return target

    # ------------------------------------------------------------------------------------- writing

    def delete(self, identifier: str) -> None:
        """Delete a file.

        Raises:
            UnknownArtifactError: there is none.
        """
        self.get(identifier)
        try:
            (self._folder / identifier).unlink()
        except FileNotFoundError:
            msg = "the uploaded file was deleted just now"
            raise UnknownArtifactError(msg, remedy="GET /jars lists what there is.") from None

    def receive(self) -> Incoming:
        """Take a new file, in pieces."""
        return Incoming(self, self._folder / f"{_INCOMING}{uuid.uuid4().hex}")

    def _reserve(self, count: int) -> None:
        with self._lock:
            kept = sum(artifact.size for artifact in self.list())
            if kept + self._incoming_bytes + count > self.limits.total_bytes_max:
                msg = f"the uploaded files may have {self.limits.total_bytes_max} bytes together"
                raise StoreFullError(msg, remedy="Delete some: DELETE /jars/{jarid}.")
            self._incoming_bytes += count

    def _release(self, count: int) -> None:
        with self._lock:
            self._incoming_bytes -= count

    def _keep(self, incoming: Path, identifier: str) -> Artifact:
        with self._lock:
            others = [artifact for artifact in self.list() if artifact.id != identifier]
            if len(others) >= self.limits.files_max:
                msg = f"{self.limits.files_max} uploaded files are kept"
                raise StoreFullError(msg, remedy="Delete some: DELETE /jars/{jarid}.")
            # The same content under the same name takes the old one's place: they are equal.
            incoming.replace(self._folder / identifier)
        return self.get(identifier)

    def _remove_abandoned(self) -> None:
        for path in self._folder.glob(f"{_INCOMING}*"):
            with contextlib.suppress(FileNotFoundError):
                if time.time() - path.stat().st_mtime > ABANDONED_SECONDS:
                    path.unlink()


class Incoming:
    """A file that is being uploaded. Use it with ``with``: what is not finished is removed."""

    def __init__(self, store: ArtifactStore, path: Path) -> None:
        self._store = store
        self._path = path
        self._digest = hashlib.sha256()
        self._size = 0
        self._reserved = 0
        with writing("an uploaded file"):
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        self._file = os.fdopen(descriptor, "wb", buffering=0)  # a full disk shows at once

    def __enter__(self) -> Incoming:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        self._path.unlink(missing_ok=True)
        self._store._release(self._reserved)
        self._reserved = 0

    def write(self, data: bytes) -> None:
        """Append.

        Raises:
            UploadTooLargeError: the file is larger than allowed.
            StoreFullError: there is no room for it.
        """
        self._size += len(data)
        most = self._store.limits.file_bytes_max
        if self._size > most:
            msg = f"the file is larger than {most} bytes"
            raise UploadTooLargeError(msg, remedy="Upload the program alone, not its data.")
        while self._reserved < self._size:
            self._store._reserve(_CHUNK_BYTES)
            self._reserved += _CHUNK_BYTES
        self._digest.update(data)
        view = memoryview(data)
        with writing("an uploaded file"):
            while view:
                view = view[self._file.write(view) :]

    def finish(self, filename: str) -> Artifact:
        """Keep it; ``filename`` is what the client calls it.

        Raises:
            InvalidUploadError: it is empty, or neither a script nor an archive.
            StoreFullError: there are too many.
        """
        label = label_of(filename)
        if not self._size:
            msg = "the file is empty"
            raise InvalidUploadError(msg, remedy="Upload a script or an archive.")
        if not label.endswith(".py") and not zipfile.is_zipfile(self._path):
            msg = f"{label} is no archive"
            raise InvalidUploadError(msg, remedy="Upload a zip, wheel or zipapp as it was built.")
        with writing("an uploaded file"):
            os.fsync(self._file.fileno())
        return self._store._keep(self._path, artifact_id(self._digest.hexdigest(), label))


def _artifact(name: str, status: os.stat_result) -> Artifact | None:
    parts = parts_of(name)
    if parts is None or not stat.S_ISREG(status.st_mode):
        return None
    return Artifact(name, parts[1], status.st_size, status.st_mtime_ns // 1_000_000)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
