"""A checkpoint under way: who has acknowledged, and what it will consist of."""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from lesto.jobmanager.core.execution_graph import TaskKey
from lesto.jobmanager.core.in_flight import describe_edges
from lesto.proto import checkpoint_pb2, job_pb2, runtime_pb2
from lesto.state.metadata_file import FORMAT_VERSION
from lesto.state.paths import file_checkpoint


class Phase(enum.Enum):
    """How far a pending checkpoint is."""

    SNAPSHOTTING_ENUMERATORS = "snapshotting enumerators"
    COLLECTING_ACKS = "collecting acknowledgements"
    ACKNOWLEDGED = "waiting for an earlier write"
    WRITING = "writing metadata"


@dataclass(frozen=True, slots=True)
class SavepointRequest:
    """A client's request that waits for its savepoint."""

    request_id: str
    target: str
    stop: bool
    drain: bool


@dataclass(frozen=True, slots=True)
class CheckpointRequest:
    """A client's request for a checkpoint now.

    Attributes:
        request_id: answered when it is complete.
        full: it shall build on no earlier checkpoint.
    """

    request_id: str
    full: bool = False


Request = SavepointRequest | CheckpointRequest


@dataclass(slots=True)
class PendingCheckpoint:
    """One checkpoint from its trigger to its end.

    Attributes:
        checkpoint_id: unique in the job's life.
        kind: periodic, savepoint or final.
        attempt: the graph's attempt it belongs to.
        triggered_ms: monotonic ms.
        timestamp_ms: wall clock ms.
        request: of a client.
        full: it builds on no earlier checkpoint.
        expected: tasks that must acknowledge.
        acks: by task.
        content: its metadata, from the moment it is written.
    """

    checkpoint_id: int
    kind: checkpoint_pb2.CheckpointType.ValueType
    attempt: int
    triggered_ms: int
    timestamp_ms: int
    expected: frozenset[TaskKey]
    request: Request | None = None
    full: bool = False
    phase: Phase = Phase.SNAPSHOTTING_ENUMERATORS
    enumerators: Mapping[str, bytes] = field(default_factory=dict)
    acks: dict[TaskKey, runtime_pb2.CheckpointAck] = field(default_factory=dict)
    content: checkpoint_pb2.CheckpointMetadata | None = None

    @property
    def stops(self) -> bool:
        """Whether the job is to finish with it."""
        final = self.kind == checkpoint_pb2.CHECKPOINT_TYPE_FINAL
        return final or (isinstance(self.request, SavepointRequest) and self.request.stop)

    @property
    def is_savepoint(self) -> bool:
        """Whether it belongs to the user."""
        return self.kind == checkpoint_pb2.CHECKPOINT_TYPE_SAVEPOINT

    @property
    def target(self) -> str:
        """Root of a savepoint; empty for a checkpoint."""
        return self.request.target if isinstance(self.request, SavepointRequest) else ""

    @property
    def missing(self) -> frozenset[TaskKey]:
        """Tasks that have not acknowledged."""
        return self.expected - self.acks.keys()

    def state_bytes(self) -> int:
        """Bytes referenced, in-flight data included."""
        own = sum(op.state.state_bytes for ack in self.acks.values() for op in ack.operators)
        return own + self.in_flight_bytes()

    def uploaded_bytes(self) -> int:
        """Bytes written, in-flight data included."""
        own = sum(op.state.uploaded_bytes for ack in self.acks.values() for op in ack.operators)
        return own + self.in_flight_bytes()

    def in_flight_bytes(self) -> int:
        """Bytes of in-flight data: what barriers overtook."""
        return sum(ack.in_flight_bytes for ack in self.acks.values())

    @property
    def unaligned(self) -> bool:
        """Whether a barrier overtook data anywhere."""
        return any(ack.unaligned for ack in self.acks.values())

    def built_on(self) -> set[str]:
        """Shared files it references that earlier checkpoints have written."""
        return {
            path
            for ack in self.acks.values()
            for op in ack.operators
            for path in _shared_paths(op.state)
            if file_checkpoint(path) != self.checkpoint_id
        }

    def metadata(
        self, graph: job_pb2.JobGraph, epoch: int, version: str
    ) -> checkpoint_pb2.CheckpointMetadata:
        """What makes it durable. Every expected task has acknowledged."""
        assert not self.missing, f"checkpoint {self.checkpoint_id} is not acknowledged by all"
        metadata = checkpoint_pb2.CheckpointMetadata(
            format_version=FORMAT_VERSION,
            job_id=graph.job_id,
            epoch=epoch,
            checkpoint_id=self.checkpoint_id,
            timestamp_ms=self.timestamp_ms,
            type=self.kind,
            lesto_version=version,
            full=not self.built_on(),
        )
        for vertex in graph.vertices:
            for operator in vertex.operators:
                metadata.operators.append(self._operator(vertex, operator))
            for index in range(vertex.parallelism):
                metadata.in_flight.extend(self.acks[vertex.id, index].in_flight)
        metadata.in_flight_edges.extend(describe_edges(graph, metadata.in_flight))
        return metadata

    def _operator(
        self, vertex: job_pb2.JobVertex, operator: job_pb2.OperatorNode
    ) -> checkpoint_pb2.OperatorState:
        subtasks = []
        for index in range(vertex.parallelism):
            for given in self.acks[vertex.id, index].operators:
                if given.uid == operator.uid:
                    state = checkpoint_pb2.OperatorSubtaskState()
                    state.CopyFrom(given.state)
                    state.subtask = index
                    subtasks.append(state)
        return checkpoint_pb2.OperatorState(
            uid=operator.uid,
            user_uid=operator.user_uid,
            name=operator.name,
            parallelism=vertex.parallelism,
            max_parallelism=vertex.max_parallelism,
            subtasks=subtasks,
            # None: no enumerator. The state of one may be empty, and then means just that.
            coordinator_state=self.enumerators.get(operator.uid),
        )


@dataclass(frozen=True, slots=True)
class CompletedCheckpoint:
    """A durable checkpoint.

    Attributes:
        metadata: its content.
        path: where it is.
        root: URI that its relative paths refer to.
    """

    metadata: checkpoint_pb2.CheckpointMetadata
    path: str
    root: str

    @property
    def checkpoint_id(self) -> int:
        """Its id."""
        return int(self.metadata.checkpoint_id)


def shared_files(metadata: checkpoint_pb2.CheckpointMetadata) -> set[str]:
    """Files of a checkpoint that others may reference too."""
    return {
        path
        for operator in metadata.operators
        for state in operator.subtasks
        for path in _shared_paths(state)
    }


def _shared_paths(state: checkpoint_pb2.OperatorSubtaskState) -> Iterator[str]:
    return (named.file.path for handle in state.keyed for named in handle.files if named.shared)
