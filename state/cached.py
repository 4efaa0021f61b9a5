"""The write-back object cache above RocksDB.

A cell (or map entry) that is not in memory is as RocksDB has it. One that is dirty, or captured by
a generation which RocksDB has not taken in yet, is always in memory, deletions included: reads
never need to look anywhere but in the cache and then in RocksDB. Only clean cells are evicted.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from typing import Any, Final, Protocol

from lesto.state import codec
from lesto.state.cells import Cells
from lesto.state.descriptors import StateDescriptor
from lesto.state.entries import Captured, CapturedCells, canonical_key, cell_keys, cell_tail
from lesto.state.entry_keys import prefix, take_sized
from lesto.state.rocks_files import LocalDb


class _Missing:
    def __repr__(self) -> str:
        return "<missing>"


#: Not in the cache.
MISSING: Final = _Missing()

#: Namespace -> changed keys, in order of change, to their newest values (maps: to map keys).
Dirty = dict[Hashable, Any]


class CacheOwner(Protocol):
    """What cells need of the backend."""

    current_key: Any
    max_parallelism: int
    key_group_start: int
    key_group_end: int

    def local_db(self) -> LocalDb | None:
        """The database, or None when nothing has been written or restored."""
        ...

    def key_group(self, key: Any) -> int:
        """Key group of a key."""
        ...

    def admit(self, count: int = 1) -> None:
        """Entries have come into memory: perhaps make room."""
        ...


@dataclass(slots=True)
class Pending:
    """What a generation has captured of one state and RocksDB has not taken in yet."""

    generation: int
    dirty: Dirty
    deleted: list[tuple[Hashable, Any, Any]]  # namespace, key, map key

    def keys_in(self, namespace: Hashable) -> Any:
        """The captured keys of a namespace, for look-ups; few generations are ever asked."""
        keys = self.dirty.get(namespace, ())
        if type(keys) is list:
            keys = self.dirty[namespace] = dict.fromkeys(keys)
        return keys


class CachedCells(Cells):
    """Cells of one state of one value a key, with dirt and eviction.

    Every key in memory is in its ``space``; the value of a changed one is in ``dirty``, of one that
    was captured last and has not changed since in ``recent``, and only of all others in the space
    itself. A key that changes often costs one look-up in a dict that is in no cache of the
    processor, not two, and a capture moves only what has not changed since the one before.

    Attributes:
        complete: all that exists is in memory, so that a miss needs no look-up.
        dirty: changed since the last capture.
        recent: namespace -> keys to values, newer than those of the space.
    """

    def __init__(
        self, owner: CacheOwner, descriptor: StateDescriptor, state_id: int, *, complete: bool
    ) -> None:
        super().__init__(owner, descriptor, state_id)
        self.backend = owner
        self.complete = complete
        self.dirty: Dirty = {}
        self.recent: dict[Hashable, dict[Any, Any]] = {}
        self.pending: list[Pending] = []

    def dirty_in(self, namespace: Hashable) -> Any:
        """The changed keys of a namespace."""
        found = self.dirty.get(namespace)
        if found is None:
            found = self.dirty[namespace] = {}
        return found

    def recent_in(self, namespace: Hashable) -> dict[Any, Any]:
        """The keys of a namespace whose values have not come into the space yet."""
        found = self.recent.get(namespace)
        if found is None:
            found = self.recent[namespace] = {}
        return found

    def entry_key(self, namespace: Hashable, key: Any) -> bytes:
        """Where RocksDB has a cell."""
        return prefix(self.backend.key_group(key), self.state_id) + cell_tail(key, namespace)

    def load(self, namespace: Hashable, key: Any) -> Any:
        """A cell that is not in memory; None when there is none."""
        db = None if self.complete else self.backend.local_db()
        if db is None:
            return None
        data = db.get(self.entry_key(namespace, key))
        value = None if data is None else codec.decode(data)
        self.space(namespace)[key] = value
        self.backend.admit()
        return value

    def load_many(self, keys: list[Any]) -> None:
        """Bring cells of keys (namespace None) into memory with one multi-get."""
        db = None if self.complete else self.backend.local_db()
        space = self.space(None)
        wanted = [key for key in dict.fromkeys(keys) if key not in space]
        if db is None or not wanted:
            return
        where = cell_keys(self.state_id, None, wanted, self.backend.max_parallelism)
        found = db.get_many(where.to_pylist())
        for key, data in zip(wanted, found, strict=True):
            space[key] = None if data is None else codec.decode(data)
        self.backend.admit(len(wanted))

    # -- snapshots

    def capture(self, generation: int) -> Iterator[Captured]:
        """Everything dirty, which is pending from now on."""
        self._settle_recent()
        self.recent = {}
        deleted: list[tuple[Hashable, Any, Any]] = []
        captured: Dirty = {}
        for namespace, changed in self.dirty.items():
            if changed:
                part, captured[namespace] = self._capture_space(namespace, changed, deleted)
                yield part
        self.pending.append(Pending(generation, captured, deleted))
        self.dirty = {}
        self.rebind()

    def _capture_space(
        self, namespace: Hashable, dirty: Any, deleted: list[tuple[Hashable, Any, Any]]
    ) -> tuple[Captured, Any]:
        """What is captured, and its keys."""
        keys, values = list(dirty), list(dirty.values())
        self.recent[namespace] = dirty
        captured = CapturedCells(
            self.state_id, namespace, keys, values, self.backend.max_parallelism
        )
        if captured.deletes:
            gone = [key for key, value in zip(keys, values, strict=True) if value is None]
            deleted += [(namespace, key, None) for key in gone]
        return captured, keys

    def _settle_recent(self) -> None:
        """Bring the values of what was captured last into the spaces."""
        for namespace, recent in self.recent.items():
            if recent:
                self.spaces[namespace].update(recent)
                recent.clear()

    def _take_in(self, namespace: Hashable) -> None:
        """Bring the values of all keys into the space; those of changed ones stay dirty too."""
        self._settle_recent()
        dirty = self.dirty.get(namespace)
        if dirty:
            self.spaces[namespace].update(dirty)

    def settle(self, ingested: int) -> None:
        """RocksDB has taken in all generations up to ``ingested``: forget deletions and empty
        namespaces.
        """
        done = [part for part in self.pending if part.generation <= ingested]
        if not done:
            return
        self.pending = [part for part in self.pending if part.generation > ingested]
        if any(part.deleted for part in done):
            self._settle_recent()
        for part in done:
            for namespace, key, map_key in part.deleted:
                self._forget_deletion(namespace, key, map_key)
        self.sweep()

    def _forget_deletion(self, namespace: Hashable, key: Any, map_key: Any) -> None:
        space = self.spaces.get(namespace)
        if space is not None and space.get(key, MISSING) is None and not self.held(namespace, key):
            del space[key]

    def sweep(self) -> None:
        """Forget empty namespaces. Changed keys are in memory, so an empty one has none."""
        self._made = 0
        empty = [namespace for namespace, space in self.spaces.items() if not space]
        for namespace in empty:
            del self.spaces[namespace]
            self.dirty.pop(namespace, None)
            self.recent.pop(namespace, None)
        if empty:
            self.rebind()

    def held(self, namespace: Hashable, key: Any) -> bool:
        """Whether a key must stay in memory."""
        if key in self.dirty.get(namespace, ()):
            return True
        return any(key in part.keys_in(namespace) for part in self.pending)

    # -- eviction

    def count(self) -> int:
        """Entries in memory."""
        return sum(map(len, self.spaces.values()))

    def evict(self, wanted: int) -> int:
        """Drop up to ``wanted`` entries that are clean, those first that came into memory first."""
        self._settle_recent()
        dropped = 0
        for namespace, space in list(self.spaces.items()):
            holders = [self.dirty.get(namespace, ())]
            holders += [part.keys_in(namespace) for part in self.pending]
            for key in list(space):
                if dropped >= wanted:
                    return dropped
                if any(key in holder for holder in holders):
                    continue
                dropped += self._weight(space.pop(key))
                self.complete = False
        return dropped

    def _weight(self, cell: Any) -> int:
        return 1

    # -- iteration

    def keys(self, namespace: Hashable) -> Iterator[Any]:
        """Keys that have something in a namespace."""
        self._take_in(namespace)
        space = self.spaces.get(namespace, {})
        live = [key for key, cell in space.items() if self._is_live(cell)]
        db = None if self.complete else self.backend.local_db()
        if db is None:
            return iter(live)
        seen = dict.fromkeys(live)
        for key, map_key in self._stored_keys(db, namespace):
            if key not in space or not self._overrides(space[key], map_key):
                seen.setdefault(key)
        return iter(list(seen))

    def _is_live(self, cell: Any) -> bool:
        return cell is not None

    def _overrides(self, cell: Any, map_key: Any) -> bool:
        """Whether the cell in memory, not RocksDB, says if the stored entry is still there."""
        return True

    def _stored_keys(self, db: LocalDb, namespace: Hashable) -> Iterator[tuple[Any, Any]]:
        wanted = codec.encode_key(canonical_key(namespace))
        start, end = self.backend.key_group_start, self.backend.key_group_end
        for key_group in range(start, end + 1):
            for data, _ in db.scan(prefix(key_group, self.state_id)):
                key, at = take_sized(data, 4)
                found, at = take_sized(data, at)
                if found == wanted:
                    yield codec.decode(key), codec.decode(data[at:]) if at < len(data) else None
