"""The input side of a task: channels in fair turns, event time merged, barriers aligned."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from lesto.common.elements import (
    Barrier,
    Batch,
    ColumnarBatch,
    EndOfData,
    LatencyMarker,
    RowBatch,
    StreamStatus,
    Watermark,
)
from lesto.taskmanager.core.alignment import (
    BarrierAligner,
    Block,
    Decline,
    Instruction,
    StartCheckpoint,
    Unblock,
)
from lesto.taskmanager.core.watermarks import Advance, WatermarkMerger
from lesto.taskmanager.runtime.exchange.channels import InputChannel

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
        """All barriers are there: snapshot now."""
        ...

    def on_decline(self, decline: Decline) -> None:
        """A checkpoint cannot be taken here."""
        ...


@dataclass(slots=True)
class _Channel:
    channel: InputChannel
    input_index: int
    blocked: bool = False
    ended: bool = False


class TaskInputs:
    """All channels of a task.

    Args:
        channels: (input index, channel) of every channel.
        handler: the task.
        exactly_once: align barriers by blocking channels.
    """

    def __init__(
        self,
        channels: Sequence[tuple[int, InputChannel]],
        handler: InputHandler,
        *,
        exactly_once: bool,
    ) -> None:
        self._channels = [_Channel(channel, index) for index, channel in channels]
        self._handler = handler
        self._aligner = BarrierAligner(len(channels), exactly_once=exactly_once)
        self._merger = WatermarkMerger(len(channels))
        self._turn = 0

    @property
    def ended(self) -> bool:
        """Whether every channel has brought its last record."""
        return all(c.ended for c in self._channels)

    @property
    def queued_bytes(self) -> int:
        """Bytes waiting."""
        return sum(c.channel.queued_bytes for c in self._channels)

    def step(self) -> bool:
        """Take up to one batch and the control elements on the way; False when none was there."""
        for handled in range(CONTROL_PER_STEP_MAX):
            index = self._next()
            if index is None:
                return handled > 0
            if self._take(index):
                return True
        return True

    def abort(self, checkpoint_id: int) -> None:
        """The coordinator has aborted a checkpoint."""
        self._execute(self._aligner.on_abort(checkpoint_id))

    def close(self) -> None:
        """Drop everything."""
        for c in self._channels:
            c.channel.close()

    def _next(self) -> int | None:
        n = len(self._channels)
        for i in range(self._turn, self._turn + n):
            index = i - n if i >= n else i
            c = self._channels[index]
            if c.channel.queue and not c.blocked:
                # After a batch it is the next channel's turn.
                self._turn = index + 1 if index + 1 < n else 0
                return index
        return None

    def _take(self, index: int) -> bool:
        """Handle one element; True when it was a batch."""
        c = self._channels[index]
        match c.channel.take():
            case ColumnarBatch() | RowBatch() as batch:
                self._handler.on_batch(batch, c.input_index)
                return True
            case Watermark(timestamp):
                self._advance(self._merger.on_watermark(index, timestamp))
            case StreamStatus(idle):
                self._advance(self._merger.on_status(index, idle))
            case Barrier() as barrier:
                now_us = time.monotonic_ns() // 1000
                self._execute(self._aligner.on_barrier(index, barrier, now_us))
            case EndOfData():
                self._end(index)
            case LatencyMarker() as marker:
                self._handler.on_latency_marker(marker)
            case _:  # the channel is closed
                pass
        return False

    def _end(self, index: int) -> None:
        c = self._channels[index]
        self._execute(self._aligner.on_end_of_data(index))
        c.ended = True
        self._advance(self._merger.on_end(index))
        if all(o.ended for o in self._channels if o.input_index == c.input_index):
            self._handler.on_input_ended(c.input_index)

    def _advance(self, advance: Advance) -> None:
        if advance.watermark is not None or advance.idle is not None:
            self._handler.on_advance(advance)

    def _execute(self, instructions: Sequence[Instruction]) -> None:
        for instruction in instructions:
            match instruction:
                case Block(channel):
                    self._channels[channel].blocked = True
                case Unblock(channels):
                    for channel in channels:
                        self._channels[channel].blocked = False
                case StartCheckpoint():
                    self._handler.on_checkpoint(instruction)
                case Decline():
                    self._handler.on_decline(instruction)
