"""A configuration: typed values by key, each with where it came from.

>>> from datetime import timedelta
>>> from lesto.common import options
>>> config = Configuration.from_dict({"execution.checkpointing.interval": "2 s"})
>>> config.get(options.CHECKPOINTING_INTERVAL)
datetime.timedelta(seconds=2)
>>> config.set("execution.checkpointing.intervall", "2 s")
Traceback (most recent call last):
    ...
lesto.common.option_types.UnknownOptionError: LESTO-1001: unknown option 'execution.checkpointing.\
intervall' (did you mean 'execution.checkpointing.interval'?)
  what to do: Correct the key, or list the valid ones with `lesto config show`.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from collections.abc import Set as KeySet
from dataclasses import dataclass
from typing import Any, TypeVar

from lesto.common.checking import is_a
from lesto.common.errors import did_you_mean
from lesto.common.option_types import (
    ConfigOption,
    InvalidOptionError,
    MemorySize,
    UnknownOptionError,
    UnsupportedOptionError,
    format_value,
)
from lesto.common.options import (
    FIXED,
    IGNORED_PREFIXES,
    UNSUPPORTED,
    known_aliases,
    known_options,
)

__all__ = [
    "ConfigOption",
    "Configuration",
    "InvalidOptionError",
    "MemorySize",
    "ResolvedValue",
    "UnknownOptionError",
    "UnsupportedOptionError",
    "find_option",
]

T = TypeVar("T")
REDACTED = "******"


@dataclass(frozen=True, slots=True)
class ResolvedValue:
    """An option's value and origin, for people; secrets are redacted."""

    key: str
    value: str | None
    origin: str


def find_option(key: str) -> ConfigOption[Any]:
    """Return the option that a key or an older key of Flink names.

    Raises:
        UnknownOptionError: there is none; names the nearest.
        UnsupportedOptionError: it asks for something of Flink's that Lesto does not do.
    """
    option = known_options().get(key) or known_aliases().get(key)
    if option is None:
        _refuse_unsupported(key)
        near = did_you_mean(key, (*known_options(), *known_aliases(), *FIXED))
        msg = f"unknown option '{key}'{near}"
        raise UnknownOptionError(
            msg,
            remedy="Correct the key, or list the valid ones with `lesto config show`.",
        )
    return option


def _refuse_unsupported(key: str) -> None:
    for name, why in UNSUPPORTED.items():
        if key == name or (name.endswith(".") and key.startswith(name)):
            msg = f"option '{key}' is not supported: {why}"
            raise UnsupportedOptionError(msg, remedy="Remove it.")


