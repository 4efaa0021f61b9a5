"""Logs of server processes, as the configuration asks."""

from __future__ import annotations

from lesto.common import options
from lesto.common.config import Configuration
from lesto.common.logs import configure_logging


def set_up_logging(role: str, config: Configuration) -> None:
    """Configure this process's logs from ``log.level`` and ``log.format``."""
    form = config.get(options.LOG_FORMAT)
    json = {"auto": None, "console": False, "json": True}[form]
    configure_logging(role, config.get(options.LOG_LEVEL), json)
