"""Run options, job clients, results and progress, against a client that answers by script."""

import io
import pickle

import pyarrow as pa
import pytest
from rich.console import Console

from lesto.client.errors import (
    BadRunOptionsError,
    JobCanceledError,
    JobExecutionError,
    JobManagerCallError,
)
from lesto.client.job_client import JobClient, JobStatus
from lesto.client.progress import RateMeter, render, watch
from lesto.client.progress_lines import wait_telling
from lesto.client.results import CloseableIterator, decode
from lesto.client.run_options import RunOptions
from lesto.client.submit import slots_needed
from lesto.common import Row
from lesto.proto import client_pb2 as pb
from lesto.proto import job_pb2, runtime_pb2


def details(state, **kwargs):
    summary = pb.JobSummary(job_id="j1", name="job", state=state, start_time_ms=5, end_time_ms=45)
    return pb.JobDetails(summary=summary, **kwargs)


class ScriptedClient:
    """Answers ``watch`` with given states and records calls."""

    def __init__(self, *watched, results=()):
        self.watched = watched
        self.result_messages = results
        self.calls = []

    def watch(self, job_id, interval):
        yield from self.watched

    def job(self, job_id):
        return self.watched[-1]

    def results(self, job_id, uid):
        yield from self.result_messages

    def cancel(self, job_id):
        self.calls.append("cancel")
        self.watched = (*self.watched, details(pb.JOB_STATE_CANCELED))

    def savepoint(self, job_id, target):
        self.calls.append(("savepoint", target))
        return "/s/1"

    def stop(self, job_id, target, *, drain):
        self.calls.append(("stop", target, drain))
        return "/s/2"

    def close(self):
        self.calls.append("close")


class Cluster:
    stopped = 0

    def stop(self):
        self.stopped += 1


RUNNING = details(pb.JOB_STATE_RUNNING)
FINISHED = details(pb.JOB_STATE_FINISHED)
FAILED = details(
    pb.JOB_STATE_FAILED,
    failures=[
        pb.FailureInfo(
            failure=runtime_pb2.TaskFailure(
                code="LESTO-6001",
                message="ValueError: no such flight",
                user_traceback='Traceback:\n  File "job.py", line 3, in parse\nValueError: no such',
                operator_name="Map",
                location="job.py:9",
            )
        )
    ],
)


def test_run_options_go_through_the_environment_unchanged():
    given = RunOptions(
        jobmanager="h:1", parallelism=3, savepoint="/s", config={"parallelism.default": "2"}
    )
    environment = {}
    given.export(environment)
    assert environment["LESTO_JOBMANAGER"] == "h:1"
    assert RunOptions.from_environment(environment) == given
    assert RunOptions.from_environment({}) == RunOptions()


@pytest.mark.parametrize("text", ["{", "[1]", '{"parallel": 2}'])
def test_run_options_that_cannot_be_read_are_refused(text):
    with pytest.raises(BadRunOptionsError, match="LESTO_RUN_OPTIONS"):
        RunOptions.from_environment({"LESTO_RUN_OPTIONS": text})


def test_waiting_gives_the_runtime_and_stops_the_embedded_cluster_once():
    cluster = Cluster()
    job = JobClient(ScriptedClient(RUNNING, FINISHED), "j1", "job", cluster)
    result = job.wait()
    job.close()
    assert (str(result.get_job_id()), result.get_net_runtime()) == ("j1", 40)
    assert cluster.stopped == 1


def test_a_failure_leads_with_the_users_traceback():
    job = JobClient(ScriptedClient(RUNNING, FAILED), "j1", "job")
    with pytest.raises(JobExecutionError) as caught:
        job.wait()
    text = str(caught.value)
    assert text.startswith('Traceback:\n  File "job.py", line 3')
    assert "the job 'job' failed in 'Map': ValueError: no such flight [LESTO-6001]" in text
    assert caught.value.location == "job.py:9"
    assert str(pickle.loads(pickle.dumps(caught.value))) == text


def test_a_cancelled_job_is_an_error_of_its_own():
    with pytest.raises(JobCanceledError, match="was cancelled"):
        JobClient(ScriptedClient(details(pb.JOB_STATE_CANCELED)), "j1", "job").wait()


def test_a_stream_that_ends_before_the_job_is_not_taken_for_success():
    with pytest.raises(JobExecutionError, match="stopped reporting"):
        JobClient(ScriptedClient(RUNNING), "j1", "job").wait()


def test_job_client_orders():
    client = ScriptedClient(RUNNING)
    job = JobClient(client, "j1", "job")
    assert job.get_job_status().result() is JobStatus.RUNNING
    assert job.trigger_savepoint("/d").result() == "/s/1"
    assert job.stop_with_savepoint(True).result() == "/s/2"
    job.cancel().result()
    assert client.calls == [("savepoint", "/d"), ("stop", "", True), "cancel"]


def arrow_message():
    batch = pa.record_batch({"a": [1, 2]})
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    return pb.ResultBatch(payload=sink.getvalue(), format="arrow")


