"""The input side of a task: channels in fair turns, event time merged, barriers aligned.

Restored in-flight data comes first: the channels of earlier attempts, oldest attempt first, and
only then those of this one. Each attempt's channels are a *stage*, with event time of its own.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from lesto.common.elements import (
    MAX_TIMESTAMP,
    MIN_TIMESTAMP,
    Barrier,
    Batch,
    ColumnarBatch,
    EndOfData,
    LatencyMarker,
    RowBatch,
    StreamStatus,
    Watermark,
)
from lesto.common.errors import InternalError
from lesto.taskmanager.core.alignment import (
    ArmTimer,
    BarrierAligner,
    Block,
    Capture,
    Captured,
    Decline,
    DropCapture,
    FinishCapture,
    Instruction,
    StartCheckpoint,
    StopCapture,
    Unblock,
)
from lesto.taskmanager.core.debloating import UNBOUNDED_BYTES, WINDOW_BYTES_MIN, Debloater
from lesto.taskmanager.core.pacing import ALL_ROWS, Pacer
from lesto.taskmanager.core.watermarks import Advance, WatermarkMerger
from lesto.taskmanager.runtime.capture import (
    ChannelName,
    InFlightPart,
    InputCapture,
    OvertakingSettings,
)
from lesto.taskmanager.runtime.exchange.channels import InputChannel
from lesto.taskmanager.runtime.exchange.edge import concat
from lesto.taskmanager.runtime.exchange.wire import ChannelEncoder, Element

_UNNAMED = ChannelName("", 0)
#: Credit of a channel before anybody knows how quick its task is.
WINDOW_BYTES_START: Final = 2 << 10
#: Control elements handled in one step at most; a step also ends behind a batch.
CONTROL_PER_STEP_MAX = 64


class InputHandler(Protocol):
    """The task, as its input side sees it."""

    def on_batch(self, batch: Batch, input_index: int) -> None:
        """A batch of an input."""
        ...

    def on_advance(self, advance: Advance) -> None:
        """Event time or status of the inputs has changed."""
        ...

    def on_latency_marker(self, marker: LatencyMarker) -> None:
        """A latency marker."""
        ...

    def on_input_ended(self, input_index: int) -> None:
        """Every channel of an input has ended."""
        ...

    def on_checkpoint(self, start: StartCheckpoint) -> None:
        """All barriers are there, or are overtaken: snapshot now."""
        ...

    def on_captured(self, capture: InputCapture) -> None:
        """All in-flight data of a checkpoint that started unaligned."""
        ...

    def on_capture_dropped(self, checkpoint_id: int) -> None:
        """The checkpoint is given up before its in-flight data was complete."""
        ...

    def on_timed_barrier(self, barrier: Barrier) -> None:
        """Call ``timeout`` when the checkpoint is so old that its barriers overtake."""
        ...

    def on_decline(self, decline: Decline) -> None:
        """A checkpoint cannot be taken here."""
        ...


@dataclass(frozen=True, slots=True)
class InputSpec:
    """One channel to read.

    Attributes:
        input_index: input of the head operator.
        channel: the channel.
        name: its name in checkpoints.
        overtakable: whether barriers may overtake on it.
        watermark: event time before its first element, ms (restored channels).
        idle: idle before its first element (restored channels).
    """

    input_index: int
    channel: InputChannel
    name: ChannelName = _UNNAMED
    overtakable: bool = False
    watermark: int = MIN_TIMESTAMP
    idle: bool = False


@dataclass(slots=True)
class _Channel:
    spec: InputSpec
    channel: InputChannel
    input_index: int
    blocked: bool = False
    ended: bool = False
    capturing: bool = False
    #: A batch that was taken, and how many of its rows were handed over.
    rest: tuple[Batch, int] | None = None
    #: Bytes that it counted for, and those of them that are not worked off.
    nbytes: int = 0
    left: int = 0
    #: The channel counts those still as queued.
    holds: bool = False
    #: Its queue is kept short: the task is slow, or nobody knows yet.
    narrowed: bool = True

    def rest_batch(self) -> Batch | None:
        """The rows that were not handed over."""
        if self.rest is None:
            return None
        batch, start = self.rest
        return batch.slice(start, len(batch) - start)


class _Stage:
    """The channels of one attempt."""

    def __init__(self, specs: Sequence[InputSpec]) -> None:
        self.channels = [_Channel(spec, spec.channel, spec.input_index) for spec in specs]
        self.merger: WatermarkMerger | None = None  # from the stage's begin on
        self.turn = 0

    @property
    def empty(self) -> bool:
        """Whether nothing is left to read."""
        return all(c.rest is None and not c.channel.queue for c in self.channels)

    def times(self, index: int) -> tuple[int, bool]:
        """Event time and idleness of a channel."""
        if self.merger is not None:
            return self.merger.channel(index)
        spec = self.channels[index].spec
        return spec.watermark, spec.idle


class TaskInputs:
    """All channels of a task.

    Args:
        channels: the task's channels; a pair (input index, channel) for one without a name.
        handler: the task.
        exactly_once: align barriers by blocking channels.
        settings: when barriers overtake.
        restored: channels of earlier attempts with in-flight data.
        subtask: the task's.
        debloat_ns: time in which the task should be through with what waits in its channels;
            None: channels hold what their credit allows.
        rows_min: records of a step, at least, where they are there.
    """

    def __init__(
        self,
        channels: Sequence[InputSpec | tuple[int, InputChannel]],
        handler: InputHandler,
        *,
        exactly_once: bool,
        settings: OvertakingSettings | None = None,
        restored: Sequence[InputSpec] = (),
        subtask: int = 0,
        debloat_ns: int | None = None,
        rows_min: int = 1,
    ) -> None:
        specs = [c if isinstance(c, InputSpec) else InputSpec(*c) for c in channels]
        settings = settings or OvertakingSettings()
        self._handler = handler
        self._settings = settings
        self._subtask = subtask
        self._aligner = BarrierAligner(
            len(specs),
            exactly_once=exactly_once,
            aligned_only=frozenset(i for i, s in enumerate(specs) if not s.overtakable),
            timed=settings.enabled and settings.timeout_ms > 0,
            max_bytes=settings.max_bytes,
        )
        ages = sorted({s.name.age for s in restored}, reverse=True)
        self._stages = [_Stage([s for s in restored if s.name.age == age]) for age in ages]
        self._real = _Stage(specs)
        self._stages.append(self._real)
        self._stage = self._stages.pop(0)
        self._reached = MIN_TIMESTAMP
        inputs = max(s.input_index for s in specs) + 1
        self._pacers = [Pacer(rows_min) for _ in range(inputs)]
        self._rows_min = rows_min
        # Narrow channels bring small batches, and a task whose price is the call's would be slow,
        # and its channels narrower yet. It is through with full ones soon enough.
        least = UNBOUNDED_BYTES if rows_min > 1 else WINDOW_BYTES_MIN
        self._debloater = None if debloat_ns is None else Debloater(debloat_ns, least)
        #: Told on any thread that ``take_barriers`` has something to look at.
        self.barrier_came: Callable[[], None] | None = None
        #: Records that a step may hand over, for those behind let few wait.
        self.rows_max = ALL_ROWS
        #: Records that the operators would take now, where that is limited.
        self.room: Callable[[], int] | None = None
        self._freezer = ChannelEncoder(None)
        self._capture: InputCapture | None = None
        self._announced: deque[tuple[int, Barrier]] = deque()
        if settings.enabled and exactly_once:
            for index, spec in enumerate(specs):
                if spec.overtakable:
                    spec.channel.announce = self._announcer(index)

    def _announcer(self, index: int) -> Callable[[Barrier], None]:
        def announce(barrier: Barrier) -> None:
            """Note a barrier that may overtake; on any thread."""
            if self._settings.of(barrier):
                self._announced.append((index, barrier))
                if self.barrier_came is not None:
                    self.barrier_came()

        return announce

    @property
    def ended(self) -> bool:
        """Whether every channel has brought its last record."""
        return all(c.ended for c in self._real.channels)

    @property
    def queued_bytes(self) -> int:
        """Bytes waiting."""
        total = 0
        for stage in (self._stage, *self._stages):
            for c in stage.channels:
                total += c.channel.queued_bytes
                rest = None if c.holds else c.rest_batch()
                total += 0 if rest is None else rest.nbytes
        return total

    @property
    def window_bytes(self) -> int:
        """Bytes that may wait."""
        return sum(c.channel.window_bytes for c in self._real.channels if not c.ended)

    @property
    def drain_seconds(self) -> float | None:
        """How long the task would take for what waits; None: that was not measured."""
        rate = None if self._debloater is None else self._debloater.bytes_per_second
        return self.queued_bytes / rate if rate else None

    def event_times(self) -> dict[int, int]:
        """Event time (ms) of each input that has one and has not ended; idle channels apart."""
        stage = self._stage
        found: dict[int, int] = {}
        for index, c in enumerate(stage.channels):
            watermark, idle = stage.times(index)
            if not idle and watermark != MAX_TIMESTAMP:
                found[c.input_index] = min(found.get(c.input_index, MAX_TIMESTAMP), watermark)
        return {i: watermark for i, watermark in found.items() if watermark != MIN_TIMESTAMP}

    @property
    def barriers_wait(self) -> bool:
        """Whether barriers have come that may overtake."""
        return bool(self._announced)

    def take_barriers(self) -> None:
        """Look at barriers that have come and may overtake; also while the task is parked."""
        while self._announced:
            index, barrier = self._announced.popleft()
            now_us = time.monotonic_ns() // 1000
            self._execute(self._aligner.on_announced(index, barrier, now_us, self.queued_bytes))

    def timeout(self, checkpoint_id: int) -> None:
        """The checkpoint is so old that its barriers overtake."""
        now_us = time.monotonic_ns() // 1000
        self._execute(self._aligner.on_timeout(checkpoint_id, now_us, self.queued_bytes))

    def step(self) -> bool:
        """Take up to one batch and the control elements on the way; False when none was there."""
        if self._stage.merger is None:
            self._begin_stage()
        for handled in range(CONTROL_PER_STEP_MAX):
            index = self._next()
            if index is None:
                if self._stages and self._stage.empty:
                    self._next_stage()
                    return True
                if self._debloater is not None:
                    self._debloater.idle(time.perf_counter_ns())
                return handled > 0
            if self._take(index):
                return True
        return True

    def abort(self, checkpoint_id: int) -> None:
        """The coordinator has aborted a checkpoint."""
        self._execute(self._aligner.on_abort(checkpoint_id))

    def close(self) -> None:
        """Drop everything."""
        for stage in (self._stage, *self._stages):
            for c in stage.channels:
                c.channel.close()
                c.rest = None

    # -------------------------------------------------------------------------------------- stages

    def _begin_stage(self) -> None:
        """Go on with the event time that the stage's channels had."""
        stage = self._stage
        merger = stage.merger = WatermarkMerger(len(stage.channels), self._reached)
        for index, c in enumerate(stage.channels):
            if c.spec.watermark > MIN_TIMESTAMP:
                self._advance(merger.on_watermark(index, c.spec.watermark))
        for index, c in enumerate(stage.channels):
            if c.spec.idle:
                self._advance(merger.on_status(index, True))

    def _next_stage(self) -> None:
        """All restored data of an attempt is read."""
        merger = self._stage.merger
        assert merger is not None
        self._reached = max(self._reached, merger.watermark)
        if merger.idle:
            self._advance(Advance(idle=False))
        self._stage = self._stages.pop(0)
        self._begin_stage()

    # ------------------------------------------------------------------------------------- reading

    def _next(self) -> int | None:
        stage = self._stage
        channels = stage.channels
        n = len(channels)
        for i in range(stage.turn, stage.turn + n):
            index = i - n if i >= n else i
            c = channels[index]
            if (c.channel.queue or c.rest is not None) and not c.blocked:
                # After a batch it is the next channel's turn.
                stage.turn = index + 1 if index + 1 < n else 0
                return index
        return None

    def _take(self, index: int) -> bool:
        """Handle one element; True when it was a batch or the end."""
        c = self._stage.channels[index]
        if c.rest is not None:
            batch, start = c.rest
            self._hand_over(c, batch, start)
            return True
        nbytes = c.channel.queue[0][1]
        hold = c.narrowed and self._debloater is not None
        element = c.channel.take(hold=hold)
        if isinstance(element, (ColumnarBatch, RowBatch)):
            if len(element) < self._rows_min:
                element, nbytes = self._gathered(c, element, nbytes, hold)
            c.nbytes, c.left, c.holds = nbytes, nbytes, hold
            self._hand_over(c, element, 0)
            return True
        if c.capturing:
            self._captured(index, element)
        self._control(index, c, element)
        # Behind the end nothing more is taken in this step: the task may have to wait for
        # answers of requests before what follows.
        return type(element) is EndOfData

    def _gathered(self, c: _Channel, first: Batch, nbytes: int, hold: bool) -> tuple[Batch, int]:
        """The batch with those that wait right behind it, as one of about ``rows_min`` records."""
        parts, rows = [first], len(first)
        queue = c.channel.queue
        while queue and isinstance(queue[0][0], (ColumnarBatch, RowBatch)):
            rows += len(queue[0][0])
            if rows > self._rows_min:
                break
            nbytes += queue[0][1]
            part = c.channel.take(hold=hold)
            assert isinstance(part, (ColumnarBatch, RowBatch))
            parts.append(part)
        return (first if len(parts) == 1 else concat(parts)), nbytes

    def _hand_over(self, c: _Channel, batch: Batch, start: int) -> None:
        """Give the operators as many rows as fit into a step."""
        pacer = self._pacers[c.input_index]
        rows = len(batch) - start
        most = min(pacer.rows, self.rows_max)
        if self.room is not None:
            most = min(most, max(1, self.room()))
        if rows > most:
            rows = most
            c.rest = (batch, start + rows)
            batch = batch.slice(start, rows)
        else:
            c.rest = None
            if start:
                batch = batch.slice(start, rows)
        if c.capturing:
            self._captured(self._real.channels.index(c), batch)
        begin_ns = time.perf_counter_ns()
        if self._debloater is not None:
            self._debloater.took(begin_ns)
        self._handler.on_batch(batch, c.input_index)
        now_ns = time.perf_counter_ns()
        pacer.observe(rows, now_ns - begin_ns)
        if self._debloater is not None:
            self._worked(c, rows, self._debloater, now_ns)

    def _worked(self, c: _Channel, rows: int, debloater: Debloater, now_ns: int) -> None:
        """Give back what a piece of a batch counts for; let wait what the task can use."""
        part = c.left if c.rest is None else min(c.left, c.nbytes * rows // len(c.rest[0]))
        c.left -= part
        if c.holds and part:
            c.channel.release(part)
        if not debloater.worked(part, now_ns):
            return
        open_ = [other for other in self._real.channels if not other.ended]
        window = debloater.window(len(open_))
        if window is not None:
            for other in open_:
                other.narrowed = other.channel.narrow(window)

    def _control(self, index: int, c: _Channel, element: Element) -> None:
        merger = self._stage.merger
        assert merger is not None
        match element:
            case Watermark(timestamp):
                self._advance(merger.on_watermark(index, timestamp))
            case StreamStatus(idle):
                self._advance(merger.on_status(index, idle))
            case Barrier() as barrier:
                now_us = time.monotonic_ns() // 1000
                self._execute(self._aligner.on_barrier(index, barrier, now_us, self.queued_bytes))
            case EndOfData():
                self._end(index, c)
            case LatencyMarker() as marker:
                self._handler.on_latency_marker(marker)
            case _:  # the channel is closed
                pass

    def _end(self, index: int, c: _Channel) -> None:
        assert self._stage.merger is not None
        self._execute(self._aligner.on_end_of_data(index))
        c.ended = True
        self._advance(self._stage.merger.on_end(index))
        if all(o.ended for o in self._real.channels if o.input_index == c.input_index):
            self._handler.on_input_ended(c.input_index)

    def _advance(self, advance: Advance) -> None:
        if advance.watermark is not None or advance.idle is not None:
            self._handler.on_advance(advance)

    # ---------------------------------------------------------------------------------- alignment

    def _execute(self, instructions: Sequence[Instruction]) -> None:
        for instruction in instructions:
            match instruction:
                case Block(channel):
                    self._real.channels[channel].blocked = True
                case Unblock(channels):
                    for channel in channels:
                        self._real.channels[channel].blocked = False
                case StartCheckpoint():
                    self._handler.on_checkpoint(instruction)
                    if instruction.unaligned:
                        self._begin_capture(instruction)
                case Decline():
                    self._handler.on_decline(instruction)
                case ArmTimer(barrier):
                    self._handler.on_timed_barrier(barrier)
                case _:
                    self._execute_capture(instruction)

    def _execute_capture(self, instruction: Instruction) -> None:
        match instruction:
            case Capture(_, channels):
                for channel in channels:
                    self._real.channels[channel].capturing = True
            case FinishCapture(checkpoint_id, channel):
                self._finish_capture(checkpoint_id, channel)
            case StopCapture(_, channel):
                self._real.channels[channel].capturing = False
            case Captured(_, limited):
                capture, self._capture = self._capture, None
                assert capture is not None, "captured without a capture"
                capture.limited = limited
                self._handler.on_captured(capture)
            case DropCapture(checkpoint_id):
                self._capture = None
                for c in self._real.channels:
                    c.capturing = False
                self._handler.on_capture_dropped(checkpoint_id)

    def _begin_capture(self, start: StartCheckpoint) -> None:
        """A part for each channel; restored data that was not read yet is in flight again."""
        self._capture = InputCapture(start.barrier.checkpoint_id, [])
        for index in range(len(self._real.channels)):
            self._add_part(self._real, index, 0)
        restored = [stage for stage in (self._stage, *self._stages) if stage is not self._real]
        for stage in restored:
            for index, c in enumerate(stage.channels):
                part = self._add_part(stage, index, c.spec.name.age + 1)
                # Old channels to several consumers may have become one consumer's: the names of
                # parts must differ.
                part.producer = index
                rest = c.rest_batch()
                elements = [] if rest is None else [rest]
                for element in [*elements, *(entry[0] for entry in c.channel.queue)]:
                    self._add(part, element)

    def _add_part(self, stage: _Stage, index: int, age: int) -> InFlightPart:
        assert self._capture is not None
        name = stage.channels[index].spec.name
        watermark, idle = stage.times(index)
        part = InFlightPart(
            edge_id=name.edge_id,
            producer=name.producer,
            consumer=self._subtask,
            at_producer=False,
            watermark=watermark,
            idle=idle,
            age=age,
        )
        self._capture.parts.append(part)
        return part

    def _finish_capture(self, checkpoint_id: int, channel: int) -> None:
        c = self._real.channels[channel]
        front = c.channel.cut(checkpoint_id)
        if front is None or self._capture is None:
            msg = f"barrier {checkpoint_id} is not in the queue of channel {channel}"
            raise InternalError(msg)
        c.capturing = False
        part = self._capture.parts[channel]
        rest = c.rest_batch()
        if rest is not None:
            self._add(part, rest)
        for element in front:
            self._add(part, element)

    def _captured(self, channel: int, element: Element) -> None:
        """An element was taken from a channel whose barrier has not come."""
        if self._capture is None:
            return
        self._add(self._capture.parts[channel], element)
        if isinstance(element, (ColumnarBatch, RowBatch)):
            self._execute(self._aligner.on_captured_bytes(self._capture.nbytes))

    def _add(self, part: InFlightPart, element: Element) -> None:
        """Freeze it: rows are changed by their owners later."""
        assert self._capture is not None
        # The producer ends its data again after a restore; barriers and markers mean nothing then.
        if isinstance(element, (ColumnarBatch, RowBatch, Watermark, StreamStatus)):
            frozen, nbytes = self._freezer.freeze(element)
            part.entries.append((frozen, nbytes))
            self._capture.nbytes += nbytes
