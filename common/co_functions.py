"""Functions over two streams: what interval joins call, and single functions as one object.

The process functions of two streams are in :mod:`lesto.common.functions`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from typing import Any

from lesto.common.functions import (
    CoFlatMapFunction,
    CoMapFunction,
    CoProcessFunction,
    Function,
    KeyedCoProcessFunction,
    RuntimeContext,
)


class ProcessJoinFunction(Function):
    """Joins the pairs of records that an interval join has found."""

    class Context(ABC):
        """Given with each pair."""

        @abstractmethod
        def get_left_timestamp(self) -> int:
            """Event time of the left record, ms."""

        @abstractmethod
        def get_right_timestamp(self) -> int:
            """Event time of the right record, ms."""

        @abstractmethod
        def get_timestamp(self) -> int:
            """Event time of the results, ms: the larger of both."""

    @abstractmethod
    def process_element(
        self, left: Any, right: Any, ctx: ProcessJoinFunction.Context
    ) -> Iterable[Any] | None:
        """Yield results; ``(OutputTag, value)`` goes to a side output."""


class KeyedStateFunction(Function):
    """Changes or reads the state of one key; see ``apply_to_keyed_state``."""

    @abstractmethod
    def process(self, key: Any, state: Any) -> None:
        """Called for each key that has the state; ``state`` is that of the key."""


class _Wrapper(Function):
    """Opens and closes what it wraps."""

    function: Function

    def open(self, runtime_context: RuntimeContext) -> None:
        """Open the wrapped function."""
        self.function.open(runtime_context)

    def close(self) -> None:
        """Close the wrapped function."""
        self.function.close()


class KeyedCoMap(_Wrapper, KeyedCoProcessFunction):
    """A CoMapFunction with keyed state. As in PyFlink, None is no result."""

    def __init__(self, function: CoMapFunction) -> None:
        self.function: CoMapFunction = function

    def process_element1(
        self, value: Any, ctx: KeyedCoProcessFunction.Context
    ) -> Iterable[Any] | None:
        """At most one result."""
        result = self.function.map1(value)
        return None if result is None else (result,)

    def process_element2(
        self, value: Any, ctx: KeyedCoProcessFunction.Context
    ) -> Iterable[Any] | None:
        """At most one result."""
        result = self.function.map2(value)
        return None if result is None else (result,)


class KeyedCoFlatMap(_Wrapper, KeyedCoProcessFunction):
    """A CoFlatMapFunction with keyed state."""

    def __init__(self, function: CoFlatMapFunction) -> None:
        self.function: CoFlatMapFunction = function

    def process_element1(
        self, value: Any, ctx: KeyedCoProcessFunction.Context
    ) -> Iterable[Any] | None:
        """Any number of results."""
        return self.function.flat_map1(value)

    def process_element2(
        self, value: Any, ctx: KeyedCoProcessFunction.Context
    ) -> Iterable[Any] | None:
        """Any number of results."""
        return self.function.flat_map2(value)


class _Pair:
    """Two callables; properties give them as they are, so that nothing is called in between."""

    def __init__(self, first: Callable[..., Any], second: Callable[..., Any]) -> None:
        self.first = first
        self.second = second

    def _first(self) -> Callable[..., Any]:
        return self.first

    def _second(self) -> Callable[..., Any]:
        return self.second


class CallablesCoMap(_Pair, CoMapFunction):
    """Two callables as a CoMapFunction."""

    map1 = property(_Pair._first)
    map2 = property(_Pair._second)


class CallablesCoFlatMap(_Pair, CoFlatMapFunction):
    """Two callables as a CoFlatMapFunction."""

    flat_map1 = property(_Pair._first)
    flat_map2 = property(_Pair._second)


class CallablesCoProcess(_Pair, CoProcessFunction):
    """Two callables of a value and the context as a CoProcessFunction."""

    process_element1 = property(_Pair._first)
    process_element2 = property(_Pair._second)