def test_results_are_rows_or_values():
    assert decode(arrow_message()) == [Row(a=1), Row(a=2)]
    assert decode(pb.ResultBatch(payload=pickle.dumps([1, "x"]), format="pickle")) == [1, "x"]
    with pytest.raises(JobManagerCallError, match="unknown format 'xml'"):
        decode(pb.ResultBatch(format="xml"))


def test_results_end_with_the_job():
    client = ScriptedClient(RUNNING, FINISHED, results=[arrow_message()])
    with CloseableIterator(JobClient(client, "j1", "job"), "uid") as rows:
        assert [row.a for row in rows] == [1, 2]
    assert "cancel" not in client.calls


def test_results_of_a_failed_job_raise_after_what_was_committed():
    client = ScriptedClient(RUNNING, FAILED, results=[arrow_message()])
    rows = CloseableIterator(JobClient(client, "j1", "job"), "uid")
    assert [next(rows).a, next(rows).a] == [1, 2]
    with pytest.raises(JobExecutionError):
        next(rows)


def test_closing_results_early_cancels_the_job():
    client = ScriptedClient(RUNNING, results=[arrow_message()])
    rows = CloseableIterator(JobClient(client, "j1", "job"), "uid")
    assert rows.next().a == 1
    rows.close()
    assert client.calls == ["cancel", "close"]


def test_slots_are_the_largest_parallelism_of_each_sharing_group():
    graph = job_pb2.JobGraph()
    for group, parallelism in (("default", 2), ("default", 4), ("other", 3)):
        graph.vertices.add(slot_sharing_group=group, parallelism=parallelism)
    assert slots_needed(graph) == 7


def test_rates_are_measured_and_survive_a_restart():
    rates = RateMeter()
    assert rates.update("v", 100, 1.0) == 0
    assert rates.update("v", 300, 2.0) > 0
    assert rates.update("v", 10, 3.0) >= 0
    assert rates.update("v", 1010, 4.0) > 0


def test_progress_shows_records_watermark_and_checkpoints():
    vertex = pb.VertexDetails(id="v", name="Source", parallelism=2, records_out=1234, watermark=0)
    frame = details(
        pb.JOB_STATE_RUNNING,
        vertices=[vertex],
        checkpoints=pb.CheckpointSummary(completed=3),
    )
    out = io.StringIO()
    Console(file=out, width=120).print(render(frame, RateMeter(), 1.0, 1.0))
    for part in ("RUNNING", "1,234", "1970-01-01 00:00:00", "3 completed"):
        assert part in out.getvalue()


def test_without_a_terminal_watching_writes_plain_lines():
    out = io.StringIO()
    result = watch(JobClient(ScriptedClient(RUNNING, FINISHED), "j1", "job"), Console(file=out))
    assert result.job_id == "j1"
    running, summary = out.getvalue().splitlines()
    assert running.startswith("RUNNING job: ")
    assert summary.startswith("FINISHED job (j1) in 0.0 s: ")
    assert "\x1b" not in out.getvalue()


def test_a_restart_is_told_once_with_the_users_traceback():
    failure = runtime_pb2.TaskFailure(
        code="LESTO-6001",
        message="division by zero",
        user_traceback='Traceback\n  File "job.py", line 3\nZeroDivisionError\n',
        operator_name="map",
        location="job.py:3",
    )
    info = pb.FailureInfo(timestamp_ms=7, failure=failure)
    restarting = details(pb.JOB_STATE_RESTARTING, failures=[info])
    running = details(pb.JOB_STATE_RUNNING, failures=[info])
    out = io.StringIO()
    watch(JobClient(ScriptedClient(restarting, running, FINISHED), "j1", "j"), Console(file=out))
    assert out.getvalue().count("[LESTO-6001] division by zero at job.py:3") == 1
    assert "ZeroDivisionError" in out.getvalue()


def test_watching_a_terminal_shows_the_last_state_and_raises_failures():
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=120)
    with pytest.raises(JobExecutionError):
        watch(JobClient(ScriptedClient(RUNNING, FAILED), "j1", "job"), console)
    assert "FAILED" in out.getvalue()


def test_a_wait_without_progress_tells_why_the_job_restarts_and_nothing_else():
    failure = runtime_pb2.TaskFailure(
        code="LESTO-3006", message="no space", operator_name="Sink: FileSink", remedy="make some"
    )
    failed = pb.FailureInfo(timestamp_ms=7, failure=failure)
    client = ScriptedClient(
        details(pb.JOB_STATE_RUNNING),
        details(pb.JOB_STATE_RESTARTING, failures=[failed]),
        details(pb.JOB_STATE_RUNNING, failures=[failed]),
        details(pb.JOB_STATE_FINISHED, failures=[failed]),
    )
    told = io.StringIO()
    wait_telling(JobClient(client, "j1", "job"), told)
    assert told.getvalue().splitlines() == [
        "failure in 'Sink: FileSink', the job restarts: [LESTO-3006] no space",
        "  what to do: make some",
    ]
