"""In-flight data of a checkpoint, dealt out to the consumers of a job that may have another
parallelism.

Everything of a channel goes to the consumer: first what it had not read, then what had not left
the producer. While an edge has as many consumers as before, each gets its own channels back. Else
every new consumer of a hash edge gets the old channels whose key groups overlap with its own, and
filters; channels of other edges are dealt round robin, for any consumer may have those records.

Event time goes with the channels. With another number of consumers, event time that any of the old
ones had not reached is held back until the restored data is read: otherwise records of the slower
ones would be late.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from lesto.jobmanager.errors import RestoreMismatchError
from lesto.kernels import keygroups
from lesto.proto import checkpoint_pb2, job_pb2, runtime_pb2

InFlightOf = dict[tuple[str, int], list[runtime_pb2.RestoredChannel]]
"""Restored channels by (vertex id, subtask)."""

#: Edges whose data cannot be dealt out anew; barriers overtake there only when that is forced.
FIXED_EDGES: Final = frozenset(
    {
        job_pb2.PARTITION_KIND_FORWARD,
        job_pb2.PARTITION_KIND_BROADCAST,
        job_pb2.PARTITION_KIND_CUSTOM,
    }
)
#: Event time of a channel that has none yet.
_NO_TIME: Final = -(2**63)
#: Subtask of a channel that only carries event time.
_NOBODY: Final = -1


@dataclass(slots=True)
class _Channel:
    """One old channel."""

    producer: int
    consumer: int
    age: int
    parts: list[checkpoint_pb2.InFlightHandle] = field(default_factory=list)
    watermark: int = _NO_TIME
    idle: bool = False


def describe_edges(
    graph: job_pb2.JobGraph, handles: Iterable[checkpoint_pb2.InFlightHandle]
) -> list[checkpoint_pb2.InFlightEdge]:
    """What the edges named in ``handles`` are, for the checkpoint's metadata."""
    named = {handle.edge_id for handle in handles}
    vertices = {vertex.id: vertex for vertex in graph.vertices}
    edges = []
    for edge in graph.edges:
        if edge.id in named:
            source, target = vertices[edge.source_vertex], vertices[edge.target_vertex]
            edges.append(
                checkpoint_pb2.InFlightEdge(
                    edge_id=edge.id,
                    source_uid=source.operators[edge.source_operator].uid,
                    side_tag=edge.side_tag,
                    target_uid=target.operators[0].uid,
                    target_input=edge.target_input,
                    producers=source.parallelism,
                    consumers=target.parallelism,
                    max_parallelism=target.max_parallelism,
                    partition_kind=int(edge.partitioner.kind),
                )
            )
    return edges


def redistribute_in_flight(
    metadata: checkpoint_pb2.CheckpointMetadata, graph: job_pb2.JobGraph
) -> InFlightOf:
    """What each subtask reads before anything new, older attempts first.

    Raises:
        RestoreMismatchError: data of an edge that the job does not have, or of one whose data
            cannot be dealt out to another number of consumers.
    """
    found: InFlightOf = defaultdict(list)
    if not metadata.in_flight:
        return {}
    vertices = {vertex.id: vertex for vertex in graph.vertices}
    for old, edge in _matched(metadata, graph):
        handles = [h for h in metadata.in_flight if h.edge_id == old.edge_id]
        if edge is None:
            if any(handle.elements for handle in handles):
                raise _edge_gone(metadata, old)
            continue
        target = vertices[edge.target_vertex]
        channels = _channels(handles)
        _check_partitioning(metadata, edge, old, target, channels)
        if target.parallelism == old.consumers and not _regrouped(edge, old, target):
            for channel in channels:
                found[target.id, channel.consumer].append(_restored(edge, channel))
            continue
        _check_movable(metadata, old, target.name, target.parallelism, channels)
        for subtask in range(target.parallelism):
            found[target.id, subtask] += _dealt(edge, old, target, channels, subtask)
    for channels_of in found.values():
        channels_of.sort(key=lambda channel: -channel.age)  # stable: edges and producers in order
    return dict(found)


