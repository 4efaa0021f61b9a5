"""State objects that expire, over those of a backend; see :mod:`lesto.state.ttl`."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from typing import Any, cast

from lesto.state.descriptors import ListState, MapState, ValueState
from lesto.state.ttl import Lifetime


class TtlValueState(ValueState[Any]):
    """A value with a stamp. Reducing and aggregating state keep theirs in one of these."""

    __slots__ = ("_life", "_read", "_state", "_write")

    def __init__(self, state: ValueState[Any], life: Lifetime) -> None:
        self._state = state
        self._life = life
        self._read = state.value
        self._write = state.update

    def set_namespace(self, namespace: Hashable) -> None:
        """Move to another namespace."""
        self._state.set_namespace(namespace)

    def value(self) -> Any:
        """The value; None when there is none or it has expired."""
        found = self._read()
        if found is None:
            return None
        stamp, value = found
        life = self._life
        if life.expired(stamp):
            self._write(None)
            return None if life.hides else value
        if life.on_read:
            now = life.restamp(stamp)
            if now != stamp:
                self._write((now, value))
        return value

    def update(self, value: Any) -> None:
        """Set the value; None clears it."""
        if value is None:
            self._write(None)
            return
        life = self._life
        stamp = life.stamp()
        if life.event:
            found = self._read()
            if found is not None and found[0] > stamp:
                stamp = found[0]
        self._write((stamp, value))

    def clear(self) -> None:
        """Remove the state of the current key."""
        self._write(None)


class TtlListState(ListState[Any]):
    """A list whose elements have a stamp each."""

    __slots__ = ("_life", "_state")

    def __init__(self, state: ListState[Any], life: Lifetime) -> None:
        self._state = state
        self._life = life

    def set_namespace(self, namespace: Hashable) -> None:
        """Move to another namespace."""
        self._state.set_namespace(namespace)

    def get(self) -> Iterable[Any]:
        """The elements that live."""
        stored: list[Any] = list(self._state.get())
        if not stored:
            return stored
        life = self._life
        ttl, now = life.ttl_ms, life.now()
        # Elements before event time began have MIN_TIMESTAMP: see Lifetime.expired.
        if stored[0][0] + ttl > now and all(stamp + ttl > now for stamp, _ in stored):
            live = stored
        else:
            live = [item for item in stored if not life.expired(item[0])]
        if life.on_read:
            self._state.update([(life.restamp(stamp), value) for stamp, value in live])
        elif len(live) < len(stored):
            self._state.update(live)
        return [value for _, value in (live if life.hides else stored)]

    def is_empty(self) -> bool:
        """Whether no element lives."""
        return not self.get()

    def add(self, value: Any) -> None:
        """Add a value."""
        self._state.add((self._life.stamp(), value))

    def add_all(self, values: Iterable[Any]) -> None:
        """Add several values."""
        stamp = self._life.stamp()
        self._state.add_all([(stamp, value) for value in values])

    def update(self, values: Iterable[Any]) -> None:
        """Replace all values."""
        stamp, given = self._life.stamp(), cast("Any", values)
        self._state.update([(stamp, v) for v in given] if given is not None else [])

    def clear(self) -> None:
        """Remove the state of the current key."""
        self._state.clear()

    def merge_namespaces(self, target: Hashable, sources: Sequence[Hashable]) -> None:
        """Move the current key's content of ``sources`` into ``target``."""
        self._state.merge_namespaces(target, sources)


class TtlMapState(MapState[Any, Any]):
    """A map whose entries have a stamp each."""

    __slots__ = ("_get", "_life", "_put", "_state")

    def __init__(self, state: MapState[Any, Any], life: Lifetime) -> None:
        self._state = state
        self._life = life
        self._get = state.get
        self._put = state.put

    def set_namespace(self, namespace: Hashable) -> None:
        """Move to another namespace."""
        self._state.set_namespace(namespace)

    def get(self, key: Any) -> Any:
        """The value of a map key; None when there is none or it has expired."""
        found = self._get(key)
        return None if found is None else self._seen(key, found)

    def _seen(self, key: Any, found: tuple[int, Any]) -> Any:
        stamp, value = found
        life = self._life
        if life.expired(stamp):
            self._state.remove(key)
            return None if life.hides else value
        if life.on_read:
            now = life.restamp(stamp)
            if now != stamp:
                self._put(key, (now, value))
        return value

    def put(self, key: Any, value: Any) -> None:
        """Set the value of a map key."""
        life = self._life
        stamp = life.stamp()
        if life.event:
            found = self._get(key)
            if found is not None and found[0] > stamp:
                stamp = found[0]
        self._put(key, (stamp, value))

    def remove(self, key: Any) -> None:
        """Remove a map key."""
        self._state.remove(key)

    def contains(self, key: Any) -> bool:
        """Whether a map key is there and lives."""
        found = self._get(key)
        if found is None:
            return False
        expired = self._life.expired(found[0])
        self._seen(key, found)
        return not (expired and self._life.hides)

    def items(self) -> Iterable[tuple[Any, Any]]:
        """Map keys and values that live, as a snapshot."""
        life = self._life
        shown: list[tuple[Any, Any]] = []
        for key, found in self._state.items():
            expired = life.expired(found[0])
            value = self._seen(key, found)
            if not (expired and life.hides):
                shown.append((key, value))
        return shown

    def is_empty(self) -> bool:
        """Whether no entry lives."""
        life = self._life
        if not life.hides:
            return self._state.is_empty()
        return all(life.expired(stamp) for _, (stamp, _) in self._state.items())

    def clear(self) -> None:
        """Remove the state of the current key."""
        self._state.clear()
