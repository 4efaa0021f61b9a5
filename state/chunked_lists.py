"""How long lists lie in RocksDB: in chunks, so that an element more costs no more in a longer list.

A list of up to :data:`CHUNK` elements is one entry. A longer one is an entry ``(chunks, rest)`` at
the list's key, and as many entries of :data:`CHUNK` elements each, whose keys are the list's and a
number. In the order of keys the chunks follow the list's own entry, with nothing in between.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from lesto.state.entry_keys import take_sized
from lesto.state.errors import CorruptFileError

#: Elements in a chunk: what a snapshot encodes again at most of a list that has grown. Part of the
#: state format: chunks that are there have so many.
CHUNK: Final = 128
_NUMBER_BYTES: Final = 4


def chunk_key(head: bytes, number: int) -> bytes:
    """The entry key of a chunk of the list at ``head``."""
    return head + number.to_bytes(_NUMBER_BYTES, "big")


def is_chunk(key: bytes) -> bool:
    """Whether an entry key (behind its prefix) is that of a chunk."""
    _, at = take_sized(key, 0)
    _, at = take_sized(key, at)
    return at < len(key)


class ListJoiner:
    """Puts lists together from their entries in the order of keys, in as many runs as they come.

    >>> joiner = ListJoiner()
    >>> joiner.add(b"a", (1, [3]))
    >>> joiner.add(b"a0001", [1, 2])
    (b'a', [1, 2, 3])
    >>> joiner.add(b"b", [4])
    (b'b', [4])
    """

    __slots__ = ("_chunks", "_key", "_left", "_rest")

    def __init__(self) -> None:
        self._key = b""
        self._left = 0
        self._rest: list[Any] = []
        self._chunks: list[Any] = []

    def add(self, key: bytes, value: Any) -> tuple[bytes, list[Any]] | None:
        """Take an entry; gives key and elements of a list that is complete now.

        Raises:
            CorruptFileError: a chunk is missing.
        """
        if self._left:
            if not key.startswith(self._key) or not isinstance(value, list):
                raise _broken()
            self._chunks += value
            self._left -= 1
            if self._left:
                return None
            done, self._chunks = self._chunks, []
            return self._key, done + self._rest
        if isinstance(value, tuple):
            self._key = key
            self._left, self._rest = value
            return None if self._left else (key, self._rest)
        return key, value

    def end(self) -> None:
        """Nothing follows.

        Raises:
            CorruptFileError: a chunk is missing.
        """
        if self._left:
            raise _broken()


def join_all(entries: Iterator[tuple[bytes, Any]]) -> Iterator[tuple[bytes, list[Any]]]:
    """Lists of all entries of a state."""
    joiner = ListJoiner()
    for key, value in entries:
        done = joiner.add(key, value)
        if done is not None:
            yield done
    joiner.end()


def _broken() -> CorruptFileError:
    return CorruptFileError(
        "a part of a list in keyed state is missing", remedy="restore from another checkpoint"
    )
