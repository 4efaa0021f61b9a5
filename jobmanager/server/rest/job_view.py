"""What /jobs/:id says beyond Flink's fields, so that one poll draws the job's page. Pure."""

from __future__ import annotations

from typing import Any

from lesto.proto import client_pb2 as pb
from lesto.proto import job_pb2

Json = dict[str, Any]

#: Watermark of an operator that has seen none: the smallest int64.
NO_WATERMARK = -(1 << 63)
#: Event times from here on mean "the input has ended": JSON readers round the largest int64.
END_OF_TIME = (1 << 63) - (1 << 12)
_STATE_PREFIX = "JOB_STATE_"


def of_job(details: pb.JobDetails) -> Json:
    """Restarts, and the states that the job went through with their causes, oldest first."""
    return {
        "restarts": details.summary.restarts,
        "transitions": [
            {
                "timestamp": change.timestamp_ms,
                "state": pb.JobState.Name(change.state).removeprefix(_STATE_PREFIX),
                "cause": change.cause,
            }
            for change in details.transitions
        ],
    }


def of_vertex(vertex: pb.VertexDetails, graph: job_pb2.JobGraph) -> Json:
    """Watermark in ms (None: none yet), activity over the last report, the chain's operators."""
    declared = next((one for one in graph.vertices if one.id == vertex.id), None)
    passed = min((reached(one, declared) for one in vertex.subtasks), default=vertex.watermark)
    return {
        "watermark": watermark(passed),
        "input-ended": passed >= END_OF_TIME,
        "activity": activity(vertex),
        "late-dropped": sum(
            operator.late_dropped
            for subtask in vertex.subtasks
            for operator in subtask.report.operators
        ),
        "operators": [
            {
                "uid": operator.uid,
                "name": operator.name,
                "kind": job_pb2.OperatorKind.Name(operator.kind).removeprefix("OPERATOR_KIND_"),
                "location": operator.location,
                "keyed": operator.keyed,
            }
            for operator in (declared.operators if declared is not None else ())
        ],
    }


def of_failure(info: pb.FailureInfo) -> Json:
    """What the parts of a failure are, so that a page need not guess them from one text."""
    failure = info.failure
    return {
        "code": failure.code,
        "message": failure.message,
        "remedy": failure.remedy,
        "operator": failure.operator_name,
        "code-location": failure.location,
        "user-traceback": failure.user_traceback,
        "full-traceback": failure.full_traceback,
        "record-digest": failure.record_digest,
        "taskManagerId": info.taskmanager_id,
        "concurrent": info.concurrent,
    }


def of_edge(edge: job_pb2.JobEdge) -> Json:
    """Where in the source vertex's chain an edge begins, and by what it is keyed."""
    return {
        "source_operator": edge.source_operator,
        "side_tag": edge.side_tag,
        "key_columns": list(edge.partitioner.key_columns),
    }


def reached(subtask: pb.SubtaskDetails, declared: job_pb2.JobVertex | None) -> int:
    """Event time that a subtask has passed on: the least of its operators'.

    Sinks pass nothing on; of a vertex that is only a sink, what its head has seen is not known.
    """
    kinds = {one.uid: one.kind for one in declared.operators} if declared is not None else {}
    passed = [
        operator.watermark
        for operator in subtask.report.operators
        if kinds.get(operator.uid) != job_pb2.OPERATOR_KIND_SINK
    ]
    return min(passed, default=NO_WATERMARK)


def watermark(value: int) -> int | None:
    """Event time in ms; None before the first and after the last.

    >>> watermark(1_700_000_000_000), watermark(NO_WATERMARK), watermark((1 << 63) - 1)
    (1700000000000, None, None)
    """
    return None if value == NO_WATERMARK or value >= END_OF_TIME else value


def activity(vertex: pb.VertexDetails) -> Json | None:
    """Shares of time, 0 to 1: means, and the busiest subtask; None before the first report."""
    reports = [s.report for s in vertex.subtasks if s.HasField("report")]
    if not reports:
        return None
    busiest = max(reports, key=lambda report: report.busy_ratio)
    count = len(reports)
    return {
        "busy": sum(report.busy_ratio for report in reports) / count,
        "idle": sum(report.idle_ratio for report in reports) / count,
        "backpressured": sum(report.backpressured_ratio for report in reports) / count,
        "busy-max": busiest.busy_ratio,
        "busy-max-subtask": busiest.task.subtask,
        "backpressured-max": max(report.backpressured_ratio for report in reports),
    }
