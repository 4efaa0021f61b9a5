"""From transformations to the JobGraph: parallelism, identities, chains, edges."""

from __future__ import annotations

import re
import sys
import uuid
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pyarrow as pa

from lesto.client.datastream.errors import (
    DuplicateUidError,
    InvalidParallelismError,
    JobTooLargeError,
    NoSinkError,
)
from lesto.client.datastream.operators import last_of_keys
from lesto.client.datastream.pickling import dumps
from lesto.client.datastream.transformations import (
    DEFAULT_SLOT_SHARING_GROUP,
    Chaining,
    Kind,
    Partition,
    Partitioning,
    Transformation,
    Upstream,
)
from lesto.common import options
from lesto.common.config import InvalidOptionError
from lesto.common.identity import digest, operator_uid
from lesto.proto import job_pb2 as pb

#: Flink's bounds of a derived number of key groups.
MAX_PARALLELISM_LOWER = 128
#: Largest job that is sent, in bytes: half of the message that the JobManager takes, because a
#: deployment carries the job's functions and more.
JOB_BYTES_MAX = 32 << 20
MAX_PARALLELISM_UPPER = 32_768

#: Operators whose result for a key changes with each record.
REDUCTIONS = frozenset({"Reduce", "Sum", "Min", "Max", "Min_By", "Max_By", "Aggregate"})

_KINDS = {
    Kind.SOURCE: pb.OPERATOR_KIND_SOURCE,
    Kind.TRANSFORM: pb.OPERATOR_KIND_TRANSFORM,
    Kind.SINK: pb.OPERATOR_KIND_SINK,
}
_PARTITIONS = {
    Partition.FORWARD: pb.PARTITION_KIND_FORWARD,
    Partition.HASH: pb.PARTITION_KIND_HASH,
    Partition.REBALANCE: pb.PARTITION_KIND_REBALANCE,
    Partition.RESCALE: pb.PARTITION_KIND_RESCALE,
    Partition.BROADCAST: pb.PARTITION_KIND_BROADCAST,
    Partition.GLOBAL: pb.PARTITION_KIND_GLOBAL,
    Partition.SHUFFLE: pb.PARTITION_KIND_SHUFFLE,
    Partition.CUSTOM: pb.PARTITION_KIND_CUSTOM,
}


def derived_max_parallelism(parallelism: int) -> int:
    """Flink's default number of key groups: 1.5 times, up to a power of two, within bounds.

    >>> derived_max_parallelism(1), derived_max_parallelism(100), derived_max_parallelism(30_000)
    (128, 256, 32768)
    """
    wanted = parallelism + parallelism // 2
    power = 1 << max(wanted - 1, 0).bit_length()
    return min(max(power, MAX_PARALLELISM_LOWER), MAX_PARALLELISM_UPPER)


@dataclass(frozen=True, slots=True)
class GraphSettings:
    """What the environment decides for all operators.

    Attributes:
        parallelism: of operators that set none.
        max_parallelism: of operators that set none; None: derived.
        chaining: whether operators may share tasks.
        batch: keyed reductions give their last result alone.
        config: the job's configuration, as texts.
    """

    job_name: str
    parallelism: int
    max_parallelism: int | None
    chaining: bool
    batch: bool = False
    config: dict[str, str] = field(default_factory=dict)
    python_paths: tuple[str, ...] = ()
    restore_path: str = ""
    allow_non_restored_state: bool = False


@dataclass(slots=True)
class PlannedNode:
    """A transformation with everything decided."""

    node: Transformation
    uid: str
    parallelism: int
    max_parallelism: int
    group: str
    inputs: list[tuple[Upstream, Partition]]
    chained_into: Transformation | None = None


