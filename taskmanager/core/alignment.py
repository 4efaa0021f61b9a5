"""When a task takes its snapshot: alignment of checkpoint barriers over its input channels.

Chandy-Lamport as in Flink. A barrier of checkpoint n says that everything before it on its channel
belongs to the snapshot n. A task with several channels takes the snapshot when the barrier has
come on all of them.

* Exactly once: a channel that has brought the barrier is *blocked* until the others have too, so
  no record behind the barrier can get into the snapshot.
* At least once: nothing is blocked; a channel may bring barriers of several checkpoints before
  another one brings the first.

A channel that has ended (EndOfData) still brings barriers: the final checkpoint needs them.

Pure: events in, instructions out. The caller executes instructions in the order given.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from lesto.common.elements import Barrier
from lesto.common.errors import InternalError

#: Aborted checkpoints remembered while none of their barriers has come everywhere.
ABORTED_MAX: Final = 1024


@dataclass(frozen=True, slots=True)
class Block:
    """Do not read this channel until it is unblocked."""

    channel: int


@dataclass(frozen=True, slots=True)
class Unblock:
    """Read these channels again."""

    channels: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class StartCheckpoint:
    """Take the snapshot now and pass the barrier on.

    Attributes:
        barrier: the last barrier that arrived, identical in content to the others.
        alignment_us: from the first barrier to the last.
        first_barrier_us: when the first one came, in the caller's clock.
    """

    barrier: Barrier
    alignment_us: int
    first_barrier_us: int


@dataclass(frozen=True, slots=True)
class Decline:
    """This task cannot take part in the checkpoint any more."""

    checkpoint_id: int
    reason: str


Instruction = Block | Unblock | StartCheckpoint | Decline


@dataclass(slots=True)
class _Pending:
    """A checkpoint some of whose barriers have come."""

    first_us: int
    arrived: set[int] = field(default_factory=set)


class BarrierAligner:
    """Alignment for one task.

    Args:
        channels: number of input channels of the task, over all inputs; at least 1.
        exactly_once: block channels (exactly once) or not (at least once).
    """

    def __init__(self, channels: int, *, exactly_once: bool = True) -> None:
        if channels < 1:
            msg = f"alignment needs a channel, got {channels}"
            raise InternalError(msg)
        self._channels = channels
        self._exactly_once = exactly_once
        self._pending: dict[int, _Pending] = {}
        self._last_seen = [0] * channels  # newest checkpoint id per channel
        self._ended: set[int] = set()
        self._blocked: set[int] = set()
        self._done = 0  # no checkpoint up to this one will be started any more
        self._aborted: set[int] = set()  # ids above _done, bounded by the checkpoints in flight

    @property
    def blocked(self) -> frozenset[int]:
        """Channels that must not be read."""
        return frozenset(self._blocked)

    @property
    def pending_ids(self) -> tuple[int, ...]:
        """Checkpoints under alignment, oldest first."""
        return tuple(sorted(self._pending))

    def on_barrier(self, channel: int, barrier: Barrier, now_us: int) -> list[Instruction]:
        """A barrier has come on a channel."""
        checkpoint_id = barrier.checkpoint_id
        self._check(channel, checkpoint_id)
        self._last_seen[channel] = checkpoint_id
        if checkpoint_id <= self._done or checkpoint_id in self._aborted:
            return []
        out: list[Instruction] = []
        if self._exactly_once:
            out += self._supersede(checkpoint_id)
        pending = self._pending.setdefault(checkpoint_id, _Pending(now_us))
        pending.arrived.add(channel)
        if len(pending.arrived) == self._channels:
            return out + self._start(barrier, pending, now_us)
        if self._exactly_once:
            self._blocked.add(channel)
            out.append(Block(channel))
        return out

    def on_end_of_data(self, channel: int) -> list[Instruction]:
        """A channel has brought its last record. It keeps bringing barriers, so nothing changes."""
        if channel in self._ended:
            msg = f"second end of data on channel {channel}"
            raise InternalError(msg)
        if channel in self._blocked:
            msg = f"element on blocked channel {channel}: end of data"
            raise InternalError(msg)
        self._ended.add(channel)
        return []

    def on_abort(self, checkpoint_id: int) -> list[Instruction]:
        """The coordinator has given up a checkpoint: its barriers, also those to come, mean
        nothing.
        """
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

    def _supersede(self, newer: int) -> list[Instruction]:
        """A newer barrier on a channel means that the older one will never come on it."""
        out: list[Instruction] = []
        for older in sorted(i for i in self._pending if i < newer):
            del self._pending[older]
            out.append(Decline(older, f"barrier of checkpoint {newer} came first on a channel"))
            out += self._unblock()
        return out

    def _start(self, barrier: Barrier, pending: _Pending, now_us: int) -> list[Instruction]:
        checkpoint_id = barrier.checkpoint_id
        out: list[Instruction] = []
        for older in sorted(i for i in self._pending if i < checkpoint_id):
            del self._pending[older]
            out.append(Decline(older, f"checkpoint {checkpoint_id} was complete first"))
        del self._pending[checkpoint_id]
        self._done = checkpoint_id
        self._aborted = {i for i in self._aborted if i > checkpoint_id}
        out.append(StartCheckpoint(barrier, max(0, now_us - pending.first_us), pending.first_us))
        return out + self._unblock()

    def _unblock(self) -> list[Instruction]:
        if not self._blocked:
            return []
        channels = tuple(sorted(self._blocked))
        self._blocked.clear()
        return [Unblock(channels)]

    def _check(self, channel: int, checkpoint_id: int) -> None:
        if not 0 <= channel < self._channels:
            msg = f"channel {channel} does not exist: the task has {self._channels}"
            raise InternalError(msg)
        if channel in self._blocked:
            msg = f"element on blocked channel {channel}: barrier {checkpoint_id}"
            raise InternalError(msg)
        if checkpoint_id <= self._last_seen[channel]:
            msg = (
                f"barrier {checkpoint_id} on channel {channel} is not newer than "
                f"{self._last_seen[channel]}"
            )
            raise InternalError(msg)
