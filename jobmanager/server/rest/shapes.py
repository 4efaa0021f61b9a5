"""Turns our messages into Flink's JSON. Pure: the caller passes the time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from lesto.common.accumulators import of_reports
from lesto.jobmanager.server.rest import job_view
from lesto.jobmanager.server.rest.io_metrics import io_metrics
from lesto.proto import client_pb2 as pb
from lesto.proto import job_pb2, runtime_pb2

# What /overview calls flink-version: clients parse it. It is the version whose REST API we follow.
FLINK_VERSION = "2.1.0"
REFRESH_INTERVAL_MS = 3000
TASK_STATES = (
    "CREATED",
    "SCHEDULED",
    "DEPLOYING",
    "RUNNING",
    "FINISHED",
    "CANCELING",
    "CANCELED",
    "FAILED",
    "RECONCILING",
    "INITIALIZING",
)
JOB_STATES = (
    "INITIALIZING",
    "CREATED",
    "RUNNING",
    "FAILING",
    "FAILED",
    "CANCELLING",
    "CANCELED",
    "FINISHED",
    "RESTARTING",
    "SUSPENDED",
    "RECONCILING",
)
_STOPPABLE = {pb.JOB_STATE_RUNNING}
# A vertex shows the state of its least advanced subtask, failures first.
_VERTEX_STATE_ORDER = (
    "FAILED",
    "CANCELING",
    "CREATED",
    "SCHEDULED",
    "DEPLOYING",
    "INITIALIZING",
    "RUNNING",
    "CANCELED",
    "FINISHED",
)

Json = dict[str, Any]


def job_state(state: int) -> str:
    """Return a job state as Flink writes it."""
    return pb.JobState.Name(state).removeprefix("JOB_STATE_")  # type: ignore[arg-type]


def task_state(state: int) -> str:
    """Return a task state as Flink writes it."""
    return runtime_pb2.TaskState.Name(state).removeprefix("TASK_STATE_")  # type: ignore[arg-type]


def overview(info: pb.ClusterInfo) -> Json:
    """GET /overview."""
    return {
        "taskmanagers": len(info.taskmanagers),
        "slots-total": info.slots_total,
        "slots-available": info.slots_available,
        "jobs-running": info.jobs_running,
        "jobs-finished": info.jobs_finished,
        "jobs-cancelled": info.jobs_cancelled,
        "jobs-failed": info.jobs_failed,
        "flink-version": FLINK_VERSION,
        "flink-commit": f"lesto-{info.lesto_version}",
        "lesto-version": info.lesto_version,
        "python-version": info.python_version,
        "high-availability": info.high_availability or "NONE",
        "leader-address": info.leader_address,
        "leader-id": info.leader_id,
        "leader-epoch": info.leader_epoch,
    }


def dashboard_config(
    info: pb.ClusterInfo, timezone: str, offset_ms: int, *, submit: bool, cancel: bool
) -> Json:
    """GET /config.

    Args:
        info: the cluster.
        timezone: its name.
        offset_ms: of the time zone.
        submit: whether programs can be uploaded and run.
        cancel: whether the dashboard offers to cancel jobs.
    """
    return {
        "refresh-interval": REFRESH_INTERVAL_MS,
        "timezone-name": timezone,
        "timezone-offset": offset_ms,
        "flink-version": FLINK_VERSION,
        "flink-revision": f"lesto-{info.lesto_version}",
        "features": {
            "web-submit": submit,
            "web-cancel": cancel,
            "web-rescale": True,
            "web-history": False,
        },
    }


def job_ids(jobs: Sequence[pb.JobSummary]) -> Json:
    """GET /jobs."""
    return {"jobs": [{"id": job.job_id, "status": job_state(job.state)} for job in jobs]}


def job_overview(summary: pb.JobSummary, now_ms: int) -> Json:
    """One entry of GET /jobs/overview."""
    counts = summary.tasks_by_state
    return {
        "jid": summary.job_id,
        "name": summary.name,
        "start-time": summary.start_time_ms,
        "end-time": summary.end_time_ms or -1,
        "duration": (summary.end_time_ms or now_ms) - summary.start_time_ms,
        "state": job_state(summary.state),
        "last-modification": summary.last_modified_ms or summary.start_time_ms,
        "tasks": {
            "total": summary.tasks_total,
            **{state.lower(): counts.get(state, 0) for state in TASK_STATES},
        },
        "pending-operators": 0,
        "restarts": summary.restarts,
        "last-checkpoint": summary.last_checkpoint_ms,
    }


def job_details(details: pb.JobDetails, now_ms: int) -> Json:
    """GET /jobs/:id."""
    summary = details.summary
    vertices = [_vertex(vertex, details.graph, now_ms) for vertex in details.vertices]
    timestamps = dict.fromkeys(JOB_STATES, 0)
    for transition in details.transitions:
        timestamps[job_state(transition.state)] = transition.timestamp_ms
    max_parallelism = max((v.max_parallelism for v in details.vertices), default=-1)
    return {
        "jid": summary.job_id,
        "name": summary.name,
        "isStoppable": summary.state in _STOPPABLE,
        "state": job_state(summary.state),
        "job-type": "STREAMING",
        "schedulerType": _scheduler(details),
        "start-time": summary.start_time_ms,
        "end-time": summary.end_time_ms or -1,
        "duration": (summary.end_time_ms or now_ms) - summary.start_time_ms,
        "maxParallelism": max_parallelism,
        "now": now_ms,
        "timestamps": timestamps,
        "vertices": vertices,
        "status-counts": _count_states([vertex["status"] for vertex in vertices]),
        "plan": plan(details.graph, summary)["plan"],
        "pending-operators": 0,
        **job_view.of_job(details),
    }


def _scheduler(details: pb.JobDetails) -> str:
    """As Flink names it."""
    adaptive = details.config.get("jobmanager.scheduler", "").upper() == "ADAPTIVE"
    reactive = details.config.get("scheduler-mode", "").upper() == "REACTIVE"
    return "Adaptive" if adaptive or reactive else "Default"


def _vertex(vertex: pb.VertexDetails, graph: job_pb2.JobGraph, now_ms: int) -> Json:
    states = [task_state(subtask.state) for subtask in vertex.subtasks]
    starts = [s.start_time_ms for s in vertex.subtasks if s.start_time_ms]
    ends = [s.end_time_ms for s in vertex.subtasks]
    start = min(starts, default=-1)
    end = max(ends) if ends and all(ends) else -1
    status = next((state for state in _VERTEX_STATE_ORDER if state in states), "CREATED")
    group = next((v.slot_sharing_group for v in graph.vertices if v.id == vertex.id), "")
    return {
        "id": vertex.id,
        "slotSharingGroupName": group or "default",
        "slotSharingGroupId": group or "default",
        "name": vertex.name,
        "maxParallelism": vertex.max_parallelism,
        "parallelism": vertex.parallelism,
        "status": status,
        "start-time": start,
        "end-time": end,
        "duration": (end if end >= 0 else now_ms) - start if start >= 0 else -1,
        "tasks": _count_states(states),
        "metrics": _io_metrics(vertex),
        **job_view.of_vertex(vertex, graph),
    }


def _io_metrics(vertex: pb.VertexDetails) -> Json:
    """The JobManager's sums, and the time of the subtasks."""
    sums = {
        "read-bytes": vertex.bytes_in,
        "write-bytes": vertex.bytes_out,
        "read-records": vertex.records_in,
        "write-records": vertex.records_out,
    }
    return {**io_metrics(vertex.subtasks, is_source=False), **sums}


