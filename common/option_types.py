"""What a configuration option is, and how its values are read from and written as text.

A value is written as Flink writes it (``10 s``, ``256 kb``, ``EXACTLY_ONCE``, ``a;b``); a bare
number is milliseconds for a duration and bytes for a size.

>>> from datetime import timedelta
>>> parse_duration("5min")
datetime.timedelta(seconds=300)
>>> parse_memory_size("256 kb")
262144
>>> format_value(timedelta(seconds=10)), format_value(MemorySize(262144)), format_value(True)
('10 s', '256 kb', 'true')
"""

from __future__ import annotations

import difflib
import enum
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Generic, TypeVar

from lesto.common.errors import Domain, LestoError, did_you_mean

T = TypeVar("T")


class UnknownOptionError(LestoError):
    """A configuration key that Lesto does not know."""

    code = "LESTO-1001"
    domain = Domain.USER
    retryable = False


class InvalidOptionError(LestoError):
    """A configuration value that cannot be read as its option's type, or is out of range."""

    code = "LESTO-1002"
    domain = Domain.USER
    retryable = False


class UnsupportedOptionError(LestoError):
    """A configuration key of Flink for something that Lesto does not do."""

    code = "LESTO-1005"
    domain = Domain.USER
    retryable = False


class MemorySize(int):
    """A number of bytes."""


@dataclass(frozen=True, slots=True)
class ConfigOption(Generic[T]):
    """One configuration option.

    Attributes:
        key: Flink's key where Flink has the option.
        type: ``str``, ``int``, ``float``, ``bool``, ``timedelta``, ``MemorySize``, an ``Enum``
            class, ``list`` (of text) or ``dict`` (text to text).
        default: value when nothing sets it; None: unset.
        description: one or two sentences for docs/configuration.md.
        aliases: older keys of Flink that still set it.
        minimum: smallest accepted value (numbers, durations, sizes).
        maximum: largest accepted value.
        choices: accepted texts, for ``str`` options with a fixed set.
        secret: never shown; ``******`` in listings, logs and REST.
    """

    key: str
    type: Any
    default: T
    description: str
    aliases: tuple[str, ...] = ()
    minimum: Any = None
    maximum: Any = None
    choices: tuple[str, ...] = ()
    secret: bool = False

    def parse(self, value: Any) -> T:
        """Turn text or a Python value into the option's type.

        Raises:
            InvalidOptionError: it is not one, or is out of range.
        """
        try:
            parsed = _parse(self.type, value)
            self._check_range(parsed)
        except (ValueError, TypeError, OverflowError) as error:
            shown = "******" if self.secret else repr(value)
            why = "" if self.secret else f": {error}"
            msg = f"option '{self.key}' cannot be {shown}{why}"
            raise InvalidOptionError(msg, remedy=f"Give {self.accepted()}.") from None
        result: T = parsed
        return result

    def accepted(self) -> str:
        """Say in words what a value looks like."""
        limits = []
        if self.minimum is not None:
            limits.append(f"at least {format_value(self.minimum)}")
        if self.maximum is not None:
            limits.append(f"at most {format_value(self.maximum)}")
        suffix = f", {' and '.join(limits)}" if limits else ""
        if self.choices:
            return "one of " + ", ".join(self.choices)
        return describe_type(self.type) + suffix

    def _check_range(self, value: Any) -> None:
        if self.minimum is not None and value < self.minimum:
            msg = f"below the minimum {format_value(self.minimum)}"
            raise ValueError(msg)
        if self.maximum is not None and value > self.maximum:
            msg = f"above the maximum {format_value(self.maximum)}"
            raise ValueError(msg)
        if self.choices and value not in self.choices:
            msg = f"not one of the choices{did_you_mean(str(value), self.choices)}"
            raise ValueError(msg)


# ---------------------------------------------------------------------------------------- parse

