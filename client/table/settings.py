"""Settings of a table environment."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from lesto.client.datastream.location import user_location
from lesto.client.datastream.no_meaning import no_meaning
from lesto.client.table.errors import TableProgramError
from lesto.common import options
from lesto.common.checking import is_a
from lesto.common.config import Configuration
from lesto.common.option_types import format_value
from lesto.sql.errors import SqlEvaluationError
from lesto.sql.zones import resolve

_ZONES: Final = "/usr/share/zoneinfo"


class EnvironmentSettings:
    """How a table environment runs: streaming or batch, and its configuration.

    >>> EnvironmentSettings.in_batch_mode().is_streaming_mode()
    False
    """

    class Builder:
        """Builds settings."""

        def __init__(self) -> None:
            self._configuration = Configuration()
            self._streaming = True
            self._catalog = ""
            self._database = ""

        def with_configuration(self, config: Configuration) -> EnvironmentSettings.Builder:
            """Take over the values of a configuration."""
            self._configuration.add_all(config)
            return self

        def in_batch_mode(self) -> EnvironmentSettings.Builder:
            """Input is bounded, and only the final result counts."""
            self._streaming = False
            return self

        def in_streaming_mode(self) -> EnvironmentSettings.Builder:
            """Input may have no end, results are changes."""
            self._streaming = True
            return self

        def with_built_in_catalog_name(
            self, built_in_catalog_name: str
        ) -> EnvironmentSettings.Builder:
            """Name of the catalog there is at first."""
            self._catalog = built_in_catalog_name
            return self

        def with_built_in_database_name(
            self, built_in_database_name: str
        ) -> EnvironmentSettings.Builder:
            """Name of its database."""
            self._database = built_in_database_name
            return self

        def build(self) -> EnvironmentSettings:
            """The settings."""
            mode = (
                options.ExecutionMode.STREAMING if self._streaming else options.ExecutionMode.BATCH
            )
            config = Configuration(self._configuration)
            config.set(options.RUNTIME_MODE, mode)
            if self._catalog:
                config.set(options.TABLE_CATALOG, self._catalog)
            if self._database:
                config.set(options.TABLE_DATABASE, self._database)
            return EnvironmentSettings(config)

    def __init__(self, configuration: Configuration | None = None) -> None:
        self._configuration = Configuration(configuration)

    def get_built_in_catalog_name(self) -> str:
        """Name of the catalog there is at first."""
        return self._configuration.get(options.TABLE_CATALOG)

    def get_built_in_database_name(self) -> str:
        """Name of its database."""
        return self._configuration.get(options.TABLE_DATABASE)

    def is_streaming_mode(self) -> bool:
        """Whether results are changes."""
        return self._configuration.get(options.RUNTIME_MODE) is not options.ExecutionMode.BATCH

    def get_configuration(self) -> Configuration:
        """The configuration."""
        return self._configuration

    @staticmethod
    def new_instance() -> EnvironmentSettings.Builder:
        """A builder."""
        return EnvironmentSettings.Builder()

    @staticmethod
    def in_streaming_mode() -> EnvironmentSettings:
        """Settings of streaming mode."""
        return EnvironmentSettings.Builder().in_streaming_mode().build()

    @staticmethod
    def in_batch_mode() -> EnvironmentSettings:
        """Settings of batch mode."""
        return EnvironmentSettings.Builder().in_batch_mode().build()


class SqlDialect:
    """Dialects of SQL: there is one."""

    DEFAULT = 0
    HIVE = 1


class TableConfig:
    """Options of a table environment; changes of it count for statements that follow.

    Args:
        configuration: that of the environment; by default one of its own.
    """

    def __init__(self, configuration: Configuration | None = None) -> None:
        self._configuration = Configuration() if configuration is None else configuration

    def get(self, key: str, default_value: str | None = None) -> str | None:
        """The value of an option as text."""
        found = self._configuration.to_dict().get(key)
        return default_value if found is None else found

    def set(self, key: str, value: Any) -> TableConfig:
        """Set an option.

        Raises:
            UnknownOptionError: there is none of this key.
            SqlEvaluationError: the session's time zone is none.
        """
        check_zone(key, value)
        self._configuration.set(key, value)
        return self

    def get_local_timezone(self) -> str:
        """The session's time zone."""
        return time_zone(self._configuration)

    def set_local_timezone(self, timezone_id: str) -> None:
        """Set the session's time zone: an IANA name, or GMT+08:00."""
        if not is_a(timezone_id, str):
            msg = f"set_local_timezone takes the name of a zone, not {timezone_id!r}"
            raise TableProgramError(msg, location=user_location())
        resolve(timezone_id)
        self._configuration.set(options.TABLE_LOCAL_TIME_ZONE, timezone_id)

    def set_idle_state_retention(self, duration: timedelta) -> None:
        """How long idle state is kept; 0 for good."""
        self._configuration.set(options.TABLE_STATE_TTL, duration)

    def get_idle_state_retention(self) -> timedelta:
        """How long idle state is kept."""
        return self._configuration.get(options.TABLE_STATE_TTL)

    def get_configuration(self) -> Configuration:
        """The configuration."""
        return self._configuration

    def add_configuration(self, configuration: Configuration) -> None:
        """Take over the values of a configuration."""
        self._configuration.add_all(configuration)

    def to_map(self) -> dict[str, str]:
        """The options that are set, as texts."""
        return self._configuration.to_dict()

    def get_sql_dialect(self) -> int:
        """Always the default one."""
        return SqlDialect.DEFAULT

    def set_sql_dialect(self, sql_dialect: int) -> None:
        """There is the default dialect alone."""
        if sql_dialect != SqlDialect.DEFAULT:
            msg = "there is no dialect but SqlDialect.DEFAULT"
            raise TableProgramError(msg, location=user_location())

    def get_max_generated_code_length(self) -> int:
        """Flink's default: no code is generated."""
        return 4000

    def set_max_generated_code_length(self, max_generated_code_length: int) -> None:
        """Changes nothing: no code is generated."""
        no_meaning("set_max_generated_code_length", "no code is generated")

    def set_python_executable(self, python_exec: str) -> None:
        """Changes nothing: functions run in the TaskManagers' own Python."""
        no_meaning("set_python_executable", "functions run in the Python of the TaskManagers")

    def get_python_executable(self) -> str:
        """The Python that functions run in here."""
        import sys

        return sys.executable

    @staticmethod
    def get_default() -> TableConfig:
        """Options as they are by default."""
        return TableConfig()


