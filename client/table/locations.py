"""Errors of calls show the user's line, where there is no text whose place could be shown."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from lesto.client.datastream.location import user_location
from lesto.client.table.errors import SqlError, SqlTypeError
from lesto.sql.errors import SqlExpressionError


@contextmanager
def located() -> Iterator[None]:
    """Errors raised within get the user's ``file:line``."""
    try:
        yield
    except SqlError as error:
        if not error.location:
            message = error.plain if not error.line else error.message
            made = type(error)(message, remedy=error.remedy, location=user_location())
            raise made from error.__cause__
        raise
    except SqlExpressionError as error:
        raise SqlTypeError(error.message, remedy=error.remedy, location=user_location()) from error
