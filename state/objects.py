"""What checkpoint storage has to offer, whatever it is made of.

Paths are absolute within the storage. All calls block and may be made from several threads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol

#: Bytes fetched by one read of remote storage.
READ_BYTES = 8 << 20


class TransientError(OSError):
    """Trying again may help; whether the operation was carried out is not known."""


class Objects(Protocol):
    """Objects in a store. A new object appears whole or not at all.

    Every call may raise ``OSError``; where the outcome is not known, :class:`TransientError`.
    """

    def write(self, path: str, chunks: Callable[[], Iterator[bytes]]) -> None:
        """Write an object durably, replacing one of that name; ``chunks`` starts from the front."""
        ...

    def create(self, path: str, data: bytes) -> None:
        """Write an object that must not be there yet, atomically.

        Raises:
            FileExistsError: it is there.
        """
        ...

    def size(self, path: str) -> int:
        """Length of an object in bytes.

        Raises:
            FileNotFoundError: it is not there.
        """
        ...

    def read(self, path: str, start: int, length: int) -> bytes:
        """Part of an object.

        Raises:
            FileNotFoundError: it is not there.
        """
        ...

    def exists(self, path: str) -> bool:
        """Whether an object or directory is there."""
        ...

    def list(self, path: str, *, recursive: bool) -> list[str]:
        """Paths below a directory; those of directories end in a slash. May be out of date."""
        ...

    def delete(self, path: str) -> bool:
        """Delete an object; False when it was gone already."""
        ...

    def delete_directory(self, path: str) -> None:
        """Delete everything below a directory, and the directory."""
        ...


class Reader:
    """An object read from the front.

    Args:
        length_bytes: its length.
        fetch: gives a part, from start and length.
    """

    def __init__(self, length_bytes: int, fetch: Callable[[int, int], bytes]) -> None:
        self._length = length_bytes
        self._fetch = fetch
        self._at = 0

    def size(self) -> int:
        """Length of the object in bytes."""
        return self._length

    def read(self, length: int | None = None) -> bytes:
        """The next bytes; without a length all that are left. Empty: the end."""
        left = self._length - self._at
        wanted = left if length is None else min(length, left)
        parts = []
        while wanted > 0:
            part = self._fetch(self._at, min(wanted, READ_BYTES))
            if not part:  # shorter than it was: the caller sees the missing bytes
                self._at = self._length
                break
            parts.append(part)
            self._at += len(part)
            wanted -= len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def close(self) -> None:
        """Nothing is held."""

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
