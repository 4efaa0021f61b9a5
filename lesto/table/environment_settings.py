"""Settings. As in ``pyflink.table.environment_settings``."""

from lesto.client.table.settings import EnvironmentSettings

__all__ = ["EnvironmentSettings"]
