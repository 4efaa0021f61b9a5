"""State in memory: for each state, cells by namespace and key.

A cell is what one state holds for one key in one namespace: a value, a list, an accumulator or a
map. :class:`Cells` is all there is for the hashmap backend; the RocksDB backend adds loading, dirt
and eviction (:mod:`lesto.state.cached`). State objects bind the dict of their namespace, so that a
read is one dict access.
"""

from __future__ import annotations

import weakref
from collections.abc import Hashable, Iterator
from typing import Any, Final, Protocol

from lesto.state.descriptors import StateDescriptor
from lesto.state.errors import NoCurrentKeyError


class _NoKey:
    """Stands for "no current key": using it as a dict key raises."""

    def __hash__(self) -> int:
        msg = "keyed state was used where there is no current key"
        raise NoCurrentKeyError(
            msg, remedy="use keyed state in process/map functions after key_by, not in open()"
        )

    def __repr__(self) -> str:
        return "<no current key>"


#: ``current_key`` before the first keyed call.
NO_KEY: Final = _NoKey()

Space = dict[Any, Any]


class HasCurrentKey(Protocol):
    """What state objects need of a backend."""

    current_key: Any


class BoundState(Protocol):
    """A state object that holds references into its cells."""

    def rebind(self) -> None:
        """Fetch the references again: the cells have replaced them."""
        ...


#: Empty namespaces are looked for after this many were made.
SWEEP_INTERVAL: Final = 4096


class Cells:
    """All cells of one state.

    Attributes:
        spaces: cells by namespace, then key. Objects hold on to the inner dicts: replace one only
            together with :meth:`rebind`.
    """

    def __init__(self, owner: HasCurrentKey, descriptor: StateDescriptor, state_id: int) -> None:
        self.owner = owner
        self.descriptor = descriptor
        self.state_id = state_id
        self.spaces: dict[Hashable, Space] = {}
        self._objects: weakref.WeakSet[Any] = weakref.WeakSet()
        self._made = 0

    def attach(self, state: BoundState) -> None:
        """Keep an object's references up to date."""
        self._objects.add(state)

    def space(self, namespace: Hashable) -> Space:
        """The cells of a namespace, made when there are none."""
        found = self.spaces.get(namespace)
        if found is None:
            self._made += 1
            if self._made >= SWEEP_INTERVAL:
                self.sweep()
            found = self.spaces[namespace] = {}
        return found

    def sweep(self) -> None:
        """Forget empty namespaces (windows that have passed)."""
        self._made = 0
        empty = [namespace for namespace, space in self.spaces.items() if not space]
        for namespace in empty:
            del self.spaces[namespace]
        if empty:
            self.rebind()

    def rebind(self) -> None:
        """Give all objects the present references."""
        for state in list(self._objects):
            state.rebind()

    def keys(self, namespace: Hashable) -> Iterator[Any]:
        """Keys that have something in a namespace."""
        return iter(list(self.spaces.get(namespace, ())))
