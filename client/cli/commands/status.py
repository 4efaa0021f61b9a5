"""`lesto status` and `lesto taskmanagers`: the cluster, or one job, at a glance."""

from __future__ import annotations

import argparse
import time
from typing import Any

from lesto.client.cli.commands.jobs import state_name
from lesto.client.cli.exit_codes import ExitCode
from lesto.client.cli.output import (
    format_bytes,
    format_count,
    format_elapsed,
    format_time,
    print_records,
)
from lesto.client.cli.target import connect
from lesto.proto import client_pb2 as pb
from lesto.proto import runtime_pb2

_VERTICES = {
    "task": "TASK",
    "parallelism": "PARALLELISM",
    "running": "RUNNING",
    "records_in": "RECORDS IN",
    "records_out": "RECORDS OUT",
    "busy": "BUSY",
    "backpressured": "BACKPRESSURED",
}
_MILLISECONDS = 1_000_000


def status(arguments: argparse.Namespace) -> int:
    """Print what a job does, or what the cluster has."""
    with connect(arguments) as client:
        if not arguments.job:
            return _cluster(client.cluster(), arguments.output)
        details = client.job(client.resolve_job(arguments.job))
    if arguments.output == "table":
        for line in told(details, time.time_ns() // _MILLISECONDS):
            print(line)
        print()
    print_records([_vertex(vertex) for vertex in details.vertices], _VERTICES, arguments.output)
    return ExitCode.OK


def told(details: pb.JobDetails, now_ms: int) -> list[str]:
    """A job in some lines.

    >>> job = pb.JobSummary(job_id="a1", name="flights", state=2, start_time_ms=1, restarts=2)
    >>> told(pb.JobDetails(summary=job), now_ms=65_001)
    ['flights (a1): RUNNING for 1 min 5 s, 2 restarts', 'No checkpoint is complete.']
    """
    summary = details.summary
    since = details.transitions[-1].timestamp_ms if details.transitions else summary.start_time_ms
    restarts = f"{summary.restarts} restart{'' if summary.restarts == 1 else 's'}"
    elapsed = format_elapsed(max(0, now_ms - since))
    lines = [f"{summary.name} ({summary.job_id}): {state_name(summary.state)} for {elapsed}, "]
    lines[0] += restarts
    latest = details.checkpoints.latest_completed
    if latest.checkpoint_id:
        age = format_elapsed(max(0, now_ms - latest.trigger_timestamp_ms))
        lines.append(
            f"Checkpoint {latest.checkpoint_id}, {age} ago, took "
            f"{format_elapsed(latest.duration_ms)}, {format_bytes(latest.state_bytes)}: "
            f"{latest.path}"
        )
    else:
        lines.append("No checkpoint is complete.")
    if details.failures:
        newest = details.failures[0]
        when = format_time(newest.timestamp_ms)
        lines.append(f"Last failure {when}, {newest.task_name}: {newest.failure.message}")
    return lines


def _vertex(vertex: pb.VertexDetails) -> dict[str, Any]:
    reports = [subtask.report for subtask in vertex.subtasks]
    running = sum(s.state == runtime_pb2.TASK_STATE_RUNNING for s in vertex.subtasks)
    return {
        "task": vertex.name,
        "parallelism": vertex.parallelism,
        "running": running,
        "records_in": format_count(vertex.records_in),
        "records_out": format_count(vertex.records_out),
        "busy": f"{max((r.busy_ratio for r in reports), default=0):.0%}",
        "backpressured": f"{max((r.backpressured_ratio for r in reports), default=0):.0%}",
    }


def _cluster(info: pb.ClusterInfo, form: str) -> int:
    record = {
        "version": info.lesto_version,
        "python": info.python_version,
        "jobs_running": info.jobs_running,
        "jobs_finished": info.jobs_finished,
        "jobs_cancelled": info.jobs_cancelled,
        "jobs_failed": info.jobs_failed,
        "taskmanagers": len(info.taskmanagers),
        "slots": info.slots_total,
        "slots_free": info.slots_available,
        "high_availability": info.high_availability,
        "leader": info.leader_address,
        "rest": info.rest_address,
    }
    if form != "table":
        print_records([record], {}, form)
        return ExitCode.OK
    print(f"Lesto {info.lesto_version} on Python {info.python_version}")
    print(f"  TaskManagers  {len(info.taskmanagers)}")
    print(f"  Slots         {info.slots_available} of {info.slots_total} free")
    print(
        f"  Jobs          {info.jobs_running} running, {info.jobs_finished} finished, "
        f"{info.jobs_cancelled} cancelled, {info.jobs_failed} failed"
    )
    print(f"  Leader        {info.leader_address or 'this JobManager'} ({info.high_availability})")
    if info.rest_address:
        print(f"  REST          http://{info.rest_address}")
    return ExitCode.OK


_WORKERS = {
    "taskmanager": "TASKMANAGER",
    "host": "HOST",
    "slots": "SLOTS",
    "free": "FREE",
    "memory": "MEMORY",
    "cores": "CORES",
    "heartbeat": "HEARD",
    "metrics": "METRICS",
}


def taskmanagers(arguments: argparse.Namespace) -> int:
    """Print the TaskManagers that are connected."""
    with connect(arguments) as client:
        workers = client.cluster().taskmanagers
    if not workers and arguments.output == "table":
        print("No TaskManager is connected. Start one: lesto taskmanager -m HOST:PORT")
        return ExitCode.OK
    now_ms = time.time_ns() // _MILLISECONDS
    print_records([_worker(worker, now_ms) for worker in workers], _WORKERS, arguments.output)
    return ExitCode.OK


def _worker(worker: pb.TaskManagerInfo, now_ms: int) -> dict[str, Any]:
    return {
        "taskmanager": worker.taskmanager_id,
        "host": worker.host,
        "pid": worker.pid,
        "slots": len(worker.slots),
        "free": worker.free_slots,
        "memory": format_bytes(worker.memory_bytes),
        "cores": worker.cpus,
        "heartbeat": f"{format_elapsed(max(0, now_ms - worker.last_heartbeat_ms))} ago",
        "metrics": worker.metrics_address,
    }
