"""Broadcast state: a map that every subtask of an operator has whole, the same in all of them."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, Generic, NoReturn, TypeVar

from lesto.common.errors import did_you_mean
from lesto.state import codec
from lesto.state.descriptors import MapStateDescriptor, State
from lesto.state.errors import (
    BroadcastStateTooLargeError,
    ReadOnlyBroadcastStateError,
    UndeclaredBroadcastStateError,
)

K = TypeVar("K")
V = TypeVar("V")

#: Entries of one item of a snapshot at most.
ENTRIES_PER_ITEM: Final = 4_096
#: Encoded bytes of an operator's broadcast states at most: each subtask's travel in its
#: acknowledgement and lie in the checkpoint's metadata.
BROADCAST_BYTES_MAX: Final = 16 << 20


class ReadOnlyBroadcastState(State, Generic[K, V]):
    """Broadcast state as the side that is not broadcast sees it.

    What ``get`` and ``items`` give is no copy: it must not be changed in place.
    """

    __slots__ = ("_entries", "_name", "_states")

    def __init__(self, name: str, entries: dict[K, V], states: BroadcastStates) -> None:
        self._name = name
        self._entries = entries
        self._states = states

    def get(self, key: K) -> V | None:
        """The value of a key; None when there is none."""
        return self._entries.get(key)

    def contains(self, key: K) -> bool:
        """Whether a key is there."""
        return key in self._entries

    def items(self) -> Iterable[tuple[K, V]]:
        """Keys and values, in the order in which keys came; a snapshot."""
        return list(self._entries.items())

    def keys(self) -> Iterable[K]:
        """The keys, in the order in which they came; a snapshot."""
        return list(self._entries)

    def values(self) -> Iterable[V]:
        """The values, in the order in which keys came; a snapshot."""
        return list(self._entries.values())

    def is_empty(self) -> bool:
        """Whether there is no entry."""
        return not self._entries

    def __getitem__(self, key: K) -> V | None:
        return self.get(key)

    def __contains__(self, key: K) -> bool:
        return key in self._entries

    def __iter__(self) -> Iterator[K]:
        return iter(list(self._entries))

    def set_namespace(self, namespace: Hashable) -> None:
        """Broadcast state has none."""

    def _refuse(self, *_: Any) -> NoReturn:
        msg = f"broadcast state '{self._name}' can only be read here"
        raise ReadOnlyBroadcastStateError(
            msg,
            remedy="write it in process_broadcast_element: every subtask must do so alike, and only"
            " the broadcast records reach every subtask",
        )

    # The names of BroadcastState, so that the mistake is told and not just an attribute missing.
    put = put_all = remove = clear = __setitem__ = __delitem__ = _refuse


class BroadcastState(ReadOnlyBroadcastState[K, V]):
    """Broadcast state as the broadcast side sees it.

    Every subtask must write the same: what is written may depend on the broadcast records alone. A
    value that is changed in place must be given to :meth:`put` again; else the change may be lost.
    """

    __slots__ = ()

    def put(self, key: K, value: V) -> None:  # type: ignore[override]
        """Set the value of a key."""
        self._writing()[key] = value

    def put_all(self, dict_value: Mapping[K, V]) -> None:  # type: ignore[override]
        """Set several."""
        self._writing().update(dict_value)

    def remove(self, key: K) -> None:  # type: ignore[override]
        """Remove a key; nothing happens when it is not there."""
        self._writing().pop(key, None)

    def clear(self) -> None:  # type: ignore[override]
        """Remove all keys."""
        self._writing().clear()

    def __setitem__(self, key: K, value: V) -> None:  # type: ignore[override]
        self._writing()[key] = value

    def __delitem__(self, key: K) -> None:  # type: ignore[override]
        self._writing().pop(key, None)

    def _writing(self) -> dict[K, V]:
        # A function may have kept the object from a broadcast record and use it for another one.
        if not self._states.writable:
            self._refuse()
        self._states.changed(self._name)
        return self._entries


class BroadcastStates:
    """All broadcast states of one operator subtask.

    Args:
        descriptors: those declared.
        restored: items of :meth:`save`, of one subtask.

    Attributes:
        writable: a broadcast record is being processed.
    """

    def __init__(
        self, descriptors: Sequence[MapStateDescriptor], restored: Sequence[bytes] = ()
    ) -> None:
        self.writable = False
        # Also of names that are declared no more: they stay in snapshots until they are again.
        self._entries: dict[str, dict[Any, Any]] = {d.name: {} for d in descriptors}
        self._saved: dict[str, list[bytes]] = {}
        self._declared = frozenset(self._entries)
        for item in restored:
            name, keys, values = codec.decode(item)
            self._entries.setdefault(name, {}).update(zip(keys, values, strict=True))
        self._open: dict[str, BroadcastState[Any, Any]] = {}
        self._views: dict[str, ReadOnlyBroadcastState[Any, Any]] = {}
        for name in self._declared:
            entries = self._entries[name]
            self._open[name] = BroadcastState(name, entries, self)
            self._views[name] = ReadOnlyBroadcastState(name, entries, self)

    def state(self, descriptor: MapStateDescriptor) -> BroadcastState[Any, Any]:
        """The state to write.

        Raises:
            UndeclaredBroadcastStateError: no such state was declared.
        """
        found = self._open.get(_name_of(descriptor))
        return self._undeclared(descriptor) if found is None else found

    def view(self, descriptor: MapStateDescriptor) -> ReadOnlyBroadcastState[Any, Any]:
        """The state to read.

        Raises:
            UndeclaredBroadcastStateError: no such state was declared.
        """
        found = self._views.get(_name_of(descriptor))
        return self._undeclared(descriptor) if found is None else found

    def changed(self, name: str) -> None:
        """A state has been written."""
        self._saved.pop(name, None)

    def save(self) -> list[bytes]:
        """The states, encoded; one that has not changed since the last call is not encoded anew.

        Raises:
            BroadcastStateTooLargeError: names the largest.
        """
        for name, entries in self._entries.items():
            if name not in self._saved:
                self._saved[name] = _encoded(name, entries)
        sizes = {name: sum(map(len, items)) for name, items in self._saved.items()}
        if sum(sizes.values()) > BROADCAST_BYTES_MAX:
            largest = max(sizes, key=lambda name: sizes[name])
            msg = (
                f"broadcast state '{largest}' has {sizes[largest] / 2**20:.1f} MiB;"
                f" an operator's may have {BROADCAST_BYTES_MAX >> 20} MiB in all"
            )
            raise BroadcastStateTooLargeError(
                msg,
                remedy="remove entries that are not needed any more, or key both streams by what"
                " they have in common and connect them: keyed state may be of any size",
            )
        return [item for items in self._saved.values() for item in items]

    def _undeclared(self, descriptor: MapStateDescriptor) -> NoReturn:
        name = _name_of(descriptor)
        known = sorted(self._declared)
        msg = f"broadcast state '{name}' is not declared{did_you_mean(name, known)}"
        raise UndeclaredBroadcastStateError(
            msg,
            remedy="declare it where the stream is broadcast: stream.broadcast(descriptor);"
            f" declared: {', '.join(known)}",
        )


def _name_of(descriptor: Any) -> str:
    name = getattr(descriptor, "name", descriptor)
    return name if isinstance(name, str) else repr(descriptor)


def _encoded(name: str, entries: dict[Any, Any]) -> list[bytes]:
    keys, values = list(entries), list(entries.values())
    return [
        codec.encode((name, keys[at : at + ENTRIES_PER_ITEM], values[at : at + ENTRIES_PER_ITEM]))
        for at in range(0, len(keys), ENTRIES_PER_ITEM)
    ]
