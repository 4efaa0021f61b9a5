"""What the window operator asks of its engines, and what they share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from lesto.common.elements import RowBatch, Timestamps
from lesto.taskmanager.operators.base import Output

if TYPE_CHECKING:
    from lesto.common.metrics import Counter
    from lesto.state.backend import KeyedStateBackend
    from lesto.taskmanager.operators.timer_service import InternalTimers
    from lesto.taskmanager.operators.window_contents import WindowContents
    from lesto.taskmanager.operators.window_output import WindowResults

#: Keys that fire between two looks at the clock.
FIRED_KEYS_MAX: Final = 512


class WindowEngine(ABC):
    """Keeps windows and fires them.

    Attributes:
        by_clock: windows end by the wall clock, and the engine has no timers: the operator calls
            ``advance`` at the time that ``due_at`` gives.
    """

    by_clock: bool = False

    @abstractmethod
    def process(self, keys: list[Any], values: list[Any], timestamps: Timestamps) -> None:
        """Add a batch; what fires at once is emitted before this returns."""

    @abstractmethod
    def advance(self, time: int) -> Iterator[None]:
        """Time has moved to ``time`` ms: fire, a bounded number of keys at a step.

        Between two steps a snapshot may be taken. What fires is collected; the caller flushes it.
        """

    def due_at(self) -> int | None:
        """When the earliest window ends by the wall clock, ms."""
        return None

    def use(self, assigner: Any) -> None:  # noqa: B027 - most assigners stay as they are
        """Assign by this assigner from now on; of the same kind as before."""

    @abstractmethod
    def save(self) -> dict[str, list[bytes]]:
        """Bring the keyed state up to date; gives union list state."""

    @abstractmethod
    def restore(self, windows: list[bytes]) -> None:
        """Take over restored state; ``windows`` is the union list state of the aligned engine."""


class LateRecords:
    """Takes records that are too late for all their windows: to a side output, or a counter.

    Args:
        output: the operator's output.
        tag: id of the side output, or None to drop.
        dropped: counts what is dropped.
    """

    def __init__(self, output: Output, tag: str | None, dropped: Counter) -> None:
        self._output = output
        self._tag = tag
        self._dropped = dropped

    def take(self, rows: np.ndarray[Any, Any], values: list[Any], timestamps: Timestamps) -> None:
        """Late records, by their index in the batch."""
        if self._tag is None:
            self._dropped.inc(len(rows))
        else:
            late = [values[i] for i in rows.tolist()]
            self._output.emit_side(self._tag, RowBatch(late, timestamps[rows]))


class EngineParts:
    """What every engine works with.

    Attributes:
        contents: how contents are kept.
        results: where windows fire to.
        late: takes records that come too late.
        timers: event time, the wall clock and the queues of timers.
        backend: the keyed state.
        operator: the operator's name, for errors.
    """

    __slots__ = ("backend", "contents", "late", "operator", "results", "timers")

    def __init__(
        self,
        contents: WindowContents,
        results: WindowResults,
        late: LateRecords,
        timers: InternalTimers,
        backend: KeyedStateBackend,
        operator: str,
    ) -> None:
        self.contents = contents
        self.results = results
        self.late = late
        self.timers = timers
        self.backend = backend
        self.operator = operator