def plan(transformations: Sequence[Transformation], settings: GraphSettings) -> list[PlannedNode]:
    """Decide parallelism, identity and chains; in topological order.

    Raises:
        NoSinkError: nothing is written.
        DuplicateUidError: names both operators.
        InvalidParallelismError: a parallelism above the number of key groups, forward between
            unequal ones.
    """
    nodes = _reachable(transformations)
    if not any(node.kind is Kind.SINK for node in nodes):
        loose = ", ".join(f"'{n.name}' at {n.location}" for n in nodes) or "no operator at all"
        msg = f"the job has no sink, so nothing would come out of it ({loose})"
        raise NoSinkError(msg, remedy="end it with sink_to(...), print() or execute_and_collect()")
    uids = _uids(nodes)
    planned: dict[int, PlannedNode] = {}
    for node in nodes:
        parallelism = node.parallelism or settings.parallelism
        limit = node.max_parallelism or settings.max_parallelism
        limit = limit or derived_max_parallelism(parallelism)
        if parallelism > limit:
            msg = f"'{node.name}' has parallelism {parallelism}, above its max parallelism {limit}"
            raise InvalidParallelismError(
                msg, remedy="raise set_max_parallelism", location=node.location
            )
        group = _group(node, planned)
        item = PlannedNode(node, uids[node.position], parallelism, limit, group, [])
        for upstream in node.inputs:
            source = planned[upstream.node.position]
            item.inputs.append((upstream, _partition(upstream.partitioning, source, item)))
        item.chained_into = _chain_target(item, planned, settings.chaining)
        planned[node.position] = item
    return list(planned.values())


def _reachable(transformations: Sequence[Transformation]) -> list[Transformation]:
    """All but sources that nothing reads, by position: inputs before consumers."""
    kept: dict[int, Transformation] = {}
    pending = [t for t in transformations if t.kind is not Kind.SOURCE]
    while pending:
        node = pending.pop()
        if node.position not in kept:
            kept[node.position] = node
            pending.extend(upstream.node for upstream in node.inputs)
    return [kept[position] for position in sorted(kept)]


def _uids(nodes: Sequence[Transformation]) -> dict[int, str]:
    """Identities: from the user's uid, or from what an operator is and reads.

    A generated one depends on the operator's kind, its inputs, and its rank among equal siblings;
    so
    adding an operator elsewhere in the job does not change it, nor does renaming.
    """
    uids: dict[int, str] = {}
    owners: dict[str, Transformation] = {}
    ranks: Counter[str] = Counter()
    for node in nodes:
        if node.uid_hash:
            uid = node.uid_hash
        elif node.uid is not None:
            uid = operator_uid(node.uid)
        else:
            reads = [
                f"{uids[u.node.position]}/{u.side_tag}/{u.partitioning.kind.value}"
                + (f"/{u.input_index}" if u.input_index else "")
                for u in node.inputs
            ]
            shape = digest("generated", node.kind.value, node.label, *reads)
            uid = digest(shape, str(ranks[shape]))
            ranks[shape] += 1
        if uid in owners:
            other = owners[uid]
            msg = (
                f"'{node.name}' and '{other.name}' (at {other.location}) have the same uid"
                f" '{node.uid or node.uid_hash or uid}'"
            )
            raise DuplicateUidError(
                msg, remedy="give each operator a uid of its own", location=node.location
            )
        owners[uid] = node
        uids[node.position] = uid
    return uids


def _group(node: Transformation, planned: dict[int, PlannedNode]) -> str:
    """The slot sharing group: set, or the inputs' when they agree, or the default."""
    if node.slot_sharing_group is not None:
        return node.slot_sharing_group
    groups = {planned[u.node.position].group for u in node.inputs}
    return groups.pop() if len(groups) == 1 else DEFAULT_SLOT_SHARING_GROUP


def _partition(wanted: Partitioning, source: PlannedNode, target: PlannedNode) -> Partition:
    equal = source.parallelism == target.parallelism
    if wanted.kind is Partition.AUTO:
        return Partition.FORWARD if equal else Partition.REBALANCE
    if wanted.kind is Partition.FORWARD and not equal:
        msg = (
            f"forward from '{source.node.name}' (parallelism {source.parallelism}) to"
            f" '{target.node.name}' (parallelism {target.parallelism}) is not possible"
        )
        raise InvalidParallelismError(
            msg, remedy="use rebalance() or equal parallelism", location=wanted.location
        )
    return wanted.kind


