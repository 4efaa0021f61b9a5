"""A job's events, configuration, rescales and result as JSON. Pure."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any, Final

from lesto.common import options
from lesto.common.accumulators import of_reports
from lesto.common.config import Configuration
from lesto.jobmanager.server.rest.java_throwable import serialized_throwable
from lesto.proto import client_pb2 as pb

Json = dict[str, Any]

_APPLICATION_STATUS: Final = {
    pb.JOB_STATE_FINISHED: "SUCCEEDED",
    pb.JOB_STATE_FAILED: "FAILED",
    pb.JOB_STATE_CANCELED: "CANCELED",
}
#: So that a rescale has the same id whenever it is asked for: Flink's clients address it by that.
_NAMESPACE: Final = uuid.UUID("6f1d6a0e-0d53-4c57-9a0d-1b0f4a5f9d11")


def events(details: pb.JobDetails) -> Json:
    """GET /jobs/:id/events, oldest first."""
    return {
        "events": [
            {
                "timestamp": event.timestamp_ms,
                "kind": event.kind,
                "subject": event.subject,
                "cause": event.cause,
                "severity": event.severity,
            }
            for event in details.events
        ]
    }


def config(details: pb.JobDetails) -> Json:
    """GET /jobs/:id/config: what is set otherwise than by default."""
    return {
        "jid": details.summary.job_id,
        "name": details.summary.name,
        "execution-config": {
            "restart-strategy": _restart_strategy(details.config),
            "job-parallelism": max((v.parallelism for v in details.vertices), default=1),
            "object-reuse-mode": False,
            "user-config": dict(sorted(details.config.items())),
        },
    }


def _restart_strategy(values: Mapping[str, str]) -> str:
    wanted = {key: text for key, text in values.items() if key.startswith("restart-strategy")}
    kind = Configuration.from_dict(wanted).get(options.RESTART_STRATEGY)
    given = [f"{key}={text}" for key, text in sorted(wanted.items())]
    return f"{kind.value} ({', '.join(given)})" if given else str(kind.value)


def environment(details: pb.JobDetails, arch: str) -> Json:
    """GET /jobs/:id/jobmanager/environment: Flink's names for what Python has."""
    version = f"Python {details.graph.python_version}" if details.graph.python_version else ""
    return {
        "jvm": {"version": version, "arch": arch, "options": []},
        "classpath": list(details.graph.python_paths),
    }


def execution_result(details: pb.JobDetails, now_ms: int) -> Json:
    """GET /jobs/:id/execution-result; without one while the job has not ended."""
    summary = details.summary
    status = _APPLICATION_STATUS.get(summary.state)
    if status is None:
        return {"status": {"id": "IN_PROGRESS"}}
    end = summary.end_time_ms or now_ms
    result: Json = {
        "id": summary.job_id,
        "name": summary.name,
        "application-status": status,
        "accumulator-results": {
            name: str(value) for name, value in sorted(_accumulators(details).items())
        },
        "net-runtime": end - summary.start_time_ms,
        "start-time": summary.start_time_ms,
        "end-time": end,
    }
    if status == "FAILED" and details.failures:
        failure = details.failures[0].failure
        stack = failure.user_traceback or failure.full_traceback or failure.message
        result["failure-cause"] = {
            "class": failure.code,
            "stack-trace": stack,
            "serialized-throwable": serialized_throwable(failure.code, failure.message, stack),
        }
    return {"status": {"id": "COMPLETED"}, "job-execution-result": result}


def _accumulators(details: pb.JobDetails) -> dict[str, Any]:
    return of_reports(s.report for vertex in details.vertices for s in vertex.subtasks)


# --------------------------------------------------------------------------------------- rescales


def rescales(details: pb.JobDetails) -> list[Json]:
    """GET /jobs/:id/rescales/history, newest first."""
    return [
        _rescale(details.summary.job_id, number, record)
        for number, record in reversed(list(enumerate(details.rescales, 1)))
    ]


def rescales_overview(details: pb.JobDetails) -> Json:
    """GET /jobs/:id/rescales/overview; counts are of those that are remembered."""
    history = rescales(details)
    completed = [one for one in history if one["terminalState"] == "COMPLETED"]
    failed = [one for one in history if one["terminalState"] == "FAILED"]
    return {
        "rescalesCounts": {
            "ignored": 0,
            "inProgress": len(history) - len(completed) - len(failed),
            "completed": len(completed),
            "failed": len(failed),
        },
        "latest": {
            "completed": completed[0] if completed else None,
            "failed": failed[0] if failed else None,
            "ignored": None,
        },
    }


def _rescale(job_id: str, number: int, record: pb.JobRescale) -> Json:
    ended = record.outcome in {"COMPLETED", "FAILED"}
    name = str(uuid.uuid5(_NAMESPACE, f"{job_id}/{record.start_ms}"))
    return {
        "rescaleUuid": name,
        "resourceRequirementsUuid": name,
        "rescaleAttemptId": number,
        "vertices": {v.vertex_id: _vertex(v, record.outcome) for v in record.vertices},
        "slots": {},
        "schedulerStates": [],
        "startTimestampInMillis": record.start_ms,
        "endTimestampInMillis": record.end_ms or None,
        "terminalState": record.outcome if ended else None,
        "triggerCause": "NEW_RESOURCES" if record.automatic else "UPDATE_REQUIREMENT",
        "terminatedReason": record.reason or None,
        "pauseInMillis": record.pause_ms if record.outcome == "COMPLETED" else None,
    }


def _vertex(vertex: pb.VertexRescale, outcome: str) -> Json:
    group = vertex.slot_sharing_group or "default"
    return {
        "jobVertexId": vertex.vertex_id,
        "jobVertexName": vertex.name,
        "slotSharingGroupId": group,
        "slotSharingGroupName": group,
        "desiredParallelism": vertex.upper,
        "sufficientParallelism": vertex.lower,
        "preRescaleParallelism": vertex.before,
        "postRescaleParallelism": vertex.after if outcome == "COMPLETED" else None,
    }
