"""Keyed state of a coroutine: its changes are its own until its record is emitted.

Many coroutines run beside the task, one of a key at a time. Each reads the state below and notes
what it changes. The task carries the changes out together with the results: a checkpoint in between
holds either the record, to be processed again, or all that came of it.
"""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final

from lesto.taskmanager.operators.errors import InvalidFunctionError, KeyedStateUnavailableError
from lesto.taskmanager.operators.runtime_context import OperatorRuntimeContext

if TYPE_CHECKING:
    from lesto.state.backend import KeyedStateBackend
    from lesto.taskmanager.operators.base import OperatorContext

_PLAIN: Final = (type(None), bool, int, float, str, bytes)
_REMOVED: Final = object()


class Journal:
    """What one record's coroutine has read and changed.

    Args:
        key: the record's.
        below: the state as the records before have left it.

    Attributes:
        changes: to be carried out, in order, with the key set.
    """

    __slots__ = ("below", "changes", "key", "views")

    def __init__(self, key: Any, below: KeyedState) -> None:
        self.key = key
        self.below = below
        self.views: dict[str, Any] = {}
        self.changes: list[Callable[[], None]] = []


#: The journal of the coroutine that runs.
CURRENT: ContextVar[Journal | None] = ContextVar("lesto_async_record", default=None)


class KeyedState:
    """The operator's keyed state, used by two threads one at a time.

    Args:
        backend: the state.
    """

    def __init__(self, backend: KeyedStateBackend) -> None:
        self.backend = backend
        self.lock = threading.Lock()

    def read(self, key: Any, read: Callable[[], Any]) -> Any:
        """Read state of a key; a copy."""
        with self.lock:
            self.backend.current_key = key
            found = read()
            return found if isinstance(found, _PLAIN) else copy.deepcopy(found)

    def carry_out(self, journal: Journal) -> None:
        """Make the changes of a record."""
        if journal.changes:
            with self.lock:
                self.backend.current_key = journal.key
                for change in journal.changes:
                    change()


class _View:
    """One state as one coroutine sees it."""

    def __init__(self, journal: Journal, state: Any) -> None:
        self._journal = journal
        self._state = state

    def _read(self, read: Callable[[], Any]) -> Any:
        return self._journal.below.read(self._journal.key, read)

    def _change(self, change: Callable[[], None]) -> None:
        self._journal.changes.append(change)


class _ValueView(_View):
    def __init__(self, journal: Journal, state: Any) -> None:
        super().__init__(journal, state)
        self._value: Any = _REMOVED

    def value(self) -> Any:
        """The content."""
        if self._value is _REMOVED:
            self._value = self._read(self._state.value)
        return self._value

    def update(self, value: Any) -> None:
        """Set the content."""
        self._value = value
        self._change(lambda: self._state.update(value))

    def clear(self) -> None:
        """Remove the content."""
        self._value = None
        self._change(self._state.clear)


class _ListView(_View):
    def __init__(self, journal: Journal, state: Any) -> None:
        super().__init__(journal, state)
        self._items: list[Any] | None = None

    def _loaded(self) -> list[Any]:
        if self._items is None:
            self._items = self._read(lambda: list(self._state.get()))
        return self._items

    def get(self) -> Iterable[Any]:
        """The content."""
        return list(self._loaded())

    def __iter__(self) -> Iterator[Any]:
        return iter(self.get())

    def add(self, value: Any) -> None:
        """Add a value."""
        self._loaded().append(value)
        self._change(lambda: self._state.add(value))

    def add_all(self, values: Iterable[Any]) -> None:
        """Add several."""
        for value in list(values):
            self.add(value)

    def update(self, values: Iterable[Any]) -> None:
        """Replace the content."""
        items = list(values)
        self._items = list(items)
        self._change(lambda: self._state.update(items))

    def clear(self) -> None:
        """Remove the content."""
        self._items = []
        self._change(self._state.clear)


