"""How far the readers of aligned sources may go in event time. Pure.

Readers report; each report is answered with the group's smallest watermark plus the drift that the
reader allows. A reader that has not begun holds the others back until it has, or is idle; so does
one that has failed, until its successor reports.
"""

from __future__ import annotations

from lesto.common.elements import MAX_TIMESTAMP

#: A reader: operator uid and subtask.
Reader = tuple[str, int]


class AlignmentGroups:
    """Event time of the readers of one job, by alignment group.

    >>> groups = AlignmentGroups()
    >>> groups.report("orders", ("a", 0), 5_000, max_drift_ms=100)
    5100
    >>> groups.report("orders", ("b", 0), 1_000, max_drift_ms=100)
    1100
    >>> groups.report("orders", ("a", 0), 5_000, max_drift_ms=100)
    1100
    """

    def __init__(self) -> None:
        self._started = 0
        self._groups: dict[str, dict[Reader, int]] = {}

    def begin(self, started: int) -> None:
        """The job's sources were started for the n-th time: readers of before are gone."""
        if started != self._started:
            self._started = started
            self._groups.clear()

    def report(self, group: str, reader: Reader, watermark: int, *, max_drift_ms: int) -> int:
        """Take a reader's watermark (ms); gives how far (ms) it may go."""
        readers = self._groups.setdefault(group, {})
        readers[reader] = watermark
        slowest = min(readers.values())
        return min(slowest + max_drift_ms, MAX_TIMESTAMP)
