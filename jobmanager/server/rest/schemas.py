"""The schemas that several endpoints share; ``COMPONENTS`` is what the OpenAPI document lists.

Names of members are Flink's where Flink has them. Answers may have more members than Flink's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from lesto.jobmanager.server.rest.checkpoint_schemas import CHECKPOINTS
from lesto.jobmanager.server.rest.json_schema import (
    BYTES,
    COUNT,
    DURATION,
    FLAG,
    HEX_ID,
    INTEGER,
    MOMENT,
    TEXT,
    TEXT_OR_NULL,
    enum,
    listed,
    mapped,
    nullable,
    record,
    ref,
)
from lesto.jobmanager.server.rest.routing import Schema
from lesto.jobmanager.server.rest.shapes import JOB_STATES, TASK_STATES
from lesto.jobmanager.server.rest.vertex_schemas import VERTICES

_PROBLEM = record(
    {
        "type": {"type": "string", "format": "uri", "description": "about errors of this code"},
        "title": TEXT,
        "status": {"type": "integer", "minimum": 400, "maximum": 599},
        "detail": {"type": "string", "description": "what is wrong, for people"},
        "instance": {"type": "string", "description": "the path that was asked for"},
        "code": {"type": "string", "pattern": "^LESTO-[0-9]{4}$"},
        "remedy": {"type": "string", "description": "what to do; may be empty"},
        "errors": {**listed(TEXT), "description": "what Flink's clients read"},
    },
    optional={
        "error_id": {
            "type": "string",
            "pattern": "^[0-9a-f]{16}$",
            "description": "of 5xx: find it in the JobManager's log",
        }
    },
)

_CLUSTER: Mapping[str, Schema] = {
    "ClusterOverview": record(
        {
            "taskmanagers": COUNT,
            "slots-total": COUNT,
            "slots-available": COUNT,
            "jobs-running": COUNT,
            "jobs-finished": COUNT,
            "jobs-cancelled": COUNT,
            "jobs-failed": COUNT,
            "flink-version": {"type": "string", "description": "whose REST API this follows"},
            "flink-commit": TEXT,
            "lesto-version": TEXT,
            "python-version": TEXT,
            "high-availability": TEXT,
            "leader-address": TEXT,
            "leader-id": TEXT,
            "leader-epoch": COUNT,
        }
    ),
    "DashboardConfig": record(
        {
            "refresh-interval": {"type": "integer", "description": "ms"},
            "timezone-name": TEXT,
            "timezone-offset": {"type": "integer", "description": "ms"},
            "flink-version": TEXT,
            "flink-revision": TEXT,
            "features": record(
                {"web-submit": FLAG, "web-cancel": FLAG, "web-rescale": FLAG, "web-history": FLAG}
            ),
        }
    ),
    "TaskManager": record(
        {
            "id": TEXT,
            "path": TEXT,
            "dataPort": INTEGER,
            "jmxPort": INTEGER,
            "timeSinceLastHeartbeat": MOMENT,
            "slotsNumber": COUNT,
            "freeSlots": COUNT,
            "assignedTasks": COUNT,
            "hardware": record(
                {
                    "cpuCores": COUNT,
                    "physicalMemory": BYTES,
                    "freeMemory": BYTES,
                    "managedMemory": BYTES,
                }
            ),
            "memoryConfiguration": {"type": "object"},
            "pid": COUNT,
            "metricsAddress": TEXT,
            "slots": listed(
                record(
                    {
                        "id": TEXT,
                        "index": COUNT,
                        "status": TEXT,
                        "pid": COUNT,
                        "metricsAddress": TEXT,
                    }
                )
            ),
        }
    ),
    "TaskManagers": record({"taskmanagers": listed(ref("TaskManager"))}),
    "Health": record({"status": enum("ok")}),
}

_TASK_COUNTS = record(dict.fromkeys(TASK_STATES, COUNT))
_TASKS = record({"total": COUNT, **{state.lower(): COUNT for state in TASK_STATES}})

_EXCEPTION: Mapping[str, Schema] = {
    "exceptionName": TEXT,
    "stacktrace": {"type": "string", "description": "the user's code first"},
    "timestamp": MOMENT,
    "failureLabels": mapped(TEXT),
    "taskManagerId": TEXT,
}
_EXCEPTION_PLACE: Mapping[str, Schema] = dict.fromkeys(("taskName", "endpoint", "location"), TEXT)

_JOBS: Mapping[str, Schema] = {
    "JobState": enum(*JOB_STATES),
    "JobIds": record({"jobs": listed(record({"id": HEX_ID, "status": ref("JobState")}))}),
    "JobOverview": record(
        {
            "jid": HEX_ID,
            "name": TEXT,
            "start-time": MOMENT,
            "end-time": MOMENT,
            "duration": DURATION,
            "state": ref("JobState"),
            "last-modification": MOMENT,
            "tasks": _TASKS,
            "pending-operators": COUNT,
            "restarts": COUNT,
            "last-checkpoint": MOMENT,
        }
    ),
    "JobsOverview": record({"jobs": listed(ref("JobOverview"))}),
    "JobStatus": record({"status": ref("JobState")}),
    "TaskCounts": _TASK_COUNTS,
    "JobVertex": record(
        {
            "id": TEXT,
            "slotSharingGroupName": TEXT,
            "slotSharingGroupId": TEXT,
            "name": TEXT,
            "maxParallelism": COUNT,
            "parallelism": COUNT,
            "status": enum(*TASK_STATES),
            "start-time": MOMENT,
            "end-time": MOMENT,
            "duration": DURATION,
            "tasks": ref("TaskCounts"),
            "metrics": ref("IoMetrics"),
        }
    ),
    "JobDetails": record(
        {
            "jid": HEX_ID,
            "name": TEXT,
            "isStoppable": FLAG,
            "state": ref("JobState"),
            "job-type": enum("STREAMING", "BATCH"),
            "schedulerType": enum("Default", "Adaptive"),
            "start-time": MOMENT,
            "end-time": MOMENT,
            "duration": DURATION,
            "maxParallelism": INTEGER,
            "now": MOMENT,
            "timestamps": record(dict.fromkeys(JOB_STATES, MOMENT)),
            "vertices": listed(ref("JobVertex")),
            "status-counts": ref("TaskCounts"),
            "plan": ref("Plan"),
            "pending-operators": COUNT,
        }
    ),
    "Plan": record(
        {"jid": HEX_ID, "name": TEXT, "type": TEXT, "nodes": listed(ref("PlanNode"))},
    ),
    "PlanNode": record(
        {
            "id": TEXT,
            "parallelism": COUNT,
            "operator": TEXT,
            "operator_strategy": TEXT,
            "description": TEXT,
            "optimizer_properties": {"type": "object"},
        },
        optional={
            "inputs": listed(
                record({"num": COUNT, "id": TEXT, "ship_strategy": TEXT, "exchange": TEXT})
            )
        },
    ),
    "JobPlan": record({"plan": ref("Plan")}),
    "Accumulators": record(
        {
            "job-accumulators": listed({"type": "object"}),
            "user-task-accumulators": listed(record({"name": TEXT, "type": TEXT, "value": TEXT})),
            "serialized-user-task-accumulators": {"type": "object"},
        }
    ),
    "ConcurrentException": record(_EXCEPTION, optional=_EXCEPTION_PLACE),
    "JobException": record(
        {**_EXCEPTION, "concurrentExceptions": listed(ref("ConcurrentException"))},
        optional=_EXCEPTION_PLACE,
    ),
    "JobExceptions": record(
        {
            "exceptionHistory": record(
                {"entries": listed(ref("JobException")), "truncated": FLAG},
            )
        },
        optional={"root-exception": TEXT, "timestamp": MOMENT},
    ),
    "Requirements": mapped(
        record({"parallelism": record({"lowerBound": COUNT, "upperBound": COUNT})})
    ),
}

_OPERATIONS: Mapping[str, Schema] = {
    "Started": record({"request-id": HEX_ID}),
    "Operation": record(
        {
            "status": record({"id": enum("IN_PROGRESS", "COMPLETED")}),
            "operation": nullable(
                record(
                    {},
                    optional={
                        "location": TEXT_OR_NULL,
                        "checkpointId": COUNT,
                        "failure-cause": record(
                            {"class": TEXT, "stack-trace": TEXT, "serialized-throwable": TEXT}
                        ),
                    },
                )
            ),
        }
    ),
}

#: By name; ``json_schema.ref`` refers to them.
COMPONENTS: Final[Mapping[str, Schema]] = {
    "Problem": _PROBLEM,
    "Errors": record({"errors": listed(TEXT)}),
    **_CLUSTER,
    **_JOBS,
    **_OPERATIONS,
    **CHECKPOINTS,
    **VERTICES,
}
