"""List, reducing and aggregating state, each kept as one value of a :class:`ValueState`.

They work on either backend: the value state below reads, writes and tracks changes.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Any

from lesto.state.descriptors import (
    AggregatingState,
    AggregatingStateDescriptor,
    ListState,
    ReducingState,
    ReducingStateDescriptor,
    ValueState,
)


class _Composed:
    """Holds the cell, and merges namespaces by an operation on cells."""

    __slots__ = ("_cell", "_namespace", "_read", "_write")

    def __init__(self, cell: ValueState[Any], namespace: Hashable) -> None:
        self._cell = cell
        self._namespace = namespace
        self._read: Callable[[], Any] = cell.value
        self._write: Callable[[Any], None] = cell.update

    def set_namespace(self, namespace: Hashable) -> None:
        self._namespace = namespace
        self._cell.set_namespace(namespace)

    def clear(self) -> None:
        self._write(None)

    def merge_namespaces(self, target: Hashable, sources: Sequence[Hashable]) -> None:
        """Move the current key's content of ``sources`` into ``target``."""
        here = self._namespace
        merged: Any = None
        try:
            for namespace in sources:
                if namespace == target:
                    continue
                self._cell.set_namespace(namespace)
                part = self._read()
                if part is not None:
                    self._write(None)
                    merged = part if merged is None else self._join(merged, part)
            if merged is not None:
                self._cell.set_namespace(target)
                present = self._read()
                self._write(merged if present is None else self._join(present, merged))
        finally:
            self._cell.set_namespace(here)

    def _join(self, first: Any, second: Any) -> Any:
        raise NotImplementedError


class CellListState(_Composed, ListState[Any]):
    """A list kept as one value."""

    __slots__ = ()

    def get(self) -> Iterable[Any]:
        """The content."""
        return list(self._read() or ())

    def is_empty(self) -> bool:
        """Whether there is no value; copies nothing."""
        return not self._read()

    def add(self, value: Any) -> None:
        """Add a value."""
        items = self._read()
        if items is None:
            self._write([value])
        else:
            items.append(value)
            self._write(items)

    def add_all(self, values: Iterable[Any]) -> None:
        """Add several values."""
        new = list(values)
        if new:
            items = self._read()
            if items is None:
                self._write(new)
            else:
                items.extend(new)
                self._write(items)

    def update(self, values: Iterable[Any]) -> None:
        """Set the value; None clears it."""
        self._write(list(values) or None)

    def _join(self, first: Any, second: Any) -> Any:
        return first + second


class CellReducingState(_Composed, ReducingState[Any]):
    """The reduced value."""

    __slots__ = ("_reduce",)

    def __init__(
        self, cell: ValueState[Any], namespace: Hashable, descriptor: ReducingStateDescriptor
    ) -> None:
        super().__init__(cell, namespace)
        self._reduce = descriptor.reduce

    def get(self) -> Any:
        """The content."""
        return self._read()

    def add(self, value: Any) -> None:
        """Add a value."""
        present = self._read()
        self._write(value if present is None else self._reduce(present, value))

    def _join(self, first: Any, second: Any) -> Any:
        return self._reduce(first, second)


class CellAggregatingState(_Composed, AggregatingState[Any, Any]):
    """The accumulator."""

    __slots__ = ("_function",)

    def __init__(
        self, cell: ValueState[Any], namespace: Hashable, descriptor: AggregatingStateDescriptor
    ) -> None:
        super().__init__(cell, namespace)
        self._function = descriptor.agg_function

    def get(self) -> Any:
        """The content."""
        accumulator = self._read()
        return None if accumulator is None else self._function.get_result(accumulator)

    def add(self, value: Any) -> None:
        """Add a value."""
        accumulator = self._read()
        if accumulator is None:
            accumulator = self._function.create_accumulator()
        self._write(self._function.add(value, accumulator))

    def _join(self, first: Any, second: Any) -> Any:
        return self._function.merge(first, second)