class Configuration:
    """Typed option values. Reading an option that is not set gives its default.

    Not thread-safe while it is changed; copy it with ``Configuration(other)``.
    """

    def __init__(self, other: Configuration | None = None) -> None:
        if other is not None and not is_a(other, Configuration):
            msg = "Configuration(...) copies another; write Configuration.from_dict({...})"
            raise TypeError(msg)
        self._values: dict[str, Any] = dict(other._values) if other else {}
        self._origins: dict[str, str] = dict(other._origins) if other else {}

    # ------------------------------------------------------------------------------ typed access

    def get(self, option: ConfigOption[T]) -> T:
        """Return the option's value, or its default."""
        value: T = self._values.get(option.key, option.default)
        return value

    def set(
        self, option: ConfigOption[Any] | str, value: Any, *, origin: str = "set by code"
    ) -> None:
        """Set an option from text or a Python value.

        A key of Flink that means nothing here is accepted with a warning.

        Raises:
            UnknownOptionError: no such option.
            InvalidOptionError: the value does not fit.
        """
        if isinstance(option, str):
            if option in FIXED and option not in known_options():
                _check_fixed(option, value)
                return
            if _is_ignored(option):
                warnings.warn(
                    f"option '{option}' is Flink's and has no meaning in Lesto: ignored",
                    IgnoredOptionWarning,
                    stacklevel=2,
                )
                return
            option = find_option(option)
        self._values[option.key] = option.parse(value)
        self._origins[option.key] = origin

    def contains(self, option: ConfigOption[Any] | str) -> bool:
        """Return whether the option is set (a default does not count)."""
        key = option if isinstance(option, str) else option.key
        alias = known_aliases().get(key)
        return (alias.key if alias else key) in self._values

    def remove(self, option: ConfigOption[Any] | str) -> bool:
        """Unset an option; return whether it was set."""
        key = option if isinstance(option, str) else option.key
        self._origins.pop(key, None)
        return self._values.pop(key, _MISSING) is not _MISSING

    def origin(self, option: ConfigOption[Any]) -> str:
        """Return where the value came from: a file and line, a variable, ``-D``, or ``default``."""
        return self._origins.get(option.key, "default")

    # ---------------------------------------------------------------------------------- as a whole

    @classmethod
    def from_dict(cls, map: Mapping[str, Any], *, origin: str = "set by code") -> Configuration:
        """Build one from keys and texts (or Python values).

        Raises:
            UnknownOptionError: a key is unknown.
            InvalidOptionError: a value does not fit.
        """
        config = cls()
        for key, value in map.items():
            config.set(key, value, origin=origin)
        return config

    def to_dict(self, *, redact: bool = False) -> dict[str, str]:
        """Return the set options as texts that ``from_dict`` reads back; defaults are left out."""
        return {key: self._text(key, redact=redact) for key in self._values}

    def merge(self, other: Configuration) -> Configuration:
        """Return a new configuration where the other's values win."""
        merged = Configuration(self)
        merged.add_all(other)
        return merged

    def add_all(self, other: Configuration, prefix: str | None = None) -> Configuration:
        """Take over every value the other has set; return self.

        Args:
            other: the other.
            prefix: put before each of its keys.
        """
        if prefix is not None:
            for key in other._values:
                self.set(prefix + key, other._values[key], origin=other._origins[key])
            return self
        self._values.update(other._values)
        self._origins.update(other._origins)
        return self

    def add_all_to_dict(self, target_dict: dict[str, Any]) -> None:
        """Put every value that is set into a dict, as text."""
        target_dict.update(self.to_dict())

    def resolved(self) -> Iterator[ResolvedValue]:
        """Yield every known option with its effective value and origin; secrets redacted."""
        for key, option in known_options().items():
            if key in self._values:
                yield ResolvedValue(key, self._text(key, redact=True), self._origins[key])
            else:
                default = option.default
                text = None if default is None else format_value(default)
                yield ResolvedValue(key, text, "default")

    def _text(self, key: str, *, redact: bool) -> str:
        if redact and known_options()[key].secret:
            return REDACTED
        return format_value(self._values[key])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Configuration) and self._values == other._values

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Configuration({self.to_dict(redact=True)})"

    # ----------------------------------------------------------------------- PyFlink's spelling

    def get_string(self, key: str, default_value: str) -> str:
        """Return the value as text, or ``default_value`` when it is not set."""
        option = find_option(key)
        return format_value(self._values[option.key]) if self.contains(option) else default_value

    def set_string(self, key: str, value: str) -> Configuration:
        """Set an option from text; return self."""
        self.set(key, value)
        return self

    def get_integer(self, key: str, default_value: int) -> int:
        """Return a whole-number value, or ``default_value`` when it is not set."""
        return int(self._get(key, default_value))

    def set_integer(self, key: str, value: int) -> Configuration:
        """Set an option from a number; return self."""
        return self.set_string(key, str(int(value)))

    def get_float(self, key: str, default_value: float) -> float:
        """Return a number, or ``default_value`` when it is not set."""
        return float(self._get(key, default_value))

    def set_float(self, key: str, value: float) -> Configuration:
        """Set an option from a number; return self."""
        return self.set_string(key, repr(float(value)))

    def get_boolean(self, key: str, default_value: bool) -> bool:
        """Return a truth value, or ``default_value`` when it is not set."""
        return bool(self._get(key, default_value))

    def set_boolean(self, key: str, value: bool) -> Configuration:
        """Set an option to true or false; return self."""
        return self.set_string(key, "true" if value else "false")

    def get_bytearray(self, key: str, default_value: bytearray) -> bytearray:
        """Return the bytes of a value's text, or ``default_value`` when it is not set."""
        option = find_option(key)
        if not self.contains(option):
            return default_value
        return bytearray(format_value(self._values[option.key]), "utf-8")

    def set_bytearray(self, key: str, value: bytearray) -> Configuration:
        """Set an option from the bytes of its text; return self."""
        return self.set_string(key, bytes(value).decode())

    @staticmethod
    def parse_list_value(value: str) -> list[str]:
        """Read a list as Flink writes it: ``a;b``, or as YAML.

        >>> Configuration.parse_list_value("a;b"), Configuration.parse_list_value("[a, b]")
        (['a', 'b'], ['a', 'b'])
        """
        if not value:
            return []
        import yaml

        read = yaml.safe_load(value)
        return [str(item) for item in read] if isinstance(read, list) else value.split(";")

    def contains_key(self, key: str) -> bool:
        """Return whether the option is set."""
        return self.contains(key)

    def remove_config(self, key: str) -> bool:
        """Unset an option; return whether it was set."""
        return self.remove(key)

    def key_set(self) -> KeySet[str]:
        """Return the keys that are set."""
        return self._values.keys()

    def _get(self, key: str, default: Any) -> Any:
        return self._values.get(find_option(key).key, default)


class IgnoredOptionWarning(UserWarning):
    """A key of Flink that Lesto accepts and does not use."""


_MISSING = object()


def _check_fixed(key: str, value: Any) -> None:
    """A key of Flink's SQL that is no option here: a warning, or an error if results depend on it.

    Raises:
        UnsupportedOptionError: the value asks for what Lesto does not do.
    """
    accepted, why = FIXED[key]
    if not accepted:
        warnings.warn(
            f"option '{key}' is Flink's and without effect in Lesto: {why}",
            IgnoredOptionWarning,
            stacklevel=3,
        )
    elif str(value).strip().lower() not in accepted:
        msg = f"option '{key}' cannot be '{value}': {why}"
        raise UnsupportedOptionError(msg, remedy=f"leave it at '{accepted[0]}'")


def _is_ignored(key: str) -> bool:
    return key.startswith(IGNORED_PREFIXES) and key not in known_options()
