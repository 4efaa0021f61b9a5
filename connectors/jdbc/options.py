"""Where a database is, and how it is written to, in PyFlink's words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from lesto.connectors.errors import ConnectorConfigError

#: Flink's defaults.
BATCH_ROWS: Final = 5_000
BATCH_INTERVAL_MS: Final = 0
RETRIES_MAX: Final = 3


@dataclass(frozen=True, slots=True)
class JdbcConnectionOptions:
    """Where a database is; made by ``JdbcConnectionOptions.JdbcConnectionOptionsBuilder()``."""

    url: str
    driver_name: str | None = None
    user_name: str | None = None
    password: str | None = None

    def get_db_url(self) -> str:
        """``jdbc:postgresql://host:port/database`` or ``jdbc:sqlite:path``."""
        return self.url

    def get_driver_name(self) -> str | None:
        """The Java class, which is not asked for: the URL tells the driver."""
        return self.driver_name

    def get_user_name(self) -> str | None:
        """Who logs in."""
        return self.user_name

    def get_password(self) -> str | None:
        """The password."""
        return self.password

    def __repr__(self) -> str:
        return f"JdbcConnectionOptions(url={self.url!r}, user_name={self.user_name!r})"

    class JdbcConnectionOptionsBuilder:
        """Flink's builder."""

        def __init__(self) -> None:
            self._url: str | None = None
            self._driver: str | None = None
            self._user: str | None = None
            self._password: str | None = None

        def with_url(self, url: str) -> JdbcConnectionOptions.JdbcConnectionOptionsBuilder:
            """Where the database is."""
            self._url = url
            return self

        def with_driver_name(
            self, driver_name: str
        ) -> JdbcConnectionOptions.JdbcConnectionOptionsBuilder:
            """Flink's Java class; the URL tells the driver here."""
            self._driver = driver_name
            return self

        def with_user_name(
            self, user_name: str
        ) -> JdbcConnectionOptions.JdbcConnectionOptionsBuilder:
            """Who logs in."""
            self._user = user_name
            return self

        def with_password(
            self, password: str
        ) -> JdbcConnectionOptions.JdbcConnectionOptionsBuilder:
            """The password."""
            self._password = password
            return self

        def build(self) -> JdbcConnectionOptions:
            """The options.

            Raises:
                ConnectorConfigError: there is no URL.
            """
            if self._url is None:
                msg = "a database needs its URL"
                raise ConnectorConfigError(
                    msg, remedy="call with_url('jdbc:postgresql://host:5432/database')"
                )
            return JdbcConnectionOptions(self._url, self._driver, self._user, self._password)


@dataclass(frozen=True, slots=True)
class JdbcExecutionOptions:
    """How much is written at a time; made by ``JdbcExecutionOptions.builder()``."""

    batch_size: int = BATCH_ROWS
    batch_interval_ms: int = BATCH_INTERVAL_MS
    max_retries: int = RETRIES_MAX

    def __post_init__(self) -> None:
        if self.batch_size < 1 or self.batch_interval_ms < 0 or self.max_retries < 0:
            msg = f"a batch has records, an interval and retries are not negative: {self}"
            raise ConnectorConfigError(msg)

    def get_batch_size(self) -> int:
        """Records that are written together."""
        return self.batch_size

    def get_batch_interval_ms(self) -> int:
        """Age (ms) at which fewer are written too; 0: at checkpoints."""
        return self.batch_interval_ms

    def get_max_retries(self) -> int:
        """How often a write is tried again before the job fails."""
        return self.max_retries

    @staticmethod
    def defaults() -> JdbcExecutionOptions:
        """Flink's."""
        return JdbcExecutionOptions()

    @staticmethod
    def builder() -> JdbcExecutionOptions.Builder:
        """A builder."""
        return JdbcExecutionOptions.Builder()

    class Builder:
        """Flink's builder."""

        def __init__(self) -> None:
            self._size = BATCH_ROWS
            self._interval = BATCH_INTERVAL_MS
            self._retries = RETRIES_MAX

        def with_batch_size(self, size: int) -> JdbcExecutionOptions.Builder:
            """Records that are written together."""
            self._size = size
            return self

        def with_batch_interval_ms(self, interval_ms: int) -> JdbcExecutionOptions.Builder:
            """Age (ms) at which fewer are written too."""
            self._interval = interval_ms
            return self

        def with_max_retries(self, max_retries: int) -> JdbcExecutionOptions.Builder:
            """How often a write is tried again."""
            self._retries = max_retries
            return self

        def build(self) -> JdbcExecutionOptions:
            """The options."""
            return JdbcExecutionOptions(self._size, self._interval, self._retries)
