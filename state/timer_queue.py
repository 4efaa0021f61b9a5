"""Timers in memory: a heap of times, and the keys that have a timer at each."""

from __future__ import annotations

import struct
from collections.abc import Hashable, Iterator
from heapq import heapify, heappop, heappush
from typing import Any, Final

from lesto.state import codec
from lesto.state.backend import TimerQueue
from lesto.state.entry_keys import sized, take_sized

Timer = tuple[int, Any, Any]  # timestamp, key, namespace
#: Keys to themselves: 1, 1.0 and True are equal, and what is stored has the bytes of one of them.
_Keys = dict[Any, Any]
_TIME = struct.Struct(">Q")
_SIGN = 1 << 63
TIME_BYTES = _TIME.size


class _Bucket:
    """Timers of one timestamp and namespace: their keys, in order of registration.

    Attributes:
        new: live, not stored.
        stored: live and stored.
        gone: stored, not live.
        queued: the heap has it.
        changed: it is in the list of changed ones.
        due: keys that fire at present and are still to be looked at.
    """

    __slots__ = ("changed", "due", "gone", "namespace", "new", "queued", "stored", "timestamp")

    def __init__(self, timestamp: int, namespace: Any) -> None:
        self.timestamp = timestamp
        self.namespace = namespace
        self.new: _Keys = {}
        self.stored: _Keys = _NO_KEYS
        self.gone: _Keys = _NO_KEYS
        self.queued = False
        self.changed = False
        self.due: Iterator[Any] | None = None


#: Stands for an empty dict, and is never written to: most buckets need no dict of their own.
_NO_KEYS: Final[_Keys] = {}

#: With fewer buckets the heap is never compacted.
_HEAP_MIN: Final = 64


