"""A running cluster is asked about its threads, stacks, records, metrics and logs."""

from __future__ import annotations

import time

import pytest

from lesto.client.jobmanager_client import JobManagerClient
from lesto.client.minicluster import MiniCluster
from lesto.client.run_options import RunOptions
from lesto.common import WatermarkStrategy
from lesto.common.config import Configuration
from lesto.common.errors import LestoError
from lesto.common.inspection import InspectionError, ProcessNotFoundError
from lesto.connectors.datagen import DataGenSource, sequence
from lesto.connectors.memory.blackhole import BlackholeSink
from lesto.datastream import StreamExecutionEnvironment
from lesto.proto import client_pb2, runtime_pb2

pytestmark = pytest.mark.cluster

WAIT_SECONDS = 30


def slow_double(row):
    # Slow enough to be seen in a sample of stacks.
    print("doubling", row.t)
    time.sleep(0.001)
    return row.t * 2


@pytest.fixture(scope="module")
def cluster():
    with MiniCluster(Configuration(), slots=1) as made:
        made.wait_ready()
        config = Configuration.from_dict({"security.token": made.token})
        env = StreamExecutionEnvironment(config, RunOptions(jobmanager=made.address))
        env.set_parallelism(1)
        source = DataGenSource({"t": sequence()}, rows_per_second=500)
        stream = env.from_source(source, WatermarkStrategy.no_watermarks(), "numbers")
        stream.map(slow_double).name("double").sink_to(BlackholeSink())
        env.execute_async("inspected")
        with JobManagerClient(made.address, made.token) as client:
            asked = Asked(client)
            # The threads that answer begin with the first question, and belong to the module.
            question = runtime_pb2.Question(list_logs=runtime_pb2.ListLogsQuestion())
            client.inspect(question)
            client.inspect(question, asked.subtask.taskmanager_id)
            yield asked


class Asked:
    """The client, and where the job's only task runs."""

    def __init__(self, client: JobManagerClient) -> None:
        self.client = client
        (self.job,) = client.jobs()
        deadline = time.monotonic() + WAIT_SECONDS
        while self.details().vertices[0].records_in < 10:
            assert time.monotonic() < deadline, str(self.details())[:3000]
            time.sleep(0.1)
        self.vertex = self.details().graph.vertices[0]
        self.subtask = self.details().vertices[0].subtasks[0]

    def details(self) -> client_pb2.JobDetails:
        return self.client.job(self.job.job_id, include_graph=True)

    def slot(self, **question):
        found = runtime_pb2.Question(**question)
        return self.client.inspect(found, self.subtask.taskmanager_id, self.subtask.slot_id)

    def taskmanager(self, **question):
        return self.client.inspect(runtime_pb2.Question(**question), self.subtask.taskmanager_id)


def test_the_threads_of_each_kind_of_process(cluster) -> None:
    question = {"thread_dump": runtime_pb2.ThreadDumpQuestion()}
    mailbox = cluster.slot(**question).thread_dump.threads[0]
    assert mailbox.name == "MainThread"
    assert "Mailbox.run" in mailbox.stack or "in run_once" in mailbox.stack
    assert cluster.taskmanager(**question).thread_dump.threads
    own = cluster.client.inspect(runtime_pb2.Question(**question)).thread_dump
    assert abs(own.timestamp_ms - time.time() * 1000) < 60_000


def test_a_sample_of_stacks_shows_the_users_line(cluster) -> None:
    asked = runtime_pb2.SampleStacksQuestion(
        job_id=cluster.job.job_id,
        vertex_id=cluster.vertex.id,
        subtask=-1,
        duration_ms=600,
        interval_ms=5,
    )
    found = cluster.slot(sample_stacks=asked).sample_stacks
    assert found.samples > 20
    assert {(one.vertex_id, one.subtask) for one in found.stacks} == {(cluster.vertex.id, 0)}
    seen = sum(one.count for one in found.stacks)
    users = sum(one.count for one in found.stacks if "slow_double" in one.frames[-1])
    assert users > seen / 2, "half of the time at the least the function sleeps"
    asked.vertex_id = "0" * 32
    assert not cluster.slot(sample_stacks=asked).sample_stacks.stacks


def test_a_sample_of_records(cluster) -> None:
    (source, double, _sink) = cluster.vertex.operators
    asked = runtime_pb2.SampleRecordsQuestion(
        job_id=cluster.job.job_id,
        vertex_id=cluster.vertex.id,
        operator_uid=source.uid,
        subtask=-1,
        max_records=5,
        timeout_ms=5_000,
    )
    read = cluster.slot(sample_records=asked).sample_records
    assert (list(read.columns), len(read.records)) == (["t"], 5)
    asked.operator_uid = double.uid
    doubled = cluster.slot(sample_records=asked).sample_records
    assert (list(doubled.columns), list(doubled.types)) == (["value"], ["int"])
    numbers = [int(record.values[0]) for record in doubled.records]
    assert numbers == list(range(numbers[0], numbers[0] + 10, 2)), "one behind the other"
    asked.side_tag, asked.timeout_ms = "nothing", 50
    assert not cluster.slot(sample_records=asked).sample_records.records
    asked.operator_uid = "no such"
    with pytest.raises(InspectionError, match="no running task"):
        cluster.slot(sample_records=asked)


def test_metrics_of_a_job(cluster) -> None:
    asked = runtime_pb2.ReadMetricsQuestion(job_id=cluster.job.job_id)
    found = cluster.slot(read_metrics=asked).read_metrics.metrics
    assert {metric.labels["job_id"] for metric in found} == {cluster.job.job_id}
    records = [m for m in found if m.name == "lesto_records_in_total"]
    assert max(metric.value for metric in records) > 0


def test_logs_and_what_users_print(cluster) -> None:
    listed = cluster.taskmanager(list_logs=runtime_pb2.ListLogsQuestion()).list_logs.files
    assert {"slot-0.log", "slot-0.out"} <= {file.name for file in listed}
    asked = runtime_pb2.ReadLogQuestion(name="slot-0.out", offset=-100, max_bytes=100)
    piece = cluster.taskmanager(read_log=asked).read_log
    assert b"doubling" in piece.content
    assert piece.offset == piece.size_bytes - 100
    for name in ("../../../etc/passwd", "/etc/passwd", "none.log"):
        asked.name = name
        with pytest.raises(InspectionError, match="no log file"):
            cluster.taskmanager(read_log=asked)


def test_who_is_not_there_is_named(cluster) -> None:
    question = runtime_pb2.Question(thread_dump=runtime_pb2.ThreadDumpQuestion())
    with pytest.raises(ProcessNotFoundError, match="no TaskManager of that id"):
        cluster.client.inspect(question, "tm-none")
    with pytest.raises(ProcessNotFoundError, match="no slot of that id"):
        cluster.client.inspect(question, cluster.subtask.taskmanager_id, "slot-none")
    records = runtime_pb2.SampleRecordsQuestion(job_id=cluster.job.job_id)
    with pytest.raises(LestoError, match="no answer to sample_records"):
        cluster.taskmanager(sample_records=records)
