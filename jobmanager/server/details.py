"""What a client is told about a job."""

from __future__ import annotations

from collections import Counter

from lesto.jobmanager.core.execution_graph import ExecutionVertex
from lesto.jobmanager.core.job_master import JobMaster
from lesto.jobmanager.core.states import TaskState
from lesto.proto import client_pb2, job_pb2

#: Watermark before any: smallest int64.
NO_WATERMARK = -(1 << 63)


def job_summary(master: JobMaster, *, collapsed: bool = False) -> client_pb2.JobSummary:
    """One line about a job. ``collapsed``: its master itself has failed."""
    states = [vertex.states.state for vertex in master.execution]
    story = master.states.story
    return client_pb2.JobSummary(
        job_id=master.graph.job_id,
        name=master.graph.name,
        state=client_pb2.JOB_STATE_FAILED if collapsed else int(master.state),  # type: ignore[arg-type]
        start_time_ms=master.start_ms,
        end_time_ms=master.end_ms,
        tasks_total=len(states),
        tasks_running=sum(state is TaskState.RUNNING for state in states),
        restarts=master.restarts,
        tasks_by_state=Counter(state.name for state in states),
        last_modified_ms=story[-1].at_ms if story else master.start_ms,
        last_checkpoint_ms=_completed_ms(master.coordinator.statistics.latest_completed),
    )


def _completed_ms(latest: client_pb2.CheckpointStats | None) -> int:
    return latest.trigger_timestamp_ms + latest.duration_ms if latest is not None else 0


def job_details(
    master: JobMaster, *, collapsed: bool = False, full: bool = False
) -> client_pb2.JobDetails:
    """Everything but the graph.

    Args:
        master: of the job.
        collapsed: its master itself has failed.
        full: with what is read more rarely: its events, rescales, and the tasks' states over time.
    """
    details = client_pb2.JobDetails(
        summary=job_summary(master, collapsed=collapsed),
        vertices=[_vertex(vertex, master) for vertex in master.graph.vertices],
        failures=master.failures,
        checkpoints=master.coordinator.statistics.summary(),
        transitions=[
            client_pb2.StateTransition(timestamp_ms=t.at_ms, state=int(t.state), cause=t.cause)  # type: ignore[arg-type]
            for t in master.states.story
        ],
    )
    if full:
        details.events.extend(master.journal.events())
        details.rescales.extend(master.journal.rescales)
        _add_state_times(details, master)
    return details


def without_history(details: client_pb2.JobDetails) -> client_pb2.JobDetails:
    """The same without what ``full`` adds."""
    for field in ("events", "rescales", "config"):
        details.ClearField(field)
    for vertex in details.vertices:
        for subtask in vertex.subtasks:
            subtask.ClearField("state_times_ms")
    return details


def _add_state_times(details: client_pb2.JobDetails, master: JobMaster) -> None:
    for vertex in details.vertices:
        for subtask in vertex.subtasks:
            attempt = master.execution.subtasks[vertex.id, subtask.subtask].attempt
            for step in attempt.states.story if attempt is not None else ():
                subtask.state_times_ms[step.state.name] = step.at_ms


def without_payloads(graph: job_pb2.JobGraph) -> job_pb2.JobGraph:
    """The graph as shown to people: no pickled code."""
    shown = job_pb2.JobGraph()
    shown.CopyFrom(graph)
    for vertex in shown.vertices:
        for operator in vertex.operators:
            operator.ClearField("factory_pickle")
            operator.ClearField("source_pickle")
    for edge in shown.edges:
        edge.partitioner.ClearField("key_selector_pickle")
        edge.partitioner.ClearField("partitioner_pickle")
    return shown


def _vertex(vertex: job_pb2.JobVertex, master: JobMaster) -> client_pb2.VertexDetails:
    subtasks = [v for v in master.execution if v.vertex.id == vertex.id]
    details = client_pb2.VertexDetails(
        id=vertex.id,
        name=vertex.name,
        parallelism=vertex.parallelism,
        max_parallelism=vertex.max_parallelism,
        subtasks=[_subtask(subtask) for subtask in subtasks],
    )
    watermarks = []
    # What a source has read came from outside: else one chained to its sink would show none.
    is_source = all(edge.target_vertex != vertex.id for edge in master.graph.edges)
    for subtask in subtasks:
        report = subtask.attempt.report if subtask.attempt else None
        if report is None or not report.operators:
            watermarks.append(NO_WATERMARK)
            continue
        first, last = report.operators[0], report.operators[-1]
        details.records_in += first.records_out if is_source else first.records_in
        details.bytes_in += first.bytes_in
        details.records_out += last.records_out
        details.bytes_out += last.bytes_out
        watermarks.append(last.watermark)
    details.watermark = min(watermarks, default=NO_WATERMARK)
    return details


def _subtask(subtask: ExecutionVertex) -> client_pb2.SubtaskDetails:
    details = client_pb2.SubtaskDetails(
        subtask=subtask.subtask,
        state=int(subtask.states.state),  # type: ignore[arg-type]
    )
    attempt = subtask.attempt
    if attempt is not None:
        details.attempt = attempt.number
        details.slot_id = attempt.slot.slot_id
        details.taskmanager_id = attempt.slot.taskmanager_id
        details.start_time_ms = attempt.start_ms
        details.end_time_ms = attempt.end_ms
        if attempt.report is not None:
            details.report.CopyFrom(attempt.report)
    return details
