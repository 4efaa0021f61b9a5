"""State objects whose values are kept field by field, over those of a backend."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from typing import Any

from lesto.state.descriptors import ListState, MapState, ValueState
from lesto.state.typed import Convert, FieldType


def _same(value: Any) -> Any:
    return value


def typed_value(state: ValueState[Any], kind: FieldType | None) -> ValueState[Any]:
    """The state, or one that converts its values."""
    if kind is None or kind.pack is None or kind.unpack is None:
        return state
    return TypedValueState(state, kind.pack, kind.unpack)


def typed_list(state: ListState[Any], kind: FieldType | None) -> ListState[Any]:
    """The state, or one that converts its elements."""
    if kind is None or kind.pack is None or kind.unpack is None:
        return state
    return TypedListState(state, kind.pack, kind.unpack)


def typed_map(
    state: MapState[Any, Any], key: FieldType | None, value: FieldType | None
) -> MapState[Any, Any]:
    """The state, or one that converts its keys or values."""
    if (key is None or key.pack is None) and (value is None or value.pack is None):
        return state
    return TypedMapState(state, key, value)


class TypedValueState(ValueState[Any]):
    """A value whose class the descriptor names."""

    __slots__ = ("_pack", "_read", "_state", "_unpack", "_write")

    def __init__(self, state: ValueState[Any], pack: Convert, unpack: Convert) -> None:
        self._state = state
        self._pack = pack
        self._unpack = unpack
        self._read = state.value
        self._write = state.update

    def set_namespace(self, namespace: Hashable) -> None:
        """Move to another namespace."""
        self._state.set_namespace(namespace)

    def value(self) -> Any:
        """The value; None when there is none."""
        found = self._read()
        return None if found is None else self._unpack(found)

    def update(self, value: Any) -> None:
        """Set the value; None clears it."""
        self._write(None if value is None else self._pack(value))

    def clear(self) -> None:
        """Remove the state of the current key."""
        self._state.clear()


class TypedListState(ListState[Any]):
    """A list whose elements' class the descriptor names."""

    __slots__ = ("_pack", "_state", "_unpack")

    def __init__(self, state: ListState[Any], pack: Convert, unpack: Convert) -> None:
        self._state = state
        self._pack = pack
        self._unpack = unpack

    def set_namespace(self, namespace: Hashable) -> None:
        """Move to another namespace."""
        self._state.set_namespace(namespace)

    def get(self) -> Iterable[Any]:
        """The elements."""
        return list(map(self._unpack, self._state.get()))

    def is_empty(self) -> bool:
        """Whether there is no element."""
        return self._state.is_empty()

    def add(self, value: Any) -> None:
        """Add a value."""
        self._state.add(self._pack(value))

    def add_all(self, values: Iterable[Any]) -> None:
        """Add several values."""
        self._state.add_all(map(self._pack, values))

    def update(self, values: Iterable[Any]) -> None:
        """Replace all values."""
        given: Any = values
        self._state.update([] if given is None else list(map(self._pack, given)))

    def clear(self) -> None:
        """Remove the state of the current key."""
        self._state.clear()

    def merge_namespaces(self, target: Hashable, sources: Sequence[Hashable]) -> None:
        """Move the current key's content of ``sources`` into ``target``."""
        self._state.merge_namespaces(target, sources)


class TypedMapState(MapState[Any, Any]):
    """A map whose keys' or values' class the descriptor names."""

    __slots__ = ("_pack", "_pack_key", "_state", "_unpack", "_unpack_key")

    def __init__(
        self, state: MapState[Any, Any], key: FieldType | None, value: FieldType | None
    ) -> None:
        self._state = state
        self._pack: Convert = (value and value.pack) or _same
        self._unpack: Convert = (value and value.unpack) or _same
        self._pack_key: Convert = (key and key.pack) or _same
        self._unpack_key: Convert = (key and key.unpack) or _same

    def set_namespace(self, namespace: Hashable) -> None:
        """Move to another namespace."""
        self._state.set_namespace(namespace)

    def get(self, key: Any) -> Any:
        """The value of a map key; None when there is none."""
        found = self._state.get(self._pack_key(key))
        return None if found is None else self._unpack(found)

    def put(self, key: Any, value: Any) -> None:
        """Set the value of a map key."""
        self._state.put(self._pack_key(key), None if value is None else self._pack(value))

    def remove(self, key: Any) -> None:
        """Remove a map key."""
        self._state.remove(self._pack_key(key))

    def contains(self, key: Any) -> bool:
        """Whether a map key is there."""
        return self._state.contains(self._pack_key(key))

    def items(self) -> Iterable[tuple[Any, Any]]:
        """Map keys and values, as a snapshot."""
        key_of, value_of = self._unpack_key, self._unpack
        return [
            (key_of(key), None if value is None else value_of(value))
            for key, value in self._state.items()
        ]

    def is_empty(self) -> bool:
        """Whether the map has no entry."""
        return self._state.is_empty()

    def clear(self) -> None:
        """Remove the state of the current key."""
        self._state.clear()
