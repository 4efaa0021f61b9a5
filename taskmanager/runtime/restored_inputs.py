"""From restored in-flight data to channels that a task reads before its own."""

from __future__ import annotations

from collections.abc import Sequence

from lesto.common.elements import ColumnarBatch, RowBatch
from lesto.proto import job_pb2, runtime_pb2
from lesto.state.storage import SnapshotStore
from lesto.taskmanager.runtime.capture import ChannelName
from lesto.taskmanager.runtime.chain import schema_from_bytes
from lesto.taskmanager.runtime.errors import DeploymentError
from lesto.taskmanager.runtime.exchange.partition import hash_partitioner
from lesto.taskmanager.runtime.exchange.restored import RestoredInput
from lesto.taskmanager.runtime.exchange.wire import Element
from lesto.taskmanager.runtime.in_flight_file import InFlightFiles
from lesto.taskmanager.runtime.inputs import InputSpec


def restored_inputs(deployment: runtime_pb2.TaskDeployment) -> list[InputSpec]:
    """The channels of earlier attempts, oldest first as given.

    Raises:
        LestoError: a file is missing or damaged, or is not of the job's edge.
    """
    if not deployment.in_flight:
        return []
    root = deployment.restore_root or deployment.checkpoint_root
    files = InFlightFiles(SnapshotStore(root, epoch=deployment.task.epoch))
    edges = {gate.edge.id: gate.edge for gate in deployment.inputs}
    specs = []
    for restored in deployment.in_flight:
        edge = edges.get(restored.edge_id)
        if edge is None:
            msg = f"in-flight data of edge {restored.edge_id} is not for {deployment.vertex.name}"
            raise DeploymentError(msg)
        elements = _elements(restored, edge, files)
        if restored.filter:
            elements = _filtered(elements, edge, deployment)
        specs.append(
            InputSpec(
                edge.target_input,
                RestoredInput(elements),
                ChannelName(edge.id, restored.producer_subtask, restored.age),
                watermark=restored.watermark,
                idle=restored.idle,
            )
        )
    return specs


def _elements(
    restored: runtime_pb2.RestoredChannel, edge: job_pb2.JobEdge, files: InFlightFiles
) -> list[Element]:
    schema = schema_from_bytes(edge.schema)
    name = f"{edge.id}[{restored.producer_subtask}->{restored.consumer_subtask}]"
    return [e for part in restored.parts for e in files.read(part, schema, name)]


def _filtered(
    elements: Sequence[Element], edge: job_pb2.JobEdge, deployment: runtime_pb2.TaskDeployment
) -> list[Element]:
    """Only the records of this task's key groups; control elements stay."""
    vertex, subtask = deployment.vertex, deployment.task.subtask
    n = vertex.parallelism
    if n == 1:
        return list(elements)
    partitioner = hash_partitioner(edge, n, vertex.max_parallelism)
    out: list[Element] = []
    for element in elements:
        if isinstance(element, (ColumnarBatch, RowBatch)):
            out += [piece for index, piece in partitioner.split(element) if index == subtask]
        else:
            out.append(element)
    return out
