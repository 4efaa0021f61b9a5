"""What the pure cores ask the shell to do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from lesto.common.errors import LestoError
from lesto.jobmanager.core.states import JobState
from lesto.proto import checkpoint_pb2, runtime_pb2


@dataclass(frozen=True, slots=True)
class RequestSlots:
    """Ask the slot pool for more slots; answered by SlotsAllocated or SlotsRefused.

    Attributes:
        count: how many.
        timeout_ms: how long to wait for them; 0: the job's slot.request.timeout.
    """

    count: int
    timeout_ms: int = 0


@dataclass(frozen=True, slots=True)
class WithdrawRequest:
    """More slots are not wanted after all; they may have been allocated already."""


@dataclass(frozen=True, slots=True)
class ReleaseSlot:
    """Give one slot back."""

    slot_id: str


@dataclass(frozen=True, slots=True)
class RecordParallelism:
    """Make it durable; answered by ParallelismRecorded or ParallelismNotRecorded.

    Attributes:
        vertices: parallelism by vertex id.
    """

    vertices: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Rescaled:
    """A client's request to rescale is done: all tasks run.

    Attributes:
        request_id: which.
        vertices: parallelism by vertex id.
        pause_ms: from the first task's end to the last one's start.
    """

    request_id: str
    vertices: Mapping[str, int]
    pause_ms: int


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
class ResetReaders:
    """Some readers start again alone: what they were given since a checkpoint goes back.

    Attributes:
        enumerators: attempt of the StartEnumerators that still counts.
        attempt: of the readers from now on.
        restored_id: the checkpoint they go on from; 0: from the start.
        readers: (operator uid, subtask) of each.
    """

    enumerators: int
    attempt: int
    restored_id: int
    readers: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class StopEnumerators:
    """Close the enumerators; what they still say is stale."""


@dataclass(frozen=True, slots=True)
class HandleSplitRequest:
    """A reader asks for work, or (with an event) tells something."""

    attempt: int
    operator_uid: str
    subtask: int
    event: bytes = b""


@dataclass(frozen=True, slots=True)
class SnapshotEnumerators:
    """Snapshot all enumerators; answered by EnumeratorsSnapshotted.

    Attributes:
        attempt: of their StartEnumerators.
        checkpoint_id: the new one.
        completed: the newest complete one, behind which no reader will go back; 0: none.
    """

    attempt: int
    checkpoint_id: int
    completed: int = 0


@dataclass(frozen=True, slots=True)
class TriggerBarriers:
    """Have the source tasks emit barriers. The job master turns it into commands to slots."""

    checkpoint_id: int
    timestamp_ms: int
    kind: checkpoint_pb2.CheckpointType.ValueType
    stop: bool
    drain: bool
    target: str
    full: bool = False


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
class DiscardClaimed:
    """Delete a snapshot of another job that this one had claimed.

    Other checkpoints of that job may refer to the same files: those stay.

    Attributes:
        metadata: its content.
        path: its directory.
        root: URI that its relative paths refer to.
    """

    metadata: checkpoint_pb2.CheckpointMetadata
    path: str
    root: str


@dataclass(frozen=True, slots=True)
class DiscardSavepoint:
    """Delete what a savepoint that never completed has left at ``path``."""

    path: str


@dataclass(frozen=True, slots=True)
class CollectOrphans:
    """Delete what no checkpoint of the job needs: left by aborted ones and by ended attempts.

    Attributes:
        first_checkpoint_id: checkpoints below it belong to somebody else.
        before_checkpoint_id: smallest id that is under way or may start.
        first_epoch: files of earlier epochs belong to somebody else.
        retained: whose files must stay.
        epoch: the present one: savepoints begun under an earlier one, of this job's, have failed.
        claimed_path: snapshot that the job had claimed under an earlier epoch; empty: none.
    """

    first_checkpoint_id: int
    before_checkpoint_id: int
    first_epoch: int
    retained: tuple[checkpoint_pb2.CheckpointMetadata, ...]
    epoch: int = 0
    claimed_path: str = ""


@dataclass(frozen=True, slots=True)
class DiscardAll:
    """Delete all checkpoints of the job: it has ended and nobody will restore them."""


Discard = DiscardCheckpoint | DiscardClaimed | DiscardSavepoint | CollectOrphans | DiscardAll


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
    | WithdrawRequest
    | ReleaseSlots
    | ReleaseSlot
    | RecordParallelism
    | Rescaled
    | SendCommand
    | KillSlot
    | LoadCheckpoint
    | StartEnumerators
    | StopEnumerators
    | ResetReaders
    | HandleSplitRequest
    | SnapshotEnumerators
    | WriteMetadata
    | DiscardCheckpoint
    | DiscardClaimed
    | DiscardSavepoint
    | CollectOrphans
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
    | DiscardClaimed
    | DiscardSavepoint
    | CollectOrphans
    | DiscardAll
    | RequestSucceeded
    | RequestFailed
    | FailJob
)