def check_widths(
    metadata: checkpoint_pb2.CheckpointMetadata,
    graph: job_pb2.JobGraph,
    widths: Mapping[str, int],
) -> None:
    """Whether the job can go on from the checkpoint with another parallelism by vertex id.

    Raises:
        RestoreMismatchError: it has data of an edge that cannot be dealt out.
    """
    for old, edge in _matched(metadata, graph) if metadata.in_flight else ():
        if edge is not None:
            handles = [h for h in metadata.in_flight if h.edge_id == old.edge_id]
            name = next(v.name for v in graph.vertices if v.id == edge.target_vertex)
            consumers = widths.get(edge.target_vertex, old.consumers)
            if consumers != old.consumers:
                _check_movable(metadata, old, name, consumers, _channels(handles))


def _matched(
    metadata: checkpoint_pb2.CheckpointMetadata, graph: job_pb2.JobGraph
) -> list[tuple[checkpoint_pb2.InFlightEdge, job_pb2.JobEdge | None]]:
    """Edges of the checkpoint with those of the job, by the operators at their ends."""
    vertices = {vertex.id: vertex for vertex in graph.vertices}
    here: dict[tuple[str, str, str, int], list[job_pb2.JobEdge]] = defaultdict(list)
    for edge in graph.edges:
        source = vertices[edge.source_vertex].operators[edge.source_operator].uid
        target = vertices[edge.target_vertex].operators[0].uid
        here[source, edge.side_tag, target, edge.target_input].append(edge)
    pairs: list[tuple[checkpoint_pb2.InFlightEdge, job_pb2.JobEdge | None]] = []
    for old in metadata.in_flight_edges:
        same = here[old.source_uid, old.side_tag, old.target_uid, old.target_input]
        pairs.append((old, same.pop(0) if same else None))
    return pairs


def _channels(handles: Sequence[checkpoint_pb2.InFlightHandle]) -> list[_Channel]:
    """Old channels with their parts in order."""
    channels: dict[tuple[int, int, int], _Channel] = {}
    for handle in sorted(handles, key=lambda h: h.at_producer):
        key = (handle.age, handle.producer_subtask, handle.consumer_subtask)
        channel = channels.get(key)
        if channel is None:
            channel = channels[key] = _Channel(key[1], key[2], key[0])
        if not handle.at_producer:
            channel.watermark, channel.idle = handle.watermark, handle.idle
        if handle.elements:
            channel.parts.append(handle)
    return [channels[key] for key in sorted(channels)]


def _dealt(
    edge: job_pb2.JobEdge,
    old: checkpoint_pb2.InFlightEdge,
    target: job_pb2.JobVertex,
    channels: Sequence[_Channel],
    subtask: int,
) -> list[runtime_pb2.RestoredChannel]:
    """One new consumer's share of the old channels, and event time of all of them."""
    out = []
    for index, channel in enumerate(channels):
        if channel.parts and _belongs(edge, old, target, channel, index, subtask):
            restored = _restored(edge, channel)
            restored.filter = edge.partitioner.kind == job_pb2.PARTITION_KIND_HASH
            out.append(restored)
    watermark, idle = _slowest(channels)
    for age in sorted({channel.age for channel in channels}):
        out.append(
            runtime_pb2.RestoredChannel(
                edge_id=edge.id,
                producer_subtask=_NOBODY,
                consumer_subtask=_NOBODY,
                watermark=watermark,
                idle=idle,
                age=age,
            )
        )
    return out


