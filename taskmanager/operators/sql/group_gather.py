"""Mini-batches: rows wait for others of their groups, which saves results in between."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from lesto.common.elements import ColumnarBatch
from lesto.taskmanager.operators.base import OperatorContext


@dataclass(frozen=True, slots=True)
class MiniBatch:
    """How long rows are gathered.

    Attributes:
        latency_ms: the longest that a row waits.
        rows: the most that wait.
    """

    latency_ms: int
    rows: int


class Gatherer:
    """Batches that wait.

    Args:
        limits: when they have waited enough.
        context: of the operator, for timers.
        take: is given what has waited, as one batch.
    """

    def __init__(
        self, limits: MiniBatch, context: OperatorContext, take: Callable[[ColumnarBatch], None]
    ) -> None:
        self._limits = limits
        self._context = context
        self._take = take
        self._waiting: list[ColumnarBatch] = []
        self._rows = 0
        self._cancel: Callable[[], None] | None = None

    def add(self, batch: ColumnarBatch) -> None:
        """A batch; what waits is given on when it is enough."""
        self._waiting.append(batch)
        self._rows += len(batch)
        if self._rows >= self._limits.rows:
            self.flush()
        elif self._cancel is None:
            at = self._context.clock.now_ms() + self._limits.latency_ms
            self._cancel = self._context.register_processing_timer(at, self._due)

    def _due(self, _timestamp: int) -> None:
        self._cancel = None
        self.flush()

    def flush(self) -> None:
        """Give on what waits: before watermarks, barriers and the end."""
        if self._cancel is not None:
            self._cancel()
            self._cancel = None
        waiting, self._waiting, self._rows = self._waiting, [], 0
        if waiting:
            self._take(joined(waiting))


def joined(batches: list[ColumnarBatch]) -> ColumnarBatch:
    """Batches of one schema as one."""
    if len(batches) == 1:
        return batches[0]
    schema = batches[0].data.schema
    columns = [pa.concat_arrays([b.data.column(i) for b in batches]) for i in range(len(schema))]
    kinds = None
    if any(b.kinds is not None for b in batches):
        kinds = np.concatenate(
            [np.zeros(len(b), np.int8) if b.kinds is None else b.kinds for b in batches]
        )
    return ColumnarBatch(pa.RecordBatch.from_arrays(columns, schema=schema), None, kinds)
