"""Times of windows: rows' local times, and how far local time is at a watermark.

Windows are cut in local time: TIMESTAMP columns are local as they are, TIMESTAMP_LTZ ones are what
a clock of the session's zone shows. Where clocks are put back an hour happens twice; its windows
hold the rows of both and end with the second. A skipped hour has no rows, and its windows end with
it.
"""

from __future__ import annotations

import datetime as dt
import zoneinfo
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.types as pat

from lesto.common.elements import MAX_TIMESTAMP, MIN_TIMESTAMP, Timestamps
from lesto.kernels.timestamps import millis
from lesto.sql.zones import resolve, to_instant, to_local

#: Instants (ms) between which Python's calendar works.
_FIRST_MS: Final = -62_000_000_000_000
_LAST_MS: Final = 253_000_000_000_000
_PER_MS: Final = {"ms": 1, "us": 1_000, "ns": 1_000_000}


def timestamps(ms: Timestamps, kind: pa.DataType) -> pa.Array:
    """A timestamp column of milliseconds."""
    ticks = np.ascontiguousarray(ms)
    if kind.unit != "ms":
        ticks = ticks * _PER_MS[kind.unit]
    return pa.Array.from_buffers(kind, len(ticks), [None, pa.py_buffer(ticks)], 0)


class LocalTime:
    """Between event time as watermarks count it and the local time that windows are cut in.

    Args:
        zone: of the session, for TIMESTAMP_LTZ; None if times are local already.

    >>> berlin = LocalTime("Europe/Berlin")
    >>> at = int(dt.datetime(2024, 10, 27, 0, 30, tzinfo=dt.UTC).timestamp() * 1000)  # 2:30, first
    >>> hour = 3_600_000
    >>> berlin.progress(at) == at + 2 * hour - 30 * 60_000 - 1  # two o'clock has yet to come again
    True
    >>> berlin.progress(at + hour) == at + 2 * hour, berlin.due(at + 2 * hour) == at + hour
    (True, True)
    """

    __slots__ = ("_name", "_shift", "_zone")

    def __init__(self, zone: str | None) -> None:
        found = 0 if zone is None else resolve(zone)
        self._name = "" if zone is None else zone
        self._shift = found if isinstance(found, int) else 0
        self._zone = zoneinfo.ZoneInfo(found) if isinstance(found, str) else None

    def of(self, times: pa.Array) -> Timestamps:
        """Local milliseconds of a timestamp column, int64[n]; anything where NULL."""
        if self._zone is not None:
            if times.null_count:
                times = times.fill_null(0)
            return millis(to_local(times, self._name))
        found = millis(times)
        return found + self._shift if self._shift else found

    def at(self, instant: int) -> int:
        """Local milliseconds of an instant."""
        if self._zone is None:
            return instant + self._shift
        return instant + _offset_ms(_moment(instant, self._zone))

    def instants(self, local: Timestamps) -> Timestamps:
        """The instants of local milliseconds, the first if there are two; int64[n]."""
        if self._zone is None:
            return local - self._shift if self._shift else local
        column = timestamps(local, pa.timestamp("ms"))
        return millis(to_instant(column, self._name))

    def progress(self, watermark: int) -> int:
        """The greatest local time of which the watermark says that it has passed for good."""
        if not _FIRST_MS < watermark < _LAST_MS:
            return watermark
        if self._zone is None:
            return watermark + self._shift
        moment = _moment(watermark, self._zone)
        later = moment.replace(fold=1)
        back = _offset_ms(moment) - _offset_ms(later)
        if moment.fold == 1 or back <= 0:
            return watermark + _offset_ms(moment)
        # The clock has yet to be put back, and shows a time that will come again.
        low, high = watermark, watermark + back
        while high - low > 1:
            middle = (low + high) // 2
            if _offset_ms(_moment(middle, self._zone)) == _offset_ms(moment):
                low = middle
            else:
                high = middle
        return high + _offset_ms(later) - 1

    def due(self, local: int) -> int:
        """The first instant at which :meth:`progress` reaches a local time."""
        if self._zone is None or not _FIRST_MS < local < _LAST_MS:
            return local - self._shift
        low = local - 2 * 86_400_000
        high = local + 2 * 86_400_000
        while high - low > 1:
            middle = (low + high) // 2
            if self.progress(middle) >= local:
                high = middle
            else:
                low = middle
        return high


def _moment(instant: int, zone: zoneinfo.ZoneInfo) -> dt.datetime:
    return dt.datetime.fromtimestamp(instant // 1000, zone)


def _offset_ms(moment: dt.datetime) -> int:
    offset = moment.utcoffset()
    assert offset is not None
    return round(offset.total_seconds() * 1000)


def is_zoned(kind: pa.DataType) -> bool:
    """Whether a column is TIMESTAMP_LTZ."""
    return bool(pat.is_timestamp(kind) and kind.tz)


def clipped(time: int) -> int:
    """Within what int64 can hold."""
    return min(max(time, MIN_TIMESTAMP), MAX_TIMESTAMP)
