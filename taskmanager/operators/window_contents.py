"""What a window holds for a key: a reduced value, an accumulator, or all its records.

Both window engines store the same thing under the same name, so that a job may restore with another
trigger or another lateness: one value per key and window (``ValueState``), or one list
(``ListState``).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Any, Final, Protocol

from lesto.common.evictors import TimestampedValue
from lesto.state.backend import KeyedStateBackend
from lesto.state.descriptors import ListStateDescriptor, StateDescriptor, ValueStateDescriptor
from lesto.taskmanager.operators.errors import InvalidFunctionError, InvalidResultError
from lesto.taskmanager.operators.user_functions import bound_method, function_name

CONTENTS_STATE: Final = "_window_contents"
_MISSING: Final = object()
#: Content of a session that no record is folded into yet.
EMPTY: Final = object()


class Holder(Protocol):
    """What has a content: a session."""

    content: Any


class WindowContents(ABC):
    """One way of keeping the contents.

    Attributes:
        state: the state object, after ``open``; it refers to the backend's current key and to the
            namespace set on it.
        function: the user's function that combines records, or None.
        method: name of its method that is called for each record.
    """

    state: Any
    function: Any = None
    method: str = ""

    @property
    def name(self) -> str:
        """What errors call the function that combines."""
        return f"{function_name(self.function)}.{self.method}"

    @property
    def result_name(self) -> str:
        """What errors call the function that gives the result."""
        return f"{function_name(self.function)}.get_result"

    def open(self, backend: KeyedStateBackend) -> None:
        """Get the state."""
        self.state = backend.get_state(self._descriptor())

    @abstractmethod
    def _descriptor(self) -> StateDescriptor: ...

    @abstractmethod
    def fold(self, contents: dict[Any, Any], keys: list[Any], values: Iterable[Any]) -> None:
        """Add records to a window's contents in memory: key -> content."""

    @abstractmethod
    def fold_objects(self, holders: Iterable[Holder], values: Iterable[Any]) -> None:
        """Add each record to the content of the holder at its place."""

    @abstractmethod
    def join(self, a: Any, b: Any) -> Any:
        """One content from two, the earlier first."""

    @abstractmethod
    def put(self, value: Any, time: int) -> bool:
        """Add a record with its event time, ms, to the state; whether it is the first there."""

    def checked(self, content: Any) -> Any:
        """The content, if it can be stored."""
        return content

    @abstractmethod
    def elements(self, content: Any) -> list[Any]:
        """What the window function gets, or is emitted without one."""

    @abstractmethod
    def load(self) -> Any:
        """The content in the state; None when there is none."""

    @abstractmethod
    def save(self, content: Any) -> None:
        """Replace the content in the state."""

    @abstractmethod
    def merge(self, target: Hashable, sources: Sequence[Hashable]) -> None:
        """Move the current key's contents of other namespaces into ``target``."""


class _Combined(WindowContents):
    """Contents that are one value a key."""

    def _descriptor(self) -> StateDescriptor:
        return ValueStateDescriptor(CONTENTS_STATE)

    def load(self) -> Any:
        """The content in the state."""
        return self.state.value()

    def checked(self, content: Any) -> Any:
        """The content, if it is not None."""
        if content is None:
            msg = f"{function_name(self.function)}.{self.method} gave None, which state cannot hold"
            raise InvalidResultError(msg, remedy="represent an empty accumulator by another value")
        return content

    def save(self, content: Any) -> None:
        """Replace the content in the state."""
        self.state.update(self.checked(content))

    def merge(self, target: Hashable, sources: Sequence[Hashable]) -> None:
        """Move contents into ``target``."""
        state = self.state
        state.set_namespace(target)
        merged = state.value()
        for source in sources:
            state.set_namespace(source)
            content = state.value()
            if content is not None:
                state.clear()
                merged = content if merged is None else self.join(merged, content)
        state.set_namespace(target)
        if merged is not None:
            self.save(merged)


class ReducedContents(_Combined):
    """The records of a key reduced to one."""

    method = "reduce"

    def __init__(self, function: Any) -> None:
        self.function = function
        self._reduce: Callable[[Any, Any], Any] = bound_method(function, "reduce")

    def join(self, a: Any, b: Any) -> Any:
        """Reduce both."""
        return self._reduce(a, b)

    def fold_objects(self, holders: Iterable[Holder], values: Iterable[Any]) -> None:
        """Add each record to a holder's content."""
        reduce, empty = self._reduce, EMPTY
        for holder, value in zip(holders, values, strict=False):
            old = holder.content
            holder.content = value if old is empty else reduce(old, value)

    def fold(self, contents: dict[Any, Any], keys: list[Any], values: Iterable[Any]) -> None:
        """Add records to contents in memory."""
        reduce, get, missing = self._reduce, contents.get, _MISSING
        for key, value in zip(keys, values, strict=False):
            old = get(key, missing)
            contents[key] = value if old is missing else reduce(old, value)

    def put(self, value: Any, time: int) -> bool:
        """Add a record to the state."""
        old = self.state.value()
        self.save(value if old is None else self._reduce(old, value))
        return old is None

    def elements(self, content: Any) -> list[Any]:
        """What the window function gets."""
        return [content]


