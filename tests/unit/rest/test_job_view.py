"""What /jobs/:id says beyond Flink's fields."""

from lesto.jobmanager.server.rest import job_view, shapes
from lesto.proto import client_pb2 as pb
from lesto.proto import job_pb2, runtime_pb2


def _report(subtask, busy, late=0):
    report = runtime_pb2.TaskReport(busy_ratio=busy, idle_ratio=1 - busy)
    report.task.subtask = subtask
    report.operators.add(uid="m", late_dropped=late)
    return pb.SubtaskDetails(subtask=subtask, report=report)


def test_activity_shows_means_and_the_busiest_subtask():
    vertex = pb.VertexDetails(id="a", subtasks=[_report(0, 0.5), _report(1, 1.0)])

    found = job_view.activity(vertex)

    assert found is not None
    assert found["busy"] == 0.75
    assert (found["busy-max"], found["busy-max-subtask"]) == (1.0, 1)


def test_before_the_first_report_there_is_no_activity():
    assert job_view.activity(pb.VertexDetails(subtasks=[pb.SubtaskDetails()])) is None


def test_watermarks_that_json_cannot_hold_are_said_in_words():
    for value, shown, ended in (
        (job_view.NO_WATERMARK, None, False),
        (1_700_000_000_000, 1_700_000_000_000, False),
        ((1 << 63) - 1, None, True),
    ):
        subtask = _report(0, 0.1)
        subtask.report.operators[0].watermark = value
        view = job_view.of_vertex(pb.VertexDetails(id="a", subtasks=[subtask]), job_pb2.JobGraph())
        assert (view["watermark"], view["input-ended"]) == (shown, ended)


def test_a_job_shows_operators_late_records_restarts_and_causes():
    graph = job_pb2.JobGraph()
    vertex = graph.vertices.add(id="a")
    vertex.operators.add(
        uid="m", name="Map", kind=job_pb2.OPERATOR_KIND_TRANSFORM, location="j.py:3"
    )
    details = pb.JobDetails(
        summary=pb.JobSummary(restarts=2),
        vertices=[
            pb.VertexDetails(id="a", subtasks=[_report(0, 0.1, late=2), _report(1, 0.1, late=3)])
        ],
        transitions=[
            pb.StateTransition(timestamp_ms=5, state=pb.JOB_STATE_RESTARTING, cause="slot lost")
        ],
        graph=graph,
    )

    shown = shapes.job_details(details, 10)

    assert shown["restarts"] == 2
    assert shown["transitions"] == [{"timestamp": 5, "state": "RESTARTING", "cause": "slot lost"}]
    (found,) = shown["vertices"]
    assert found["late-dropped"] == 5
    assert found["operators"] == [
        {"uid": "m", "name": "Map", "kind": "TRANSFORM", "location": "j.py:3", "keyed": False}
    ]


def test_a_sink_passes_no_watermark_on_so_that_of_the_operator_before_it_counts():
    declared = job_pb2.JobVertex(id="a")
    declared.operators.add(uid="window", kind=job_pb2.OPERATOR_KIND_TRANSFORM)
    declared.operators.add(uid="sink", kind=job_pb2.OPERATOR_KIND_SINK)
    subtask = pb.SubtaskDetails()
    subtask.report.operators.add(uid="window", watermark=7_000)
    subtask.report.operators.add(uid="sink", watermark=job_view.NO_WATERMARK)

    assert job_view.reached(subtask, declared) == 7_000
    assert job_view.reached(pb.SubtaskDetails(), declared) == job_view.NO_WATERMARK
