"""The state primitives a user function sees, and the descriptors that name them (PyFlink's).

Type information is optional everywhere: state is encoded by the values' own types.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from typing import Any, ClassVar, Generic, TypeVar

import pyarrow as pa

from lesto.common.types import TypeInformation, Types
from lesto.state.formats import StateFormat, declared_type
from lesto.state.ttl import StateTtlConfig
from lesto.state.typed import show

T = TypeVar("T")
K = TypeVar("K")
V = TypeVar("V")
IN = TypeVar("IN")
OUT = TypeVar("OUT")


class State(ABC):
    """State of the current key. Objects stay valid for the life of the function."""

    __slots__ = ()

    @abstractmethod
    def clear(self) -> None:
        """Remove the state of the current key."""

    @abstractmethod
    def set_namespace(self, namespace: Hashable) -> None:
        """Move to another namespace (the engine's windows); user functions have no need of it."""


class ValueState(State, Generic[T]):
    """One value for a key.

    A value that is changed in place must be given to :meth:`update` again; else the change may be
    lost.
    """

    __slots__ = ()

    @abstractmethod
    def value(self) -> T | None:
        """The value; None when there is none."""

    @abstractmethod
    def update(self, value: T | None) -> None:
        """Set the value; None clears it."""


class MergingState(State, Generic[IN, OUT]):
    """State whose namespaces can be merged (session windows)."""

    __slots__ = ()

    @abstractmethod
    def get(self) -> OUT:
        """The content."""

    @abstractmethod
    def add(self, value: IN) -> None:
        """Add a value."""

    @abstractmethod
    def merge_namespaces(self, target: Hashable, sources: Sequence[Hashable]) -> None:
        """Move the current key's content of ``sources`` into ``target``; the namespace stays as it
        was.
        """


class ListState(MergingState[T, Iterable[T]]):
    """A list of values for a key."""

    __slots__ = ()

    @abstractmethod
    def get(self) -> Iterable[T]:
        """The values in the order they were added, as a snapshot: adding while reading is safe."""

    @abstractmethod
    def add_all(self, values: Iterable[T]) -> None:
        """Add several values."""

    @abstractmethod
    def update(self, values: Iterable[T]) -> None:
        """Replace all values."""

    def is_empty(self) -> bool:
        """Whether there is no value."""
        return not list(self.get())

    def __iter__(self) -> Iterator[T]:
        return iter(self.get())


class MapState(State, Generic[K, V]):
    """A map for a key. In RocksDB each map entry is an entry of its own."""

    __slots__ = ()

    @abstractmethod
    def get(self, key: K) -> V | None:
        """The value of a map key; None when there is none."""

    @abstractmethod
    def put(self, key: K, value: V) -> None:
        """Set the value of a map key."""

    @abstractmethod
    def remove(self, key: K) -> None:
        """Remove a map key; nothing happens when it is not there."""

    @abstractmethod
    def contains(self, key: K) -> bool:
        """Whether a map key is there."""

    @abstractmethod
    def items(self) -> Iterable[tuple[K, V]]:
        """Map keys and values, as a snapshot: changing the map while reading is safe."""

    @abstractmethod
    def is_empty(self) -> bool:
        """Whether the map has no entry."""

    def put_all(self, dict_value: dict[K, V] | Iterable[tuple[K, V]]) -> None:
        """Set several map keys."""
        for key, value in dict_value.items() if isinstance(dict_value, dict) else dict_value:
            self.put(key, value)

    def keys(self) -> Iterable[K]:
        """Map keys, as a snapshot."""
        return [key for key, _ in self.items()]

    def values(self) -> Iterable[V]:
        """Values, as a snapshot."""
        return [value for _, value in self.items()]

    def __getitem__(self, key: K) -> V | None:
        return self.get(key)

    def __setitem__(self, key: K, value: V) -> None:
        self.put(key, value)

    def __delitem__(self, key: K) -> None:
        self.remove(key)

    def __contains__(self, key: K) -> bool:
        return self.contains(key)

    def __iter__(self) -> Iterator[K]:
        return iter(self.keys())


class ReducingState(MergingState[T, T | None]):
    """Values of a key combined by a reduce function."""

    __slots__ = ()


class AggregatingState(MergingState[IN, OUT | None]):
    """Values of a key combined by an aggregate function."""

    __slots__ = ()


def _known(types: dict[str, Any]) -> dict[str, Any]:
    found = {
        name: info.to_arrow() for name, info in types.items() if isinstance(info, TypeInformation)
    }
    return {name: kind for name, kind in found.items() if kind is not None}


def _shown(given: Any) -> str:
    if isinstance(given, type | pa.Schema | pa.StructType):
        kind = declared_type(given)
        return str(given) if kind is None else show(kind.spec)
    return str(given)


class StateDescriptor:
    """Name and kind of a state; equal by name, kind and functions' identity does not matter.

    Attributes:
        kind: what snapshots record; restoring another kind under the same name is refused.
        name: unique among the states of an operator.
        type_info: type information, a dataclass, NamedTuple, pydantic model, Arrow schema or
            struct, or another annotation; or None.
        ttl_config: how the state expires, or None.
    """

    kind: ClassVar[str] = ""

    def __init__(self, name: str, type_info: Any = None) -> None:
        if not name or type(name) is not str:
            msg = f"a state needs a non-empty name, not {name!r}"
            raise ValueError(msg)
        self.name = name
        self.type_info = type_info
        self.ttl_config: StateTtlConfig | None = None
        self._format: StateFormat | None = None

    def get_name(self) -> str:
        """The name."""
        return self.name

    def enable_time_to_live(self, ttl_config: StateTtlConfig) -> None:
        """Let the state expire: a value, each element of a list, each entry of a map.

        Raises:
            TypeError: ``ttl_config`` is not what ``StateTtlConfig.new_builder(...).build()`` gives.
        """
        given: Any = ttl_config
        if not isinstance(given, StateTtlConfig):
            msg = f"state '{self.name}': expected a StateTtlConfig, not {ttl_config!r}"
            raise TypeError(msg)
        self.ttl_config = given if given.is_enabled() else None
        self._format = None

    @property
    def format(self) -> StateFormat:
        """How values are kept."""
        if self._format is None:
            ttl = None if self.ttl_config is None else self.ttl_config.domain
            key = getattr(self, "key_type_info", None)
            self._format = StateFormat(declared_type(self.type_info), declared_type(key), ttl)
        return self._format

    def type_names(self) -> list[str]:
        """What snapshots record about types, for people who read them."""
        return [] if self.type_info is None else [_shown(self.type_info)]

    def arrow_types(self) -> dict[str, Any]:
        """Declared types of the value and, of a map, of its keys, where Arrow has them."""
        return _known({"value": self.type_info})

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r})"


