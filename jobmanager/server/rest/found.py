"""Finds what a path names within a job, and where its tasks run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from lesto.common.errors import did_you_mean
from lesto.jobmanager.server.rest.api import JobManagerApi
from lesto.jobmanager.server.rest.errors import NotInJobError
from lesto.proto import client_pb2 as pb
from lesto.proto import job_pb2

UNASSIGNED: Final = "(unassigned)"


@dataclass(frozen=True, slots=True)
class FoundVertex:
    """A vertex of a job.

    Attributes:
        job: everything about the job, its graph too.
        vertex: as it runs.
        declared: as it was submitted.
        is_source: no edge leads to it.
    """

    job: pb.JobDetails
    vertex: pb.VertexDetails
    declared: job_pb2.JobVertex
    is_source: bool


def find_vertex(api: JobManagerApi, job_id: str, vertex_id: str) -> FoundVertex:
    """Return a vertex.

    Raises:
        NotInJobError: the job has none of this id.
        LestoError: there is no such job.
    """
    job = api.job(job_id, include_graph=True)
    vertex = next((v for v in job.vertices if v.id == vertex_id), None)
    declared = next((v for v in job.graph.vertices if v.id == vertex_id), None)
    if vertex is None or declared is None:
        near = did_you_mean(vertex_id, [v.id for v in job.vertices])
        msg = f"job {job.summary.name} has no vertex '{vertex_id}'{near}"
        raise NotInJobError(msg, remedy="GET /jobs/{jobid} lists its vertices.")
    fed = any(edge.target_vertex == vertex_id for edge in job.graph.edges)
    return FoundVertex(job, vertex, declared, is_source=not fed)


def find_subtask(found: FoundVertex, index: str) -> pb.SubtaskDetails:
    """Return one subtask of a vertex.

    Raises:
        NotInJobError: it has fewer.
    """
    for subtask in found.vertex.subtasks:
        if subtask.subtask == int(index):
            return subtask
    msg = f"{found.vertex.name} has no subtask {int(index)}: its parallelism is "
    msg += str(found.vertex.parallelism)
    raise NotInJobError(msg, remedy="Subtasks count from 0.")


def operator_names(vertex: job_pb2.JobVertex) -> Mapping[str, str]:
    """Return names of a vertex's operators by uid."""
    return {operator.uid: operator.name or operator.uid for operator in vertex.operators}


class Places:
    """Where slots are: ``host:port`` of their data, by slot id."""

    def __init__(self, taskmanagers: Iterable[pb.TaskManagerInfo]) -> None:
        self._slots: dict[str, str] = {}
        self._hosts: dict[str, str] = {}
        for tm in taskmanagers:
            self._hosts[tm.taskmanager_id] = tm.host
            for slot in tm.slots:
                port = slot.flight_uri.rpartition(":")[2]
                self._slots[slot.slot_id] = f"{tm.host}:{port}" if port.isdecimal() else tm.host

    def of(self, subtask: pb.SubtaskDetails) -> str:
        """Return where a subtask runs, or ran; only ids stay of processes that are gone."""
        if not subtask.slot_id:
            return UNASSIGNED
        return self._slots.get(subtask.slot_id) or self.host(subtask.taskmanager_id)

    def host(self, taskmanager_id: str) -> str:
        """Return the host of a TaskManager; its id when it is gone."""
        return self._hosts.get(taskmanager_id, taskmanager_id) or UNASSIGNED


def places(api: JobManagerApi) -> Places:
    """Ask where slots are."""
    return Places(api.cluster().taskmanagers)
