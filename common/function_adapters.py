"""Single-method functions on a keyed stream, run as keyed process functions so that they reach
keyed state.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from lesto.common.functions import (
    FilterFunction,
    FlatMapFunction,
    Function,
    KeyedProcessFunction,
    MapFunction,
    RuntimeContext,
)


class _Adapter(KeyedProcessFunction):
    def __init__(self, function: Function) -> None:
        self.function = function

    def open(self, runtime_context: RuntimeContext) -> None:
        """Open the wrapped function."""
        self.function.open(runtime_context)

    def close(self) -> None:
        """Close the wrapped function."""
        self.function.close()


class KeyedMap(_Adapter):
    """A MapFunction with keyed state."""

    function: MapFunction

    def process_element(self, value: Any, ctx: KeyedProcessFunction.Context) -> Iterable[Any]:
        """One result."""
        return (self.function.map(value),)


class KeyedFlatMap(_Adapter):
    """A FlatMapFunction with keyed state."""

    function: FlatMapFunction

    def process_element(
        self, value: Any, ctx: KeyedProcessFunction.Context
    ) -> Iterable[Any] | None:
        """Any number of results."""
        return self.function.flat_map(value)


class KeyedFilter(_Adapter):
    """A FilterFunction with keyed state."""

    function: FilterFunction

    def process_element(self, value: Any, ctx: KeyedProcessFunction.Context) -> Iterable[Any]:
        """The value, or nothing."""
        return (value,) if self.function.filter(value) else ()
