"""Calling users' code: opening it once, and errors that show the user's frames first."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from operator import length_hint
from typing import Any

import pyarrow as pa

from lesto.common.errors import LestoError
from lesto.sql.errors import InvalidUserResultError, UserSqlFunctionError
from lesto.sql.types import SqlType
from lesto.sql.users.functions import FunctionContext
from lesto.sql.users.values import from_python

_REMEDY = "correct the code at that line"


class UserCall:
    """A user's function with the types of one call; pickled with it.

    Args:
        name: as the query calls it.
        function: the user's object, or a plain callable.
        arguments: types the columns have.
        result: type of the values, or of a row of results.
        deterministic: whether equal arguments give equal results.
    """

    def __init__(
        self,
        name: str,
        function: Any,
        arguments: Sequence[SqlType],
        result: SqlType,
        *,
        deterministic: bool = True,
    ) -> None:
        self.name = name
        self.function = function
        self.arguments = tuple(arguments)
        self.result = result
        self.deterministic = deterministic
        self._runtime: Any = None
        self._opened = False

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_opened": False, "_runtime": None}

    def __repr__(self) -> str:
        return f"{self.name}({', '.join(map(str, self.arguments))})"

    def attach(self, runtime: Any) -> None:
        """Say where the function runs: an operator does so for all it has, at setup.

        Args:
            runtime: the operator's runtime context.
        """
        self._runtime = runtime

    def open(self) -> None:
        """Call the user's ``open``, once; the first call of the function does so at the latest."""
        if self._opened:
            return
        self._opened = True
        method = getattr(self.function, "open", None)
        if callable(method) and not isinstance(self.function, type):
            try:
                method(FunctionContext(self._runtime))
            except Exception as error:
                raise self.failure(error, "open") from error

    def close(self) -> None:
        """Call the user's ``close``."""
        if not self._opened:
            return
        self._opened = False
        method = getattr(self.function, "close", None)
        if callable(method) and not isinstance(self.function, type):
            try:
                method()
            except Exception as error:
                raise self.failure(error, "close") from error

    # ------------------------------------------------------------------ for the kinds of functions

    def method(self, *names: str) -> Callable[..., Any]:
        """The first of these methods that the object has, or the callable itself."""
        for name in names:
            found = getattr(self.function, name, None)
            if callable(found):
                return found  # type: ignore[no-any-return]
        return self.function  # type: ignore[no-any-return]

    def failure(self, error: Exception, method: str, row: int | None = None) -> Exception:
        """The error for an exception of a method; see :func:`failed`."""
        return failed(f"{self.name}.{method}", error, row)

    def column(self, values: Sequence[Any]) -> pa.Array:
        """Results as a column.

        Raises:
            InvalidUserResultError: a value is not of the result type.
        """
        return column_of(self.name, values, self.result)


def failed(name: str, error: Exception, row: int | None = None) -> Exception:
    """The error for an exception of user code; the engine's own stay as they are."""
    if isinstance(error, LestoError):
        return error
    at = "" if row is None else f", row {row} of its batch"
    message = f"{name} failed{at}: {type(error).__name__}: {error}"
    return UserSqlFunctionError(message, remedy=_REMEDY)


def column_of(name: str, values: Sequence[Any], kind: SqlType) -> pa.Array:
    """Results of a function as a column; see :meth:`UserCall.column`."""
    try:
        return from_python(values, kind)
    except Exception as error:
        raise _unfit(name, values, kind, error) from error


def _unfit(
    name: str, values: Sequence[Any], kind: SqlType, error: Exception
) -> InvalidUserResultError:
    wrong = next((v for v in values if not _fits(v, kind)), None)
    message = (
        f"{name} returned {wrong!r:.100} ({type(wrong).__name__}), and its result type is"
        f" {kind.with_nullable(True)}"
    )
    if wrong is None:
        message = f"the results of {name} are not of its result type {kind}: {error}"
    return InvalidUserResultError(
        message, remedy="return values of the declared type, or declare another result_type"
    )


def _fits(value: Any, kind: SqlType) -> bool:
    try:
        from_python([value], kind)
    except Exception:  # noqa: BLE001 - looking for the value that does not
        return False
    return True


def rows_in(lists: Sequence[list[Any]], rows: int) -> Iterator[tuple[Any, ...]]:
    """The arguments of each row."""
    return iter(zip(*lists, strict=True)) if lists else iter([()] * rows)


def applied(name: str, call: Callable[..., Any], lists: Sequence[list[Any]], rows: int) -> Any:
    """A call a row; an error tells which row.

    Raises:
        UserSqlFunctionError: the function raised.
    """
    if not lists:
        return applied(name, lambda _: call(), [[None] * rows], rows)
    first = iter(lists[0])
    others: Iterable[Any] = lists[1:]
    try:
        return list(map(call, first, *others))
    except Exception as error:
        raise failed(name, error, rows - length_hint(first) - 1) from error
