"""When a partition of files is complete: by the watermark, or some time after it was begun."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote

from lesto.connectors.errors import OutputError
from lesto.sql.patterns import date_pattern, to_epoch_seconds

#: What a partition's time looks like unless a formatter says otherwise.
_FORMATS: Final = ("yyyy-MM-dd HH:mm:ss", "yyyy-MM-dd")


@dataclass(frozen=True, slots=True)
class PartitionCommit:
    """When the success file is written.

    Attributes:
        by_watermark: once event time has passed the partition's own time; else by the clock.
        delay_ms: how long after it.
        pattern: a partition's time by its columns, such as ``$day $hour:00:00``; empty: the first.
        formatter: how this text is read; empty: ``yyyy-MM-dd HH:mm:ss`` or ``yyyy-MM-dd``.
        zone: of this time.
    """

    by_watermark: bool = False
    delay_ms: int = 0
    pattern: str = ""
    formatter: str = ""
    zone: str = "UTC"

    def time_of(self, directory: str) -> int:
        """The time of ``day=2026-01-01/hour=3/``, in ms since 1970.

        Raises:
            OutputError: the values do not make a time.

        >>> PartitionCommit(pattern="$day $hour:00", formatter="yyyy-MM-dd HH:mm").time_of(
        ...     "day=1970-01-02/hour=03/"
        ... )
        97200000
        """
        values = values_of(directory)
        text = self.pattern or next(iter(values.values()), "")
        # A name may be the beginning of another.
        for name in sorted(values, key=len, reverse=True):
            text = text.replace(f"${name}", values[name])
        for form in (self.formatter,) if self.formatter else _FORMATS:
            moment = date_pattern(form).read(text)
            if moment is not None:
                return to_epoch_seconds(moment, self.zone) * 1000
        msg = f"the partition {directory.rstrip('/')} has no time: '{text}' cannot be read"
        raise OutputError(
            msg,
            remedy="correct 'partition.time-extractor.timestamp-pattern' or '-formatter'",
        )


def values_of(directory: str) -> Mapping[str, str]:
    """Values of the partition columns, by name.

    >>> values_of("day=2026-01-01/at=12%3A30/")
    {'day': '2026-01-01', 'at': '12:30'}
    """
    parts = (part.partition("=") for part in directory.strip("/").split("/"))
    return {name: unquote(value) for name, _, value in parts}
