"""Java's patterns of dates and times: writing columns by them, and reading.

Letters: y u Y (year), Q, M L, w, d, D, E, a, H k K h, m, s, S, G, and when reading X x Z z (zone).

>>> date_pattern("yyyy-MM-dd").format(pa.array([1_600_000_000_000], pa.timestamp("ms"))).to_pylist()
['2020-09-13']
>>> date_pattern("d MMM yyyy").read("13 Sep 2020").seconds
1599955200
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lesto.sql import dates, zones
from lesto.sql.errors import InvalidPatternError
from lesto.sql.values import ints

_MONTHS: Final = [
    *("January", "February", "March", "April", "May", "June", "July"),
    *("August", "September", "October", "November", "December"),
]
_DAYS: Final = [
    *("Monday", "Tuesday", "Wednesday", "Thursday"),
    *("Friday", "Saturday", "Sunday"),
]
_LETTERS: Final = frozenset("GyuYQqMLwdDEaHkKhmsSXxZz")
_ZONES: Final = frozenset("XxZz")
#: Letters whose numbers have as many digits as letters.
_NUMERIC: Final = frozenset("yudDHkKhmsS")
_MAX_WIDTH: Final = {"y": 4, "u": 4, "S": 9, "D": 3}
#: Seconds of which a letter shows no part.
_GRAIN: Final = {"H": 3600, "k": 3600, "K": 3600, "h": 3600, "a": 3600, "m": 60, "s": 1}
_ZONE: Final = r"Z|[A-Z]{2,4}(?:[+-]\d{1,2}:\d{2})?|[+-]\d{2}(?::?\d{2})?|[A-Z][a-z]+/\w+"


@dataclass(frozen=True, slots=True)
class _Token:
    letter: str  # "" for text
    count: int
    text: str = ""

    @property
    def fixed(self) -> int:
        """Digits, if it always has so many; else 0."""
        if self.letter == "M":
            return 2 if self.count == 2 else 0
        if self.letter in {"y", "u"}:
            return self.count if self.count in {2, 4} else 0
        if self.letter == "S":
            return self.count if self.count <= 9 else 0
        if self.letter in _NUMERIC and self.count > 1:
            return self.count if self.count <= _MAX_WIDTH.get(self.letter, 2) else 0
        return 0

    @property
    def numeric(self) -> bool:
        return self.letter in _NUMERIC or (self.letter in "ML" and 0 < self.count < 3)


@dataclass(frozen=True, slots=True)
class Moment:
    """What was read: seconds since 1970 on the clock that was written, nanoseconds, and the zone.

    Attributes:
        seconds: of the local time.
        nanos: within the second.
        zone: as written, None if none was.
    """

    seconds: int
    nanos: int
    zone: str | None


class DatePattern:
    """A compiled pattern."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._tokens = _tokens(text)
        self._grain = min((_grain(x) for x in self._tokens), default=86_400_000_000_000)
        self._strict: re.Pattern[str] | None = None
        self._lenient: re.Pattern[str] | None = None

    # writing -------------------------------------------------------------------------------------

    def format(self, local: pa.Array) -> pa.Array:
        """Texts of timestamps without zone; NULL stays NULL."""
        if any(x.letter in _ZONES for x in self._tokens):
            msg = f"the pattern {self.text!r} has a zone, which a local time does not have"
            raise InvalidPatternError(msg, remedy="leave out X, x, Z and z")
        unit = local.type.unit
        numbers = ints(local)
        if local.null_count:
            numbers = np.where(np.asarray(pc.is_null(local)), 0, numbers)
        grain = max(1, self._grain * dates.TICKS[unit] // 1_000_000_000)
        found = dates.by_distinct(numbers // grain, lambda some: self._render(some * grain, unit))
        if local.null_count == 0:
            return found
        return pc.if_else(pc.is_valid(local), found, pa.scalar(None, pa.string()))

    def _render(self, numbers: dates.Ints, unit: str) -> pa.Array:
        if all(not x.letter or x.fixed for x in self._tokens):
            days, ticks = dates.fields_of(numbers, unit)
            fields = _fields(days, ticks, dates.TICKS[unit])
            year = fields["y"]
            if len(year) == 0 or (year.min() >= 0 and year.max() <= 9999):
                return dates.fixed_width(
                    [self._part(x, fields) for x in self._tokens], len(numbers)
                )
        return dates.by_unique(numbers, lambda x: self.format_one(x, unit))

    def _part(self, x: _Token, fields: dict[str, dates.Ints]) -> tuple[dates.Ints, int] | bytes:
        if not x.letter:
            return x.text.encode()
        values = fields[x.letter]
        if x.letter == "S":
            values = values // 10 ** (9 - x.count)
        elif x.letter in {"y", "u"} and x.count == 2:
            values = values % 100
        return values, x.fixed

    def format_one(self, ticks: int, unit: str) -> str:
        """The text of one timestamp, in ticks since 1970."""
        days, rest = dates.fields_of(np.array([ticks]), unit)
        fields = {k: int(v[0]) for k, v in _fields(days, rest, dates.TICKS[unit]).items()}
        return "".join(_text_of(x, fields, int(days[0])) for x in self._tokens)

    # reading -------------------------------------------------------------------------------------

    def read(self, text: str, *, lenient: bool = False) -> Moment | None:
        """Read a text; None if it does not have the pattern's form.

        Args:
            text: the whole of it must match, or its beginning if ``lenient``.
            lenient: like java.text.SimpleDateFormat: any number of digits, and numbers beyond
                their range count on (the 32nd is the 1st).
        """
        if lenient:
            if self._lenient is None:
                self._lenient = re.compile(self._regex(lenient=True), re.IGNORECASE)
            match = self._lenient.match(text)
        else:
            if self._strict is None:
                self._strict = re.compile(self._regex(lenient=False), re.IGNORECASE)
            match = self._strict.fullmatch(text)
        if match is None:
            return None
        found: dict[str, int] = {}
        zone = None
        for x, part in zip([x for x in self._tokens if x.letter], match.groups(), strict=True):
            if x.letter in _ZONES:
                zone = part
            else:
                value = _value_of(x, part)
                if value is None:
                    return None
                found[x.letter] = value
        return _moment(found, zone, lenient)

    def _regex(self, *, lenient: bool) -> str:
        out: list[str] = []
        for i, x in enumerate(self._tokens):
            following = self._tokens[i + 1] if i + 1 < len(self._tokens) else None
            adjacent = following is not None and following.numeric
            out.append(re.escape(x.text) if not x.letter else _token_regex(x, adjacent, lenient))
        return "".join(out)

    def read_column(self, texts: pa.Array, kind: pa.DataType) -> pa.Array | None:
        """Timestamps of a column of which every text has fixed digits; else None."""
        if (
            texts.null_count
            or len(texts) < 8
            or not all(not x.letter or (x.fixed and x.letter in "yuMdHmsS") for x in self._tokens)
        ):
            return None
        width = sum(x.fixed if x.letter else len(x.text.encode()) for x in self._tokens)
        block = dates.digit_columns(texts, width)
        if block is None:
            return None
        parts = {"y": 1970, "M": 1, "d": 1, "H": 0, "m": 0, "s": 0, "S": 0}
        fields: dict[str, Any] = {k: np.full(len(texts), v, np.int64) for k, v in parts.items()}
        good = np.ones(len(texts), bool)
        at = 0
        for x in self._tokens:
            if not x.letter:
                raw = np.frombuffer(x.text.encode(), np.uint8)
                good &= (block[:, at : at + len(raw)] == raw).all(axis=1)
                at += len(raw)
                continue
            value, digits = dates.number_at(block, at, x.fixed)
            good &= digits
            fields["y" if x.letter == "u" else x.letter] = _widened(x, value)
            at += x.fixed
        return _timestamps(fields, good, kind)


def _widened(x: _Token, value: dates.Ints) -> dates.Ints:
    if x.letter == "S":
        nanos: dates.Ints = value * 10 ** (9 - x.count)
        return nanos
    return value + 2000 if x.letter in {"y", "u"} and x.count == 2 else value


def _timestamps(fields: dict[str, Any], good: Any, kind: pa.DataType) -> pa.Array | None:
    year, month, day = fields["y"], fields["M"], fields["d"]
    good &= (month >= 1) & (month <= 12) & (day >= 1) & (year >= 1)
    good &= (fields["H"] < 24) & (fields["m"] < 60) & (fields["s"] < 60)
    if not good.all() or (day > dates.month_length(year, month)).any():
        return None
    seconds = dates.days_of(year, month, day) * 86_400
    seconds += fields["H"] * 3600 + fields["m"] * 60 + fields["s"]
    per_second = dates.TICKS[kind.unit]
    ticks = seconds * per_second + fields["S"] // (1_000_000_000 // per_second)
    return pa.array(ticks).view(kind)


def _tokens(pattern: str) -> list[_Token]:
    found: list[_Token] = []
    i = 0
    while i < len(pattern):
        c = pattern[i]
        if c == "'":
            end = pattern.find("'", i + 1)
            if end < 0:
                msg = f"the date pattern {pattern!r} has an open quote"
                raise InvalidPatternError(msg, remedy="close it, or write '' for a quote")
            found.append(_Token("", 0, pattern[i + 1 : end] or "'"))
            i = end + 1
        elif c.isascii() and c.isalpha():
            count = len(pattern[i:]) - len(pattern[i:].lstrip(c))
            if c not in _LETTERS:
                msg = f"the date pattern {pattern!r} has the letter {c!r}"
                letters = " ".join(sorted(_LETTERS))
                raise InvalidPatternError(msg, remedy=f"quote it, or write one of {letters}")
            found.append(_Token("M" if c == "L" else c, count))
            i += count
        else:
            found.append(_Token("", 0, c))
            i += 1
    return found


def _grain(x: _Token) -> int:
    if x.letter == "S":
        return int(10 ** max(0, 9 - x.count))
    return _GRAIN.get(x.letter, 86_400) * 1_000_000_000


def _fields(days: dates.Ints, ticks: dates.Ints, per_second: int) -> dict[str, dates.Ints]:
    year, month, day = dates.civil(days)
    seconds = ticks // per_second
    hour = seconds // 3600
    first = dates.days_of(year, np.ones_like(year), np.ones_like(year))
    return {
        "y": year,
        "u": year,
        "M": month,
        "d": day,
        "D": days - first + 1,
        "H": hour,
        "k": np.where(hour == 0, 24, hour),
        "K": hour % 12,
        "h": (hour + 11) % 12 + 1,
        "m": seconds // 60 % 60,
        "s": seconds % 60,
        "S": (ticks % per_second) * (1_000_000_000 // per_second),
    }


def _text_of(x: _Token, fields: dict[str, int], days: int) -> str:
    n = x.count
    match x.letter:
        case "":
            return x.text
        case "G":
            return "AD" if fields["y"] > 0 else "BC"
        case "y" | "u" if n == 2:
            return f"{fields['y'] % 100:02}"
        case "M" if n >= 3:
            name = _MONTHS[fields["M"] - 1]
            return name if n > 3 else name[:3]
        case "E":
            name = _DAYS[(days + 3) % 7]
            return name if n > 3 else name[:3]
        case "a":
            return "AM" if fields["H"] < 12 else "PM"
        case "Q" | "q":
            return f"{(fields['M'] + 2) // 3:0{n}}"
        case "w" | "Y":
            year, week = dates.us_week(np.array([days]))
            return f"{int((week if x.letter == 'w' else year)[0]):0{n}}"
        case "S":
            return f"{fields['S']:09}".ljust(n, "0")[:n]
        case letter:
            return f"{fields[letter]:0{n}}"


def _token_regex(x: _Token, adjacent: bool, lenient: bool) -> str:
    if x.letter in _ZONES:
        return f"({_ZONE})"
    if x.letter == "a":
        return "(AM|PM)"
    if x.letter == "G":
        return "(AD|BC)"
    if x.letter == "E":
        return "([A-Za-z]+)"
    if x.letter == "M" and x.count >= 3:
        return "([A-Za-z]+)"
    if adjacent:
        return rf"(\d{{{x.count}}})"
    if lenient:
        return r"\s*(-?\d+)"
    if x.letter in {"y", "u"}:
        return r"(\d{4})" if x.count == 4 else rf"(\d{{{x.count}}})" if x.count == 2 else r"(\d+)"
    return rf"(\d{{{x.count}}})" if x.count > 1 or x.letter == "S" else r"(\d{1,2})"


def _value_of(x: _Token, part: str) -> int | None:
    match x.letter:
        case "a":
            return int(part.upper() == "PM")
        case "G":
            return int(part.upper() == "AD")
        case "E":
            return _named(_DAYS, part)
        case "M" if x.count >= 3:
            return _named(_MONTHS, part)
        case "S":
            return int(f"{part:0<9}"[:9])
        case "y" | "u" if x.count == 2 and len(part) == 2:
            return 2000 + int(part)
    return int(part)


def _named(names: list[str], part: str) -> int | None:
    short = part.lower()
    for i, name in enumerate(names):
        if short in {name.lower(), name[:3].lower()}:
            return i + 1
    return None


def _moment(found: dict[str, int], zone: str | None, lenient: bool) -> Moment | None:
    year = found.get("y", found.get("u", 1970))
    month, day = found.get("M", 1), found.get("d", found.get("D", 1))
    hour = found.get("H", found.get("k", -1))
    if hour == 24 and "k" in found:
        hour = 0
    if hour < 0:
        half = found.get("h", found.get("K", 0)) % 12
        hour = half + 12 * found.get("a", 0)
    minute, second, nanos = found.get("m", 0), found.get("s", 0), found.get("S", 0)
    if lenient:
        year, month = year + (month - 1) // 12, (month - 1) % 12 + 1
    elif not (1 <= month <= 12 and 1 <= day <= 31 and hour < 24 and minute < 60 and second < 60):
        return None
    if not 1 <= year <= 9999:
        return None
    one = np.array([1])
    if not lenient and "d" in found:
        day = min(day, int(dates.month_length(one * year, one * month)[0]))
    days = int(dates.days_of(one * year, one * month, one)[0]) + day - 1
    return Moment(((days * 24 + hour) * 60 + minute) * 60 + second, nanos, zone)


@functools.lru_cache(maxsize=256)
def date_pattern(text: str) -> DatePattern:
    """Compile a pattern.

    Raises:
        InvalidPatternError: a letter that Java or Lesto does not have, an open quote.
    """
    return DatePattern(text)


def to_epoch_seconds(moment: Moment, zone: str) -> int:
    """The instant of a moment: in the zone it names, else in the given one."""
    naive = pa.scalar(moment.seconds, pa.timestamp("s"))
    instant = zones.to_instant(naive, moment.zone or zone)
    return int(instant.cast(pa.int64()).as_py())
