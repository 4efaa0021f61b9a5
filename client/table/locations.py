"""Errors of calls show the user's line, where there is no text whose place could be shown."""

from __future__ import annotations

from types import TracebackType

from lesto.client.datastream.location import user_location
from lesto.client.table.errors import SqlError, SqlTypeError
from lesto.sql.errors import SqlExpressionError


class located:
    """Errors raised within get the user's ``file:line``."""

    def __enter__(self) -> None:
        return None

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if isinstance(error, SqlError) and not error.location:
            message = error.message if error.line else error.plain
            made = type(error)(message, remedy=error.remedy, location=user_location())
            raise made from error.__cause__
        if isinstance(error, SqlExpressionError):
            raise SqlTypeError(
                error.message, remedy=error.remedy, location=user_location()
            ) from error
