"""Window joins on rows: records of two streams, tagged, in the windows of one.

A tagged record is ``(0, record)`` or ``(1, record)``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from lesto.common.functions import MapFunction, WindowFunction
from lesto.taskmanager.operators.user_functions import bound_method, function_name


class TagFirst(MapFunction):
    """Tags records of the first stream."""

    def map(self, value: Any) -> Any:
        """The record, tagged."""
        return (0, value)


class TagSecond(MapFunction):
    """Tags records of the second stream."""

    def map(self, value: Any) -> Any:
        """The record, tagged."""
        return (1, value)


class TaggedKey:
    """The key of a tagged record.

    Args:
        first: key of a record of the first stream.
        second: key of a record of the second stream.
    """

    def __init__(self, first: Callable[[Any], Any], second: Callable[[Any], Any]) -> None:
        self._keys = (first, second)
        self.__qualname__ = f"{function_name(first)} or {function_name(second)}"

    def __call__(self, tagged: tuple[int, Any]) -> Any:
        """The key."""
        side, value = tagged
        return self._keys[side](value)


class UserPairFunction(WindowFunction[Any, Any, Any, Any]):
    """A window function around a user's; named and opened as the user's is."""

    method = "join"

    def __init__(self, function: Any) -> None:
        self._function = function
        self._call = bound_method(function, self.method)
        self.__qualname__ = function_name(function)

    def open(self, runtime_context: Any) -> None:
        """Open the user's function."""
        method = getattr(self._function, "open", None)
        if callable(method):
            method(runtime_context)

    def close(self) -> None:
        """Close the user's function."""
        method = getattr(self._function, "close", None)
        if callable(method):
            method()


def _parted(inputs: Iterable[tuple[int, Any]]) -> tuple[list[Any], list[Any]]:
    groups: tuple[list[Any], list[Any]] = [], []
    for side, value in inputs:
        groups[side].append(value)
    return groups


class JoinWindow(UserPairFunction):
    """One result a pair."""

    def apply(self, key: Any, window: Any, inputs: Iterable[Any]) -> Iterable[Any]:
        """Join each record of the first group with each of the second."""
        first, second = _parted(inputs)
        join = self._call
        return [join(a, b) for a in first for b in second]


class FlatJoinWindow(UserPairFunction):
    """Any number of results a pair."""

    def apply(self, key: Any, window: Any, inputs: Iterable[Any]) -> Iterable[Any]:
        """Join each record of the first group with each of the second."""
        first, second = _parted(inputs)
        results: list[Any] = []
        join = self._call
        for a in first:
            for b in second:
                found = join(a, b)
                if found is not None:
                    results.extend(found)
        return results


class CoGroupWindow(UserPairFunction):
    """Any number of results for both groups."""

    method = "co_group"

    def apply(self, key: Any, window: Any, inputs: Iterable[Any]) -> Iterable[Any]:
        """Give both groups to the function."""
        found = self._call(*_parted(inputs))
        return () if found is None else found
