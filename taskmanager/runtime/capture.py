"""In-flight data of a task's checkpoints while it is gathered."""

from __future__ import annotations

from dataclasses import dataclass, field

from lesto.common.elements import MIN_TIMESTAMP, Barrier
from lesto.proto import job_pb2
from lesto.taskmanager.runtime.exchange.channels import Frozen

#: Edges on which no barrier overtakes unless that is forced, for what is in flight on them could
#: not be dealt out at another parallelism: a forward edge has no other consumer, copies of a
#: broadcast would be missing or doubled, and where a custom partitioner sends a record to is the
#: user's.
FIXED_EDGES = frozenset(
    {
        job_pb2.PARTITION_KIND_FORWARD,
        job_pb2.PARTITION_KIND_BROADCAST,
        job_pb2.PARTITION_KIND_CUSTOM,
    }
)


@dataclass(frozen=True, slots=True)
class OvertakingSettings:
    """When barriers overtake.

    Attributes:
        enabled: whether they ever do.
        timeout_ms: of the checkpoint's age from which they do; 0: from the start.
        forced: also on the edges of ``FIXED_EDGES``.
        max_bytes: in flight in one checkpoint of a task, at most.
    """

    enabled: bool = False
    timeout_ms: int = 0
    forced: bool = False
    max_bytes: int = 1 << 27

    def on_edge(self, kind: int) -> bool:
        """Whether barriers may overtake on an edge with this partitioner."""
        return self.enabled and (self.forced or kind not in FIXED_EDGES)

    def of(self, barrier: Barrier) -> bool:
        """Whether this barrier may: savepoints and last checkpoints are aligned."""
        return self.enabled and barrier.may_overtake


@dataclass(frozen=True, slots=True)
class ChannelName:
    """Names an input channel in checkpoints.

    Attributes:
        edge_id: the edge.
        producer: subtask at the other end.
        age: 0: of this attempt; n: restored, n attempts back.
    """

    edge_id: str
    producer: int
    age: int = 0


@dataclass(slots=True)
class InFlightPart:
    """What was in flight on one channel.

    Attributes:
        edge_id: the edge.
        producer: subtask.
        consumer: subtask.
        at_producer: had not left the producer yet; else it had not been read by the consumer.
        entries: frozen elements in order.
        watermark: event time of the channel at the snapshot, ms (consumer's part).
        idle: whether it was idle (consumer's part).
        age: 0, or how many attempts ago it was in flight first.
    """

    edge_id: str
    producer: int
    consumer: int
    at_producer: bool
    entries: list[Frozen] = field(default_factory=list)
    watermark: int = MIN_TIMESTAMP
    idle: bool = False
    age: int = 0


@dataclass(slots=True)
class InputCapture:
    """In-flight data of a task's inputs for one checkpoint.

    Attributes:
        checkpoint_id: the checkpoint.
        parts: one a channel.
        nbytes: captured so far.
        limited: enough was captured before all barriers had come.
    """

    checkpoint_id: int
    parts: list[InFlightPart]
    nbytes: int = 0
    limited: bool = False
