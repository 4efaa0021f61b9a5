"""Checks of arguments that annotations already rule out, for callers without a type checker."""

from __future__ import annotations


def is_a(value: object, *kinds: type) -> bool:
    """``isinstance`` that does not narrow, so that type checkers keep the branch for wrong values.

    >>> is_a("a", str), is_a(3, str, bytes)
    (True, False)
    """
    return isinstance(value, kinds)
