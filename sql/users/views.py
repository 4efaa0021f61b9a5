"""Lists and dictionaries within accumulators, by PyFlink's names. They are stored with them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Generic, TypeVar

T = TypeVar("T")
K = TypeVar("K")
V = TypeVar("V")


class DataView:
    """Base of both."""

    def clear(self) -> None:
        """Forget everything."""
        raise NotImplementedError


class ListView(DataView, Generic[T]):
    """A list.

    >>> view = ListView()
    >>> view.add_all([1, 2])
    >>> list(view)
    [1, 2]
    """

    def __init__(self, values: Iterable[T] = ()) -> None:
        self._list = list(values)

    def get(self) -> Iterable[T]:
        """The elements."""
        return self._list

    def add(self, value: T) -> None:
        """Append an element."""
        self._list.append(value)

    def add_all(self, values: Iterable[T]) -> None:
        """Append elements."""
        self._list.extend(values)

    def clear(self) -> None:
        """Forget all."""
        self._list.clear()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ListView) and other._list == self._list

    __hash__ = None  # type: ignore[assignment]

    def __iter__(self) -> Iterator[T]:
        return iter(self._list)


class MapView(DataView, Generic[K, V]):
    """A dictionary."""

    def __init__(self, values: Mapping[K, V] | None = None) -> None:
        self._dict: dict[K, V] = dict(values or {})

    def get(self, key: K) -> V | None:
        """The value of a key; None if there is none."""
        return self._dict.get(key)

    def put(self, key: K, value: V) -> None:
        """Set the value of a key."""
        self._dict[key] = value

    def put_all(self, dict_value: Mapping[K, V]) -> None:
        """Set values of keys."""
        self._dict.update(dict_value)

    def remove(self, key: K) -> None:
        """Forget a key, if it is there."""
        self._dict.pop(key, None)

    def contains(self, key: K) -> bool:
        """Whether a key is there."""
        return key in self._dict

    def items(self) -> Iterable[tuple[K, V]]:
        """Keys and values."""
        return self._dict.items()

    def keys(self) -> Iterable[K]:
        """The keys."""
        return self._dict.keys()

    def values(self) -> Iterable[V]:
        """The values."""
        return self._dict.values()

    def is_empty(self) -> bool:
        """Whether there is no key."""
        return not self._dict

    def clear(self) -> None:
        """Forget all."""
        self._dict.clear()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, MapView) and other._dict == self._dict

    __hash__ = None  # type: ignore[assignment]

    def __getitem__(self, key: K) -> V:
        return self._dict[key]

    def __setitem__(self, key: K, value: V) -> None:
        self._dict[key] = value

    def __delitem__(self, key: K) -> None:
        del self._dict[key]

    def __contains__(self, key: object) -> bool:
        return key in self._dict

    def __iter__(self) -> Iterator[K]:
        return iter(self._dict)
