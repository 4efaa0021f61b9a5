"""What a window holds for a key: a reduced value, an accumulator, or all its records.

Both window engines store the same thing under the same name, so that a job may restore with another
trigger or another lateness: one value per key and window (``ValueState``), or one list
(``ListState``).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Any, Final

from lesto.state.backend import KeyedStateBackend
from lesto.state.descriptors import ListStateDescriptor, StateDescriptor, ValueStateDescriptor
from lesto.taskmanager.operators.errors import InvalidFunctionError, InvalidResultError
from lesto.taskmanager.operators.user_functions import bound_method, function_name

CONTENTS_STATE: Final = "_window_contents"
_MISSING: Final = object()


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
    def put(self, value: Any) -> None:
        """Add a record to the state."""

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

    @abstractmethod
    def _join(self, a: Any, b: Any) -> Any: ...

    def load(self) -> Any:
        """The content in the state."""
        return self.state.value()

    def save(self, content: Any) -> None:
        """Replace the content in the state."""
        if content is None:
            msg = f"{function_name(self.function)}.{self.method} gave None, which state cannot hold"
            raise InvalidResultError(msg, remedy="represent an empty accumulator by another value")
        self.state.update(content)

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
                merged = content if merged is None else self._join(merged, content)
        state.set_namespace(target)
        if merged is not None:
            self.save(merged)


class ReducedContents(_Combined):
    """The records of a key reduced to one."""

    method = "reduce"

    def __init__(self, function: Any) -> None:
        self.function = function
        self._reduce: Callable[[Any, Any], Any] = bound_method(function, "reduce")

    def _join(self, a: Any, b: Any) -> Any:
        return self._reduce(a, b)

    def fold(self, contents: dict[Any, Any], keys: list[Any], values: Iterable[Any]) -> None:
        """Add records to contents in memory."""
        reduce, get, missing = self._reduce, contents.get, _MISSING
        for key, value in zip(keys, values, strict=False):
            old = get(key, missing)
            contents[key] = value if old is missing else reduce(old, value)

    def put(self, value: Any) -> None:
        """Add a record to the state."""
        old = self.state.value()
        self.save(value if old is None else self._reduce(old, value))

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

    def _join(self, a: Any, b: Any) -> Any:
        return self.function.merge(a, b)

    def fold(self, contents: dict[Any, Any], keys: list[Any], values: Iterable[Any]) -> None:
        """Add records to contents in memory."""
        add, create, get, missing = self._add, self._create, contents.get, _MISSING
        for key, value in zip(keys, values, strict=False):
            old = get(key, missing)
            contents[key] = add(value, create() if old is missing else old)

    def put(self, value: Any) -> None:
        """Add a record to the state."""
        old = self.state.value()
        self.save(self._add(value, self._create() if old is None else old))

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

    def put(self, value: Any) -> None:
        """Add a record to the state."""
        self.state.add(value)

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


def window_contents(reduce_fn: Any, aggregate_fn: Any, window_fn: Any) -> WindowContents:
    """The contents that these functions need.

    Raises:
        InvalidFunctionError: there is no function at all, or both reduce and aggregate.
    """
    if reduce_fn is not None and aggregate_fn is not None:
        msg = "a window takes a reduce or an aggregate function, not both"
        raise InvalidFunctionError(msg)
    if reduce_fn is not None:
        return ReducedContents(reduce_fn)
    if aggregate_fn is not None:
        return AggregatedContents(aggregate_fn)
    if window_fn is None:
        msg = "a window needs a reduce, aggregate or window function"
        raise InvalidFunctionError(msg)
    return ListedContents()
