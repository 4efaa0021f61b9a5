"""What Flink's REST API says about a vertex and its subtasks, from our messages. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from lesto.common.accumulators import of_reports
from lesto.jobmanager.server.rest import job_view
from lesto.jobmanager.server.rest.found import FoundVertex, Places, operator_names
from lesto.jobmanager.server.rest.io_metrics import SUMMED, io_metrics
from lesto.jobmanager.server.rest.shapes import TASK_STATES, task_state
from lesto.proto import client_pb2 as pb
from lesto.proto import job_pb2, runtime_pb2

Json = dict[str, Any]

#: Shares of its time above which Flink calls a subtask's backpressure low, and high.
LOW_RATIO: Final = 0.1
HIGH_RATIO: Final = 0.5
_INPUT: Final = re.compile(r"currentInput\d+Watermark")
_STATE_ORDER: Final = (
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


def vertex(found: FoundVertex, places: Places, now_ms: int) -> Json:
    """GET /jobs/:id/vertices/:v."""
    shown = [subtask(one, found, places, now_ms) for one in found.vertex.subtasks]
    return {
        "id": found.vertex.id,
        "name": found.vertex.name,
        "parallelism": found.vertex.parallelism,
        "maxParallelism": found.vertex.max_parallelism,
        "now": now_ms,
        "subtasks": shown,
        "aggregated": _aggregated(shown),
        **job_view.of_vertex(found.vertex, found.job.graph),
    }


def subtask(one: pb.SubtaskDetails, found: FoundVertex, places: Places, now_ms: int) -> Json:
    """GET /jobs/:id/vertices/:v/subtasks/:i."""
    start = one.start_time_ms or -1
    end = one.end_time_ms or -1
    report = one.report
    ratios = None
    if one.HasField("report"):
        ratios = {
            "busy": report.busy_ratio,
            "idle": report.idle_ratio,
            "backpressured": report.backpressured_ratio,
        }
    return {
        "subtask": one.subtask,
        "status": task_state(one.state),
        "attempt": one.attempt,
        "endpoint": places.of(one),
        "start-time": start,
        "start_time": start,
        "end-time": end,
        "duration": _duration(start, end, now_ms),
        "metrics": io_metrics([one], is_source=found.is_source),
        "taskmanager-id": one.taskmanager_id or "(unassigned)",
        "status-duration": _state_durations(one, now_ms),
        "other-concurrent-attempts": [],
        "slot-id": one.slot_id,
        "activity": ratios,
        "watermark": job_view.watermark(job_view.reached(one, found.declared)),
        "late-dropped": sum(operator.late_dropped for operator in report.operators),
    }


def _duration(start: int, end: int, now_ms: int) -> int:
    return -1 if start < 0 else max(0, (end if end >= 0 else now_ms) - start)


def _state_durations(one: pb.SubtaskDetails, now_ms: int) -> Json:
    """Ms that the attempt spent in each state; -1: it never was in it."""
    steps = sorted(one.state_times_ms.items(), key=lambda step: (step[1], _rank(step[0])))
    spent = dict.fromkeys(TASK_STATES, -1)
    for number, (state, began) in enumerate(steps):
        ended = steps[number + 1][1] if number + 1 < len(steps) else None
        last = began if one.end_time_ms else now_ms
        spent[state] = max(0, (ended if ended is not None else last) - began)
    return spent


def _rank(state: str) -> int:
    """In which order states that were entered in one millisecond come."""
    order = ("CREATED", "SCHEDULED", "DEPLOYING", "INITIALIZING", "RUNNING", "CANCELING")
    return order.index(state) if state in order else len(order)


def _aggregated(shown: Sequence[Json]) -> Json:
    metrics = {name: _statistics([s["metrics"][name] for s in shown]) for name in SUMMED}
    durations = {
        state: _statistics(found)
        for state in TASK_STATES
        if (
            found := [
                s["status-duration"][state] for s in shown if s["status-duration"][state] >= 0
            ]
        )
    }
    return {"metrics": metrics, "status-duration": durations}


def _statistics(values: Sequence[int]) -> Json:
    ordered = sorted(values)
    if not ordered:
        return dict.fromkeys(("min", "max", "avg", "sum", "median", "p25", "p75", "p95"), 0)
    total = sum(ordered)

    def share(part: float) -> int:
        return ordered[min(len(ordered) - 1, int(part * len(ordered)))]

    return {
        "min": ordered[0],
        "max": ordered[-1],
        "avg": total // len(ordered),
        "sum": total,
        "median": share(0.5),
        "p25": share(0.25),
        "p75": share(0.75),
        "p95": share(0.95),
    }


def subtask_times(found: FoundVertex, places: Places, now_ms: int) -> Json:
    """GET /jobs/:id/vertices/:v/subtasktimes; 0: a state that was never entered."""
    return {
        "id": found.vertex.id,
        "name": found.vertex.name,
        "now": now_ms,
        "subtasks": [
            {
                "subtask": one.subtask,
                "endpoint": places.of(one),
                "duration": _duration(one.start_time_ms or -1, one.end_time_ms or -1, now_ms),
                "timestamps": {state: one.state_times_ms.get(state, 0) for state in TASK_STATES},
            }
            for one in found.vertex.subtasks
        ],
    }


def taskmanagers(found: FoundVertex, places: Places, now_ms: int) -> Json:
    """GET /jobs/:id/vertices/:v/taskmanagers."""
    grouped: dict[str, list[pb.SubtaskDetails]] = {}
    for one in found.vertex.subtasks:
        grouped.setdefault(one.taskmanager_id or "(unassigned)", []).append(one)
    return {
        "id": found.vertex.id,
        "name": found.vertex.name,
        "now": now_ms,
        "taskmanagers": [
            _taskmanager(name, ones, found, places, now_ms) for name, ones in grouped.items()
        ],
    }


def _taskmanager(
    name: str, ones: Sequence[pb.SubtaskDetails], found: FoundVertex, places: Places, now_ms: int
) -> Json:
    states = [task_state(one.state) for one in ones]
    starts = [one.start_time_ms for one in ones if one.start_time_ms]
    ends = [one.end_time_ms for one in ones]
    start = min(starts, default=-1)
    end = max(ends) if all(ends) else -1
    shown = [subtask(one, found, places, now_ms) for one in ones]
    return {
        "endpoint": places.host(name) if name != "(unassigned)" else name,
        "status": next((state for state in _STATE_ORDER if state in states), "CREATED"),
        "start-time": start,
        "end-time": end,
        "duration": _duration(start, end, now_ms),
        "metrics": io_metrics(ones, is_source=found.is_source),
        "status-counts": {state: states.count(state) for state in TASK_STATES},
        "taskmanager-id": name,
        "aggregated": _aggregated(shown),
    }


def knows_event_time(found: FoundVertex) -> bool:
    """Whether the reports say what event time the vertex is at: sinks do not."""
    return found.declared.operators[0].kind != job_pb2.OPERATOR_KIND_SINK


def watermarks(found: FoundVertex, inputs: Mapping[int, Mapping[str, float]]) -> list[Json]:
    """GET /jobs/:id/vertices/:v/watermarks: of the head operator of each subtask.

    Args:
        found: the vertex.
        inputs: what the slots say of a vertex whose reports do not, by subtask and Flink's id.
    """
    if knows_event_time(found):
        known = {
            one.subtask: float(one.report.operators[0].watermark)
            for one in found.vertex.subtasks
            if one.report.operators
        }
    else:
        by_input = {
            subtask: [value for name, value in values.items() if _INPUT.fullmatch(name)]
            for subtask, values in inputs.items()
        }
        known = {subtask: min(values) for subtask, values in by_input.items() if values}
    return [
        {"id": f"{subtask}.currentInputWatermark", "value": str(int(value))}
        for subtask, value in sorted(known.items())
    ]


# ----------------------------------------------------------------------------------- backpressure


def backpressure(found: FoundVertex, now_ms: int) -> Json:
    """GET /jobs/:id/vertices/:v/backpressure; ``deprecated``: no subtask has reported yet."""
    reported = [one for one in found.vertex.subtasks if one.HasField("report")]
    if not reported:
        return {"status": "deprecated", "subtasks": []}
    worst = max(one.report.backpressured_ratio for one in reported)
    return {
        "status": "ok",
        "backpressureLevel": level(worst),
        "backpressure-level": level(worst),
        "end-timestamp": now_ms,
        "subtasks": [
            {
                "subtask": one.subtask,
                "attempt-number": one.attempt,
                "backpressureLevel": level(one.report.backpressured_ratio),
                "backpressure-level": level(one.report.backpressured_ratio),
                "ratio": one.report.backpressured_ratio,
                "idleRatio": one.report.idle_ratio,
                "busyRatio": one.report.busy_ratio,
                "other-concurrent-attempts": [],
            }
            for one in reported
        ],
    }


def level(ratio: float) -> str:
    """Return Flink's word for a share of time.

    >>> level(0.05), level(0.3), level(0.9)
    ('ok', 'low', 'high')
    """
    if ratio <= LOW_RATIO:
        return "ok"
    return "low" if ratio <= HIGH_RATIO else "high"


# ----------------------------------------------------------------------------------- accumulators


def accumulators(found: FoundVertex) -> Json:
    """GET /jobs/:id/vertices/:v/accumulators, merged over the subtasks."""
    reports = [one.report for one in found.vertex.subtasks]
    return {"id": found.vertex.id, "user-accumulators": _accumulators(reports)}


def subtask_accumulators(found: FoundVertex, places: Places) -> Json:
    """GET /jobs/:id/vertices/:v/subtasks/accumulators."""
    return {
        "id": found.vertex.id,
        "parallelism": found.vertex.parallelism,
        "subtasks": [
            {
                "subtask": one.subtask,
                "attempt": one.attempt,
                "endpoint": places.of(one),
                "user-accumulators": _accumulators([one.report]),
            }
            for one in found.vertex.subtasks
        ],
    }


def _accumulators(reports: Iterable[runtime_pb2.TaskReport]) -> list[Json]:
    return [
        {"name": name, "type": type(value).__name__, "value": str(value)}
        for name, value in sorted(of_reports(reports).items())
    ]


# ------------------------------------------------------------------------------- numbers by report

Read = Callable[[runtime_pb2.OperatorReport], int]

_OF_OPERATOR: Final[dict[str, Read]] = {
    "numRecordsIn": lambda report: report.records_in,
    "numRecordsOut": lambda report: report.records_out,
    "numBytesIn": lambda report: report.bytes_in,
    "numBytesOut": lambda report: report.bytes_out,
    "numLateRecordsDropped": lambda report: report.late_dropped,
    "currentOutputWatermark": lambda report: report.watermark,
}


def report_metrics(one: pb.SubtaskDetails, found: FoundVertex) -> dict[str, float]:
    """What a subtask's report says, by Flink's metric names; ``Operator.name`` for operators."""
    report = one.report
    if not report.operators:
        return {}
    io = io_metrics([one], is_source=found.is_source)
    values: dict[str, float] = {
        "numRecordsIn": io["read-records"],
        "numRecordsOut": io["write-records"],
        "numBytesIn": io["read-bytes"],
        "numBytesOut": io["write-bytes"],
        "busyTimeMsPerSecond": round(report.busy_ratio * 1000),
        "idleTimeMsPerSecond": round(report.idle_ratio * 1000),
        "backPressuredTimeMsPerSecond": round(report.backpressured_ratio * 1000),
        "accumulateBusyTimeMs": report.busy_ms,
        "accumulateIdleTimeMs": report.idle_ms,
        "accumulateBackPressuredTimeMs": report.backpressured_ms,
        "isBackPressured": float(report.backpressured_ratio > HIGH_RATIO),
        "numLateRecordsDropped": sum(operator.late_dropped for operator in report.operators),
        "currentOutputWatermark": job_view.reached(one, found.declared),
    }
    if knows_event_time(found):
        values["currentInputWatermark"] = report.operators[0].watermark
    names = operator_names(found.declared)
    for operator in report.operators:
        head = names.get(operator.uid, operator.uid)
        for name, read in _OF_OPERATOR.items():
            values[f"{head}.{name}"] = read(operator)
    return values
