"""Configuration, under PyFlink's module name. See :mod:`lesto.common.config`."""

from lesto.common.config import ConfigOption, Configuration

__all__ = ["ConfigOption", "Configuration"]