class ValueStateDescriptor(StateDescriptor):
    """Describes a :class:`ValueState`."""

    kind = "value"

    def __init__(self, name: str, value_type_info: Any = None) -> None:
        super().__init__(name, value_type_info)


class ListStateDescriptor(StateDescriptor):
    """Describes a :class:`ListState`."""

    kind = "list"

    def __init__(self, name: str, elem_type_info: Any = None) -> None:
        super().__init__(name, elem_type_info)

    def arrow_types(self) -> dict[str, Any]:
        """The declared type of the whole list, where Arrow has it."""
        return _known(
            {"value": Types.LIST(self.type_info)}
            if isinstance(self.type_info, TypeInformation)
            else {}
        )


class MapStateDescriptor(StateDescriptor):
    """Describes a :class:`MapState`."""

    kind = "map"

    def __init__(self, name: str, key_type_info: Any = None, value_type_info: Any = None) -> None:
        super().__init__(name, value_type_info)
        self.key_type_info = key_type_info

    def arrow_types(self) -> dict[str, Any]:
        """Declared types of values and map keys, where Arrow has them."""
        return _known({"map_key": self.key_type_info, "value": self.type_info})

    def type_names(self) -> list[str]:
        """What snapshots record about types, for people who read them."""
        known = [self.key_type_info, self.type_info]
        return [] if known == [None, None] else [_shown(info) for info in known]


class ReducingStateDescriptor(StateDescriptor):
    """Describes a :class:`ReducingState`.

    Args:
        name: name of the state.
        reduce_function: an object with ``reduce(a, b)``, or a callable of two values.
        type_info: optional.
    """

    kind = "reducing"

    def __init__(self, name: str, reduce_function: Any, type_info: Any = None) -> None:
        super().__init__(name, type_info)
        reduce = getattr(reduce_function, "reduce", reduce_function)
        if not callable(reduce):
            msg = f"state '{name}' needs a ReduceFunction or a callable of two values"
            raise TypeError(msg)
        self.reduce_function = reduce_function
        self.reduce: Callable[[Any, Any], Any] = reduce

    def get_reduce_function(self) -> Any:
        """The function as given."""
        return self.reduce_function


class AggregatingStateDescriptor(StateDescriptor):
    """Describes an :class:`AggregatingState`.

    Args:
        name: name of the state.
        agg_function: ``create_accumulator()``, ``add(value, accumulator)``,
            ``get_result(accumulator)`` and, for session windows,
            ``merge(accumulator_a, accumulator_b)``.
        state_type_info: type of the accumulator, optional.
    """

    kind = "aggregating"

    def __init__(self, name: str, agg_function: Any, state_type_info: Any = None) -> None:
        super().__init__(name, state_type_info)
        missing = [
            method
            for method in ("create_accumulator", "add", "get_result")
            if not callable(getattr(agg_function, method, None))
        ]
        if missing:
            msg = f"state '{name}' needs an AggregateFunction; {missing[0]}() is missing"
            raise TypeError(msg)
        self.agg_function = agg_function

    def get_agg_function(self) -> Any:
        """The function as given."""
        return self.agg_function
