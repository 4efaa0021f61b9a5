"""Schemas of what is said about vertices, subtasks, metrics and samples of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from lesto.jobmanager.server.rest.json_schema import (
    BYTES,
    COUNT,
    DURATION,
    FLAG,
    HEX_ID,
    INTEGER,
    MOMENT,
    NUMBER,
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
from lesto.jobmanager.server.rest.shapes import TASK_STATES

_LEVEL = enum("ok", "low", "high")
_RATIO: Schema = {"type": "number", "minimum": 0, "maximum": 1, "description": "share of its time"}
_EVENT_TIME: Schema = {
    "type": ["integer", "null"],
    "description": "ms of event time; null: none yet, or the input has ended",
}
_ACCUMULATOR = record({"name": TEXT, "type": TEXT, "value": TEXT})
_STATISTICS = record(
    dict.fromkeys(("min", "max", "avg", "sum", "median", "p25", "p75", "p95"), COUNT)
)
_STATE_MOMENTS = record(dict.fromkeys(TASK_STATES, MOMENT))
_STATE_DURATIONS = record(dict.fromkeys(TASK_STATES, DURATION))

_SUBTASKS: Mapping[str, Schema] = {
    "IoMetrics": record(
        {
            "read-bytes": COUNT,
            "read-bytes-complete": FLAG,
            "write-bytes": COUNT,
            "write-bytes-complete": FLAG,
            "read-records": COUNT,
            "read-records-complete": FLAG,
            "write-records": COUNT,
            "write-records-complete": FLAG,
            "accumulated-busy-time": DURATION,
            "accumulated-idle-time": DURATION,
            "accumulated-backpressured-time": DURATION,
        }
    ),
    "Activity": record({"busy": _RATIO, "idle": _RATIO, "backpressured": _RATIO}),
    "Subtask": record(
        {
            "subtask": COUNT,
            "status": enum(*TASK_STATES),
            "attempt": COUNT,
            "endpoint": TEXT,
            "start-time": MOMENT,
            "start_time": MOMENT,
            "end-time": MOMENT,
            "duration": DURATION,
            "metrics": ref("IoMetrics"),
            "taskmanager-id": TEXT,
            "status-duration": _STATE_DURATIONS,
            "other-concurrent-attempts": listed({"type": "object"}),
            "slot-id": TEXT,
            "activity": nullable(ref("Activity")),
            "watermark": _EVENT_TIME,
            "late-dropped": COUNT,
        }
    ),
    "AggregatedSubtasks": record(
        {"metrics": mapped(_STATISTICS), "status-duration": mapped(_STATISTICS)}
    ),
    "Vertex": record(
        {
            "id": TEXT,
            "name": TEXT,
            "parallelism": COUNT,
            "maxParallelism": COUNT,
            "now": MOMENT,
            "subtasks": listed(ref("Subtask")),
            "aggregated": ref("AggregatedSubtasks"),
        }
    ),
    "SubtaskTimes": record(
        {
            "id": TEXT,
            "name": TEXT,
            "now": MOMENT,
            "subtasks": listed(
                record(
                    {
                        "subtask": COUNT,
                        "endpoint": TEXT,
                        "duration": DURATION,
                        "timestamps": _STATE_MOMENTS,
                    }
                )
            ),
        }
    ),
    "VertexTaskManagers": record(
        {
            "id": TEXT,
            "name": TEXT,
            "now": MOMENT,
            "taskmanagers": listed(
                record(
                    {
                        "endpoint": TEXT,
                        "status": enum(*TASK_STATES),
                        "start-time": MOMENT,
                        "end-time": MOMENT,
                        "duration": DURATION,
                        "metrics": ref("IoMetrics"),
                        "status-counts": ref("TaskCounts"),
                        "taskmanager-id": TEXT,
                        "aggregated": ref("AggregatedSubtasks"),
                    }
                )
            ),
        }
    ),
    "Backpressure": record(
        {
            "status": enum("ok", "deprecated"),
            "subtasks": listed(
                record(
                    {
                        "subtask": COUNT,
                        "attempt-number": COUNT,
                        "backpressureLevel": _LEVEL,
                        "backpressure-level": _LEVEL,
                        "ratio": _RATIO,
                        "idleRatio": _RATIO,
                        "busyRatio": _RATIO,
                        "other-concurrent-attempts": listed({"type": "object"}),
                    }
                )
            ),
        },
        optional={
            "backpressureLevel": _LEVEL,
            "backpressure-level": _LEVEL,
            "end-timestamp": MOMENT,
        },
    ),
    "VertexAccumulators": record({"id": TEXT, "user-accumulators": listed(_ACCUMULATOR)}),
    "SubtaskAccumulators": record(
        {
            "id": TEXT,
            "parallelism": COUNT,
            "subtasks": listed(
                record(
                    {
                        "subtask": COUNT,
                        "attempt": COUNT,
                        "endpoint": TEXT,
                        "user-accumulators": listed(_ACCUMULATOR),
                    }
                )
            ),
        }
    ),
}

_METRICS: Mapping[str, Schema] = {
    "Metrics": {
        **listed(record({"id": TEXT}, optional={"value": TEXT})),
        "description": "without get= the ids that there are; with it, their values",
    },
    "AggregatedMetrics": listed(
        record(
            {"id": TEXT},
            optional={"min": NUMBER, "max": NUMBER, "avg": NUMBER, "sum": NUMBER},
        )
    ),
}

_SAMPLES: Mapping[str, Schema] = {
    "FlameNode": record(
        {
            "name": {"type": "string", "description": "function (file:line)"},
            "value": {"type": "integer", "minimum": 0, "description": "samples it was seen in"},
            "children": listed(ref("FlameNode")),
        }
    ),
    "FlameGraph": record(
        {
            "endTimestamp": MOMENT,
            "data": ref("FlameNode"),
            "samples": {**COUNT, "description": "looks at each process"},
            "duration": DURATION,
            "processes": COUNT,
            "unanswered": {**listed(TEXT), "description": "slots that did not answer, and why"},
            "trimmed": {**listed(TEXT), "description": "outer frames that all stacks share"},
        }
    ),
    "RecordSample": record(
        {
            "operator": TEXT,
            "columns": listed(TEXT),
            "types": listed(TEXT),
            "records": listed(
                record(
                    {
                        "values": listed(TEXT),
                        "timestamp": {
                            "type": ["integer", "null"],
                            "description": "ms of event time",
                        },
                        "kind": {"type": "string", "description": "of a change, such as +I"},
                        "subtask": INTEGER,
                    }
                )
            ),
            "unanswered": listed(TEXT),
        }
    ),
}

_JOBS: Mapping[str, Schema] = {
    "JobConfig": record(
        {
            "jid": HEX_ID,
            "name": TEXT,
            "execution-config": record(
                {
                    "restart-strategy": TEXT,
                    "job-parallelism": COUNT,
                    "object-reuse-mode": FLAG,
                    "user-config": mapped(TEXT),
                }
            ),
        }
    ),
    "JobEvents": record(
        {
            "events": listed(
                record(
                    {
                        "timestamp": MOMENT,
                        "kind": TEXT,
                        "subject": TEXT,
                        "cause": TEXT,
                        "severity": enum("info", "warning", "error"),
                    }
                )
            )
        }
    ),
    "KeysAndValues": listed(record({"key": TEXT, "value": TEXT})),
    "JobEnvironment": record(
        {
            "jvm": record({"version": TEXT, "arch": TEXT, "options": listed(TEXT)}),
            "classpath": listed(TEXT),
        }
    ),
    "ExecutionResult": record(
        {"status": record({"id": enum("IN_PROGRESS", "COMPLETED")})},
        optional={
            "job-execution-result": record(
                {
                    "id": HEX_ID,
                    "name": TEXT,
                    "application-status": enum("SUCCEEDED", "FAILED", "CANCELED", "UNKNOWN"),
                    "accumulator-results": {"type": "object"},
                    "net-runtime": DURATION,
                    "start-time": MOMENT,
                    "end-time": MOMENT,
                },
                optional={
                    "failure-cause": record(
                        {"class": TEXT, "stack-trace": TEXT, "serialized-throwable": TEXT}
                    )
                },
            )
        },
    ),
    "Rescale": record(
        {
            "rescaleUuid": TEXT,
            "resourceRequirementsUuid": TEXT,
            "rescaleAttemptId": COUNT,
            "vertices": mapped(
                record(
                    {
                        "jobVertexId": TEXT,
                        "jobVertexName": TEXT,
                        "slotSharingGroupId": TEXT,
                        "slotSharingGroupName": TEXT,
                        "desiredParallelism": COUNT,
                        "sufficientParallelism": COUNT,
                        "preRescaleParallelism": COUNT,
                        "postRescaleParallelism": nullable(COUNT),
                    }
                )
            ),
            "slots": {"type": "object"},
            "schedulerStates": listed({"type": "object"}),
            "startTimestampInMillis": MOMENT,
            "endTimestampInMillis": nullable(MOMENT),
            "terminalState": {"type": ["string", "null"], "enum": ["COMPLETED", "FAILED", None]},
            "triggerCause": TEXT,
            "terminatedReason": TEXT_OR_NULL,
            "pauseInMillis": nullable(DURATION),
        }
    ),
    "Rescales": listed(ref("Rescale")),
    "RescalesOverview": record(
        {
            "rescalesCounts": record(
                dict.fromkeys(("ignored", "inProgress", "completed", "failed"), COUNT)
            ),
            "latest": record(
                dict.fromkeys(("completed", "failed", "ignored"), nullable(ref("Rescale")))
            ),
        }
    ),
    "DataSets": record({"dataSets": listed({"type": "object"}, max_items=0)}),
}

_WORKERS: Mapping[str, Schema] = {
    "TaskManagerDetails": record(
        {
            "id": TEXT,
            "path": TEXT,
            "slotsNumber": COUNT,
            "freeSlots": COUNT,
            "slots": listed(
                record(
                    {
                        "id": TEXT,
                        "index": COUNT,
                        "status": TEXT,
                        "pid": COUNT,
                        "memoryBytes": BYTES,
                        "tasks": listed(
                            record(
                                {
                                    "jid": HEX_ID,
                                    "job": TEXT,
                                    "vertex": TEXT,
                                    "name": TEXT,
                                    "subtask": COUNT,
                                    "status": enum(*TASK_STATES),
                                }
                            )
                        ),
                    }
                )
            ),
            "allocatedSlots": listed(
                record({"jobId": HEX_ID, "resource": {"type": "object"}, "assignedTasks": COUNT})
            ),
            "metrics": record({"heapUsed": BYTES, "garbageCollectors": listed({"type": "object"})}),
        }
    ),
    "Logs": record({"logs": listed(record({"name": TEXT, "size": COUNT, "mtime": MOMENT}))}),
    "ThreadDump": record(
        {
            "threadInfos": listed(record({"threadName": TEXT, "stringifiedThreadInfo": TEXT})),
        },
        optional={"unanswered": listed(TEXT)},
    ),
}

VERTICES: Final[Mapping[str, Schema]] = {
    **_SUBTASKS,
    **_METRICS,
    **_SAMPLES,
    **_JOBS,
    **_WORKERS,
}
