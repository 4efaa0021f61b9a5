"""Literals of dates, times and intervals, as SQL writes them.

>>> str(date_literal("2020-01-01")), timestamp_literal("2020-01-01 00:00:00.5").type.summary()
('18262', 'TIMESTAMP(1) NOT NULL')
>>> interval_literal("1 02:00:00", "DAY", "SECOND").value
93600000
"""

from __future__ import annotations

import re
from typing import Final

from lesto.sql import types as t
from lesto.sql.casts.parse import read_date, read_time, read_timestamp
from lesto.sql.errors import InvalidPatternError
from lesto.sql.expressions import Literal

_FRACTION: Final = re.compile(r"\.(\d{1,9})\s*$")
_DATE: Final = re.compile(r"\d{4}-\d{1,2}-\d{1,2}$")
_MONTHS: Final = {"YEAR": 12, "QUARTER": 3, "MONTH": 1}
_MILLIS: Final = {
    "WEEK": 604_800_000,
    "DAY": 86_400_000,
    "HOUR": 3_600_000,
    "MINUTE": 60_000,
    "SECOND": 1000,
}
_PARTS: Final = ("DAY", "HOUR", "MINUTE", "SECOND")
#: What stands in front of each part.
_SEPARATORS: Final = {"HOUR": r"\s+", "MINUTE": ":", "SECOND": ":"}


def _malformed(what: str, text: str, form: str) -> InvalidPatternError:
    msg = f"{text!r} is no {what}"
    return InvalidPatternError(msg, remedy=f"write it as {form}")


def date_literal(text: str) -> Literal:
    """``DATE '2020-01-31'``.

    Raises:
        InvalidPatternError: no such date.
    """
    days = read_date(text) if _DATE.match(text.strip()) else None
    if days is None:
        msg = "date"
        raise _malformed(msg, text, "DATE '2020-01-31'")
    return Literal(days, t.DATE().not_null())


def time_literal(text: str) -> Literal:
    """``TIME '10:00:00.5'``; its precision is that of the text.

    Raises:
        InvalidPatternError: no such time.
    """
    millis = read_time(text)
    if millis is None or ":" not in text:
        msg = "time"
        raise _malformed(msg, text, "TIME '23:59:59'")
    fraction = _FRACTION.search(text)
    return Literal(millis, t.TIME(len(fraction[1]) if fraction else 0).not_null())


def timestamp_literal(text: str) -> Literal:
    """``TIMESTAMP '2020-01-31 10:00:00.123'``; its precision is that of the text.

    Raises:
        InvalidPatternError: no such time.
    """
    fraction = _FRACTION.search(text)
    kind = t.TIMESTAMP(len(fraction[1]) if fraction else 0)
    ticks = read_timestamp(text.strip(), kind) if ":" in text else None
    if ticks is None:
        msg = "timestamp"
        raise _malformed(msg, text, "TIMESTAMP '2020-01-31 23:59:59'")
    return Literal(ticks, kind.not_null())


def interval_literal(text: str, first: str, last: str = "") -> Literal:
    """``INTERVAL '1 10:00' DAY TO MINUTE``.

    Args:
        text: with a sign, perhaps.
        first: the unit, or the first one of several.
        last: the last one of several.

    Raises:
        InvalidPatternError: the text does not have the units' form.
    """
    first, last = first.upper(), (last or first).upper()
    body = text.strip()
    sign = -1 if body.startswith("-") else 1
    body = body.lstrip("+-").strip()
    name = first if first == last else f"{first} TO {last}"
    if first in _MONTHS and last in _MONTHS:
        value = _months(body, first, last)
        kind = t.INTERVAL_YEAR_MONTH()
    else:
        value = _millis(body, first, last)
        kind = t.INTERVAL_DAY_TIME()
    if value is None:
        msg = f"interval of {name}"
        raise _malformed(msg, text, "INTERVAL '1 10:30:00' DAY TO SECOND")
    return Literal(sign * value, kind.not_null())


def _months(body: str, first: str, last: str) -> int | None:
    if first == last:
        return int(body) * _MONTHS[first] if body.isdigit() else None
    match = re.match(r"(\d+)-(\d{1,2})$", body)
    return int(match[1]) * 12 + int(match[2]) if match and first == "YEAR" else None


def _millis(body: str, first: str, last: str) -> int | None:
    if first == "WEEK" == last:
        return int(body) * _MILLIS["WEEK"] if body.isdigit() else None
    if first not in _PARTS or last not in _PARTS[_PARTS.index(first) :]:
        return None
    units = _PARTS[_PARTS.index(first) : _PARTS.index(last) + 1]
    pattern = "".join(
        (_SEPARATORS[unit] if i else "")
        + (r"(\d+)" if unit != "SECOND" else r"(\d+(?:\.\d{1,9})?)")
        for i, unit in enumerate(units)
    )
    match = re.match(pattern + "$", body)
    if match is None:
        return None
    total = 0
    for unit, part in zip(units, match.groups(), strict=True):
        whole, _, fraction = part.partition(".")
        total += int(whole) * _MILLIS[unit] + int(f"{fraction:0<3}"[:3])
    return total
