"""Calling users' functions: plain callables or objects with PyFlink's methods."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from lesto.common.errors import LestoError
from lesto.common.user_frames import user_frames
from lesto.taskmanager.operators.errors import (
    InvalidFunctionError,
    InvalidResultError,
    UserFunctionError,
)

#: Hexadecimal digits that tell one record from another.
DIGEST_DIGITS = 16


def bound_method(function: Any, method: str) -> Callable[..., Any]:
    """The method of a function object, or the callable itself.

    Raises:
        InvalidFunctionError: the object has no such method and cannot be called.
    """
    found = getattr(function, method, None)
    if callable(found):
        return found  # type: ignore[no-any-return]
    if callable(function):
        return function  # type: ignore[no-any-return]
    msg = f"{function!r} has no method {method!r} and cannot be called"
    raise InvalidFunctionError(msg, remedy=f"give a callable or an object with a method {method!r}")


def function_name(function: Any) -> str:
    """A name a user recognises: the qualified name of the function or of its class."""
    name = getattr(function, "__qualname__", None)
    return name if isinstance(name, str) else type(function).__qualname__


def open_function(function: Any, runtime_context: Any, operator: str) -> None:
    """Call ``open(runtime_context)`` if the function has it."""
    method = getattr(function, "open", None)
    if callable(method) and not isinstance(function, type):
        with user_errors(operator, f"{function_name(function)}.open"):
            method(runtime_context)


def close_function(function: Any, operator: str) -> None:
    """Call ``close()`` if the function has it."""
    method = getattr(function, "close", None)
    if callable(method) and not isinstance(function, type):
        with user_errors(operator, f"{function_name(function)}.close"):
            method()


@contextmanager
def user_errors(operator: str, function: str) -> Iterator[None]:
    """Turn an exception of user code into a UserFunctionError; not for the per-row loop."""
    try:
        yield
    except LestoError:
        raise
    except Exception as error:
        raise function_error(operator, function, error) from error


def function_error(
    operator: str,
    function: str,
    error: Exception,
    record_index: int | None = None,
    *,
    iterates: bool = False,
) -> Exception:
    """The error to raise for an exception of user code; the engine's own stay as they are.

    Args:
        operator: the operator's name.
        function: the function's name.
        error: what was raised.
        record_index: index of the record in its batch, if one was being processed.
        iterates: what the function gives is iterated over, so it may be that which raised.
    """
    if isinstance(error, LestoError):
        return error
    if iterates and isinstance(error, TypeError) and str(error).endswith("is not iterable"):
        frames, _ = user_frames(error.__traceback__)
        if not frames:
            msg = f"{function} of operator {operator!r} returned what cannot be iterated: {error}"
            return InvalidResultError(
                msg,
                remedy="yield the results or return a list of them (None for no result);"
                " for exactly one result a record there is map",
            )
    return UserFunctionError(operator, function, error, record_index)


def row_error(
    operator: str,
    function: str,
    error: Exception,
    rows: Iterator[Any],
    total: int,
    *,
    iterates: bool = False,
) -> Exception:
    """The error to raise for an exception in a per-row loop.

    Args:
        operator: the operator's name.
        function: the function's name.
        error: what was raised.
        rows: the list iterator the loop ran over; what it has left tells which row failed, so the
            loop itself does not count.
        total: rows in the batch.
        iterates: see ``function_error``.
    """
    row = current_row(rows, total)
    made = function_error(operator, function, error, row, iterates=iterates)
    if isinstance(made, UserFunctionError) and not isinstance(error, OSError):
        # An OSError is the world's fault: another system is down, and will be up again.
        made.record_digest = _digest(rows, row)
    return made


def _digest(rows: Iterator[Any], row: int) -> str:
    """Tells a record from others without showing it; empty when it has no text of its own."""
    values = rows.__reduce__()[1][0]  # the list that a list iterator is over
    try:
        text = repr(values[row])
    except Exception:  # noqa: BLE001 - the record's own code
        return ""
    return hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()[:DIGEST_DIGITS]


def current_row(rows: Iterator[Any], total: int) -> int:
    """Index of the row that a loop over a list iterator is at."""
    left: int = rows.__length_hint__()  # type: ignore[attr-defined]
    return total - left - 1
