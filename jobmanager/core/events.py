"""What the shell tells the job master."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from lesto.common.errors import LestoError
from lesto.jobmanager.core.slots import Slot
from lesto.proto import checkpoint_pb2, runtime_pb2


@dataclass(frozen=True, slots=True)
class Moment:
    """When an event is handled.

    Attributes:
        mono_ms: monotonic ms: delays and timeouts.
        wall_ms: wall clock ms: what people are shown.
    """

    mono_ms: int
    wall_ms: int


@dataclass(frozen=True, slots=True)
class Recovered:
    """What a new leader found of a job that an earlier one ran.

    Attributes:
        checkpoints: complete and intact, oldest first; the job goes on from the last.
        first_id: smallest number that no checkpoint has used.
        restarts: of the job until now, this one included.
        start_ms: wall clock of its submission.
        failure: why it cannot go on.
    """

    checkpoints: tuple[CheckpointLoaded, ...]
    first_id: int
    restarts: int
    start_ms: int
    failure: LestoError | None = None


@dataclass(frozen=True, slots=True)
class JobStarted:
    """The first event.

    Attributes:
        recovered: of a job that ran before; None: it is new.
    """

    recovered: Recovered | None = None


@dataclass(frozen=True, slots=True)
class Tick:
    """``next_deadline_ms`` has come."""


@dataclass(frozen=True, slots=True)
class CheckpointLoaded:
    """The checkpoint to start from.

    Attributes:
        metadata: its content.
        path: where it is, as shown to people.
        root: URI that relative paths in it refer to.
    """

    metadata: checkpoint_pb2.CheckpointMetadata
    path: str
    root: str


@dataclass(frozen=True, slots=True)
class CheckpointLoadFailed:
    """It cannot be read."""

    error: LestoError


@dataclass(frozen=True, slots=True)
class SlotsAllocated:
    """Slots the job asked for."""

    slots: tuple[Slot, ...]


@dataclass(frozen=True, slots=True)
class SlotsRefused:
    """Too few came in time.

    Attributes:
        error: why.
        available: slots that nobody has.
    """

    error: LestoError
    available: int = 0


@dataclass(frozen=True, slots=True)
class SlotLost:
    """A slot of the job is gone, with all that ran in it."""

    slot_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class TaskReported:
    """A message from a task, as relayed by the TaskManager."""

    slot_id: str
    event: runtime_pb2.TaskEvent


@dataclass(frozen=True, slots=True)
class SplitsAssigned:
    """An enumerator gives splits to a reader; in order with EnumeratorsSnapshotted."""

    attempt: int
    operator_uid: str
    subtask: int
    splits: tuple[bytes, ...]
    no_more_splits: bool


@dataclass(frozen=True, slots=True)
class EnumeratorsSnapshotted:
    """State of all enumerators, by operator uid."""

    attempt: int
    checkpoint_id: int
    states: Mapping[str, bytes]


@dataclass(frozen=True, slots=True)
class EnumeratorFailed:
    """An enumerator raised."""

    attempt: int
    operator_uid: str
    failure: runtime_pb2.TaskFailure


@dataclass(frozen=True, slots=True)
class MetadataWritten:
    """The checkpoint is durable at ``path``."""

    checkpoint_id: int
    path: str


@dataclass(frozen=True, slots=True)
class MetadataWriteFailed:
    """It is not, because of ``error``."""

    checkpoint_id: int
    error: LestoError


@dataclass(frozen=True, slots=True)
class CancelRequested:
    """A client wants the job to end without finishing."""

    cause: str = "cancelled by request"


@dataclass(frozen=True, slots=True)
class SavepointRequested:
    """A client wants a savepoint.

    Attributes:
        request_id: answered with RequestSucceeded or RequestFailed.
        target: directory URI; empty: the configured default.
        stop: the job finishes with it.
        drain: and event time goes to its end first.
    """

    request_id: str
    target: str
    stop: bool = False
    drain: bool = False


@dataclass(frozen=True, slots=True)
class CheckpointRequested:
    """A client wants a checkpoint now.

    Attributes:
        request_id: answered with RequestSucceeded or RequestFailed.
        full: it shall build on no earlier checkpoint.
    """

    request_id: str
    full: bool = False


@dataclass(frozen=True, slots=True)
class RescaleRequested:
    """A client wants another parallelism.

    Attributes:
        request_id: answered with Rescaled or RequestFailed.
        parallelism: of every parallel vertex; 0: only ``vertices`` counts.
        vertices: lower and upper bound by vertex id or name.
    """

    request_id: str
    parallelism: int
    vertices: Mapping[str, tuple[int, int]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SlotsFree:
    """How many slots nobody has; told to adaptive jobs at each change."""

    count: int


@dataclass(frozen=True, slots=True)
class ParallelismRecorded:
    """The answer to RecordParallelism: a later leader knows it."""


@dataclass(frozen=True, slots=True)
class ParallelismNotRecorded:
    """It could not be recorded, because of ``error``."""

    error: LestoError


@dataclass(frozen=True, slots=True)
class InternalFailed:
    """Handling an event or an instruction raised: the engine is at fault."""

    error: LestoError


Event = (
    InternalFailed
    | JobStarted
    | Tick
    | CheckpointLoaded
    | CheckpointLoadFailed
    | SlotsAllocated
    | SlotsRefused
    | SlotLost
    | TaskReported
    | SplitsAssigned
    | EnumeratorsSnapshotted
    | EnumeratorFailed
    | MetadataWritten
    | MetadataWriteFailed
    | CancelRequested
    | SavepointRequested
    | CheckpointRequested
    | RescaleRequested
    | SlotsFree
    | ParallelismRecorded
    | ParallelismNotRecorded
)
