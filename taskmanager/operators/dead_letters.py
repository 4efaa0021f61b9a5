"""Records that a function cannot bear go to a side output, with the error; the job goes on.

The operator inside takes the records one by one, and what it emits for one that fails is dropped.
That costs about two microseconds a record, and only where it was asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lesto.common.elements import (
    MIN_TIMESTAMP,
    Batch,
    Form,
    LatencyMarker,
    RowBatch,
    Timestamps,
    concat_timestamps,
)
from lesto.common.row import Row
from lesto.common.user_frames import user_frames
from lesto.taskmanager.operators.base import (
    Operator,
    OperatorContext,
    OperatorFactory,
    OperatorSnapshot,
    Output,
)
from lesto.taskmanager.operators.errors import InvalidResultError, UserFunctionError

#: Longest error text of a dead letter, characters.
ERROR_TEXT_MAX = 2_000


@dataclass(frozen=True, slots=True)
class DeadLetterFactory:
    """Wraps the factory of a row operator."""

    inner: OperatorFactory
    tag: str

    def create(self) -> Operator:
        """A new operator."""
        return DeadLetterOperator(self.inner.create(), self.tag)


class DeadLetterOperator(Operator):
    """Runs a row operator and sets aside the records it fails on.

    A dead letter is a ``Row(record, error, operator, location, timestamp)``: the record as it came,
    ``ValueError: ...``, the operator's name, the user's ``file:line``, and event time (ms) or None.

    An ``OSError`` still fails the job: another system is down, which is no record's fault.

    Args:
        inner: takes rows.
        tag: of the side output.
    """

    input_form = Form.ROWS

    def __init__(self, inner: Operator, tag: str) -> None:
        self._inner = inner
        self._tag = tag

    def setup(self, context: OperatorContext, output: Output) -> None:
        """Put a buffer between the operator and its output."""
        super().setup(context, output)
        self._held = _Held(output)
        self._dead = context.metrics.counter("num_dead_letters")
        self._inner.setup(context, self._held)

    def functions(self) -> Sequence[Any]:
        """Those of the operator inside."""
        return self._inner.functions()

    def process_batch(self, batch: Batch, input_index: int = 0) -> None:
        """Record by record; what they give goes on together."""
        assert isinstance(batch, RowBatch)
        held, inner = self._held, self._inner
        letters: list[Row] = []
        at: list[int] = []
        held.begin()
        try:
            for index, value in enumerate(batch.values):
                one = batch.slice(index, 1)
                mark = held.mark()
                try:
                    inner.process_batch(one, input_index)
                except (UserFunctionError, InvalidResultError) as error:
                    if isinstance(error.__cause__, OSError):
                        raise
                    held.rewind(mark)
                    time = _time_of(one.timestamps)
                    letters.append(self._letter(value, error, time))
                    at.append(index)
        except BaseException:
            held.drop()
            raise
        held.end()
        if letters:
            self._dead.inc(len(letters))
            times = None if batch.timestamps is None else batch.timestamps[at]
            self.output.emit_side(self._tag, RowBatch(letters, times))

    def _letter(self, record: Any, error: Exception, timestamp: int | None) -> Row:
        cause = error.__cause__ or error
        _, location = user_frames(cause.__traceback__)
        text = f"{type(cause).__name__}: {cause}"
        return Row(
            record=record,
            error=text[:ERROR_TEXT_MAX],
            operator=self.context.operator_name,
            location=location,
            timestamp=timestamp,
        )

    # ------------------------------------------------------------- everything else is the inner's

    def open(self) -> None:
        """Open the operator."""
        self._inner.open()

    def process_watermark(self, timestamp: int) -> None:
        """Timers may fire; what they raise fails the job: there is no record to set aside."""
        self._inner.process_watermark(timestamp)

    def process_status(self, idle: bool) -> None:
        """Idle or active."""
        self._inner.process_status(idle)

    def process_latency_marker(self, marker: LatencyMarker) -> None:
        """Pass a marker on."""
        self._inner.process_latency_marker(marker)

    def end_input(self, input_index: int = 0) -> None:
        """The input has ended."""
        self._inner.end_input(input_index)

    def prepare_snapshot(self, checkpoint_id: int) -> None:
        """Before the barrier."""
        self._inner.prepare_snapshot(checkpoint_id)

    def snapshot(self, checkpoint_id: int, canonical: bool) -> OperatorSnapshot:
        """State of the operator."""
        return self._inner.snapshot(checkpoint_id, canonical)

    def notify_checkpoint_complete(self, checkpoint_id: int) -> None:
        """Pass it on."""
        self._inner.notify_checkpoint_complete(checkpoint_id)

    def notify_checkpoint_aborted(self, checkpoint_id: int) -> None:
        """Pass it on."""
        self._inner.notify_checkpoint_aborted(checkpoint_id)

    def finish(self) -> None:
        """The job ends."""
        self._inner.finish()

    def pending_work(self) -> bool:
        """Whether the operator still works."""
        return self._inner.pending_work()

    def idle(self) -> None:
        """Input is idle."""
        self._inner.idle()

    def close(self) -> None:
        """Close the operator."""
        self._inner.close()


class _Held(Output):
    """Holds what is emitted while a batch is processed, and joins it."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self._holding = False
        self._batches: list[tuple[str, RowBatch]] = []

    def begin(self) -> None:
        self._holding = True

    def mark(self) -> int:
        return len(self._batches)

    def rewind(self, mark: int) -> None:
        """Drop what was emitted since."""
        del self._batches[mark:]

    def drop(self) -> None:
        """The task fails."""
        self._holding = False
        self._batches.clear()

    def end(self) -> None:
        """Emit what is held, joined by output."""
        self._holding = False
        held, self._batches = self._batches, []
        tags = dict.fromkeys(tag for tag, _ in held)
        for tag in tags:
            joined = _joined([batch for other, batch in held if other == tag])
            if tag:
                self._output.emit_side(tag, joined)
            else:
                self._output.emit(joined)

    def emit(self, batch: Batch) -> None:
        if self._holding and isinstance(batch, RowBatch):
            self._batches.append(("", batch))
        else:
            self._output.emit(batch)

    def emit_side(self, tag: str, batch: Batch) -> None:
        if self._holding and isinstance(batch, RowBatch):
            self._batches.append((tag, batch))
        else:
            self._output.emit_side(tag, batch)

    def emit_watermark(self, timestamp: int) -> None:
        self._output.emit_watermark(timestamp)

    def emit_status(self, idle: bool) -> None:
        self._output.emit_status(idle)

    def emit_latency_marker(self, marker: LatencyMarker) -> None:
        self._output.emit_latency_marker(marker)


def _joined(batches: list[RowBatch]) -> RowBatch:
    values = [value for batch in batches for value in batch.values]
    times = concat_timestamps([b.timestamps for b in batches], [len(b) for b in batches])
    kinds = None
    if any(b.kinds is not None for b in batches):
        kinds = np.concatenate(
            [np.zeros(len(b), np.int8) if b.kinds is None else b.kinds for b in batches]
        )
    return RowBatch(values, times, kinds)


def _time_of(timestamps: Timestamps | None) -> int | None:
    if timestamps is None or timestamps[0] == MIN_TIMESTAMP:
        return None
    return int(timestamps[0])
