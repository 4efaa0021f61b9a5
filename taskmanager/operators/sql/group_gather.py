"""Mini-batches: rows wait for others of their groups, which saves results in between."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from lesto.common.elements import Batch, ColumnarBatch
from lesto.taskmanager.operators.base import OperatorContext
from lesto.taskmanager.operators.sql.base import SqlOperator


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


class GatheringOperator(SqlOperator):
    """An operator whose rows may wait for others.

    Attributes:
        _mini_batch: how long; None: they do not wait. Set before ``open``.
    """

    _mini_batch: MiniBatch | None
    _gatherer: Gatherer | None = None

    def open(self) -> None:
        """Open users' functions, and be ready to gather; in batch mode nothing waits."""
        super().open()
        if self._mini_batch is not None and not self.settings.batch:
            self._gatherer = Gatherer(self._mini_batch, self.context, self._take)

    def process_batch(self, batch: Batch, input_index: int = 0) -> None:
        """Take the batch in, or gather it."""
        assert isinstance(batch, ColumnarBatch)
        if self._gatherer is not None:
            self._gatherer.add(batch)
        else:
            self._take(batch)

    @abstractmethod
    def _take(self, batch: ColumnarBatch) -> None: ...

    def _flush(self) -> None:
        if self._gatherer is not None:
            self._gatherer.flush()


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
