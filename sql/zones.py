"""Time zones: between instants and local times, column-wise."""

from __future__ import annotations

import datetime as dt
import functools
import re
import zoneinfo
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from lesto.sql.errors import SqlEvaluationError
from lesto.sql.values import Value

_OFFSET: Final = re.compile(r"(?:(?:UTC|GMT|UT)?([+-])(\d{1,2})(?::?(\d{2}))?)$")
_UTC: Final = frozenset({"UTC", "GMT", "Z", "UT", "Etc/UTC", "Etc/GMT", "Zulu", "UCT"})
#: Java's three-letter names that IANA does not have.
_SHORT: Final = {
    "PST": "America/Los_Angeles",
    "EST": "-05:00",
    "MST": "-07:00",
    "HST": "-10:00",
    "CST": "America/Chicago",
    "CET": "Europe/Paris",
    "JST": "Asia/Tokyo",
    "IST": "Asia/Kolkata",
    "CTT": "Asia/Shanghai",
    "PRC": "Asia/Shanghai",
    "ECT": "Europe/Paris",
}


class UnknownTimeZoneError(SqlEvaluationError):
    """A name is no time zone."""

    code = "LESTO-6213"


@functools.lru_cache(maxsize=256)
def resolve(name: str) -> int | str:
    """Milliseconds east of UTC of a fixed zone, or the IANA name.

    >>> resolve("GMT+08:00"), resolve("Europe/Berlin"), resolve("Z")
    (28800000, 'Europe/Berlin', 0)

    Raises:
        UnknownTimeZoneError: neither.
    """
    if name in _UTC:
        return 0
    name = _SHORT.get(name, name)
    match = _OFFSET.match(name)
    if match:
        minutes = int(match[2]) * 60 + int(match[3] or 0)
        return (minutes if match[1] == "+" else -minutes) * 60_000
    try:
        zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError) as cause:
        msg = f"{name!r} is no time zone"
        raise UnknownTimeZoneError(
            msg, remedy="write a name such as Europe/Berlin or an offset such as GMT+08:00"
        ) from cause
    return name


def to_local(instants: Value, zone: str) -> Value:
    """TIMESTAMP_LTZ (timestamps of UTC) to what a clock in the zone shows, without zone."""
    found = resolve(zone)
    unit = instants.type.unit
    plain = pa.timestamp(unit)
    if found == 0:
        return pc.cast(instants, plain) if instants.type.tz else instants
    if isinstance(found, int):
        shift = pa.scalar(dt.timedelta(milliseconds=found), pa.duration(unit))
        return pc.add(pc.cast(instants, plain), shift)
    zoned = pc.cast(instants, pa.timestamp(unit, found))
    return pc.local_timestamp(zoned)


def to_instant(local: Value, zone: str) -> Value:
    """Local times to TIMESTAMP_LTZ; of a time that occurs twice, the first.

    A time that a clock skips is moved on by what was skipped, as java.time does.
    """
    found = resolve(zone)
    unit = local.type.unit
    utc = pa.timestamp(unit, "UTC")
    if found == 0:
        return pc.assume_timezone(local, "UTC")
    if isinstance(found, int):
        shift = pa.scalar(dt.timedelta(milliseconds=-found), pa.duration(unit))
        return pc.assume_timezone(pc.add(local, shift), "UTC")
    try:
        zoned = pc.assume_timezone(local, found, ambiguous="earliest", nonexistent="raise")
    except pa.ArrowInvalid:
        zoned = _through_gaps(local, found)
    return pc.cast(zoned, utc)


def _through_gaps(local: Value, zone: str) -> Value:
    late = pc.assume_timezone(local, zone, ambiguous="earliest", nonexistent="latest")
    skipped = pc.not_equal(pc.local_timestamp(late), local)
    # The offset before the gap is that of the day before: no zone has two gaps a day.
    day = pa.scalar(dt.timedelta(days=1), pa.duration(local.type.unit))
    before = pc.assume_timezone(
        pc.subtract(local, day), zone, ambiguous="earliest", nonexistent="earliest"
    )
    return pc.if_else(skipped, pc.add(before, day), late)