def check_zone(key: str, value: object) -> None:
    """Raise at once, not in the first job, when the session's time zone is none."""
    if key == options.TABLE_LOCAL_TIME_ZONE.key and isinstance(value, str) and value != "default":
        resolve(value)


def time_zone(config: Configuration) -> str:
    """The session's time zone: an IANA name or an offset."""
    name = config.get(options.TABLE_LOCAL_TIME_ZONE)
    return machine_zone() if name == "default" else name


def machine_zone() -> str:
    """The machine's time zone; UTC where it cannot be told."""
    name = os.environ.get("TZ", "").lstrip(":")
    if not name:
        target = str(Path("/etc/localtime").resolve())
        name = target.partition(f"{_ZONES}/")[2]
    if not name:
        return "UTC"
    try:
        resolve(name)
    except SqlEvaluationError:
        return "UTC"
    return name


def ttl_ms(config: Configuration) -> int:
    """How long idle state is kept, 0 for good."""
    return config.get(options.TABLE_STATE_TTL) // timedelta(milliseconds=1)


def table_options(config: Configuration) -> dict[str, str]:
    """The options of SQL that are set, as texts."""
    return {k: v for k, v in config.to_dict().items() if k.startswith("table.")}


def is_batch(config: Configuration) -> bool:
    """Whether only the final result counts."""
    return config.get(options.RUNTIME_MODE) is options.ExecutionMode.BATCH


def shown(value: Any) -> str:
    """A value as text, as SET lists it."""
    return str(format_value(value))
