"""How a stream is keyed: by column names or by a selector function."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from operator import attrgetter, itemgetter
from typing import Any


@dataclass(frozen=True, slots=True)
class KeySpec:
    """The key of a stream.

    Exactly one of the two is set. With one column the key is that column's value; with several it
    is the
    tuple of their values, in order.

    Attributes:
        columns: names of the key columns of a stream with a schema.
        selector: callable value -> key, for opaque values.
    """

    columns: tuple[str, ...] = ()
    selector: Callable[[Any], Any] | None = None

    def __post_init__(self) -> None:
        if bool(self.columns) == (self.selector is not None):
            msg = f"a key is either columns or a selector, not {self!r}"
            raise ValueError(msg)

    def row_function(self) -> Callable[[Any], Any]:
        """A function from one record (a Row or any object with these fields) to its key.

        >>> KeySpec(selector=len).row_function()("abc")
        3
        >>> KeySpec(columns=("a", "b")).row_function()({"a": 1, "b": 2})
        (1, 2)
        """
        if self.selector is not None:
            return self.selector
        by_item = itemgetter(*self.columns)
        by_attribute = attrgetter(*self.columns)

        def key_of(record: Any) -> Any:
            return by_item(record) if hasattr(record, "__getitem__") else by_attribute(record)

        return key_of


@dataclass(frozen=True, slots=True)
class FieldKeySelector:
    """Selects named fields of opaque records, as a picklable key selector.

    >>> FieldKeySelector(("a",))({"a": 1})
    1
    """

    fields: tuple[str, ...]

    def __call__(self, record: Any) -> Any:
        """The field's value, or the tuple of the fields' values."""
        by_item = hasattr(record, "__getitem__")
        if len(self.fields) == 1:
            return record[self.fields[0]] if by_item else getattr(record, self.fields[0])
        if by_item:
            return tuple(record[name] for name in self.fields)
        return tuple(getattr(record, name) for name in self.fields)
