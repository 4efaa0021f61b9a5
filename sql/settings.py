"""What every SQL operator of a job is told of the session."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SqlSettings:
    """Travels with the operators.

    Attributes:
        time_zone: the session's zone (``table.local-time-zone``), an IANA name.
        batch: whether input is bounded and only the final result counts.
    """

    time_zone: str = "UTC"
    batch: bool = False