def _belongs(
    edge: job_pb2.JobEdge,
    old: checkpoint_pb2.InFlightEdge,
    target: job_pb2.JobVertex,
    channel: _Channel,
    index: int,
    subtask: int,
) -> bool:
    kind = edge.partitioner.kind
    if kind == job_pb2.PARTITION_KIND_GLOBAL:
        return subtask == 0
    if kind != job_pb2.PARTITION_KIND_HASH:
        return index % target.parallelism == subtask
    if old.max_parallelism != target.max_parallelism:
        return True
    groups = target.max_parallelism
    first, last = keygroups.key_group_range(groups, old.consumers, channel.consumer)
    mine, end = keygroups.key_group_range(groups, target.parallelism, subtask)
    return first <= end and mine <= last


def _slowest(channels: Sequence[_Channel]) -> tuple[int, bool]:
    """The event time that all old channels had reached; idle ones hold nothing back."""
    active = [channel.watermark for channel in channels if not channel.idle]
    if active:
        return min(active), False
    return max((channel.watermark for channel in channels), default=_NO_TIME), True


def _restored(edge: job_pb2.JobEdge, channel: _Channel) -> runtime_pb2.RestoredChannel:
    return runtime_pb2.RestoredChannel(
        edge_id=edge.id,
        producer_subtask=channel.producer,
        consumer_subtask=channel.consumer,
        parts=channel.parts,
        watermark=channel.watermark,
        idle=channel.idle,
        age=channel.age,
    )


def _regrouped(
    edge: job_pb2.JobEdge, old: checkpoint_pb2.InFlightEdge, target: job_pb2.JobVertex
) -> bool:
    """Whether keys belong to other consumers although there are as many."""
    keyed = edge.partitioner.kind == job_pb2.PARTITION_KIND_HASH
    return keyed and old.max_parallelism != target.max_parallelism


def _check_partitioning(
    metadata: checkpoint_pb2.CheckpointMetadata,
    edge: job_pb2.JobEdge,
    old: checkpoint_pb2.InFlightEdge,
    target: job_pb2.JobVertex,
    channels: Sequence[_Channel],
) -> None:
    keyed = job_pb2.PARTITION_KIND_HASH
    was, now = old.partition_kind == keyed, edge.partitioner.kind == keyed
    if was == now or not any(channel.parts for channel in channels):
        return
    msg = (
        f"checkpoint {metadata.checkpoint_id} has in-flight data to '{target.name}', whose records "
        f"were {'' if was else 'not '}partitioned by key, and now are{' not' if was else ''}"
    )
    raise RestoreMismatchError(
        msg, remedy="change a job between a savepoint and its restore: savepoints have no such data"
    )


def _check_movable(
    metadata: checkpoint_pb2.CheckpointMetadata,
    old: checkpoint_pb2.InFlightEdge,
    target: str,
    consumers: int,
    channels: Sequence[_Channel],
) -> None:
    if old.partition_kind not in FIXED_EDGES or not any(c.parts for c in channels):
        return
    kind = job_pb2.PartitionKind.Name(job_pb2.PartitionKind.ValueType(old.partition_kind))
    name = kind.removeprefix("PARTITION_KIND_").lower()
    msg = (
        f"checkpoint {metadata.checkpoint_id} has in-flight data on a {name} edge to "
        f"'{target}', which had {old.consumers} subtasks and is to have {consumers}: "
        "it cannot be dealt out anew"
    )
    raise RestoreMismatchError(
        msg,
        remedy="keep that parallelism, or restore from a savepoint; without "
        "execution.checkpointing.unaligned.forced no checkpoint has such data",
    )


def _edge_gone(
    metadata: checkpoint_pb2.CheckpointMetadata, old: checkpoint_pb2.InFlightEdge
) -> RestoreMismatchError:
    names = {state.uid: state.name for state in metadata.operators}
    source = names.get(old.source_uid, old.source_uid)
    target = names.get(old.target_uid, old.target_uid)
    msg = (
        f"checkpoint {metadata.checkpoint_id} has in-flight data between '{source}' and "
        f"'{target}', which are not connected in this job"
    )
    return RestoreMismatchError(
        msg, remedy="change a job between a savepoint and its restore: savepoints have no such data"
    )
