"""Assigns event time and watermarks behind the source (``assign_timestamps_and_watermarks``)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from lesto.common import options
from lesto.common.elements import MAX_TIMESTAMP, MIN_TIMESTAMP, Batch, Form
from lesto.common.watermarks import WatermarkStrategy
from lesto.taskmanager.operators.base import Operator, OperatorSnapshot
from lesto.taskmanager.operators.event_time import (
    EVENT_TIME_STATE,
    IdleWarnings,
    TimestampAssignment,
    WatermarkTracker,
    restored_event_time,
    stored_event_time,
)

_MILLISECOND = timedelta(milliseconds=1)


class TimestampsOperator(Operator):
    """Replaces the stream's event time and watermarks by a strategy's.

    Watermarks from upstream end here, but for the last one. A watermark follows each batch that
    lets event time advance; a custom generator is asked each
    ``pipeline.auto-watermark-interval`` too.
    """

    input_form = Form.ANY

    def __init__(self, watermark_strategy: WatermarkStrategy) -> None:
        self._strategy = watermark_strategy
        self._own_timeout = watermark_strategy.idle_timeout_ms is not None
        self._emitted = MIN_TIMESTAMP
        self._idle = False
        self._input_idle = False
        self._cancel: Callable[[], None] | None = None

    def open(self) -> None:
        """Go on with the event time of the checkpoint; start the periodic check."""
        context = self.context
        name = context.operator_name
        config = context.config
        self._interval_ms = config.get(options.AUTO_WATERMARK_INTERVAL) // _MILLISECOND
        default = config.get(options.WATERMARK_IDLE_TIMEOUT) // _MILLISECOND
        self._strategy = strategy = self._strategy.with_default_idleness(default)
        self._assignment = TimestampAssignment(strategy, name)
        self._warnings = IdleWarnings(name)
        reached = restored_event_time(
            context.restored_list(EVENT_TIME_STATE), context.subtask, context.parallelism
        )
        self._tracker = WatermarkTracker(strategy, context.clock.monotonic_ms(), name, reached)
        if reached > MIN_TIMESTAMP:
            self._emitted = reached
            self.output.emit_watermark(reached)
        self._schedule()

    def process_batch(self, batch: Batch, input_index: int = 0) -> None:
        """Assign event times, pass the batch on, let event time follow."""
        batch = self._assignment.assign(batch)
        tracker = self._tracker
        tracker.on_batch(batch, self.context.clock.monotonic_ms())
        self._input_idle = False
        if self._idle and not tracker.idle:
            self._emit_status(False)
        self.output.emit(batch)
        self._emit_progress()

    def process_watermark(self, timestamp: int) -> None:
        """Only the end of event time passes."""
        if timestamp == MAX_TIMESTAMP and self._emitted < timestamp:
            self._emitted = timestamp
            self.output.emit_watermark(timestamp)

    def process_status(self, idle: bool) -> None:
        """Without an idle timeout of its own, the stream is idle when its input is."""
        if not self._own_timeout:
            self._input_idle = idle
            self._emit_status(idle or self._tracker.idle)

    def _emit_progress(self) -> None:
        tracker = self._tracker
        self._emit_status(tracker.idle or self._input_idle)
        if tracker.watermark > self._emitted and (self._interval_ms or tracker.custom):
            self._emitted = tracker.watermark
            self.output.emit_watermark(self._emitted)

    def _emit_status(self, idle: bool) -> None:
        if idle != self._idle:
            self._idle = idle
            self.output.emit_status(idle)

    def _schedule(self) -> None:
        waits = [self._strategy.idle_timeout_ms or 0, self._interval_ms * self._tracker.custom]
        wait_ms = min((wait for wait in waits if wait > 0), default=None)
        if wait_ms is not None:
            at = self.context.clock.now_ms() + wait_ms
            self._cancel = self.context.register_processing_timer(at, self._check)

    def _check(self, timestamp: int) -> None:
        tracker = self._tracker
        tracker.on_periodic()
        if tracker.check_idle(self.context.clock.monotonic_ms()):
            subtask = f"subtask {self.context.subtask}"
            self._warnings.tell(subtask, self._strategy.idle_timeout_ms or 0)
        self._emit_progress()
        self._schedule()

    def snapshot(self, checkpoint_id: int, canonical: bool) -> OperatorSnapshot:
        """Event time: what was late before a failure is late behind it."""
        return OperatorSnapshot(union_lists=stored_event_time(self.context.subtask, self._emitted))

    def close(self) -> None:
        """Stop the periodic check."""
        if self._cancel is not None:
            self._cancel()
            self._cancel = None