def _chain_target(
    item: PlannedNode, planned: dict[int, PlannedNode], enabled: bool
) -> Transformation | None:
    """The producer whose task the operator joins, if it may."""
    if not enabled or len(item.inputs) != 1 or item.node.chaining is not Chaining.ALWAYS:
        return None
    upstream, partition = item.inputs[0]
    source = planned[upstream.node.position]
    fits = (
        partition is Partition.FORWARD
        and source.parallelism == item.parallelism
        and source.max_parallelism == item.max_parallelism
        and source.group == item.group
        and source.node.chaining is not Chaining.NEVER
    )
    return upstream.node if fits else None


# ------------------------------------------------------------------------------------ the proto


def build_job_graph(nodes: Sequence[PlannedNode], settings: GraphSettings) -> pb.JobGraph:
    """The message to submit.

    Raises:
        UnpicklableFunctionError: names the function and what is in the way.
        JobTooLargeError: names the operator that holds most.
    """
    graph = pb.JobGraph(
        job_id=_job_id(settings.config),
        name=settings.job_name,
        config=settings.config,
        python_version=f"{sys.version_info.major}.{sys.version_info.minor}",
        lesto_version=_version(),
        restore_path=settings.restore_path,
        allow_non_restored_state=settings.allow_non_restored_state,
        python_paths=settings.python_paths,
    )
    chains = _chains(nodes)
    places: dict[int, tuple[int, int]] = {}
    for number, chain in enumerate(chains):
        for index, item in enumerate(chain):
            places[item.node.position] = (number, index)
    for chain in chains:
        graph.vertices.append(_vertex(chain, places, batch=settings.batch))
    for number, chain in enumerate(chains):
        for upstream, partition in chain[0].inputs:
            source_chain, source_index = places[upstream.node.position]
            graph.edges.append(
                pb.JobEdge(
                    id=f"e{len(graph.edges)}",
                    source_vertex=graph.vertices[source_chain].id,
                    source_operator=source_index,
                    side_tag=upstream.side_tag,
                    target_vertex=graph.vertices[number].id,
                    target_input=upstream.input_index,
                    partitioner=_partitioner(upstream, partition, chain[0]),
                    schema=schema_bytes(upstream.schema),
                )
            )
    _check_size(graph)
    return graph


def _job_id(config: Mapping[str, str]) -> str:
    """A new id, unless the configuration says which."""
    fixed = config.get(options.FIXED_JOB_ID.key)
    if fixed is None:
        return uuid.uuid4().hex
    if not re.fullmatch("[0-9a-f]{32}", fixed):
        msg = f"{options.FIXED_JOB_ID.key} is '{fixed:.40}', not 32 hexadecimal digits"
        raise InvalidOptionError(msg, remedy="Leave it out for a new id.")
    return fixed


def _check_size(graph: pb.JobGraph) -> None:
    """A job travels as one message, to every slot: data belongs into files, not into it."""
    size = graph.ByteSize()
    if size <= JOB_BYTES_MAX:
        return
    operators = [operator for vertex in graph.vertices for operator in vertex.operators]
    largest = max(operators, key=lambda operator: operator.ByteSize())
    msg = (
        f"the job is {size / 2**20:.0f} MiB with all that its functions hold, more than the"
        f" {JOB_BYTES_MAX >> 20} MiB that can be sent; '{largest.name}' holds"
        f" {largest.ByteSize() / 2**20:.0f} MiB"
    )
    raise JobTooLargeError(
        msg,
        remedy="read the data in open() of a function class, or from a file with a FileSource",
        location=largest.location,
    )


def _chains(nodes: Sequence[PlannedNode]) -> list[list[PlannedNode]]:
    """Operators that share a task, heads first; chains in topological order, sources first."""
    of: dict[int, list[PlannedNode]] = {}
    chains: list[list[PlannedNode]] = []
    for item in nodes:
        if item.chained_into is None:
            chain = [item]
            chains.append(chain)
        else:
            chain = of[item.chained_into.position]
            chain.append(item)
        of[item.node.position] = chain
    return sorted(chains, key=lambda chain: chain[0].node.kind is not Kind.SOURCE)