_DURATION = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([a-zµμ]*)\s*", re.IGNORECASE)
_ISO_DURATION = re.compile(
    r"P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?)?", re.IGNORECASE
)
_MICROSECONDS = {
    **dict.fromkeys(("d", "day", "days"), 86_400_000_000.0),
    **dict.fromkeys(("h", "hour", "hours"), 3_600_000_000.0),
    **dict.fromkeys(("m", "min", "minute", "minutes"), 60_000_000.0),
    **dict.fromkeys(("s", "sec", "second", "seconds"), 1_000_000.0),
    **dict.fromkeys(("", "ms", "milli", "millis", "millisecond", "milliseconds"), 1_000.0),
    **dict.fromkeys(("us", "µs", "μs", "micro", "micros", "microsecond", "microseconds"), 1.0),
    **dict.fromkeys(("ns", "nano", "nanos", "nanosecond", "nanoseconds"), 0.001),
}
_BYTES = {
    **dict.fromkeys(("", "b", "byte", "bytes"), 1),
    **dict.fromkeys(("k", "kb", "kib", "kibibytes"), 1 << 10),
    **dict.fromkeys(("m", "mb", "mib", "mebibytes"), 1 << 20),
    **dict.fromkeys(("g", "gb", "gib", "gibibytes"), 1 << 30),
    **dict.fromkeys(("t", "tb", "tib", "tebibytes"), 1 << 40),
}


def parse_duration(value: str | float | timedelta) -> timedelta:
    """Read a duration: ``10 s``, ``5min``, ``1.5 h``, ``PT10S``; a bare number is milliseconds.

    Raises:
        ValueError: it is not a duration.
    """
    if isinstance(value, timedelta):
        return value
    if isinstance(value, bool):
        msg = "a duration is not true or false"
        raise ValueError(msg)
    text = str(value)
    if text.strip().upper().startswith("P"):
        return _parse_iso_duration(text.strip())
    match = _DURATION.fullmatch(text)
    if not match:
        msg = "not a number followed by a unit"
        raise ValueError(msg)
    factor = _MICROSECONDS.get(match[2].lower())
    if factor is None:
        msg = f"unknown unit of time '{match[2]}'{did_you_mean(match[2], _MICROSECONDS)}"
        raise ValueError(msg)
    return timedelta(microseconds=float(match[1]) * factor)


def _parse_iso_duration(text: str) -> timedelta:
    match = _ISO_DURATION.fullmatch(text)
    if not match or not any(match.groups()):
        msg = "not an ISO 8601 duration such as PT10S"
        raise ValueError(msg)
    days, hours, minutes, seconds = (float(part or 0) for part in match.groups())
    return timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)


def parse_memory_size(value: str | int) -> MemorySize:
    """Read a size in bytes: ``256 kb``, ``1g``, ``64mib``; units are powers of 1024.

    Raises:
        ValueError: it is not a size.
    """
    if isinstance(value, bool):
        msg = "a size is not true or false"
        raise ValueError(msg)
    if isinstance(value, int):
        return MemorySize(value)
    match = re.fullmatch(r"\s*([0-9]+)\s*([a-z]*)\s*", str(value), re.IGNORECASE)
    factor = _BYTES.get(match[2].lower()) if match else None
    if not match or factor is None:
        msg = "not a whole number followed by b, kb, mb, gb or tb"
        raise ValueError(msg)
    return MemorySize(int(match[1]) * factor)


