"""Maps in the write-back cache: every map entry is an entry of RocksDB."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any, Final

from lesto.state import codec
from lesto.state.cached import MISSING, CachedCells
from lesto.state.entries import Captured, CapturedBytes


class _Deleted:
    def __repr__(self) -> str:
        return "<deleted>"


#: A map entry that is known not to exist (None is a value a map may hold).
DELETED: Final = _Deleted()


class MapCell:
    """The part of one map that is in memory.

    Attributes:
        entries: map key -> value or DELETED.
        complete: map keys that are not in ``entries`` do not exist.
    """

    __slots__ = ("complete", "entries")

    def __init__(self, *, complete: bool) -> None:
        self.entries: dict[Any, Any] = {}
        self.complete = complete


class CachedMapCells(CachedCells):
    """Maps of one state. ``dirty``: namespace -> key -> set of map keys."""

    def cell(self, namespace: Hashable, key: Any) -> MapCell:
        """The map of a key, brought (empty) into memory when it is not there.

        Makes no room, which could throw the cell out before the caller has filled it.
        """
        space = self.space(namespace)
        found: MapCell | None = space.get(key)
        if found is None:
            found = space[key] = MapCell(complete=self.complete)
        return found

    def load_entry(self, namespace: Hashable, key: Any, cell: MapCell, map_key: Any) -> Any:
        """One entry that is not in memory, or DELETED."""
        db = self.backend.local_db()
        where = self.entry_key(namespace, key) + codec.encode_key(map_key)
        data = None if db is None else db.get(where)
        value = DELETED if data is None else codec.decode(data)
        cell.entries[map_key] = value
        self.backend.admit(2)  # the cell may be new too
        return value

    def load_all(self, namespace: Hashable, key: Any, cell: MapCell) -> None:
        """Bring the whole map into memory; what is there already is newer."""
        if cell.complete:
            return
        db = self.backend.local_db()
        entries = cell.entries
        before = len(entries)
        if db is not None:
            head = self.entry_key(namespace, key)
            for data, value in db.scan(head):
                map_key = codec.decode(data[len(head) :])
                if map_key not in entries:
                    entries[map_key] = codec.decode(value)
        cell.complete = True
        self.backend.admit(1 + len(entries) - before)

    def _take_in(self, namespace: Hashable) -> None:
        """Changed entries are in their cells, and dirt only names them."""

    def _capture_space(
        self, namespace: Hashable, dirty: Any, deleted: list[tuple[Hashable, Any, Any]]
    ) -> tuple[Captured, Any]:
        space = self.spaces[namespace]
        keys: list[bytes] = []
        values: list[bytes | None] = []
        for key, map_keys in dirty.items():
            head = self.entry_key(namespace, key)
            entries = space[key].entries
            for map_key in map_keys:
                value = entries[map_key]
                keys.append(head + codec.encode_key(map_key))
                if value is DELETED:
                    values.append(None)
                    deleted.append((namespace, key, map_key))
                else:
                    values.append(codec.encode(value))
        return CapturedBytes(keys, values), dirty

    def _forget_deletion(self, namespace: Hashable, key: Any, map_key: Any) -> None:
        cell = self.spaces.get(namespace, {}).get(key)
        if cell is None or cell.entries.get(map_key) is not DELETED:
            return
        if map_key in self.dirty.get(namespace, {}).get(key, ()):
            return
        if any(map_key in part.dirty.get(namespace, {}).get(key, ()) for part in self.pending):
            return
        del cell.entries[map_key]
        if not cell.entries and not self.held(namespace, key):
            del self.spaces[namespace][key]

    def count(self) -> int:
        """Entries in memory."""
        return sum(1 + len(c.entries) for space in self.spaces.values() for c in space.values())

    def _weight(self, cell: Any) -> int:
        return 1 + len(cell.entries)

    def _is_live(self, cell: Any) -> bool:
        return any(value is not DELETED for value in cell.entries.values())

    def _overrides(self, cell: Any, map_key: Any) -> bool:
        return cell.complete or cell.entries.get(map_key, MISSING) is DELETED
