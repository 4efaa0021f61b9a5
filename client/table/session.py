"""What one table environment works on: its job environment, its catalogs, its options."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lesto.client.table.catalog.manager import CatalogManager
from lesto.client.table.settings import is_batch, time_zone, ttl_ms
from lesto.client.table.sql.planner import Planner
from lesto.common import options
from lesto.common.config import Configuration

if TYPE_CHECKING:
    from lesto.client.datastream.environment import StreamExecutionEnvironment


class Session:
    """Of one table environment.

    Args:
        env: builds and submits jobs; its configuration is the session's.
    """

    def __init__(self, env: StreamExecutionEnvironment) -> None:
        self.env = env
        config = env.get_configuration()
        self.catalogs = CatalogManager(
            config.get(options.TABLE_CATALOG), config.get(options.TABLE_DATABASE)
        )
        self._unnamed = 0

    @property
    def config(self) -> Configuration:
        """The options."""
        return self.env.get_configuration()

    @property
    def planner(self) -> Planner:
        """A planner with the options as they are now."""
        return Planner(self.catalogs, batch=self.batch, ttl_ms=ttl_ms(self.config))

    @property
    def batch(self) -> bool:
        """Whether only the final result counts."""
        return is_batch(self.config)

    @property
    def zone(self) -> str:
        """The time zone."""
        return time_zone(self.config)

    @property
    def width(self) -> int:
        """Characters of a column when printed."""
        return self.config.get(options.TABLE_DISPLAY_WIDTH)

    def new_name(self) -> str:
        """A name for a table that has none."""
        self._unnamed += 1
        return f"UnnamedTable${self._unnamed - 1}"
