"""Options of a configuration, as in ``pyflink.common.config_options``."""

from __future__ import annotations

from typing import Any, Generic, TypeVar

from lesto.common.option_types import ConfigOption

__all__ = ["ConfigOption", "ConfigOptions"]

T = TypeVar("T")


class ConfigOptions:
    """Builds options of a program's own, or names those of Lesto by their keys.

    >>> option = ConfigOptions.key("application.limit").int_type().default_value(100)
    >>> option.key, option.default
    ('application.limit', 100)
    """

    @staticmethod
    def key(key: str) -> ConfigOptions.OptionBuilder:
        """Start with the key."""
        return ConfigOptions.OptionBuilder(key)

    class OptionBuilder:
        """An option whose type is to be said."""

        def __init__(self, key: str) -> None:
            self._key = key

        def boolean_type(self) -> ConfigOptions.TypedConfigOptionBuilder[bool]:
            """``bool``."""
            return ConfigOptions.TypedConfigOptionBuilder(self._key, bool)

        def int_type(self) -> ConfigOptions.TypedConfigOptionBuilder[int]:
            """``int``."""
            return ConfigOptions.TypedConfigOptionBuilder(self._key, int)

        def long_type(self) -> ConfigOptions.TypedConfigOptionBuilder[int]:
            """``int``."""
            return ConfigOptions.TypedConfigOptionBuilder(self._key, int)

        def float_type(self) -> ConfigOptions.TypedConfigOptionBuilder[float]:
            """``float``."""
            return ConfigOptions.TypedConfigOptionBuilder(self._key, float)

        def double_type(self) -> ConfigOptions.TypedConfigOptionBuilder[float]:
            """``float``."""
            return ConfigOptions.TypedConfigOptionBuilder(self._key, float)

        def string_type(self) -> ConfigOptions.TypedConfigOptionBuilder[str]:
            """``str``."""
            return ConfigOptions.TypedConfigOptionBuilder(self._key, str)

    class TypedConfigOptionBuilder(Generic[T]):
        """An option whose default is to be said."""

        def __init__(self, key: str, kind: type[T]) -> None:
            self._key = key
            self._kind = kind

        def default_value(self, value: T) -> ConfigOption[T]:
            """The option, with a default."""
            return ConfigOption(self._key, self._kind, value, "")

        def no_default_value(self) -> ConfigOption[Any]:
            """The option; None when nothing sets it."""
            return ConfigOption(self._key, self._kind, None, "")
