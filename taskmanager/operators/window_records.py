"""Which windows a subtask had at a snapshot, and for which of their keys they had fired.

Watermarks of two subtasks differ, so a window may have fired in one and not in the other, and
either's keys may go to a third at a restore: what is stored says for which key groups it speaks.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import Any, Final

import msgspec

from lesto.kernels.keygroups import key_group_for_hash
from lesto.kernels.scalar import hash_value
from lesto.state import codec
from lesto.state.backend import KeyedStateBackend, TimerQueue

#: Union list state: a record of each window that has contents in the keyed state.
WINDOWS_STATE: Final = "windows"

Namespace = tuple[int, ...]


class _Stored(msgspec.Struct, array_like=True):
    """A window.

    Attributes:
        namespace: of its contents.
        first, last: key groups that this record is about.
        waiting: keys that have yet to fire at the window's end; None: all.
    """

    namespace: Namespace
    first: int
    last: int
    waiting: list[bytes] | None


_encode = msgspec.msgpack.Encoder().encode
_decode_stored = msgspec.msgpack.Decoder(_Stored).decode
_decode_bounds = msgspec.msgpack.Decoder(tuple[int, int]).decode
#: What a record of version 0 begins with: (start, end) alone, of a window that had not fired.
_BOUNDS_HEAD: Final = 0x92


def _decode(record: bytes) -> _Stored:
    if record[0] != _BOUNDS_HEAD:
        return _decode_stored(record)
    return _Stored(_decode_bounds(record), 0, 0, None)


class WindowRecord:
    """A window to store.

    Args:
        namespace: of its contents.
        waiting: keys that have yet to fire at its end; None: all.
    """

    def __init__(self, namespace: Namespace, waiting: set[Any] | None) -> None:
        self._namespace = namespace
        self._waiting = waiting

    def encode(self, backend: KeyedStateBackend) -> bytes:
        """Its bytes; speaks for the backend's key groups."""
        keys = None if self._waiting is None else [codec.encode(key) for key in self._waiting]
        first, last = backend.key_group_start, backend.key_group_end
        return _encode(_Stored(self._namespace, first, last, keys))


class SavedWindows:
    """Windows from the snapshots of all subtasks.

    Args:
        records: what :class:`WindowRecord` stored.
        backend: of this subtask.
    """

    def __init__(self, records: list[bytes], backend: KeyedStateBackend) -> None:
        self._key_groups = backend.max_parallelism
        self._parts: dict[Namespace, list[tuple[int, int, set[Any]]]] = defaultdict(list)
        self._timers: dict[Namespace, dict[Any, bool]] = defaultdict(dict)
        self._found: dict[Namespace, None] = {}
        for record in map(_decode, records):
            self._found[record.namespace] = None
            if record.waiting is not None:
                keys = {codec.decode(key) for key in record.waiting}
                self._parts[record.namespace].append((record.first, record.last, keys))

    def take_timers(self, queue: TimerQueue, last_of: Callable[[Namespace], int]) -> None:
        """Empty a queue that the general engine has filled: a window waits where its end has a
        timer.

        Args:
            queue: of the general engine.
            last_of: the last ms of a window.
        """
        from lesto.common.elements import MAX_TIMESTAMP

        for at, key, namespace in list(queue.pop_until(MAX_TIMESTAMP)):
            self._found[namespace] = None
            known = self._timers[namespace]
            known[key] = known.get(key, False) or at == last_of(namespace)

    def namespaces(self) -> list[Namespace]:
        """All windows, earliest first."""
        return sorted(self._found)

    def waits(self, namespace: Namespace, key: Any) -> bool:
        """Whether a window has yet to fire for a key."""
        by_timer = self._timers.get(namespace, {}).get(key)
        if by_timer is not None:
            return by_timer
        parts = self._parts.get(namespace)
        if parts:
            group = key_group_for_hash(hash_value(key), self._key_groups)
            for first, last, waiting in parts:
                if first <= group <= last:
                    return key in waiting
        return True
