"""Event time of a table: watermarks of an expression over its rows."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from lesto.common import options
from lesto.common.elements import MAX_TIMESTAMP, MIN_TIMESTAMP, Batch, ColumnarBatch
from lesto.kernels.timestamps import millis
from lesto.sql.evaluator import compile_expressions
from lesto.sql.expressions import Expression
from lesto.sql.settings import SqlSettings
from lesto.taskmanager.operators.base import OperatorSnapshot
from lesto.taskmanager.operators.errors import MissingTimestampError
from lesto.taskmanager.operators.event_time import (
    EVENT_TIME_STATE,
    restored_event_time,
    stored_event_time,
)
from lesto.taskmanager.operators.sql.base import SqlOperator

_MILLISECOND: Final = timedelta(milliseconds=1)


class WatermarkOperator(SqlOperator):
    """Passes rows on, and lets event time follow the greatest value of an expression.

    Watermarks from upstream end here, but for the last one. A NULL of the expression is passed
    over; a NULL event time is an error.

    Args:
        settings: of the session.
        column: position of the rowtime column.
        expression: of TIMESTAMP or TIMESTAMP_LTZ.
        name: of the column, for messages.
        idle_ms: without rows for so long the stream is idle; None: as the configuration says, 0
            never.
    """

    def __init__(
        self,
        settings: SqlSettings,
        column: int,
        expression: Expression,
        name: str,
        idle_ms: int | None = None,
    ) -> None:
        super().__init__(settings)
        self._column = column
        self._expression = expression
        self._name = name
        self._idle_ms = idle_ms
        self._emitted = MIN_TIMESTAMP
        self._idle = False
        self._input_idle = False
        self._last_row_ms = 0
        self._cancel: Callable[[], None] | None = None

    def open(self) -> None:
        """Go on with the event time of the checkpoint."""
        context = self.context
        self._compiled = compile_expressions([self._expression])
        if self._idle_ms is None:
            self._idle_ms = context.config.get(options.WATERMARK_IDLE_TIMEOUT) // _MILLISECOND
        self._last_row_ms = context.clock.monotonic_ms()
        reached = restored_event_time(
            context.restored_list(EVENT_TIME_STATE), context.subtask, context.parallelism
        )
        if reached > MIN_TIMESTAMP:
            self._emitted = self.watermark = reached
            self.output.emit_watermark(reached)
        if self._idle_ms:
            self._schedule(self._idle_ms)

    def process_batch(self, batch: Batch, input_index: int = 0) -> None:
        """Pass the rows on, then the watermark that follows from them."""
        assert isinstance(batch, ColumnarBatch)
        if batch.data.column(self._column).null_count:
            msg = f"a row has no event time: its '{self._name}' is NULL"
            raise MissingTimestampError(
                msg, remedy=f"filter such rows out before, or make '{self._name}' NOT NULL"
            )
        self._last_row_ms = self.context.clock.monotonic_ms()
        self._input_idle = False
        self._tell(False)
        greatest = pc.max(self._compiled.evaluate(batch.data, self.evaluation())[0])
        self.emit(batch.data, batch.kinds)
        if greatest.is_valid:
            reached = int(millis(pa.array([greatest.as_py()], greatest.type))[0])
            if reached > self._emitted:
                self._emitted = self.watermark = reached
                self.output.emit_watermark(reached)

    def process_watermark(self, timestamp: int) -> None:
        """Only the end of event time passes."""
        if timestamp == MAX_TIMESTAMP and self._emitted < timestamp:
            self._emitted = timestamp
            super().process_watermark(timestamp)

    def process_status(self, idle: bool) -> None:
        """The stream is idle when its input is, or by the timeout."""
        self._input_idle = idle
        self._tell(idle or self._overdue())

    def _overdue(self) -> bool:
        waited = self.context.clock.monotonic_ms() - self._last_row_ms
        return bool(self._idle_ms) and waited >= (self._idle_ms or 0)

    def _tell(self, idle: bool) -> None:
        if idle != self._idle:
            self._idle = idle
            self.output.emit_status(idle)

    def _schedule(self, wait_ms: int) -> None:
        at = self.context.clock.now_ms() + wait_ms
        self._cancel = self.context.register_processing_timer(at, self._check)

    def _check(self, timestamp: int) -> None:
        if self._overdue():
            self._tell(True)
        self._schedule(self._idle_ms or 1)

    def snapshot(self, checkpoint_id: int, canonical: bool) -> OperatorSnapshot:
        """Event time: what was late before a failure is late behind it."""
        return OperatorSnapshot(union_lists=stored_event_time(self.context.subtask, self._emitted))

    def close(self) -> None:
        """Stop looking."""
        if self._cancel is not None:
            self._cancel()
