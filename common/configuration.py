"""Configuration, under PyFlink's module name. See :mod:`lesto.common.config`."""

from lesto.common.config import ConfigOption, Configuration
from lesto.common.config_options import ConfigOptions

__all__ = ["ConfigOption", "ConfigOptions", "Configuration"]
