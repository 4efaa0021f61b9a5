"""The source operator: drives a reader, one watermark a split, splits in the checkpoint."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from lesto.common import options
from lesto.common.clock import Clock
from lesto.common.elements import MIN_TIMESTAMP, Batch, Form
from lesto.common.errors import InternalError
from lesto.common.source import (
    EndOfSplits,
    NoData,
    Source,
    SourceBatch,
    SourceReader,
    SplitFinished,
)
from lesto.common.watermarks import WatermarkStrategy
from lesto.taskmanager.core.pacing import ALL_ROWS
from lesto.taskmanager.operators.base import Operator, OperatorSnapshot
from lesto.taskmanager.operators.event_time import (
    EVENT_TIME_STATE,
    TimestampAssignment,
    restored_event_time,
    stored_event_time,
)
from lesto.taskmanager.operators.source_alignment import SourceAlignment
from lesto.taskmanager.operators.source_api import (
    END,
    IDLE,
    PROGRESS,
    PollOutcome,
    PollStatus,
    SourceContext,
)
from lesto.taskmanager.operators.source_metrics import SourceMetrics
from lesto.taskmanager.operators.split_watermarks import SplitWatermarks
from lesto.taskmanager.operators.unread import UnreadBatches

SPLITS_STATE: Final = "splits"
#: List state: batches read and not emitted, with their splits.
UNREAD_STATE: Final = "unread"
#: Steps that a batch should last where steps are short, and records that it has at least.
STEPS_READ_AHEAD: Final = 4
READ_ROWS_MIN: Final = 256
_MILLISECOND: Final = timedelta(milliseconds=1)


class OperatorReaderContext:
    """What the reader sees of its operator."""

    def __init__(self, context: SourceContext) -> None:
        self._context = context
        self._batch_rows = context.config.get(options.BATCH_ROWS)
        #: Records that a step may emit now.
        self.rows_max = ALL_ROWS
        self._errors = context.metrics.counter("num_records_in_errors")

    @property
    def subtask(self) -> int:
        """Index of this reader."""
        return self._context.subtask

    @property
    def parallelism(self) -> int:
        """Number of readers."""
        return self._context.parallelism

    @property
    def clock(self) -> Clock:
        """The injected clock."""
        return self._context.clock

    @property
    def batch_rows(self) -> int:
        """Rows a batch should have under load; a few steps' worth behind a slow exchange.

        What was read and not emitted is in every checkpoint.
        """
        return min(self._batch_rows, max(STEPS_READ_AHEAD * self.rows_max, READ_ROWS_MIN))

    def request_split(self) -> None:
        """Ask for work."""
        self._context.request_split()

    def send_event(self, event: bytes) -> None:
        """Tell the enumerator something."""
        self._context.send_event(event)

    def wakeup(self) -> None:
        """Poll again soon; thread-safe."""
        self._context.wakeup()

    def count_error(self, records: int = 1) -> None:
        """Count malformed records."""
        self._errors.inc(records)


class SourceOperator(Operator):
    """Reads a source's splits; the head of a source task (a ``SourceDriver``).

    A watermark follows each batch that lets event time advance: one small element a batch keeps
    event time smooth also when a bounded input is read faster than the watermark interval.

    Args:
        source: the source.
        watermark_strategy: event time, or None to keep the source's timestamps without watermarks.
    """

    input_form = Form.ANY
    context: SourceContext
    _reader: SourceReader

    def __init__(self, source: Source, watermark_strategy: WatermarkStrategy | None = None) -> None:
        self._source = source
        self._strategy = watermark_strategy or WatermarkStrategy.no_watermarks()
        self._emitted = MIN_TIMESTAMP
        self._idle = False
        self._stopped = False
        self._opened = False
        self._alignment: SourceAlignment | None = None
        self._rows_max = ALL_ROWS
        self._rows_min = 1
        function = self._strategy.timestamp_function()
        cheap = function is None or getattr(function, "steady", False)
        self.steady = source.schema is not None and cheap

    def open(self) -> None:
        """Make the reader and give it the restored splits."""
        context = self.context
        name = context.operator_name
        self._interval_ms = context.config.get(options.AUTO_WATERMARK_INTERVAL) // _MILLISECOND
        default = context.config.get(options.WATERMARK_IDLE_TIMEOUT) // _MILLISECOND
        self._strategy = self._strategy.with_default_idleness(default)
        self._periodic_at_ms = context.clock.monotonic_ms() + self._interval_ms
        self._assignment = TimestampAssignment(self._strategy, name)
        self._watermarks = SplitWatermarks(self._strategy, context.clock, name)
        self._unread = UnreadBatches(context.clock, self._rows_min)
        self._reader_context = OperatorReaderContext(context)
        self._reader = self._source.create_reader(self._reader_context)
        self._opened = True
        self._metrics = SourceMetrics(context, self._reader, self._watermarks)
        self._align()
        restored = list(context.restored_list(SPLITS_STATE))
        restored += self._unread.restore(context.restored_list(UNREAD_STATE))
        if restored:
            self.add_splits(restored)
        self._restore_event_time()
        self._reader.start()

    def _align(self) -> None:
        """Be kept with others in event time, if so wished; and the metrics of event time."""
        metrics, watermarks = self.context.metrics, self._watermarks
        if self._strategy.generates_watermarks:
            metrics.gauge("source_splits_idle", lambda: watermarks.idle_splits)
        if self._strategy.alignment is not None:
            alignment = self._alignment = SourceAlignment(
                self._strategy.alignment, self.context, watermarks, self._reader
            )
            metrics.gauge("source_splits_paused", lambda: watermarks.paused_splits)
            metrics.gauge(
                "watermark_alignment_drift_seconds",
                lambda: None if (drift := alignment.drift_ms) is None else drift / 1000,
            )

    def _restore_event_time(self) -> None:
        """Go on with the event time of the checkpoint."""
        context = self.context
        restored = restored_event_time(
            context.restored_list(EVENT_TIME_STATE), context.subtask, context.parallelism
        )
        if restored > MIN_TIMESTAMP:
            self._watermarks.watermark = self._emitted = restored
            self.output.emit_watermark(restored)

    def process_batch(self, batch: Batch, input_index: int = 0) -> None:
        """A source has no input."""
        msg = "a source operator was given a batch"
        raise InternalError(msg)

    def add_splits(self, splits: Sequence[bytes]) -> None:
        """Splits from the enumerator or from the checkpoint."""
        added = [self._source.deserialize_split(split) for split in splits]
        for split in added:
            self._watermarks.add(split.split_id)
        self._reader.add_splits(added)

    def no_more_splits(self) -> None:
        """No further splits will be assigned."""
        self._reader.notify_no_more_splits()

    def stop(self) -> None:
        """Stop reading."""
        self._stopped = True

    def limit_rows(self, rows: int) -> None:
        """Emit no more than so many records in a step: those behind let few wait."""
        self._rows_max = self._reader_context.rows_max = rows

    def read_at_least(self, rows: int) -> None:
        """What is chained behind has no users' code."""
        self._rows_min = rows

    def poll(self) -> PollOutcome:
        """Read one batch, or emit more of the one that was read."""
        if self._stopped:
            return IDLE
        if self._alignment is not None and self._alignment.turn():
            return PollOutcome(PollStatus.IDLE, self._alignment.report_at_ms)
        if self._unread:
            return self._emit_unread()
        result = self._reader.poll()
        if type(result) is SourceBatch:
            self._unread.offer(result)
            self._metrics.fetched()
            return self._emit_unread()
        if isinstance(result, SplitFinished):
            self._watermarks.finish(result.split_id)
            self._emit_progress()
            return PROGRESS
        if result is EndOfSplits.END:
            if self._alignment is not None:
                self._alignment.ended()
            return END
        assert isinstance(result, NoData)
        return self._pause(result.wake_at_ms)

    def _emit_unread(self) -> PollOutcome:
        piece = self._unread.take(self._rows_max)
        batch = self._assignment.assign(piece.batch)
        self._watermarks.on_batch(piece.split_id, batch)
        if self._idle:
            self._emit_status()
        self.output.emit(batch)
        self._metrics.emitted(batch)
        if self._unread.emitted(piece):
            self._watermarks.finish(piece.split_id)
        self._emit_progress()
        return PROGRESS

    def align(self, max_watermark: int) -> None:
        """How far (ms) the alignment group lets this reader go."""
        if self._alignment is not None:
            self._alignment.limit(max_watermark)

    def drain(self) -> None:
        """Emit all that was read: the end of event time comes next."""
        self._rows_max = ALL_ROWS
        while self._unread:
            self._emit_unread()

    def _pause(self, wake_at_ms: int | None) -> PollOutcome:
        now_ms = self.context.clock.monotonic_ms()
        custom = self._strategy.generator_factory is not None and self._interval_ms > 0
        periodic = custom and now_ms >= self._periodic_at_ms
        if periodic:
            self._periodic_at_ms = now_ms + self._interval_ms
        self._watermarks.on_pause(periodic=periodic)
        self._emit_progress()
        wakes = [wake_at_ms, self._watermarks.next_check_ms()]
        if custom:
            wakes.append(self._periodic_at_ms)
        if self._alignment is not None:
            wakes.append(self._alignment.report_at_ms)
        return PollOutcome(
            PollStatus.IDLE, min((at for at in wakes if at is not None), default=None)
        )

    def _emit_status(self) -> None:
        if self._watermarks.idle != self._idle:
            self._idle = self._watermarks.idle
            self.output.emit_status(self._idle)

    def _emit_progress(self) -> None:
        watermarks = self._watermarks
        if watermarks.watermark > self._emitted and (
            self._interval_ms or self._strategy.generator_factory is not None
        ):
            self._emitted = watermarks.watermark
            self.output.emit_watermark(self._emitted)
        self._emit_status()

    def snapshot(self, checkpoint_id: int, canonical: bool) -> OperatorSnapshot:
        """The unfinished splits, exactly behind the last record emitted, and event time."""
        serialize = self._source.serialize_split
        splits = {s.split_id: serialize(s) for s in self._reader.snapshot_state(checkpoint_id)}
        unread = self._unread.snapshot(splits)
        return OperatorSnapshot(
            lists={SPLITS_STATE: list(splits.values())}
            | ({UNREAD_STATE: unread} if unread else {}),
            union_lists=stored_event_time(self.context.subtask, self._emitted),
        )

    def notify_checkpoint_complete(self, checkpoint_id: int) -> None:
        """Tell the reader."""
        self._reader.notify_checkpoint_complete(checkpoint_id)

    def close(self) -> None:
        """Close the reader."""
        if self._opened:
            self._opened = False
            self._reader.close()
