"""What the window operator asks of its two engines, and what they share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

import numpy as np

from lesto.common.elements import RowBatch, Timestamps
from lesto.taskmanager.operators.base import Output

if TYPE_CHECKING:
    from lesto.common.metrics import Counter


class WindowEngine(ABC):
    """Keeps windows and fires them."""

    @abstractmethod
    def process(self, keys: list[Any], values: list[Any], timestamps: Timestamps) -> None:
        """Add a batch; what fires at once is emitted before this returns."""

    @abstractmethod
    def advance(self, watermark: int) -> None:
        """Event time has moved to ``watermark`` ms; what fires is emitted before this returns."""

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