class HeapTimerQueue(TimerQueue):
    """Timers of one kind.

    Timers of one time are a bucket: a heap orders buckets, and who asks again for a timer that is
    there, as functions do with every record, costs one look-up.

    Args:
        track_changes: remember additions and deletions between snapshots (incremental backends).
    """

    def __init__(self, *, track_changes: bool = False) -> None:
        self._heap: list[tuple[int, int, _Bucket]] = []
        #: By timestamp, or by timestamp and namespace where that is not None.
        self._buckets: dict[Any, _Bucket] = {}
        self._count = 0
        self._sequence = 0  # breaks ties in order of registration; namespaces need not compare
        self._tracks = track_changes
        self._changed: list[_Bucket] = []

    def register(self, timestamp: int, key: Hashable, namespace: Hashable = None) -> bool:
        """Add a timer; False when it was there already."""
        place = timestamp if namespace is None else (timestamp, namespace)
        bucket = self._buckets.get(place)
        if bucket is None:
            bucket = self._buckets[place] = _Bucket(timestamp, namespace)
        elif key in bucket.new or key in bucket.stored:
            return False
        if bucket.gone and key in bucket.gone:
            self._keep(bucket, bucket.gone.pop(key))
        else:
            bucket.new[key] = key
        self._count += 1
        if not bucket.queued:
            self._enqueue(bucket)
        if not bucket.changed:
            self._note(bucket)
        return True

    def delete(self, timestamp: int, key: Hashable, namespace: Hashable = None) -> bool:
        """Remove a timer; False when it was not there."""
        place = timestamp if namespace is None else (timestamp, namespace)
        bucket = self._buckets.get(place)
        if bucket is None or not self._remove(bucket, key):
            return False
        if not (bucket.new or bucket.stored or bucket.gone):
            del self._buckets[place]
        if len(self._heap) > _HEAP_MIN and len(self._heap) > 4 * len(self._buckets):
            self._compact()
        return True

    def peek(self) -> int | None:
        """Smallest timestamp, or None."""
        heap = self._heap
        while heap:
            bucket = heap[0][2]
            if bucket.new or bucket.stored:
                return heap[0][0]
            self._dequeue()
        return None

    def pop_until(self, timestamp: int) -> Iterator[Timer]:
        """Remove and give the timers that are due, in time order."""
        while self._heap and self._heap[0][0] <= timestamp:
            entry = self._heap[0]
            at, _, bucket = entry
            if bucket.due is None:
                bucket.due = iter([*bucket.stored, *bucket.new])
            namespace = bucket.namespace
            for key in bucket.due:
                if not self._remove(bucket, key):
                    continue
                yield at, key, namespace
                heap = self._heap  # the caller may have added an earlier timer, or deleted others
                if not heap or heap[0] is not entry:
                    break
            else:
                bucket.due = None
                if not (bucket.new or bucket.stored) and self._heap and self._heap[0] is entry:
                    self._dequeue()

    def __len__(self) -> int:
        return self._count

    def live(self) -> list[Timer]:
        """All timers, in no order."""
        return [
            (bucket.timestamp, key, bucket.namespace)
            for bucket in self._buckets.values()
            for key in (*bucket.stored, *bucket.new)
        ]

    def take_changes(self) -> tuple[list[Timer], list[Timer]]:
        """Timers added and deleted since the last call."""
        added: list[Timer] = []
        deleted: list[Timer] = []
        changed, self._changed = self._changed, []
        for bucket in changed:
            at, namespace = bucket.timestamp, bucket.namespace
            bucket.changed = False
            if bucket.new:
                added += [(at, key, namespace) for key in bucket.new]
                if bucket.stored:
                    bucket.stored.update(bucket.new)
                else:
                    bucket.stored = bucket.new
                bucket.new = {}
            if bucket.gone:
                deleted += [(at, key, namespace) for key in bucket.gone]
                bucket.gone = _NO_KEYS
            if not bucket.stored:
                self._forget(bucket)
        return added, deleted

    def load(self, timer: Timer) -> None:
        """Add a restored timer, which counts as stored."""
        timestamp, key, namespace = timer
        place = timestamp if namespace is None else (timestamp, namespace)
        bucket = self._buckets.get(place)
        if bucket is None:
            bucket = self._buckets[place] = _Bucket(timestamp, namespace)
        if key not in bucket.stored and key not in bucket.new:
            self._keep(bucket, key)
            self._count += 1
            if not bucket.queued:
                self._enqueue(bucket)

    def _remove(self, bucket: _Bucket, key: Any) -> bool:
        if key in bucket.new:
            del bucket.new[key]
        elif key in bucket.stored:
            stored = bucket.stored.pop(key)
            if self._tracks:
                if bucket.gone is _NO_KEYS:
                    bucket.gone = {}
                bucket.gone[stored] = stored
                if not bucket.changed:
                    self._note(bucket)
        else:
            return False
        self._count -= 1
        return True

    def _keep(self, bucket: _Bucket, key: Any) -> None:
        if bucket.stored is _NO_KEYS:
            bucket.stored = {}
        bucket.stored[key] = key

    def _note(self, bucket: _Bucket) -> None:
        if self._tracks:
            bucket.changed = True
            self._changed.append(bucket)

    def _enqueue(self, bucket: _Bucket) -> None:
        bucket.queued = True
        self._sequence += 1
        heappush(self._heap, (bucket.timestamp, self._sequence, bucket))

    def _dequeue(self) -> None:
        """Take the first bucket, an empty one, from the heap."""
        bucket = heappop(self._heap)[2]
        bucket.queued = False
        bucket.due = None
        if not bucket.gone:
            self._forget(bucket)

    def _forget(self, bucket: _Bucket) -> None:
        """Drop an empty bucket from the index, unless another one has its place by now."""
        timestamp, namespace = bucket.timestamp, bucket.namespace
        place = timestamp if namespace is None else (timestamp, namespace)
        if self._buckets.get(place) is bucket:
            del self._buckets[place]

    def _compact(self) -> None:
        kept = []
        for entry in self._heap:
            bucket = entry[2]
            if bucket.new or bucket.stored:
                kept.append(entry)
            else:
                bucket.queued = False
                bucket.due = None
        heapify(kept)
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