def plan(graph: job_pb2.JobGraph, summary: pb.JobSummary) -> Json:
    """GET /jobs/:id/plan."""
    nodes = []
    for vertex in graph.vertices:
        node: Json = {
            "id": vertex.id,
            "parallelism": vertex.parallelism,
            "operator": "",
            "operator_strategy": "",
            "description": vertex.name,
            "optimizer_properties": {},
        }
        inputs = [edge for edge in graph.edges if edge.target_vertex == vertex.id]
        if inputs:
            node["inputs"] = [
                {
                    "num": number,
                    "id": edge.source_vertex,
                    "ship_strategy": _partition_name(edge.partitioner.kind),
                    "exchange": "pipelined_bounded",
                    **job_view.of_edge(edge),
                }
                for number, edge in enumerate(inputs)
            ]
        nodes.append(node)
    head = {"jid": summary.job_id, "name": summary.name, "type": "STREAMING"}
    return {"plan": {**head, "nodes": nodes}}


def _partition_name(kind: int) -> str:
    return job_pb2.PartitionKind.Name(kind).removeprefix("PARTITION_KIND_")  # type: ignore[arg-type]


# --------------------------------------------------------------------------- failures and workers


def exceptions(details: pb.JobDetails, limit: int) -> Json:
    """GET /jobs/:id/exceptions, newest first; what broke because of another failure is below it.

    ``root-exception`` and ``timestamp`` are Flink's before 2.0.
    """
    entries: list[Json] = []
    behind: list[Json] = []
    for failure in details.failures:  # newest first: what came behind a failure comes before it
        entry = _exception(failure)
        if failure.concurrent:
            behind.append(entry)
            continue
        entries.append({**entry, "concurrentExceptions": behind[::-1]})
        behind = []
    if behind:  # their cause is not remembered any more
        entries += [{**entry, "concurrentExceptions": []} for entry in behind]
    answer: Json = {
        "exceptionHistory": {"entries": entries[:limit], "truncated": len(entries) > limit}
    }
    if entries:
        answer |= {
            "root-exception": entries[0]["stacktrace"],
            "timestamp": entries[0]["timestamp"],
        }
    return answer