def _vertex(
    chain: Sequence[PlannedNode], places: dict[int, tuple[int, int]], *, batch: bool
) -> pb.JobVertex:
    head = chain[0]
    vertex = pb.JobVertex(
        id=head.uid,
        name=" -> ".join(item.node.name for item in chain),
        parallelism=head.parallelism,
        max_parallelism=head.max_parallelism,
        slot_sharing_group=head.group,
    )
    for item in chain:
        vertex.operators.append(_operator(item, batch=batch))
    for item in chain[1:]:
        upstream, _ = item.inputs[0]
        edge = pb.ChainedEdge(
            target_operator=places[item.node.position][1],
            target_input=0,
            side_tag=upstream.side_tag,
        )
        vertex.operators[places[upstream.node.position][1]].chained.append(edge)
    return vertex


def _operator(item: PlannedNode, *, batch: bool) -> pb.OperatorNode:
    node = item.node
    functions = node.user_functions
    made = node.factory
    if batch and node.label in REDUCTIONS:
        key = node.inputs[0].partitioning.key
        assert key is not None, "a keyed reduction without a key"
        made = last_of_keys(node.factory, key)
    factory = dumps(made(), operator=node.name, location=node.location, functions=functions)
    source = b""
    if node.source is not None:
        source = dumps(
            node.source, operator=node.name, location=node.location, functions=(node.source,)
        )
    return pb.OperatorNode(
        buffer_timeout_ms=node.buffer_timeout_ms,
        uid=item.uid,
        user_uid=item.node.uid or "",
        name=node.name,
        kind=_KINDS[node.kind],
        factory_pickle=factory,
        source_pickle=source,
        output_schema=schema_bytes(node.output_schema),
        keyed=node.keyed,
        location=node.location,
    )


def _partitioner(upstream: Upstream, partition: Partition, target: PlannedNode) -> pb.Partitioner:
    message = pb.Partitioner(kind=_PARTITIONS[partition])
    wanted = upstream.partitioning
    if wanted.key is None:
        return message
    name = target.node.name
    if wanted.key.columns:
        message.key_columns.extend(wanted.key.columns)
    else:
        selector = wanted.key.selector
        message.key_selector_pickle = dumps(
            selector, operator=name, location=wanted.location, functions=(selector,)
        )
    if wanted.function is not None:
        message.partitioner_pickle = dumps(
            wanted.function, operator=name, location=wanted.location, functions=(wanted.function,)
        )
    return message


def schema_bytes(schema: pa.Schema | None) -> bytes:
    """An Arrow IPC schema message; empty for rows."""
    return b"" if schema is None else schema.serialize().to_pybytes()


def _version() -> str:
    import lesto

    return lesto.__version__


def plan_as_dict(nodes: Sequence[PlannedNode]) -> dict[str, object]:
    """The plan as Flink prints it (``get_execution_plan``): one entry an operator."""
    entries = []
    uids = {item.node.position: item.uid for item in nodes}
    for item in nodes:
        node = item.node
        entry: dict[str, object] = {
            "id": item.uid,
            "type": node.name,
            "pact": {Kind.SOURCE: "Data Source", Kind.SINK: "Data Sink"}.get(node.kind, "Operator"),
            "contents": node.description or node.name,
            "parallelism": item.parallelism,
            "max_parallelism": item.max_parallelism,
            "location": node.location,
            "columns": None
            if node.output_schema is None
            else {f.name: str(f.type) for f in node.output_schema},
            "chained": item.chained_into is not None,
        }
        if item.inputs:
            entry["predecessors"] = [
                {
                    "id": uids[upstream.node.position],
                    "ship_strategy": partition.name,
                    "side": upstream.side_tag or None,
                }
                for upstream, partition in item.inputs
            ]
        entries.append(entry)
    return {"nodes": entries}
