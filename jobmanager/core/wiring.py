"""Who is connected to whom: the channels of an edge."""

from __future__ import annotations

from collections.abc import Callable

from lesto.jobmanager.core.slots import Slot
from lesto.proto import job_pb2, runtime_pb2

#: Partitioners whose producers reach only some consumers.
POINTWISE = frozenset({job_pb2.PARTITION_KIND_FORWARD, job_pb2.PARTITION_KIND_RESCALE})

#: Slot of a vertex's subtask.
SlotOf = Callable[[str, int], Slot]


def producers_of(kind: int, producers: int, consumers: int, consumer: int) -> range:
    """Producer subtasks connected to one consumer.

    >>> [list(producers_of(job_pb2.PARTITION_KIND_RESCALE, 2, 4, c)) for c in range(4)]
    [[0], [0], [1], [1]]
    >>> [list(producers_of(job_pb2.PARTITION_KIND_RESCALE, 5, 2, c)) for c in range(2)]
    [[0, 1], [2, 3, 4]]
    """
    if kind not in POINTWISE:
        return range(producers)
    if producers >= consumers:
        return range(consumer * producers // consumers, (consumer + 1) * producers // consumers)
    first = consumer * producers // consumers
    return range(first, first + 1)


def consumers_of(kind: int, producers: int, consumers: int, producer: int) -> list[int]:
    """Consumer subtasks connected to one producer; the inverse of :func:`producers_of`.

    >>> [consumers_of(job_pb2.PARTITION_KIND_RESCALE, 2, 3, p) for p in range(2)]
    [[0, 1], [2]]
    """
    if kind not in POINTWISE:
        return list(range(consumers))
    return [c for c in range(consumers) if producer in producers_of(kind, producers, consumers, c)]


def input_gates(
    graph: job_pb2.JobGraph, vertex: job_pb2.JobVertex, subtask: int, slot_of: SlotOf
) -> list[runtime_pb2.InputGate]:
    """Input gates of a subtask, one an edge, in the graph's order of edges."""
    widths = {v.id: v.parallelism for v in graph.vertices}
    gates = []
    for edge in graph.edges:
        if edge.target_vertex == vertex.id:
            connected = producers_of(
                edge.partitioner.kind, widths[edge.source_vertex], vertex.parallelism, subtask
            )
            ends = [_endpoint(slot_of, edge.source_vertex, producer) for producer in connected]
            gates.append(runtime_pb2.InputGate(edge=edge, producers=ends))
    return gates


def output_edges(
    graph: job_pb2.JobGraph, vertex: job_pb2.JobVertex, subtask: int, slot_of: SlotOf
) -> list[runtime_pb2.OutputEdge]:
    """Output edges of a subtask in the graph's order of edges."""
    targets = {v.id: v for v in graph.vertices}
    outputs = []
    for edge in graph.edges:
        if edge.source_vertex == vertex.id:
            target = targets[edge.target_vertex]
            connected = consumers_of(
                edge.partitioner.kind, vertex.parallelism, target.parallelism, subtask
            )
            outputs.append(
                runtime_pb2.OutputEdge(
                    edge=edge,
                    consumers=[_endpoint(slot_of, target.id, consumer) for consumer in connected],
                    consumer_parallelism=target.parallelism,
                    consumer_max_parallelism=target.max_parallelism,
                )
            )
    return outputs


def _endpoint(slot_of: SlotOf, vertex_id: str, subtask: int) -> runtime_pb2.ChannelEndpoint:
    slot = slot_of(vertex_id, subtask)
    return runtime_pb2.ChannelEndpoint(
        subtask=subtask, slot_id=slot.slot_id, flight_uri=slot.flight_uri
    )
