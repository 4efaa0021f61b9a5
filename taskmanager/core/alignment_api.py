"""What alignment tells its caller to do."""

from __future__ import annotations

from dataclasses import dataclass

from lesto.common.elements import Barrier


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
        unaligned: the barrier overtakes; ``Captured`` or ``DropCapture`` follows.
        limited: it waited for alignment because too many bytes would have been in flight.
    """

    barrier: Barrier
    alignment_us: int
    first_barrier_us: int
    unaligned: bool = False
    limited: bool = False


@dataclass(frozen=True, slots=True)
class Decline:
    """This task cannot take part in the checkpoint any more."""

    checkpoint_id: int
    reason: str


@dataclass(frozen=True, slots=True)
class Capture:
    """From now on everything read from these channels is in flight in the checkpoint."""

    checkpoint_id: int
    channels: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class FinishCapture:
    """The channel's barrier is in its queue: take it out; everything in front of it is in flight,
    and nothing behind it.
    """

    checkpoint_id: int
    channel: int


@dataclass(frozen=True, slots=True)
class StopCapture:
    """The channel has been read up to its barrier: what comes is not in flight any more."""

    checkpoint_id: int
    channel: int


@dataclass(frozen=True, slots=True)
class Captured:
    """All in-flight data of the checkpoint is captured.

    Attributes:
        checkpoint_id: the checkpoint.
        limited: channels waited for their barriers because enough was captured.
    """

    checkpoint_id: int
    limited: bool = False


@dataclass(frozen=True, slots=True)
class DropCapture:
    """The checkpoint is given up: forget what was captured, capture nothing more."""

    checkpoint_id: int


@dataclass(frozen=True, slots=True)
class ArmTimer:
    """Say when the barriers of this checkpoint are to overtake."""

    barrier: Barrier


Instruction = (
    Block
    | Unblock
    | StartCheckpoint
    | Decline
    | Capture
    | FinishCapture
    | StopCapture
    | Captured
    | DropCapture
    | ArmTimer
)
