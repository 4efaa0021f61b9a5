"""A checkpoint's state, dealt out to the subtasks of a job that may have another parallelism.

Keyed handles go to every subtask whose key-group range they overlap. Operator lists are dealt round
robin, union lists go to all, and of broadcast lists each subtask gets the whole of one old subtask.
With unchanged parallelism each subtask gets its own lists back.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from lesto.jobmanager.core.in_flight import redistribute_in_flight
from lesto.jobmanager.errors import RestoreMismatchError
from lesto.kernels import keygroups
from lesto.proto import checkpoint_pb2, job_pb2, runtime_pb2

Restores = dict[tuple[str, int], list[runtime_pb2.OperatorRestore]]

#: Operators that a message lists at most.
NAMED_MAX = 5


def check_restorable(
    metadata: checkpoint_pb2.CheckpointMetadata,
    graph: job_pb2.JobGraph,
    *,
    allow_non_restored_state: bool,
) -> None:
    """Does the checkpoint's state have a place in the job?

    Raises:
        RestoreMismatchError: state of an operator the job does not have, or keyed state with
            another number of key groups, or in-flight data without a place.
    """
    homes = {op.uid: vertex for vertex in graph.vertices for op in vertex.operators}
    for state in metadata.operators:
        vertex = homes.get(state.uid)
        if vertex is None:
            if _has_state(state) and not allow_non_restored_state:
                old = {other.uid for other in metadata.operators}
                new = [op for v in graph.vertices for op in v.operators if op.uid not in old]
                without = ", ".join(f"'{op.name}'" for op in new[:NAMED_MAX]) or "none"
                msg = (
                    f"checkpoint {metadata.checkpoint_id} has state of operator '{state.name}' "
                    f"({state.uid}), which the job does not have; its operators without state in "
                    f"the checkpoint: {without}"
                )
                raise RestoreMismatchError(
                    msg,
                    remedy="give the operator its former uid(...), or drop its state with "
                    "--allowNonRestoredState (-n)",
                )
            continue
        keyed = any(subtask.keyed for subtask in state.subtasks)
        if keyed and state.max_parallelism != vertex.max_parallelism:
            msg = (
                f"keyed state of {state.name!r} has {state.max_parallelism} key groups, the job's "
                f"max parallelism there is {vertex.max_parallelism}; it is fixed with the state"
            )
            raise RestoreMismatchError(
                msg, remedy=f"set pipeline.max-parallelism to {state.max_parallelism}"
            )
    redistribute_in_flight(metadata, graph)


def redistribute(metadata: checkpoint_pb2.CheckpointMetadata, graph: job_pb2.JobGraph) -> Restores:
    """What each (vertex id, subtask) restores; operators without state are listed too."""
    states = {state.uid: state for state in metadata.operators}
    restores: Restores = {}
    for vertex in graph.vertices:
        parts = [_parts(states.get(op.uid), op, vertex) for op in vertex.operators]
        for subtask in range(vertex.parallelism):
            restores[vertex.id, subtask] = [part[subtask] for part in parts]
    return restores


def coordinator_states(metadata: checkpoint_pb2.CheckpointMetadata) -> Mapping[str, bytes]:
    """Enumerator state by operator uid; a source without any was not in the checkpoint."""
    return {
        s.uid: s.coordinator_state for s in metadata.operators if s.HasField("coordinator_state")
    }


def _parts(
    state: checkpoint_pb2.OperatorState | None, op: job_pb2.OperatorNode, vertex: job_pb2.JobVertex
) -> list[runtime_pb2.OperatorRestore]:
    parts = [runtime_pb2.OperatorRestore(uid=op.uid) for _ in range(vertex.parallelism)]
    if state is None:
        return parts
    _deal_keyed(state, vertex, parts)
    if len(state.subtasks) == state.parallelism == vertex.parallelism:
        _return_lists(state, parts)
    else:
        _deal_lists(state, parts)
    return parts


def _deal_keyed(
    state: checkpoint_pb2.OperatorState,
    vertex: job_pb2.JobVertex,
    parts: list[runtime_pb2.OperatorRestore],
) -> None:
    handles = [handle for subtask in state.subtasks for handle in subtask.keyed]
    if not handles:
        return
    for index, part in enumerate(parts):
        first, last = keygroups.key_group_range(vertex.max_parallelism, vertex.parallelism, index)
        part.keyed.extend(
            h for h in handles if h.key_group_start <= last and h.key_group_end >= first
        )


def _return_lists(
    state: checkpoint_pb2.OperatorState, parts: list[runtime_pb2.OperatorRestore]
) -> None:
    for subtask in state.subtasks:
        parts[subtask.subtask].lists.extend(lst for lst in subtask.lists if not lst.union)
    for merged in _merged(state.subtasks, union=True):
        for part in parts:
            part.lists.append(merged)


def _deal_lists(
    state: checkpoint_pb2.OperatorState, parts: list[runtime_pb2.OperatorRestore]
) -> None:
    for merged in _merged(state.subtasks, union=True):
        for part in parts:
            part.lists.append(merged)
    for merged in _merged(state.subtasks, union=False):
        for index, part in enumerate(parts):
            part.lists.add(name=merged.name, items=merged.items[index :: len(parts)])
    _copy_broadcast(state, parts)


def _copy_broadcast(
    state: checkpoint_pb2.OperatorState, parts: list[runtime_pb2.OperatorRestore]
) -> None:
    """Each old subtask's is the same and whole: new subtasks take them in turn, to spread reads."""
    old = sorted(state.subtasks, key=lambda s: s.subtask)
    for index, part in enumerate(parts):
        if old:
            lists = old[index % len(old)].lists
            part.lists.extend(lst for lst in lists if lst.broadcast)


def _merged(
    subtasks: Iterable[checkpoint_pb2.OperatorSubtaskState], *, union: bool
) -> list[checkpoint_pb2.OperatorStateList]:
    merged: dict[str, checkpoint_pb2.OperatorStateList] = {}
    for subtask in sorted(subtasks, key=lambda s: s.subtask):
        for lst in subtask.lists:
            if lst.union == union and not lst.broadcast:
                into = merged.setdefault(
                    lst.name, checkpoint_pb2.OperatorStateList(name=lst.name, union=union)
                )
                into.items.extend(lst.items)
    return list(merged.values())


def _has_state(state: checkpoint_pb2.OperatorState) -> bool:
    parts = state.subtasks
    return bool(state.coordinator_state) or any(
        part.keyed or any(lst.items for lst in part.lists) for part in parts
    )