class AggregatedContents(_Combined):
    """An accumulator of an AggregateFunction."""

    method = "add"

    def __init__(self, function: Any) -> None:
        self.function = function
        for method in ("create_accumulator", "add", "get_result"):
            if not callable(getattr(function, method, None)):
                msg = f"{function!r} is no AggregateFunction: it has no {method}()"
                raise InvalidFunctionError(msg)
        self._create = function.create_accumulator
        self._add = function.add
        self.result: Callable[[Any], Any] = function.get_result

    def join(self, a: Any, b: Any) -> Any:
        """Merge both."""
        return self.function.merge(a, b)

    def fold_objects(self, holders: Iterable[Holder], values: Iterable[Any]) -> None:
        """Add each record to a holder's content."""
        add, create, empty = self._add, self._create, EMPTY
        for holder, value in zip(holders, values, strict=False):
            old = holder.content
            holder.content = add(value, create() if old is empty else old)

    def fold(self, contents: dict[Any, Any], keys: list[Any], values: Iterable[Any]) -> None:
        """Add records to contents in memory."""
        add, create, get, missing = self._add, self._create, contents.get, _MISSING
        for key, value in zip(keys, values, strict=False):
            old = get(key, missing)
            contents[key] = add(value, create() if old is missing else old)

    def put(self, value: Any, time: int) -> bool:
        """Add a record to the state."""
        old = self.state.value()
        self.save(self._add(value, self._create() if old is None else old))
        return old is None

    def elements(self, content: Any) -> list[Any]:
        """What the window function gets."""
        return [self.result(content)]


class ListedContents(WindowContents):
    """All records."""

    def _descriptor(self) -> StateDescriptor:
        return ListStateDescriptor(CONTENTS_STATE)

    def fold(self, contents: dict[Any, Any], keys: list[Any], values: Iterable[Any]) -> None:
        """Add records to contents in memory."""
        get = contents.get
        for key, value in zip(keys, values, strict=False):
            records = get(key)
            if records is None:
                contents[key] = [value]
            else:
                records.append(value)

    def fold_objects(self, holders: Iterable[Holder], values: Iterable[Any]) -> None:
        """Add each record to a holder's content."""
        empty = EMPTY
        for holder, value in zip(holders, values, strict=False):
            if holder.content is empty:
                holder.content = [value]
            else:
                holder.content.append(value)

    def join(self, a: Any, b: Any) -> Any:
        """All records of both."""
        a.extend(b)
        return a

    def put(self, value: Any, time: int) -> bool:
        """Add a record to the state."""
        return self._append(value)

    def _append(self, item: Any) -> bool:
        state = self.state
        fresh: bool = state.is_empty()
        state.add(item)
        return fresh

    def elements(self, content: Any) -> list[Any]:
        """What the window function gets."""
        return list(content)

    def load(self) -> Any:
        """The content in the state."""
        records = list(self.state.get() or ())
        return records or None

    def save(self, content: Any) -> None:
        """Replace the content in the state."""
        self.state.update(content)

    def merge(self, target: Hashable, sources: Sequence[Hashable]) -> None:
        """Move contents into ``target``."""
        self.state.merge_namespaces(target, sources)


class EvictedContents(ListedContents):
    """All records with their event times, for an evictor.

    Args:
        evictor: takes records out when the window fires.
        combined: reduces or aggregates what is left then; None: the window function gets it all.
    """

    def __init__(self, evictor: Any, combined: _Combined | None) -> None:
        self.evictor = evictor
        self._combined = combined
        self.function = None if combined is None else combined.function
        self.method = "" if combined is None else combined.method

    def put(self, value: Any, time: int) -> bool:
        """Add a record to the state."""
        return self._append((value, time))

    def fire(
        self, content: list[Any], window: Any, context: Any, give: Callable[[list[Any]], None]
    ) -> list[Any]:
        """Evict, ``give`` what the window function is to see, evict again; what stays."""
        kept = [TimestampedValue(value, time) for value, time in content]
        self.evictor.evict_before(kept, len(kept), window, context)
        give(self._seen([item.value for item in kept]))
        self.evictor.evict_after(kept, len(kept), window, context)
        return [(item.value, item.timestamp) for item in kept]

    def _seen(self, values: list[Any]) -> list[Any]:
        combined = self._combined
        if combined is None or not values:
            return values
        contents: dict[Any, Any] = {}
        combined.fold(contents, [None] * len(values), values)
        return combined.elements(contents[None])


def window_contents(
    reduce_fn: Any, aggregate_fn: Any, window_fn: Any, evictor: Any = None
) -> WindowContents:
    """The contents that these functions need.

    Raises:
        InvalidFunctionError: there is no function at all, or both reduce and aggregate.
    """
    if reduce_fn is not None and aggregate_fn is not None:
        msg = "a window takes a reduce or an aggregate function, not both"
        raise InvalidFunctionError(msg)
    combined: _Combined | None = None
    if reduce_fn is not None:
        combined = ReducedContents(reduce_fn)
    elif aggregate_fn is not None:
        combined = AggregatedContents(aggregate_fn)
    elif window_fn is None:
        msg = "a window needs a reduce, aggregate or window function"
        raise InvalidFunctionError(msg)
    if evictor is not None:
        return EvictedContents(evictor, combined)
    return ListedContents() if combined is None else combined