def _exception(info: pb.FailureInfo) -> Json:
    failure = info.failure
    entry: Json = {
        "exceptionName": f"{failure.code}: {failure.message}",
        "stacktrace": _traceback(failure),
        "timestamp": info.timestamp_ms,
        "failureLabels": {"retryable": "true" if failure.retryable else "false"},
        **job_view.of_failure(info),
    }
    if info.task_name:
        entry["taskName"] = info.task_name
    if info.location:
        entry["endpoint"] = entry["location"] = info.location
    return entry


def _traceback(failure: runtime_pb2.TaskFailure) -> str:
    """The user's frames first, then the whole."""
    own, whole = failure.user_traceback.rstrip(), failure.full_traceback.rstrip()
    if own and whole and own != whole:
        return f"{own}\n\nWith the engine's frames:\n{whole}"
    return own or whole or failure.message


def taskmanagers(info: pb.ClusterInfo, now_ms: int) -> Json:
    """GET /taskmanagers."""
    return {"taskmanagers": [_taskmanager(tm, now_ms) for tm in info.taskmanagers]}


def _taskmanager(tm: pb.TaskManagerInfo, now_ms: int) -> Json:
    return {
        "id": tm.taskmanager_id,
        "path": tm.host,
        "dataPort": -1,  # each slot has its own
        "jmxPort": -1,
        "timeSinceLastHeartbeat": tm.last_heartbeat_ms,  # Flink's field holds the moment, too
        "slotsNumber": len(tm.slots),
        "freeSlots": tm.free_slots,
        "assignedTasks": len(tm.slots) - tm.free_slots,
        "hardware": {
            "cpuCores": tm.cpus,
            "physicalMemory": tm.memory_bytes,
            "freeMemory": -1,
            "managedMemory": -1,
        },
        "memoryConfiguration": {},
        "pid": tm.pid,
        "metricsAddress": tm.metrics_address,
        "slots": [
            {
                "id": slot.slot_id,
                "index": slot.index,
                "status": runtime_pb2.SlotStatus.Name(slot.status).removeprefix("SLOT_STATUS_"),
                "pid": slot.pid,
                "metricsAddress": slot.metrics_address,
            }
            for slot in tm.slots
        ],
    }


def _count_states(states: Sequence[str]) -> dict[str, int]:
    counts = Counter(states)
    return {state: counts.get(state, 0) for state in TASK_STATES}


def accumulators(job: pb.JobDetails) -> dict[str, Any]:
    """GET /jobs/:id/accumulators: what functions have counted, over all subtasks."""
    values = of_reports(subtask.report for vertex in job.vertices for subtask in vertex.subtasks)
    return {
        "job-accumulators": [],
        "user-task-accumulators": [
            {"name": name, "type": type(value).__name__, "value": str(value)}
            for name, value in sorted(values.items())
        ],
        "serialized-user-task-accumulators": {},
    }
