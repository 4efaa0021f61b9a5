"""Durations and instants.

Wherever a duration is taken, ``Duration``, ``Time``, ``timedelta``, ``"10s"`` and whole
milliseconds do.
"""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from lesto.common.checking import is_a

_NANOS: Final = {
    "ns": 1,
    "nano": 1,
    "us": 1_000,
    "µs": 1_000,
    "micro": 1_000,
    "ms": 1_000_000,
    "milli": 1_000_000,
    "s": 1_000_000_000,
    "sec": 1_000_000_000,
    "second": 1_000_000_000,
    "min": 60_000_000_000,
    "m": 60_000_000_000,
    "minute": 60_000_000_000,
    "h": 3_600_000_000_000,
    "hour": 3_600_000_000_000,
    "d": 86_400_000_000_000,
    "day": 86_400_000_000_000,
}
_PART: Final = re.compile(r"(\d+(?:\.\d+)?)\s*([a-zµ]+)")


class TimeDomain(enum.Enum):
    """Which clock fired a timer."""

    EVENT_TIME = 0
    PROCESSING_TIME = 1


@dataclass(frozen=True, slots=True, order=True)
class Duration:
    """A length of time.

    Attributes:
        nanos: its nanoseconds.
    """

    nanos: int

    @staticmethod
    def of_days(days: float) -> Duration:
        """Days of 24 hours."""
        return Duration(round(days * _NANOS["d"]))

    @staticmethod
    def of_hours(hours: float) -> Duration:
        """Hours."""
        return Duration(round(hours * _NANOS["h"]))

    @staticmethod
    def of_minutes(minutes: float) -> Duration:
        """Minutes."""
        return Duration(round(minutes * _NANOS["min"]))

    @staticmethod
    def of_seconds(seconds: float) -> Duration:
        """Seconds."""
        return Duration(round(seconds * _NANOS["s"]))

    @staticmethod
    def of_millis(millis: float) -> Duration:
        """Milliseconds."""
        return Duration(round(millis * _NANOS["ms"]))

    @staticmethod
    def of_nanos(nanos: int) -> Duration:
        """Nanoseconds."""
        return Duration(nanos)

    @staticmethod
    def parse(text: str) -> Duration:
        """Read "10s", "1 min 30 s", "250ms". Raises ValueError for anything else.

        >>> Duration.parse("1min 30s").to_millis()
        90000
        """
        parts = _PART.findall(text.lower())
        if not parts or _PART.sub("", text.lower()).strip():
            msg = f"not a duration: '{text}' (write for example '10s', '5 min', '250ms')"
            raise ValueError(msg)
        total = 0
        for number, unit in parts:
            nanos = _NANOS.get(unit) or _NANOS.get(unit.rstrip("s"))
            if nanos is None:
                msg = f"unknown unit '{unit}' in the duration '{text}' (units: ns us ms s min h d)"
                raise ValueError(msg)
            total += round(float(number) * nanos)
        return Duration(total)

    def to_millis(self) -> int:
        """Whole milliseconds, rounded down."""
        return self.nanos // 1_000_000

    def to_timedelta(self) -> timedelta:
        """As a ``timedelta`` (microseconds)."""
        return timedelta(microseconds=self.nanos // 1_000)

    def __str__(self) -> str:
        return f"{self.nanos / 1_000_000:g}ms"


@dataclass(frozen=True, slots=True, order=True, init=False)
class Time:
    """A length of time in milliseconds, as window sizes take it."""

    _milliseconds: int

    def __init__(self, milliseconds: int) -> None:
        object.__setattr__(self, "_milliseconds", milliseconds)

    def to_milliseconds(self) -> int:
        """Its milliseconds."""
        return self._milliseconds

    # Flink's Time is both a value and its factories; the names below are PyFlink's.
    @staticmethod
    def milliseconds(milliseconds: int) -> Time:
        """Milliseconds."""
        return Time(int(milliseconds))

    @staticmethod
    def seconds(seconds: float) -> Time:
        """Seconds."""
        return Time(round(seconds * 1_000))

    @staticmethod
    def minutes(minutes: float) -> Time:
        """Minutes."""
        return Time(round(minutes * 60_000))

    @staticmethod
    def hours(hours: float) -> Time:
        """Hours."""
        return Time(round(hours * 3_600_000))

    @staticmethod
    def days(days: float) -> Time:
        """Days of 24 hours."""
        return Time(round(days * 86_400_000))


@dataclass(frozen=True, slots=True, order=True)
class Instant:
    """A point in time: seconds and nanoseconds since the epoch."""

    seconds: int
    nanos: int = 0

    @staticmethod
    def of_epoch_milli(epoch_milli: int) -> Instant:
        """From milliseconds since the epoch."""
        return Instant(epoch_milli // 1_000, epoch_milli % 1_000 * 1_000_000)

    def to_epoch_milli(self) -> int:
        """Milliseconds since the epoch."""
        return self.seconds * 1_000 + self.nanos // 1_000_000

    def to_datetime(self) -> datetime:
        """In UTC, to microseconds."""
        return datetime.fromtimestamp(self.seconds, UTC) + timedelta(
            microseconds=self.nanos // 1_000
        )


DurationLike = Duration | Time | timedelta | str | int


def duration_ms(value: DurationLike, what: str = "duration") -> int:
    """Milliseconds of anything that states a duration.

    Raises:
        TypeError: it states none.
        ValueError: an unreadable text, or a negative duration.

    >>> duration_ms("10s"), duration_ms(Time.minutes(1)), duration_ms(250)
    (10000, 60000, 250)
    """
    match value:
        case int() if not is_a(value, bool):
            result = value
        case str():
            result = Duration.parse(value).to_millis()
        case Duration():
            result = value.to_millis()
        case Time():
            result = value.to_milliseconds()
        case timedelta():
            result = value // timedelta(milliseconds=1)
        case _:
            msg = (
                f"{what}: expected a Duration, Time, timedelta, text such as '10s' or milliseconds,"
                f" not {value!r}"
            )
            raise TypeError(msg)
    if result < 0:
        msg = f"{what}: a duration is not negative: {value!r}"
        raise ValueError(msg)
    return result


def signed_duration_ms(value: DurationLike, what: str = "duration") -> int:
    """As :func:`duration_ms`, but it may be negative, as text with a minus before it.

    >>> signed_duration_ms("-10s"), signed_duration_ms(Time.seconds(-2)), signed_duration_ms(5)
    (-10000, -2000, 5)
    """
    match value:
        case str() if value.lstrip().startswith("-"):
            return -duration_ms(value.lstrip()[1:], what)
        case int() if not is_a(value, bool):
            return value
        case Duration():
            return value.to_millis()
        case Time():
            return value.to_milliseconds()
        case timedelta():
            return value // timedelta(milliseconds=1)
        case _:
            return duration_ms(value, what)
