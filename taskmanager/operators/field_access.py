"""Reading a field or a key from every record of a batch, at C speed where the records allow it."""

from __future__ import annotations

from collections.abc import Callable
from itertools import repeat
from typing import Any

from lesto.common.keys import KeySpec
from lesto.common.row import Row, field_getter
from lesto.kernels.scalar import hash_value
from lesto.taskmanager.operators.errors import UnusableKeyError
from lesto.taskmanager.operators.user_functions import bound_method

_item_of = list.__getitem__


def column(values: list[Any], field: int | str) -> list[Any]:
    """One field of each record (Row, tuple, list, dict or object), by position or name."""
    if not values:
        return []
    if len(kinds := {*map(type, values)}) == 1:
        first = values[0]
        if isinstance(first, Row):
            index = first._index.get(field) if isinstance(field, str) else field
            if index is not None:
                return [*map(_item_of, values, repeat(index))]
        if isinstance(field, str) and kinds == {dict}:
            return [value[field] for value in values]
    return [*map(field_getter(field), values)]


def unusable_key(key: Any) -> UnusableKeyError | None:
    """The error to raise where a value cannot be a key: it is not hashable, or its hash differs
    between processes; else None.
    """
    try:
        hash_value(key)
        hash(key)
    except TypeError as error:
        cause = str(error).partition(";")[0]
        return UnusableKeyError(
            f"the key selector gave {key!r:.80}: {cause}",
            remedy="give str, bytes, int, float, Decimal, date, time or a tuple of them",
        )
    return None


def key_function(key: KeySpec) -> Callable[[list[Any]], list[Any]]:
    """A function from the records of a batch to their keys.

    One key column gives its values, several give tuples, a selector (a callable or an object with
    ``get_key``) what it returns.

    It raises UnusableKeyError where the first key cannot be one.
    """
    if key.selector is not None:
        select = bound_method(key.selector, "get_key")
        checked = False

        def selected(values: list[Any]) -> list[Any]:
            nonlocal checked
            keys = [*map(select, values)]
            if not checked and keys:
                checked = True  # the first tells the kind; the others are judged where they go
                if error := unusable_key(keys[0]):
                    raise error
            return keys

        return selected
    if len(key.columns) == 1:
        (name,) = key.columns
        return lambda values: column(values, name)
    return lambda values: [*zip(*(column(values, name) for name in key.columns), strict=True)]
