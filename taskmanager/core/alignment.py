"""When a task takes its snapshot: checkpoint barriers over its input channels.

Chandy-Lamport as in Flink. A barrier of checkpoint n says that everything before it on its channel
belongs to the snapshot n. A task with several channels takes the snapshot when the barrier has
come on all of them.

* Exactly once: a channel that has brought the barrier is *blocked* until the others have too, so
  no record behind the barrier can get into the snapshot.
* At least once: nothing is blocked; a channel may bring barriers of several checkpoints before
  another one brings the first.
* Unaligned (exactly once too): the first barrier that may overtake starts the snapshot at once.
  What is in front of the barriers of the other channels is *in flight*: it is captured into the
  checkpoint, and processed as usual. A barrier is announced as soon as it is in a channel's queue.
* Aligned, then unaligned: as aligned until a timer fires or a barrier comes that overtook
  elsewhere. Never for savepoints and last checkpoints, which keep nothing in flight.

Some edges never let a barrier overtake (``aligned_only``). A task waits for its barriers on those.
When more bytes would be in flight than allowed, the task waits for alignment too.

A channel that has ended (EndOfData) still brings barriers: the final checkpoint needs them.

Pure: events in, instructions out. The caller executes instructions in the order given.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Final

from lesto.common.elements import Barrier
from lesto.common.errors import InternalError
from lesto.taskmanager.core.alignment_api import (
    ArmTimer,
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

__all__ = [
    "ABORTED_MAX",
    "ArmTimer",
    "BarrierAligner",
    "Block",
    "Capture",
    "Captured",
    "Decline",
    "DropCapture",
    "FinishCapture",
    "Instruction",
    "StartCheckpoint",
    "StopCapture",
    "Unblock",
]

#: Aborted checkpoints remembered while none of their barriers has come everywhere.
ABORTED_MAX: Final = 1024


@dataclass(slots=True)
class _Pending:
    """A checkpoint some of whose barriers have come, and that has not started.

    Attributes:
        barrier: one of them.
        first_us: when the first one came.
        arrived: channels read up to the barrier.
        announced: channels with the barrier in their queue, not read up to it.
        unaligned: barriers overtake.
        armed: a timer has been asked for.
        limited: it could have started, but too many bytes would have been in flight.
    """

    barrier: Barrier
    first_us: int
    arrived: set[int] = field(default_factory=set)
    announced: set[int] = field(default_factory=set)
    unaligned: bool = False
    armed: bool = False
    limited: bool = False


@dataclass(slots=True)
class _Capture:
    """A checkpoint that has started, and channels that have not brought its barrier yet."""

    checkpoint_id: int
    waiting: set[int]
    limited: bool = False


class BarrierAligner:
    """Alignment for one task.

    Args:
        channels: number of input channels of the task, over all inputs; at least 1.
        exactly_once: block channels (exactly once) or not (at least once).
        aligned_only: channels of edges on which no barrier overtakes.
        timed: ask for a timer for barriers that may overtake later.
        max_bytes: in flight in one checkpoint of this task at most; None: no limit.
    """

    def __init__(
        self,
        channels: int,
        *,
        exactly_once: bool = True,
        aligned_only: frozenset[int] = frozenset(),
        timed: bool = False,
        max_bytes: int | None = None,
    ) -> None:
        if channels < 1:
            msg = f"alignment needs a channel, got {channels}"
            raise InternalError(msg)
        self._channels = channels
        self._exactly_once = exactly_once
        self._aligned_only = aligned_only
        self._timed = timed
        self._max_bytes = max_bytes
        self._pending: dict[int, _Pending] = {}
        self._capture: _Capture | None = None
        self._last_seen = [0] * channels  # newest checkpoint id per channel
        self._ended: set[int] = set()
        self._blocked: set[int] = set()
        self._held_back: set[int] = set()  # captured enough: not read before the barrier is there
        self._done = 0  # no checkpoint up to this one will be started any more
        self._aborted: set[int] = set()  # ids above _done, bounded by the checkpoints in flight

    @property
    def blocked(self) -> frozenset[int]:
        """Channels that must not be read."""
        return frozenset(self._blocked | self._held_back)

    @property
    def pending_ids(self) -> tuple[int, ...]:
        """Checkpoints under alignment, oldest first."""
        return tuple(sorted(self._pending))

    @property
    def capturing(self) -> frozenset[int]:
        """Channels whose elements are in flight of the checkpoint that started last."""
        return frozenset() if self._capture is None else frozenset(self._capture.waiting)

    # ------------------------------------------------------------------------------------ barriers

    def on_announced(
        self, channel: int, barrier: Barrier, now_us: int, queued_bytes: int = 0
    ) -> list[Instruction]:
        """A barrier that may overtake is in the queue of a channel, behind what is unread.

        Args:
            channel: whose queue it is.
            barrier: the barrier.
            now_us: the caller's clock.
            queued_bytes: unread bytes of all channels.
        """
        checkpoint_id = barrier.checkpoint_id
        if not self._exactly_once or channel in self._aligned_only:
            return []
        if checkpoint_id <= self._last_seen[channel]:  # read up to it meanwhile
            return []
        if self._captures(checkpoint_id, channel):
            return self._finish_capture(channel)
        if checkpoint_id <= self._done or checkpoint_id in self._aborted:
            return []
        pending = self._join(barrier, now_us)
        pending.announced.add(channel)
        return self._consider(pending, now_us, queued_bytes)

    def on_barrier(
        self, channel: int, barrier: Barrier, now_us: int, queued_bytes: int = 0
    ) -> list[Instruction]:
        """A channel has been read up to a barrier; arguments as of ``on_announced``."""
        checkpoint_id = barrier.checkpoint_id
        if 0 <= channel < self._channels and self._was_overtaken(channel, checkpoint_id):
            return []
        self._check(channel, checkpoint_id)
        self._last_seen[channel] = checkpoint_id
        if self._captures(checkpoint_id, channel):
            return self._stop_capture(channel)
        if checkpoint_id <= self._done or checkpoint_id in self._aborted:
            return []
        out: list[Instruction] = []
        if self._exactly_once:
            out += self._supersede(channel, checkpoint_id)
        pending = self._join(barrier, now_us)
        pending.arrived.add(channel)
        pending.announced.discard(channel)
        if len(pending.arrived) == self._channels:
            return out + self._start(pending, now_us)
        if self._exactly_once:
            self._blocked.add(channel)
            out.append(Block(channel))
            out += self._consider(pending, now_us, queued_bytes)
        return out

    def on_timeout(
        self, checkpoint_id: int, now_us: int, queued_bytes: int = 0
    ) -> list[Instruction]:
        """The timer of a checkpoint has fired: its barriers overtake from now on."""
        pending = self._pending.get(checkpoint_id)
        if pending is None or not pending.barrier.may_overtake:
            return []
        pending.unaligned = True
        pending.barrier = replace(pending.barrier, unaligned=True)
        return self._consider(pending, now_us, queued_bytes)

    def on_captured_bytes(self, captured_bytes: int) -> list[Instruction]:
        """So many bytes are captured: too many let the channels wait for their barriers."""
        capture, limit = self._capture, self._max_bytes
        if capture is None or limit is None or captured_bytes <= limit or capture.limited:
            return []
        capture.limited = True
        self._held_back = set(capture.waiting)
        return [Block(channel) for channel in sorted(capture.waiting)]

    @property
    def capture_limited(self) -> bool:
        """Whether channels wait for their barriers because enough is captured."""
        return self._capture is not None and self._capture.limited

    def on_end_of_data(self, channel: int) -> list[Instruction]:
        """A channel has brought its last record. It keeps bringing barriers, so nothing changes."""
        if channel in self._ended:
            msg = f"second end of data on channel {channel}"
            raise InternalError(msg)
        if channel in self._blocked or channel in self._held_back:
            msg = f"element on blocked channel {channel}: end of data"
            raise InternalError(msg)
        self._ended.add(channel)
        return []

    def on_abort(self, checkpoint_id: int) -> list[Instruction]:
        """The coordinator has given up a checkpoint: its barriers, also those to come, mean
        nothing.
        """
        if self._capture is not None and self._capture.checkpoint_id == checkpoint_id:
            return self._drop_capture()
        if checkpoint_id <= self._done:
            return []
        self._aborted.add(checkpoint_id)
        # An id behind every channel's newest barrier cannot come any more.
        self._aborted = {i for i in self._aborted if i > min(self._last_seen)}
        if len(self._aborted) > ABORTED_MAX:
            # Should its barrier come after all, the next checkpoint's barriers supersede it.
            self._aborted.discard(min(self._aborted))
        if self._pending.pop(checkpoint_id, None) is None:
            return []
        return self._unblock() if self._exactly_once else []

    # ------------------------------------------------------------------------------------ starting

    def _join(self, barrier: Barrier, now_us: int) -> _Pending:
        pending = self._pending.setdefault(barrier.checkpoint_id, _Pending(barrier, now_us))
        if barrier.unaligned and not pending.unaligned:
            pending.unaligned = True
            pending.barrier = barrier
        return pending

    def _consider(self, pending: _Pending, now_us: int, queued_bytes: int) -> list[Instruction]:
        """Start without alignment when that is allowed now."""
        if not pending.unaligned:
            if not self._timed or pending.armed or not pending.barrier.may_overtake:
                return []
            pending.armed = True
            return [ArmTimer(pending.barrier)]
        if not pending.arrived >= self._aligned_only:
            return []
        if self._max_bytes is not None and queued_bytes > self._max_bytes:
            pending.limited = True
            return []
        return self._start_unaligned(pending, now_us)

    def _start(self, pending: _Pending, now_us: int) -> list[Instruction]:
        """Every channel has been read up to its barrier."""
        out = self._begin(pending, now_us)
        out += self._unblock()
        if pending.unaligned and self._exactly_once:
            out.append(Captured(pending.barrier.checkpoint_id))
        return out

    def _start_unaligned(self, pending: _Pending, now_us: int) -> list[Instruction]:
        checkpoint_id = pending.barrier.checkpoint_id
        pending.limited = False
        out = self._begin(pending, now_us)
        waiting = set(range(self._channels)) - pending.arrived
        self._capture = _Capture(checkpoint_id, set(waiting))
        out.append(Capture(checkpoint_id, tuple(sorted(waiting))))
        out += self._unblock()
        for channel in sorted(pending.announced):
            out += self._finish_capture(channel)
        return out

    def _begin(self, pending: _Pending, now_us: int) -> list[Instruction]:
        checkpoint_id = pending.barrier.checkpoint_id
        out: list[Instruction] = []
        if self._capture is not None:
            older = self._capture.checkpoint_id
            out.append(Decline(older, f"checkpoint {checkpoint_id} was complete first"))
            out += self._drop_capture()
        for older in sorted(i for i in self._pending if i < checkpoint_id):
            del self._pending[older]
            out.append(Decline(older, f"checkpoint {checkpoint_id} was complete first"))
        del self._pending[checkpoint_id]
        self._done = checkpoint_id
        self._aborted = {i for i in self._aborted if i > checkpoint_id}
        out.append(
            StartCheckpoint(
                pending.barrier,
                max(0, now_us - pending.first_us),
                pending.first_us,
                unaligned=pending.unaligned and self._exactly_once,
                limited=pending.limited,
            )
        )
        return out

    def _supersede(self, channel: int, newer: int) -> list[Instruction]:
        """A newer barrier on a channel means that the older one will never come on it."""
        out: list[Instruction] = []
        reason = f"barrier of checkpoint {newer} came first on a channel"
        if self._capture is not None and channel in self._capture.waiting:
            out.append(Decline(self._capture.checkpoint_id, reason))
            out += self._drop_capture()
        for older in sorted(i for i in self._pending if i < newer):
            del self._pending[older]
            out.append(Decline(older, reason))
            out += self._unblock()
        return out

    def _unblock(self) -> list[Instruction]:
        if not self._blocked:
            return []
        channels = tuple(sorted(self._blocked))
        self._blocked.clear()
        return [Unblock(channels)]

    # ----------------------------------------------------------------------------------- capturing

    def _captures(self, checkpoint_id: int, channel: int) -> bool:
        capture = self._capture
        return (
            capture is not None
            and capture.checkpoint_id == checkpoint_id
            and channel in capture.waiting
        )

    def _finish_capture(self, channel: int) -> list[Instruction]:
        """The barrier is in the channel's queue: what is in front of it is in flight."""
        assert self._capture is not None
        checkpoint_id = self._capture.checkpoint_id
        self._last_seen[channel] = checkpoint_id
        return [FinishCapture(checkpoint_id, channel), *self._captured(channel)]

    def _stop_capture(self, channel: int) -> list[Instruction]:
        """The channel has been read up to the barrier."""
        assert self._capture is not None
        return [StopCapture(self._capture.checkpoint_id, channel), *self._captured(channel)]

    def _captured(self, channel: int) -> list[Instruction]:
        capture = self._capture
        assert capture is not None
        out: list[Instruction] = []
        capture.waiting.discard(channel)
        if channel in self._held_back:
            self._held_back.discard(channel)
            out.append(Unblock((channel,)))
        if not capture.waiting:
            self._capture = None
            out.append(Captured(capture.checkpoint_id, limited=capture.limited))
        return out

    def _drop_capture(self) -> list[Instruction]:
        assert self._capture is not None
        out: list[Instruction] = [DropCapture(self._capture.checkpoint_id)]
        self._capture = None
        if self._held_back:
            out.append(Unblock(tuple(sorted(self._held_back))))
            self._held_back.clear()
        return out

    # -------------------------------------------------------------------------------------- checks

    def _was_overtaken(self, channel: int, checkpoint_id: int) -> bool:
        """A barrier that a newer one has overtaken on its channel means nothing any more."""
        return checkpoint_id <= self._done and checkpoint_id < self._last_seen[channel]

    def _check(self, channel: int, checkpoint_id: int) -> None:
        if not 0 <= channel < self._channels:
            msg = f"channel {channel} does not exist: the task has {self._channels}"
            raise InternalError(msg)
        if channel in self._blocked or channel in self._held_back:
            msg = f"element on blocked channel {channel}: barrier {checkpoint_id}"
            raise InternalError(msg)
        if checkpoint_id <= self._last_seen[channel]:
            msg = (
                f"barrier {checkpoint_id} on channel {channel} is not newer than "
                f"{self._last_seen[channel]}"
            )
            raise InternalError(msg)
