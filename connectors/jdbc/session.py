"""A connection that is made when it is needed, and what is tried again while a database is away."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Final, TypeVar

from lesto.connectors.errors import ConnectorError, DatabaseError, DatabaseRefusedError
from lesto.connectors.jdbc.drivers import Driver

T = TypeVar("T")

#: Before a try is repeated, in seconds; twice as long each time, and at the longest.
RETRY_SECONDS: Final = 0.1
RETRY_SECONDS_MAX: Final = 2.0


class Session:
    """Runs work on a database in transactions.

    Args:
        driver: of the database.
        retries: how often work is tried again.
    """

    def __init__(self, driver: Driver, retries: int) -> None:
        self._driver = driver
        self._retries = retries
        self._connection: Any = None

    def run(self, work: Callable[[Any], T], what: str) -> T:
        """Do work with a cursor and commit.

        Args:
            work: may be called again from the start.
            what: for messages: the statement.

        Raises:
            DatabaseError: the database is away.
            DatabaseRefusedError: it refuses the statement or the values.
        """
        failure: Exception | None = None
        for tried in range(self._retries + 1):
            if tried:
                time.sleep(min(RETRY_SECONDS * 2 ** (tried - 1), RETRY_SECONDS_MAX))
            try:
                if self._connection is None:
                    self._connection = self._driver.connect()
                found = work(self._connection.cursor())
                self._connection.commit()
            except self._driver.library().Error as error:
                failure = error
                self.close()
                if not self._driver.is_passing(error):
                    break
            else:
                return found
        assert failure is not None, "there is at least one try"
        raise named(self._driver, failure, what) from failure

    def close(self) -> None:
        """Close the connection."""
        connection, self._connection = self._connection, None
        if connection is not None:
            try:
                connection.close()
            except self._driver.library().Error:
                return  # it was broken: that is why it is given up


def named(driver: Driver, failure: Exception, what: str) -> ConnectorError:
    """A driver's error as one of ours."""
    text = str(failure).strip().split("\n", 1)[0]
    if driver.is_passing(failure):
        msg = f"the database '{driver.place}' does not do it: {text}: {what}"
        return DatabaseError(msg, remedy="see whether it runs, can be reached, and has the table")
    msg = f"the database refuses: {text}: {what}"
    return DatabaseRefusedError(msg, remedy="compare the table's columns with the database's")