def _parse_bool(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    text = str(value).strip().lower()
    if text in {"true", "yes", "on"}:
        return True
    if text in {"false", "no", "off"}:
        return False
    msg = "neither true nor false"
    raise ValueError(msg)


def _parse_enum(cls: type[enum.Enum], value: Any) -> enum.Enum:
    if isinstance(value, cls):
        return value
    wanted = _enum_text(str(value))
    for member in cls:
        if wanted in {_enum_text(member.name), _enum_text(str(member.value))}:
            return member
    texts = {_enum_text(str(member.value)): str(member.value) for member in cls}
    near = difflib.get_close_matches(wanted, texts, n=1)
    hint = f" (did you mean '{texts[near[0]]}'?)" if near else ""
    msg = f"not one of its values{hint}"
    raise ValueError(msg)


def _enum_text(text: str) -> str:
    return text.strip().lower().replace("-", "_")


def _parse_list(value: Any) -> list[str]:
    if isinstance(value, str):
        return [part.strip() for part in re.split(r"[;,]", value) if part.strip()]
    if isinstance(value, Sequence):
        return [str(part) for part in value]
    msg = "not a list"
    raise ValueError(msg)


def _parse_dict(value: Any) -> dict[str, str]:
    if isinstance(value, Mapping):
        return {str(key): str(item) for key, item in value.items()}
    result = {}
    for part in _parse_list(value):
        key, colon, item = part.partition(":")
        if not colon:
            msg = f"'{part}' is not key:value"
            raise ValueError(msg)
        result[key.strip()] = item.strip()
    return result


def _parse_int(value: Any) -> int:
    if isinstance(value, bool) or (isinstance(value, float) and not value.is_integer()):
        msg = "not a whole number"
        raise ValueError(msg)
    try:
        return int(value)
    except ValueError:
        msg = "not a whole number"
        raise ValueError(msg) from None


def _parse_float(value: Any) -> float:
    try:
        number = float(value)
    except ValueError:
        msg = "not a number"
        raise ValueError(msg) from None
    if isinstance(value, bool) or not math.isfinite(number):
        msg = "not a finite number"
        raise ValueError(msg)
    return number


def _parse_str(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


_PARSERS: dict[Any, Any] = {
    str: _parse_str,
    int: _parse_int,
    float: _parse_float,
    bool: _parse_bool,
    timedelta: parse_duration,
    MemorySize: parse_memory_size,
    list: _parse_list,
    dict: _parse_dict,
}


def _parse(kind: Any, value: Any) -> Any:
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return _parse_enum(kind, value)
    return _PARSERS[kind](value)


# --------------------------------------------------------------------------------------- format


def format_duration(value: timedelta) -> str:
    """Write a duration with its largest whole unit.

    >>> format_duration(timedelta(milliseconds=1500))
    '1500 ms'
    """
    micros = round(value / timedelta(microseconds=1))
    for unit, size in (("d", 86_400_000_000), ("h", 3_600_000_000), ("min", 60_000_000)):
        if micros and micros % size == 0:
            return f"{micros // size} {unit}"
    if micros and micros % 1_000_000 == 0:
        return f"{micros // 1_000_000} s"
    if micros % 1_000 == 0:
        return f"{micros // 1_000} ms"
    return f"{micros} us"


def format_value(value: Any) -> str:
    """Write a value so that its option reads it back."""
    match value:
        case bool():
            return "true" if value else "false"
        case timedelta():
            return format_duration(value)
        case MemorySize():
            for unit, size in (("tb", 1 << 40), ("gb", 1 << 30), ("mb", 1 << 20), ("kb", 1 << 10)):
                if value and value % size == 0:
                    return f"{value // size} {unit}"
            return f"{int(value)} b"
        case enum.Enum():
            return str(value.value)
        case dict():
            return ",".join(f"{key}:{item}" for key, item in value.items())
        case list() | tuple():
            return ";".join(str(item) for item in value)
        case _:
            return str(value)


def describe_type(kind: Any) -> str:
    """Say what a value of this type looks like, with an example."""
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return "one of " + ", ".join(str(member.value) for member in kind)
    return {
        str: "text",
        int: "a whole number",
        float: "a number",
        bool: "true or false",
        timedelta: "a duration such as '10 s', '5 min' or '200 ms'",
        MemorySize: "a size such as '256 kb' or '1 gb'",
        list: "a list such as 'a;b'",
        dict: "pairs such as 'key1:value1,key2:value2'",
    }[kind]
