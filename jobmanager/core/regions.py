"""Pipelined regions: the subtasks that fail and restart together.

Data flows over every edge while both its ends run, so a subtask that goes back in time takes along
whoever it exchanges data with, and they theirs: a region is a connected component of subtasks. All
edges of a kind that connects everybody make one region of both vertices; forward and rescale edges
connect pointwise, and may leave many.
"""

from __future__ import annotations

from lesto.jobmanager.core.wiring import producers_of
from lesto.proto import job_pb2

TaskKey = tuple[str, int]
"""Vertex id and subtask index."""

Region = frozenset[TaskKey]


def pipelined_regions(graph: job_pb2.JobGraph) -> dict[TaskKey, Region]:
    """The region of each subtask.

    Linear in channels for pointwise edges and in subtasks for the others.
    """
    parents: dict[TaskKey, TaskKey] = {
        (vertex.id, index): (vertex.id, index)
        for vertex in graph.vertices
        for index in range(vertex.parallelism)
    }

    def find(key: TaskKey) -> TaskKey:
        root = key
        while parents[root] != root:
            root = parents[root]
        while parents[key] != root:
            parents[key], key = root, parents[key]
        return root

    widths = {vertex.id: vertex.parallelism for vertex in graph.vertices}
    for edge in graph.edges:
        source, target = edge.source_vertex, edge.target_vertex
        for consumer in range(widths[target]):
            connected = producers_of(
                edge.partitioner.kind, widths[source], widths[target], consumer
            )
            # Who all connect to everybody are one region after the first consumer.
            whole = len(connected) == widths[source] and consumer
            for producer in (0,) if whole else connected:
                parents[find((source, producer))] = find((target, consumer))
    members: dict[TaskKey, list[TaskKey]] = {}
    for key in parents:
        members.setdefault(find(key), []).append(key)
    regions = {root: frozenset(keys) for root, keys in members.items()}
    return {key: regions[find(key)] for key in parents}
