"""Timers in memory: a heap with lazy deletion and the set of live ones."""

from __future__ import annotations

import struct
from collections.abc import Hashable, Iterator
from heapq import heappop, heappush
from typing import Any

from lesto.state import codec
from lesto.state.backend import TimerQueue
from lesto.state.entry_keys import sized, take_sized

Timer = tuple[int, Any, Any]  # timestamp, key, namespace
_TIME = struct.Struct(">Q")
_SIGN = 1 << 63
TIME_BYTES = _TIME.size


class HeapTimerQueue(TimerQueue):
    """Timers of one kind.

    Args:
        track_changes: remember additions and deletions between snapshots (incremental backends).
    """

    def __init__(self, *, track_changes: bool = False) -> None:
        self._heap: list[tuple[int, int, Timer]] = []
        self._live: set[Timer] = set()
        self._sequence = 0  # breaks ties in order of registration; keys need not compare
        # A timer that is not in here is stored exactly when it is live. True: live, not stored.
        # False: stored, not live.
        self._changes: dict[Timer, bool] | None = {} if track_changes else None

    def register(self, timestamp: int, key: Hashable, namespace: Hashable = None) -> bool:
        """Add a timer; False when it was there already."""
        timer = (timestamp, key, namespace)
        if timer in self._live:
            return False
        self._add(timer)
        changes = self._changes
        if changes is not None and changes.pop(timer, None) is None:
            changes[timer] = True
        return True

    def delete(self, timestamp: int, key: Hashable, namespace: Hashable = None) -> bool:
        """Remove a timer; False when it was not there."""
        timer = (timestamp, key, namespace)
        if timer not in self._live:
            return False
        self._remove(timer)
        if len(self._heap) > 64 and len(self._heap) > 4 * len(self._live):
            self._compact()
        return True

    def peek(self) -> int | None:
        """Smallest timestamp, or None."""
        heap = self._heap
        while heap:
            if heap[0][2] in self._live:
                return heap[0][0]
            heappop(heap)
        return None

    def pop_until(self, timestamp: int) -> Iterator[Timer]:
        """Remove and give the timers that are due, in time order."""
        heap = self._heap
        while self._heap and self._heap[0][0] <= timestamp:
            heap = self._heap  # deletions by the caller may have replaced it
            timer = heappop(heap)[2]
            if timer in self._live:
                self._remove(timer)
                yield timer

    def __len__(self) -> int:
        return len(self._live)

    def live(self) -> list[Timer]:
        """All timers, in no order."""
        return list(self._live)

    def take_changes(self) -> tuple[list[Timer], list[Timer]]:
        """Timers added and deleted since the last call."""
        changes = self._changes or {}
        if self._changes is not None:
            self._changes = {}
        added = [timer for timer, is_live in changes.items() if is_live]
        deleted = [timer for timer, is_live in changes.items() if not is_live]
        return added, deleted

    def load(self, timer: Timer) -> None:
        """Add a restored timer, which counts as stored."""
        if timer not in self._live:
            self._add(timer)

    def _add(self, timer: Timer) -> None:
        self._live.add(timer)
        self._sequence += 1
        heappush(self._heap, (timer[0], self._sequence, timer))

    def _remove(self, timer: Timer) -> None:
        self._live.remove(timer)
        changes = self._changes
        if changes is not None and changes.pop(timer, None) is None:
            changes[timer] = False

    def _compact(self) -> None:
        seen: set[Timer] = set()
        kept = []
        for entry in sorted(self._heap):
            if entry[2] in self._live and entry[2] not in seen:
                seen.add(entry[2])
                kept.append(entry)
        self._heap = kept


def encode_timer(timer: Timer) -> bytes:
    """Bytes of a timer that sort by time."""
    timestamp, key, namespace = timer
    return (
        _TIME.pack(timestamp + _SIGN) + sized(codec.encode_key(key)) + codec.encode_key(namespace)
    )


def decode_timer(data: bytes) -> Timer:
    """The timer of bytes made by :func:`encode_timer`."""
    key, at = take_sized(data, TIME_BYTES)
    return decode_time(data), codec.decode(key), codec.decode(data[at:])


def decode_time(data: bytes) -> int:
    """The timestamp of a timer's bytes."""
    return int(_TIME.unpack_from(data)[0]) - _SIGN
