"""Another parallelism for a job: what is asked for, what fits, and the graph with it.

Nothing here decides when; see :mod:`lesto.jobmanager.core.job_rescale`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from lesto.common.errors import did_you_mean
from lesto.jobmanager.core.slots import widths_of_groups
from lesto.jobmanager.errors import RescaleRefusedError
from lesto.proto import job_pb2

Widths = dict[str, int]
"""Parallelism by vertex id."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """Parallelism of a vertex: ``upper`` is wanted, ``lower`` suffices."""

    lower: int
    upper: int


def widths_of(graph: job_pb2.JobGraph) -> Widths:
    """The parallelism it has.

    >>> widths_of(job_pb2.JobGraph(vertices=[job_pb2.JobVertex(id="v", parallelism=2)]))
    {'v': 2}
    """
    return {vertex.id: vertex.parallelism for vertex in graph.vertices}


def bounds_of(
    graph: job_pb2.JobGraph, parallelism: int, vertices: Mapping[str, tuple[int, int]]
) -> dict[str, Bounds]:
    """What a request asks of each vertex.

    Args:
        graph: the job.
        parallelism: of every vertex that may have another than 1; 0: only ``vertices`` counts.
        vertices: lower and upper bound by vertex id or name; 0 as the lower one means 1, 0 as
            the upper one means what it has.

    Raises:
        RescaleRefusedError: there is no such vertex, or it cannot have this parallelism.
    """
    if parallelism < 0 or (not parallelism and not vertices):
        msg = f"a parallelism of {parallelism} is none" if parallelism else "nothing is to change"
        raise RescaleRefusedError(msg, remedy="give a parallelism of at least 1")
    bounds = {v.id: Bounds(v.parallelism, v.parallelism) for v in graph.vertices}
    for vertex in graph.vertices:
        if parallelism and vertex.max_parallelism > 1:
            bounds[vertex.id] = _checked(vertex, parallelism, parallelism)
    for name, (lower, upper) in vertices.items():
        vertex = _named(graph, name)
        wanted = upper or vertex.parallelism
        bounds[vertex.id] = _checked(vertex, min(lower or 1, wanted), wanted)
    return bounds


def _named(graph: job_pb2.JobGraph, name: str) -> job_pb2.JobVertex:
    found = [v for v in graph.vertices if v.id == name] or [
        v for v in graph.vertices if v.name == name
    ]
    if len(found) == 1:
        return found[0]
    if found:
        ids = ", ".join(vertex.id for vertex in found)
        msg = f"{len(found)} vertices are named '{name}'"
        raise RescaleRefusedError(msg, remedy=f"give the id of one: {ids}")
    names = [vertex.name for vertex in graph.vertices]
    msg = f"the job has no vertex '{name}'{did_you_mean(name, names)}"
    raise RescaleRefusedError(msg, remedy=f"its vertices: {', '.join(names)}")


def _checked(vertex: job_pb2.JobVertex, lower: int, upper: int) -> Bounds:
    if lower < 1 or upper < 1:
        msg = f"'{vertex.name}' cannot have parallelism {min(lower, upper)}"
        raise RescaleRefusedError(msg, remedy="give at least 1")
    if upper > 1 and vertex.max_parallelism == 1:
        msg = f"'{vertex.name}' is not parallel: it cannot have parallelism {upper}"
        raise RescaleRefusedError(
            msg, remedy="leave it out; it is so by its nature, or by force_non_parallel()"
        )
    if upper > vertex.max_parallelism:
        msg = (
            f"'{vertex.name}' cannot have parallelism {upper}: its max parallelism is "
            f"{vertex.max_parallelism}, which is fixed with its state"
        )
        raise RescaleRefusedError(
            msg, remedy="ask for less, or start the job anew with set_max_parallelism(...)"
        )
    return Bounds(lower, upper)


def slots_for(graph: job_pb2.JobGraph, widths: Mapping[str, int]) -> int:
    """Slots the job needs with this parallelism."""
    return sum(widths_of_groups(graph, widths).values())


def fit(graph: job_pb2.JobGraph, bounds: Mapping[str, Bounds], slots: int) -> Widths | None:
    """The largest parallelism within the bounds that so many slots carry; None: none.

    All vertices are cut at the same height, so that wide ones give way first.
    """
    highest = max(b.upper for b in bounds.values())
    for height in range(min(highest, max(slots, 1)), 0, -1):  # none is wider than all slots
        widths = {key: max(b.lower, min(b.upper, height)) for key, b in bounds.items()}
        if slots_for(graph, widths) <= slots:
            return widths
    return None


def forward_edges(graph: job_pb2.JobGraph) -> frozenset[str]:
    """Ids of edges that hand over one to one."""
    forward = job_pb2.PARTITION_KIND_FORWARD
    return frozenset(edge.id for edge in graph.edges if edge.partitioner.kind == forward)


def set_parallelism(
    graph: job_pb2.JobGraph, widths: Mapping[str, int], forward: Collection[str]
) -> None:
    """Change the graph in place.

    Args:
        graph: the job.
        widths: by vertex id; vertices not named keep theirs.
        forward: ids of edges that are forward while both ends are equally wide; else their
            records go round, as on any edge for which nothing was asked.
    """
    for vertex in graph.vertices:
        vertex.parallelism = widths.get(vertex.id, vertex.parallelism)
    now = widths_of(graph)
    for edge in graph.edges:
        if edge.id in forward:
            equal = now[edge.source_vertex] == now[edge.target_vertex]
            edge.partitioner.kind = (
                job_pb2.PARTITION_KIND_FORWARD if equal else job_pb2.PARTITION_KIND_REBALANCE
            )


def told(graph: job_pb2.JobGraph, before: Mapping[str, int], after: Mapping[str, int]) -> str:
    """``total 2 -> 3, print 2 -> 3``: what changes, for people."""
    changes = [
        f"{vertex.name} {before[vertex.id]} -> {after[vertex.id]}"
        for vertex in graph.vertices
        if before[vertex.id] != after[vertex.id]
    ]
    return ", ".join(changes)
