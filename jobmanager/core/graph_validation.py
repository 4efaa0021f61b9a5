"""Is a submitted job graph one that can be scheduled?"""

from __future__ import annotations

import re
from collections import Counter

from lesto.common.errors import did_you_mean
from lesto.jobmanager.errors import InvalidJobGraphError
from lesto.proto import job_pb2

_JOB_ID = re.compile(r"[0-9a-f]{32}")
#: Flink's bound on key groups, which bounds parallelism too.
PARALLELISM_MAX = 1 << 15


def validate_graph(graph: job_pb2.JobGraph) -> None:
    """Check the graph's own consistency.

    Raises:
        InvalidJobGraphError: naming the vertex, operator or edge at fault.
    """
    if not _JOB_ID.fullmatch(graph.job_id):
        _refuse(f"job id {graph.job_id!r} is not 32 lower-case hex digits")
    if not graph.vertices:
        _refuse(f"job {graph.name!r} has no operators", "add a source and a sink before executing")
    vertices = {vertex.id: vertex for vertex in graph.vertices}
    _no_doubles("vertex id", [vertex.id for vertex in graph.vertices])
    _no_doubles("edge id", [edge.id for edge in graph.edges])
    operators = [op for vertex in graph.vertices for op in vertex.operators]
    _no_doubles("operator uid", [op.uid for op in operators])
    for vertex in graph.vertices:
        _check_vertex(vertex)
    for edge in graph.edges:
        _check_edge(edge, vertices)
    _check_inputs(graph)
    topological_order(graph)


def topological_order(graph: job_pb2.JobGraph) -> list[str]:
    """Vertex ids, producers first.

    Raises:
        InvalidJobGraphError: the graph has a cycle.
    """
    missing = Counter(edge.target_vertex for edge in graph.edges)
    ready = [vertex.id for vertex in graph.vertices if not missing[vertex.id]]
    order: list[str] = []
    while ready:
        current = ready.pop(0)
        order.append(current)
        for edge in graph.edges:
            if edge.source_vertex == current:
                missing[edge.target_vertex] -= 1
                if not missing[edge.target_vertex]:
                    ready.append(edge.target_vertex)
    if len(order) != len(graph.vertices):
        rest = sorted(vertex.name for vertex in graph.vertices if vertex.id not in order)
        _refuse(f"these operators form a cycle: {', '.join(rest)}")
    return order


def _check_vertex(vertex: job_pb2.JobVertex) -> None:
    name = vertex.name or vertex.id
    if not vertex.id:
        _refuse(f"vertex {vertex.name!r} has no id")
    if not vertex.operators:
        _refuse(f"vertex {name!r} has no operators")
    if not 1 <= vertex.parallelism <= PARALLELISM_MAX:
        _refuse(f"{name!r} has parallelism {vertex.parallelism}, not 1 to {PARALLELISM_MAX}")
    if not vertex.parallelism <= vertex.max_parallelism <= PARALLELISM_MAX:
        _refuse(
            f"{name!r} has max parallelism {vertex.max_parallelism}, which is not between its "
            f"parallelism {vertex.parallelism} and {PARALLELISM_MAX}"
        )
    for index, operator in enumerate(vertex.operators):
        if not operator.uid:
            _refuse(f"operator {operator.name!r} of {name!r} has no uid")
        if operator.kind == job_pb2.OPERATOR_KIND_SOURCE and (index or not operator.source_pickle):
            _refuse(f"source {operator.name!r} must head its chain and carry its description")
        for edge in operator.chained:
            if not index < edge.target_operator < len(vertex.operators):
                _refuse(f"operator {operator.name!r} is chained to no later operator of {name!r}")


def _check_edge(edge: job_pb2.JobEdge, vertices: dict[str, job_pb2.JobVertex]) -> None:
    for end in (edge.source_vertex, edge.target_vertex):
        if end not in vertices:
            near = did_you_mean(end, vertices)
            _refuse(f"edge {edge.id!r} names vertex {end!r}, not in the job{near}")
    source, target = vertices[edge.source_vertex], vertices[edge.target_vertex]
    if not 0 <= edge.source_operator < len(source.operators):
        _refuse(f"edge {edge.id!r} leaves operator {edge.source_operator}, not in {source.name!r}")
    if edge.partitioner.kind == job_pb2.PARTITION_KIND_UNSPECIFIED:
        _refuse(f"edge {edge.id!r} from {source.name!r} to {target.name!r} has no partitioner")
    forward = edge.partitioner.kind == job_pb2.PARTITION_KIND_FORWARD
    if forward and source.parallelism != target.parallelism:
        _refuse(
            f"forward edge from {source.name!r} (parallelism {source.parallelism}) to "
            f"{target.name!r} (parallelism {target.parallelism})",
            "give both the same parallelism, or use rebalance() or rescale()",
        )


def _check_inputs(graph: job_pb2.JobGraph) -> None:
    fed = {edge.target_vertex for edge in graph.edges}
    for vertex in graph.vertices:
        is_source = vertex.operators[0].kind == job_pb2.OPERATOR_KIND_SOURCE
        if is_source and vertex.id in fed:
            _refuse(f"source {vertex.name!r} has an input")
        if not is_source and vertex.id not in fed:
            _refuse(f"{vertex.name!r} has no input and is no source")


def _no_doubles(what: str, names: list[str]) -> None:
    double = [name for name, count in Counter(names).items() if count > 1]
    if double:
        _refuse(f"{what} {double[0]!r} is used twice", "give each its own uid")


def _refuse(message: str, remedy: str = "") -> None:
    raise InvalidJobGraphError(message, remedy=remedy)
