"""State objects over the write-back cache, for the RocksDB backend."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import Any

from lesto.state.cached import MISSING, CachedCells
from lesto.state.cached_maps import DELETED, CachedMapCells, MapCell
from lesto.state.descriptors import MapState, ValueState


class CachedValueState(ValueState[Any]):
    """One value a key. In memory, None stands for "there is none"."""

    __slots__ = (
        "__weakref__",
        "_admit",
        "_cells",
        "_changed",
        "_dirty",
        "_get",
        "_namespace",
        "_owner",
        "_recent",
        "_recently",
        "_space",
    )

    def __init__(self, cells: CachedCells, namespace: Hashable) -> None:
        self._cells = cells
        self._owner = cells.backend
        self._admit = cells.backend.admit
        self._namespace = namespace
        cells.attach(self)
        self.rebind()

    def rebind(self) -> None:
        """Fetch the references again: the cells have replaced them."""
        self._space = self._cells.space(self._namespace)
        self._get = self._space.get
        self._dirty = self._cells.dirty_in(self._namespace)
        self._changed = self._dirty.get
        self._recent = self._cells.recent_in(self._namespace)
        self._recently = self._recent.get

    def set_namespace(self, namespace: Hashable) -> None:
        """Move to another namespace."""
        self._namespace = namespace
        self.rebind()

    def value(self) -> Any:
        """The value; None when there is none."""
        key = self._owner.current_key
        value = self._changed(key, MISSING)
        if value is MISSING:
            value = self._recently(key, MISSING)
            if value is MISSING:
                value = self._get(key, MISSING)
                if value is MISSING:
                    return self._cells.load(self._namespace, key)
        return value

    def update(self, value: Any) -> None:
        """Set the value; None clears it."""
        key = self._owner.current_key
        dirty = self._dirty
        if key in dirty:
            dirty[key] = value
        elif key in self._recent:
            del self._recent[key]
            dirty[key] = value
        elif key in self._space:
            dirty[key] = value
        elif value is not None or not self._cells.complete:
            self._space[key] = dirty[key] = value
            self._admit()

    def clear(self) -> None:
        """Remove the state of the current key."""
        self.update(None)


class CachedMapState(MapState[Any, Any]):
    """A map a key, whose entries come into memory one by one, or all when iterated."""

    __slots__ = ("__weakref__", "_admit", "_cells", "_dirty", "_get", "_namespace", "_owner")

    def __init__(self, cells: CachedMapCells, namespace: Hashable) -> None:
        self._cells = cells
        self._owner = cells.backend
        self._admit = cells.backend.admit
        self._namespace = namespace
        cells.attach(self)
        self.rebind()

    def rebind(self) -> None:
        """Fetch the references again: the cells have replaced them."""
        self._get = self._cells.space(self._namespace).get
        self._dirty: dict[Any, set[Any]] = self._cells.dirty_in(self._namespace)

    def set_namespace(self, namespace: Hashable) -> None:
        """Move to another namespace."""
        self._namespace = namespace
        self.rebind()

    def get(self, key: Any) -> Any:
        """The content."""
        value = self._find(key)
        return None if value is DELETED else value

    def contains(self, key: Any) -> bool:
        """Whether a map key is there."""
        return self._find(key) is not DELETED

    def _find(self, key: Any) -> Any:
        current = self._owner.current_key
        cell = self._get(current)
        if cell is None:
            if self._cells.complete:
                return DELETED
            cell = self._cells.cell(self._namespace, current)
        value = cell.entries.get(key, MISSING)
        if value is MISSING:
            if cell.complete:
                return DELETED
            value = self._cells.load_entry(self._namespace, current, cell, key)
        return value

    def put(self, key: Any, value: Any) -> None:
        """Set the value of a map key."""
        current = self._owner.current_key
        cell = self._get(current)
        if cell is None:
            cell = self._cells.cell(self._namespace, current)
        entries = cell.entries
        known = key in entries
        entries[key] = value
        self._mark(current, key)
        if not known:
            self._admit(2)

    def remove(self, key: Any) -> None:
        """Remove a map key."""
        current = self._owner.current_key
        cell = self._get(current)
        if cell is None:
            if self._cells.complete:
                return
            cell = self._cells.cell(self._namespace, current)
        known = key in cell.entries
        if known or not cell.complete:
            cell.entries[key] = DELETED
            self._mark(current, key)
            if not known:
                self._admit(2)

    def items(self) -> Iterable[tuple[Any, Any]]:
        """Map keys and values, as a snapshot."""
        cell = self._whole()
        if cell is None:
            return []
        return [(key, value) for key, value in cell.entries.items() if value is not DELETED]

    def loaded(self) -> list[tuple[Any, Any]]:
        """The entries that are in memory."""
        cell = self._get(self._owner.current_key)
        if cell is None:
            return []
        return [(key, value) for key, value in cell.entries.items() if value is not DELETED]

    def is_empty(self) -> bool:
        """Whether the map has no entry."""
        cell = self._get(self._owner.current_key)
        if cell is not None and any(value is not DELETED for value in cell.entries.values()):
            return False
        cell = self._whole()
        return cell is None or all(value is DELETED for value in cell.entries.values())

    def clear(self) -> None:
        """Remove the state of the current key."""
        cell = self._whole()
        if cell is None:
            return
        current = self._owner.current_key
        # Iterating the map may have made room: fetch the cell that is in memory now.
        entries = self._cells.cell(self._namespace, current).entries
        for key in cell.entries:
            entries[key] = DELETED
            self._mark(current, key)
        self._admit(1 + len(cell.entries))

    def _whole(self) -> MapCell | None:
        """The current key's map, all of it in memory; None when there is none."""
        current = self._owner.current_key
        cell: MapCell | None = self._get(current)
        if cell is None:
            if self._cells.complete:
                return None
            cell = self._cells.cell(self._namespace, current)
        self._cells.load_all(self._namespace, current, cell)
        return cell

    def _mark(self, current: Any, key: Any) -> None:
        changed = self._dirty.get(current)
        if changed is None:
            self._dirty[current] = {key}
        else:
            changed.add(key)
