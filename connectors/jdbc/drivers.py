"""Python's drivers of databases, by JDBC URLs."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from lesto.connectors.errors import ConnectorConfigError, MissingExtraError
from lesto.connectors.jdbc.options import JdbcConnectionOptions

#: Longest that a connection may take to open, in seconds.
CONNECT_SECONDS_MAX: Final = 15
#: Longest that SQLite waits for another writer, in seconds.
LOCK_SECONDS_MAX: Final = 30
#: Texts, identifiers and comments, in which a question mark is no parameter; or one that is.
_TOKEN: Final = re.compile(r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|--[^\n]*|/\*.*?\*/|\?|%", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Driver:
    """A database that is connected to.

    Attributes:
        kind: ``postgresql`` or ``sqlite``.
        place: what the driver takes: a URL or a path.
        user: who logs in.
        password: the password.
    """

    kind: str
    place: str
    user: str | None
    password: str | None

    def library(self) -> Any:
        """The driver's module.

        Raises:
            MissingExtraError: it is not installed.
        """
        if self.kind == "sqlite":
            import sqlite3

            return sqlite3
        try:
            import psycopg
        except ImportError as error:
            msg = "PostgreSQL needs the package psycopg, which is not installed"
            raise MissingExtraError(msg, remedy="pip install 'lesto[postgres]'") from error
        return psycopg

    def connect(self) -> Any:
        """A connection that commits when told to."""
        library = self.library()
        if self.kind == "sqlite":
            return library.connect(self.place, timeout=LOCK_SECONDS_MAX)
        login = {"user": self.user, "password": self.password}
        given = {name: value for name, value in login.items() if value is not None}
        return library.connect(self.place, connect_timeout=CONNECT_SECONDS_MAX, **given)

    def statement(self, sql: str) -> str:
        """SQL with JDBC's question marks as the driver has its parameters.

        >>> Driver("postgresql", "", None, None).statement("select '?%' where a = ?")
        "select '?%%' where a = %s"
        """
        if self.kind == "sqlite":
            return sql
        return _TOKEN.sub(lambda match: _as_psycopg(match[0]), sql)

    def is_passing(self, error: Exception) -> bool:
        """Whether trying again may help: the database is away or busy, not against the data."""
        library = self.library()
        return isinstance(error, library.OperationalError | library.InterfaceError)


def _as_psycopg(token: str) -> str:
    return "%s" if token == "?" else token.replace("%", "%%")


def parameters_of(sql: str) -> int:
    """How many question marks of a statement are parameters.

    >>> parameters_of("insert into t values (?, '?', ?)  -- ?")
    2
    """
    found: Sequence[str] = _TOKEN.findall(sql)
    return found.count("?")


def driver_of(options: JdbcConnectionOptions) -> Driver:
    """The driver that a URL names.

    Raises:
        ConnectorConfigError: it names none that is there.
    """
    kind, _, rest = options.url.removeprefix("jdbc:").partition(":")
    if kind == "postgresql":
        return Driver(kind, f"postgresql:{rest}", options.user_name, options.password)
    if kind == "sqlite" and rest:
        return Driver(kind, rest, None, None)
    msg = f"there is no driver for the database '{options.url}'"
    raise ConnectorConfigError(
        msg, remedy="jdbc:postgresql://host:port/database and jdbc:sqlite:path are there"
    )
