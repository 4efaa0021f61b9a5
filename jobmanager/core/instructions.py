"""What the pure cores ask the shell to do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from lesto.common.errors import LestoError
from lesto.jobmanager.core.states import JobState
from lesto.proto import checkpoint_pb2, runtime_pb2


@dataclass(frozen=True, slots=True)
class RequestSlots:
    """Ask the slot pool for more slots; answered by SlotsAllocated or SlotsRefused."""

    count: int


@dataclass(frozen=True, slots=True)
class ReleaseSlots:
    """Give all slots of the job back and withdraw its request."""


@dataclass(frozen=True, slots=True)
class SendCommand:
    """Send a command to a slot, in order with all others to it."""

    slot_id: str
    command: runtime_pb2.TaskCommand


@dataclass(frozen=True, slots=True)
class KillSlot:
    """Have the TaskManager kill the slot's process."""

    slot_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class LoadCheckpoint:
    """Read a checkpoint's metadata; answered by CheckpointLoaded or CheckpointLoadFailed."""

    path: str


@dataclass(frozen=True, slots=True)
class StartEnumerators:
    """Make the enumerators of all sources, restored from these states, replacing older ones."""

    attempt: int
    states: Mapping[str, bytes]


@dataclass(frozen=True, slots=True)
class StopEnumerators:
    """Close the enumerators; what they still say is stale."""


@dataclass(frozen=True, slots=True)
class HandleSplitRequest:
    """A reader asks for work."""

    attempt: int
    operator_uid: str
    subtask: int


@dataclass(frozen=True, slots=True)
class SnapshotEnumerators:
    """Snapshot all enumerators; answered by EnumeratorsSnapshotted."""

    attempt: int
    checkpoint_id: int


@dataclass(frozen=True, slots=True)
class TriggerBarriers:
    """Have the source tasks emit barriers. The job master turns it into commands to slots."""

    checkpoint_id: int
    timestamp_ms: int
    kind: checkpoint_pb2.CheckpointType.ValueType
    stop: bool
    drain: bool
    target: str


@dataclass(frozen=True, slots=True)
class WriteMetadata:
    """Make the checkpoint durable by one atomic create; answered by MetadataWritten or its failure.

    Attributes:
        metadata: its content.
        target: directory of a savepoint; empty: the job's own checkpoint directory.
    """

    metadata: checkpoint_pb2.CheckpointMetadata
    target: str


@dataclass(frozen=True, slots=True)
class NotifyCheckpoint:
    """Tell all tasks the outcome. The job master turns it into commands to slots."""

    checkpoint_id: int
    complete: bool
    finish: bool = False


@dataclass(frozen=True, slots=True)
class DiscardCheckpoint:
    """Delete what belongs to a checkpoint alone.

    Attributes:
        checkpoint_id: which.
        metadata: of a completed one that is no longer retained; None: it never completed.
        retained: those whose files must stay.
    """

    checkpoint_id: int
    metadata: checkpoint_pb2.CheckpointMetadata | None
    retained: tuple[checkpoint_pb2.CheckpointMetadata, ...]


@dataclass(frozen=True, slots=True)
class DiscardAll:
    """Delete all checkpoints of the job: it has ended and nobody will restore them."""


@dataclass(frozen=True, slots=True)
class RequestSucceeded:
    """A client's savepoint or stop request is done."""

    request_id: str
    path: str


@dataclass(frozen=True, slots=True)
class RequestFailed:
    """A client's savepoint or stop request will not be done."""

    request_id: str
    error: LestoError


@dataclass(frozen=True, slots=True)
class FailJob:
    """The coordinator gives up on the running attempt. The job master turns it into a failure."""

    error: LestoError


@dataclass(frozen=True, slots=True)
class JobEnded:
    """The job is over; the last instruction."""

    state: JobState


Instruction = (
    RequestSlots
    | ReleaseSlots
    | SendCommand
    | KillSlot
    | LoadCheckpoint
    | StartEnumerators
    | StopEnumerators
    | HandleSplitRequest
    | SnapshotEnumerators
    | WriteMetadata
    | DiscardCheckpoint
    | DiscardAll
    | RequestSucceeded
    | RequestFailed
    | JobEnded
)

CoordinatorInstruction = (
    SnapshotEnumerators
    | TriggerBarriers
    | WriteMetadata
    | NotifyCheckpoint
    | DiscardCheckpoint
    | DiscardAll
    | RequestSucceeded
    | RequestFailed
    | FailJob
)
