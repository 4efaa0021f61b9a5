"""Calls of functions, for the parts of Expression, which Expression itself imports."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lesto.client.table.expression import Expression


def call_of(name: str, *args: Any) -> Expression:
    """A function applied to values or expressions."""
    from lesto.client.table.expression import fn

    return fn(name, *args)


def call_with(name: str, *args: Any) -> Expression:
    """The call without the last arguments that are None: they are left out."""
    return call_of(name, *given(args))


def given(args: tuple[Any, ...]) -> list[Any]:
    """Arguments without the last ones that are None.

    >>> given((1, None, 2, None))
    [1, None, 2]
    """
    found = list(args)
    while found and found[-1] is None:
        found.pop()
    return found
