"""Objects in a local or shared directory.

A file is written under a temporary name, synced, renamed, and its directory synced.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

#: Tries to write into a directory, or to empty one, while others delete or write there.
RACES_MAX = 10


class LocalObjects:
    """Objects in directories of this machine, or mounted on it."""

    def __init__(self) -> None:
        self._known_directories: set[str] = set()

    def write(self, path: str, chunks: Callable[[], Iterator[bytes]]) -> None:
        """Write a file durably, replacing one of that name."""
        self._write(path, chunks, create_only=False)

    def create(self, path: str, data: bytes) -> None:
        """Write a file that must not be there yet: a hard link fails where a rename would not."""
        self._write(path, lambda: iter([data]), create_only=True)

    def size(self, path: str) -> int:
        """Length of a file in bytes."""
        return os.stat(path).st_size

    def read(self, path: str, start: int, length: int) -> bytes:
        """Part of a file."""
        with open(path, "rb", buffering=0) as source:
            source.seek(start)
            return source.read(length) or b""

    def exists(self, path: str) -> bool:
        """Whether a file or directory is there."""
        return os.path.lexists(path)

    def list(self, path: str, *, recursive: bool) -> list[str]:
        """Paths below a directory."""
        found: list[str] = []
        with contextlib.suppress(FileNotFoundError), os.scandir(path) as entries:
            for entry in entries:
                if not entry.is_dir(follow_symlinks=False):
                    found.append(entry.path)
                    continue
                found.append(f"{entry.path}/")
                if recursive:
                    found += self.list(entry.path, recursive=True)
        return found

    def delete(self, path: str) -> bool:
        """Delete a file; False when it was gone already."""
        try:
            os.unlink(path)
        except FileNotFoundError:
            return False
        return True

    def delete_directory(self, path: str) -> None:
        """Delete a directory and what is in it, also when others write there meanwhile.

        A task that has not heard yet that its checkpoint was given up may add files while they are
        deleted; after ``RACES_MAX`` rounds that is an error, and the next sweep goes on.
        """
        self._known_directories.clear()
        for tries_left in range(RACES_MAX - 1, -1, -1):
            try:
                shutil.rmtree(path)
            except FileNotFoundError:
                if not os.path.isdir(path):
                    return
                if not tries_left:
                    raise
            except OSError as error:
                if error.errno not in {errno.ENOTEMPTY, errno.EEXIST} or not tries_left:
                    raise
            else:
                return

    def _write(
        self, path: str, chunks: Callable[[], Iterator[bytes]], *, create_only: bool
    ) -> None:
        for tries_left in range(RACES_MAX - 1, -1, -1):
            try:
                self._write_once(path, chunks(), create_only=create_only)
            except FileNotFoundError:
                # Somebody deletes the directory, which was empty, at this moment.
                self._known_directories.clear()
                if not tries_left:
                    raise
            else:
                return

    def _write_once(self, path: str, chunks: Iterator[bytes], *, create_only: bool) -> None:
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
