"""State objects over plain dicts, for the hashmap backend."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import Any

from lesto.state.cells import Cells, Space
from lesto.state.descriptors import MapState, ValueState


class HeapValueState(ValueState[Any]):
    """A value in a dict; the value itself, not a copy, as on Flink's heap."""

    __slots__ = ("__weakref__", "_cells", "_get", "_namespace", "_owner", "_space")

    def __init__(self, cells: Cells, namespace: Hashable) -> None:
        self._cells = cells
        self._owner = cells.owner
        self._namespace = namespace
        cells.attach(self)
        self.rebind()

    def rebind(self) -> None:
        """Fetch the references again: the cells have replaced them."""
        self._space: Space = self._cells.space(self._namespace)
        self._get = self._space.get

    def set_namespace(self, namespace: Hashable) -> None:
        """Move to another namespace."""
        self._namespace = namespace
        self.rebind()

    def value(self) -> Any:
        """The value; None when there is none."""
        return self._get(self._owner.current_key)

    def update(self, value: Any) -> None:
        """Set the value; None clears it."""
        if value is None:
            self._space.pop(self._owner.current_key, None)
        else:
            self._space[self._owner.current_key] = value

    def clear(self) -> None:
        """Remove the state of the current key."""
        self._space.pop(self._owner.current_key, None)


class HeapMapState(MapState[Any, Any]):
    """A dict of dicts; a key without entries has none."""

    __slots__ = ("__weakref__", "_cells", "_get", "_namespace", "_owner", "_space")

    def __init__(self, cells: Cells, namespace: Hashable) -> None:
        self._cells = cells
        self._owner = cells.owner
        self._namespace = namespace
        cells.attach(self)
        self.rebind()

    def rebind(self) -> None:
        """Fetch the references again: the cells have replaced them."""
        self._space: Space = self._cells.space(self._namespace)
        self._get = self._space.get

    def set_namespace(self, namespace: Hashable) -> None:
        """Move to another namespace."""
        self._namespace = namespace
        self.rebind()

    def get(self, key: Any) -> Any:
        """The content."""
        found = self._get(self._owner.current_key)
        return None if found is None else found.get(key)

    def put(self, key: Any, value: Any) -> None:
        """Set the value of a map key."""
        found = self._get(self._owner.current_key)
        if found is None:
            self._space[self._owner.current_key] = {key: value}
        else:
            found[key] = value

    def remove(self, key: Any) -> None:
        """Remove a map key."""
        found = self._get(self._owner.current_key)
        if found is not None:
            found.pop(key, None)
            if not found:
                del self._space[self._owner.current_key]

    def contains(self, key: Any) -> bool:
        """Whether a map key is there."""
        found = self._get(self._owner.current_key)
        return found is not None and key in found

    def items(self) -> Iterable[tuple[Any, Any]]:
        """Map keys and values, as a snapshot."""
        found = self._get(self._owner.current_key)
        return [] if found is None else list(found.items())

    def loaded(self) -> list[tuple[Any, Any]]:
        """The entries that are in memory."""
        return list(self.items())

    def is_empty(self) -> bool:
        """Whether the map has no entry."""
        return not self._get(self._owner.current_key)

    def clear(self) -> None:
        """Remove the state of the current key."""
        self._space.pop(self._owner.current_key, None)