class _MapView(_View):
    def __init__(self, journal: Journal, state: Any) -> None:
        super().__init__(journal, state)
        self._changed: dict[Any, Any] = {}
        self._cleared = False

    def get(self, key: Any) -> Any:
        """The value of a map key."""
        if key in self._changed:
            found = self._changed[key]
            return None if found is _REMOVED else found
        return None if self._cleared else self._read(lambda: self._state.get(key))

    def contains(self, key: Any) -> bool:
        """Whether a map key is there."""
        if key in self._changed:
            return self._changed[key] is not _REMOVED
        return not self._cleared and bool(self._read(lambda: self._state.contains(key)))

    def put(self, key: Any, value: Any) -> None:
        """Set the value of a map key."""
        self._changed[key] = value
        self._change(lambda: self._state.put(key, value))

    def put_all(self, dict_value: Mapping[Any, Any]) -> None:
        """Set several."""
        for key, value in dict(dict_value).items():
            self.put(key, value)

    def remove(self, key: Any) -> None:
        """Remove a map key."""
        self._changed[key] = _REMOVED
        self._change(lambda: self._state.remove(key))

    def clear(self) -> None:
        """Remove all."""
        self._changed.clear()
        self._cleared = True
        self._change(self._state.clear)

    def items(self) -> Iterable[tuple[Any, Any]]:
        """Map keys and values."""
        below = [] if self._cleared else self._read(lambda: list(self._state.items()))
        merged = {**dict(below), **self._changed}
        return [(key, value) for key, value in merged.items() if value is not _REMOVED]

    def keys(self) -> Iterable[Any]:
        """Map keys."""
        return [key for key, _ in self.items()]

    def values(self) -> Iterable[Any]:
        """Values."""
        return [value for _, value in self.items()]

    def is_empty(self) -> bool:
        """Whether nothing is there."""
        return not self.items()

    __getitem__, __setitem__, __delitem__, __contains__ = get, put, remove, contains

    def __iter__(self) -> Iterator[Any]:
        return iter(self.keys())


class _MergingView(_View):
    """Reducing and aggregating state."""

    def __init__(self, journal: Journal, state: Any) -> None:
        super().__init__(journal, state)
        self._added = False
        self._cleared = False

    def get(self) -> Any:
        """The content, as the records before have left it."""
        if self._added:
            msg = "reducing or aggregating state is read behind an add in the same async call"
            raise InvalidFunctionError(
                msg, remedy="read it before the add, or keep the value in a ValueState"
            )
        return None if self._cleared else self._read(self._state.get)

    def add(self, value: Any) -> None:
        """Add a value."""
        self._added = True
        self._change(lambda: self._state.add(value))

    def clear(self) -> None:
        """Remove the content."""
        self._added, self._cleared = False, True
        self._change(self._state.clear)


_VIEWS: Final[dict[str, type[_View]]] = {
    "value": _ValueView,
    "list": _ListView,
    "map": _MapView,
    "reducing": _MergingView,
    "aggregating": _MergingView,
}


class AsyncState:
    """What a function gets when it asks for state: in a coroutine its own view, else the state."""

    __slots__ = ("_kind", "_name", "_state")

    def __init__(self, kind: str, name: str, state: Any) -> None:
        self._kind = kind
        self._name = name
        self._state = state

    def _now(self) -> Any:
        journal = CURRENT.get()
        if journal is None:
            return self._state  # in a timer: on the task's own thread, the key set
        view = journal.views.get(self._name)
        if view is None:
            view = journal.views[self._name] = _VIEWS[self._kind](journal, self._state)
        return view

    def __getattr__(self, name: str) -> Any:
        return getattr(self._now(), name)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._now())

    def __getitem__(self, key: Any) -> Any:
        return self._now()[key]

    def __setitem__(self, key: Any, value: Any) -> None:
        self._now()[key] = value

    def __delitem__(self, key: Any) -> None:
        del self._now()[key]

    def __contains__(self, key: Any) -> bool:
        return key in self._now()


class AsyncRuntimeContext(OperatorRuntimeContext):
    """The runtime context of a keyed ``async def`` function."""

    def __init__(self, context: OperatorContext, backend: KeyedStateBackend) -> None:
        super().__init__(context, backend)
        self._views: dict[str, AsyncState] = {}

    def _state(self, descriptor: Any) -> Any:
        if getattr(descriptor, "ttl_config", None) is not None:
            msg = f"state {descriptor.name!r} has a time-to-live, in an 'async def' function"
            raise KeyedStateUnavailableError(
                msg, remedy="clear it in on_timer, or await before a key_by and keep state behind"
            )
        found = self._views.get(descriptor.name)
        if found is None:
            if CURRENT.get() is not None:
                msg = f"state {descriptor.name!r} is asked for in an 'async def' method"
                raise KeyedStateUnavailableError(
                    msg, remedy="ask for it in open(runtime_context) and keep it in an attribute"
                )
            state = super()._state(descriptor)
            found = self._views[descriptor.name] = AsyncState(
                descriptor.kind, descriptor.name, state
            )
        return found
