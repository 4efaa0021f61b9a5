"""How many records a step may take in, for what it emits must fit into the task's channels."""

from __future__ import annotations

from collections.abc import Sequence

from lesto.taskmanager.core.debloating import StepBounds
from lesto.taskmanager.core.pacing import ALL_ROWS
from lesto.taskmanager.runtime.exchange.edge import EdgeWriter


class OutputRoom:
    """The room behind a task, and what its records come to there."""

    def __init__(self) -> None:
        self._bounds = StepBounds()
        self._emitted: list[int] = []

    def begin(self, edges: Sequence[EdgeWriter]) -> int | None:
        """Records that the step may take; None: as many as there are, and it is not measured."""
        rooms = [room for edge in edges for room in edge.rooms]
        if not any(room is not None for room in rooms):
            return None
        self._emitted = _emitted(edges)
        return min(self._bounds.rows(rooms), ALL_ROWS)

    def end(self, edges: Sequence[EdgeWriter], rows: int) -> None:
        """The step took so many."""
        given = [b - a for a, b in zip(self._emitted, _emitted(edges), strict=True)]
        self._bounds.observe(rows, given)


def _emitted(edges: Sequence[EdgeWriter]) -> list[int]:
    return [nbytes for edge in edges for nbytes in edge.emitted_bytes]
