"""How much may wait in front of a task.

What is queued is what an aligned barrier waits for and what an unaligned one has to keep. So no
more should wait than the task is through with in a target time: its throughput times that. What
the task spends waiting for those behind it counts: behind a full exchange it is no quicker than
they are. Time without input does not count.

The other end of it: how many records a producing step may take in, so that what it emits does not
overrun what its consumers let wait.

Pure: times and bytes in, bytes and records out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from lesto.taskmanager.core.pacing import ALL_ROWS, FIRST_ROWS

#: Above any channel's credit: nothing is held back.
UNBOUNDED_BYTES: Final = 1 << 40
#: A channel keeps at least so much, however slow its task.
WINDOW_BYTES_MIN: Final = 256
#: Throughput is measured over so long.
INTERVAL_NS: Final = 50_000_000
#: The first measurements are shorter, twice as long each time: a task that loads something with its
#: first records must not be taken for a slow one.
INTERVAL_FIRST_NS: Final = 1_000_000
#: The newest measurement's part in the estimate, but for those shorter ones.
WEIGHT: Final = 0.5
#: A window that would change by less than this part of it is left alone.
CHANGE_MIN: Final = 1 / 8


class Debloater:
    """The window of each input channel of a task.

    Args:
        target_ns: the task should be through with what waits in this time.
        window_min: bytes that a channel keeps at least, however slow its task.

    >>> debloater = Debloater(target_ns=1_000_000_000)
    >>> debloater.took(0)
    >>> debloater.worked(1_000, now_ns=100_000_000)  # 10 kB a second
    True
    >>> debloater.window(channels=2)
    5000
    """

    __slots__ = (
        "_began_ns",
        "_bytes",
        "_bytes_per_ns",
        "_idle_since_ns",
        "_interval_ns",
        "_target_ns",
        "_window",
        "_window_min",
    )

    def __init__(self, target_ns: int, window_min: int = WINDOW_BYTES_MIN) -> None:
        self._target_ns = target_ns
        self._window_min = window_min
        self._began_ns: int | None = None  # of the interval, later by the time without input
        self._idle_since_ns: int | None = None
        self._interval_ns = 0
        self._bytes = 0  # worked off in the interval
        self._bytes_per_ns: float | None = None
        self._window = 0  # told last

    def took(self, now_ns: int) -> None:
        """There is input, and the task begins to work on it."""
        if self._began_ns is None:
            self._began_ns = now_ns
        elif self._idle_since_ns is not None:
            self._began_ns += now_ns - self._idle_since_ns
        self._idle_since_ns = None

    def idle(self, now_ns: int) -> None:
        """There is no input."""
        if self._idle_since_ns is None:
            self._idle_since_ns = now_ns

    def worked(self, nbytes: int, now_ns: int) -> bool:
        """Bytes are worked off; whether that ends a measurement: ask for the window."""
        assert self._began_ns is not None, "worked before took"
        self._bytes += nbytes
        elapsed_ns = now_ns - self._began_ns
        if elapsed_ns < self._interval_ns:
            return False
        rate = self._bytes / max(elapsed_ns, 1)
        if self._bytes_per_ns is not None and self._interval_ns == INTERVAL_NS:
            rate = WEIGHT * rate + (1 - WEIGHT) * self._bytes_per_ns
        self._bytes_per_ns = rate
        self._interval_ns = min(max(2 * self._interval_ns, INTERVAL_FIRST_NS), INTERVAL_NS)
        self._began_ns, self._bytes = now_ns, 0
        return True

    @property
    def bytes_per_second(self) -> float | None:
        """Recent throughput while there was input; None before the first measurement."""
        return None if self._bytes_per_ns is None else self._bytes_per_ns * 1e9

    def window(self, channels: int) -> int | None:
        """Bytes that may wait in each of so many channels; None: as many as was said last."""
        assert self._bytes_per_ns is not None, "a window before a measurement"
        wanted = int(self._bytes_per_ns * self._target_ns / max(channels, 1))
        wanted = min(max(wanted, self._window_min), UNBOUNDED_BYTES)
        if abs(wanted - self._window) < CHANGE_MIN * self._window:
            return None
        self._window = wanted
        return wanted


class StepBound:
    """Records that a producing step may take in.

    >>> bound = StepBound()
    >>> bound.rows(room_bytes=1_000), bound.rows(room_bytes=None) > 1_000_000
    (64, True)
    >>> bound.observe(64, 640)  # ten bytes a record on the fullest channel
    >>> bound.rows(room_bytes=1_000)
    100
    """

    __slots__ = ("_bytes_per_row",)

    def __init__(self) -> None:
        self._bytes_per_row: float | None = None

    def observe(self, rows: int, nbytes: int) -> None:
        """A step has taken in ``rows`` and given at most ``nbytes`` to one channel."""
        if rows <= 0:
            return
        cost = nbytes / rows
        before = self._bytes_per_row
        # What grows counts at once: too much in a channel cannot be taken back.
        if before is not None and cost < before:
            cost = WEIGHT * cost + (1 - WEIGHT) * before
        self._bytes_per_row = cost

    def rows(self, room_bytes: int | None) -> int:
        """How many records the next step may take in, at least one.

        Args:
            room_bytes: that the fullest channel takes; negative: more is gathered for it than
                it takes; None: no channel is narrowed.
        """
        if room_bytes is None:
            return ALL_ROWS
        if self._bytes_per_row is None:
            return FIRST_ROWS
        room = max(room_bytes, 0)
        if self._bytes_per_row * ALL_ROWS <= room:
            return ALL_ROWS
        return max(1, int(room / self._bytes_per_row))


class StepBounds:
    """A :class:`StepBound` a channel.

    A channel to which nothing goes bounds nothing: it is narrow for nobody has measured how quickly
    its consumer works.

    >>> bounds = StepBounds()
    >>> bounds.observe(64, [640, 0])
    >>> bounds.rows([1_000, 1])
    100
    """

    __slots__ = ("_bounds",)

    def __init__(self) -> None:
        self._bounds: list[StepBound] = []

    def observe(self, rows: int, given_bytes: Sequence[int]) -> None:
        """A step has taken in ``rows`` and given so much to each channel."""
        for bound, nbytes in zip(self._of(len(given_bytes)), given_bytes, strict=True):
            bound.observe(rows, nbytes)

    def rows(self, rooms: Sequence[int | None]) -> int:
        """How many records the next step may take in, at least one; see ``StepBound.rows``."""
        bounds = self._of(len(rooms))
        return min(bound.rows(room) for bound, room in zip(bounds, rooms, strict=True))

    def _of(self, channels: int) -> list[StepBound]:
        while len(self._bounds) < channels:
            self._bounds.append(StepBound())
        return self._bounds
