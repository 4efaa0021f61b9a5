"""Reading a field or a key from every record of a batch, at C speed where the records allow it."""

from __future__ import annotations

from collections.abc import Callable
from itertools import repeat
from typing import Any

from lesto.common.keys import KeySpec
from lesto.common.row import Row, field_getter
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


def key_function(key: KeySpec) -> Callable[[list[Any]], list[Any]]:
    """A function from the records of a batch to their keys.

    One key column gives its values, several give tuples, a selector (a callable or an object with
    ``get_key``) what it returns.
    """
    if key.selector is not None:
        select = bound_method(key.selector, "get_key")
        return lambda values: [*map(select, values)]
    if len(key.columns) == 1:
        (name,) = key.columns
        return lambda values: column(values, name)
    return lambda values: [*zip(*(column(values, name) for name in key.columns), strict=True)]
