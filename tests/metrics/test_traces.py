"""Spans of starts, recoveries and checkpoints: in memory, and over HTTP to a receiver."""

import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from masterdriver import Driver
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from lesto.client.minicluster import MiniCluster
from lesto.client.run_options import RunOptions
from lesto.common import Configuration, WatermarkStrategy
from lesto.connectors.datagen import DataGenSource, sequence
from lesto.connectors.memory.blackhole import BlackholeSink
from lesto.datastream import StreamExecutionEnvironment
from lesto.jobmanager.core import events as ev
from lesto.jobmanager.core.states import TaskState
from lesto.jobmanager.errors import TracingUnavailableError
from lesto.jobmanager.server.traces import JobTraces, Tracing
from lesto.proto import runtime_pb2

MS = 1_000_000


class Traced:
    """A job master, and the spans that its events make."""

    def __init__(self, **settings):
        self._exporter = InMemorySpanExporter()
        self.provider = TracerProvider()
        self.provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.driver = Driver(**settings)
        self._traces = JobTraces(self.provider.get_tracer("test"), self.driver.master)

    def spans(self):
        """Those that have ended since the last call, by name."""
        self._traces.update()
        found = self._exporter.get_finished_spans()
        self._exporter.clear()
        by_name = {}
        for span in found:
            by_name.setdefault(span.name, []).append(span)
        return by_name


@pytest.fixture
def traced():
    made = []

    def make(**settings):
        made.append(Traced(**settings))
        return made[-1]

    yield make
    for one in made:
        one.provider.shutdown()


def start(driver):
    driver.tell(ev.JobStarted())
    driver.ms = 100
    driver.slots("s0")
    for name in ("numbers", "total"):
        driver.ms += 50
        driver.state(name, TaskState.INITIALIZING)
        driver.ms += 200
        driver.state(name, TaskState.RUNNING)


def acknowledge(driver, name, checkpoint_id, **times):
    parts = [runtime_pb2.OperatorAck(uid=name)]
    ack = {"checkpoint_id": checkpoint_id, "operators": parts, "ended_at_ms": driver.ms, **times}
    driver.task(name, ack=ack)


def test_a_start_is_a_span_with_each_tasks_phases(traced):
    job = traced()
    start(job.driver)
    spans = job.spans()
    (root,) = spans["lesto.job.start"]
    assert (root.start_time, root.end_time) == (0, 600 * MS)
    assert root.attributes["lesto.job.id"] == job.driver.master.graph.job_id
    first, second = spans["lesto.task.initializing"]
    assert (first.start_time, first.end_time) == (150 * MS, 350 * MS)
    assert (second.start_time, second.end_time) == (400 * MS, 600 * MS)
    assert first.parent.span_id == root.context.span_id
    assert {s.attributes["lesto.task.name"] for s in (first, second)} == {"numbers", "total"}
    assert job.spans() == {}, "once"


def test_a_checkpoint_is_a_span_with_each_subtasks_phases(traced):
    job = traced(interval_ms=1_000)
    driver = job.driver
    start(driver)
    job.spans()
    driver.tick(1_600)
    driver.tell(ev.EnumeratorsSnapshotted(driver.master._enumerators, 1, {}))
    assert job.spans() == {}, "it is under way"
    driver.ms = 1_900
    times = {"start_delay_us": 50_000, "alignment_us": 100_000, "sync_us": 10_000}
    acknowledge(driver, "numbers", 1)
    acknowledge(driver, "total", 1, async_us=140_000, **times)
    driver.ms = 2_000
    driver.tell(ev.MetadataWritten(1, "/ck/chk-1"))
    spans = job.spans()
    (root,) = spans["lesto.checkpoint"]
    assert (root.start_time, root.end_time) == (1_600 * MS, 2_000 * MS)
    assert root.attributes["lesto.checkpoint.status"] == "COMPLETED"
    assert root.attributes["lesto.checkpoint.path"] == "/ck/chk-1"
    parts = {s.attributes["lesto.task.name"]: s for s in spans["lesto.checkpoint.subtask"]}
    assert parts.keys() == {"numbers", "total"}
    assert {s.parent.span_id for s in parts.values()} == {root.context.span_id}
    own = parts["total"].context.span_id
    phases = [
        (s.name.rpartition(".")[2], s.start_time // MS, s.end_time // MS)
        for name in ("start_delay", "alignment", "sync", "async")
        for s in spans[f"lesto.checkpoint.{name}"]
        if s.parent.span_id == own
    ]
    assert phases == [
        ("start_delay", 1_600, 1_650),
        ("alignment", 1_650, 1_750),
        ("sync", 1_750, 1_760),
        ("async", 1_760, 1_900),
    ]
    assert {s.context.trace_id for found in spans.values() for s in found} == {
        root.context.trace_id
    }


def test_a_failed_checkpoint_says_why(traced):
    job = traced(interval_ms=1_000)
    start(job.driver)
    job.driver.tick(1_600)
    job.driver.tell(ev.EnumeratorsSnapshotted(job.driver.master._enumerators, 1, {}))
    job.driver.task("total", decline={"checkpoint_id": 1, "reason": "the disk is full"})
    (root,) = job.spans()["lesto.checkpoint"]
    assert root.status.status_code is StatusCode.ERROR
    assert "the disk is full" in root.status.description


def test_a_recovery_is_a_span_from_the_failure_until_all_tasks_run(traced):
    job = traced()
    driver = job.driver
    start(driver)
    job.spans()
    driver.ms = 5_000
    driver.fail("numbers", "boom")
    driver.ms = 5_100
    driver.state("total", TaskState.CANCELED)
    driver.tick(6_500)
    assert job.spans() == {}
    driver.ms = 7_000
    driver.tasks_running()
    spans = job.spans()
    (root,) = spans["lesto.job.recovery"]
    assert (root.start_time, root.end_time) == (5_000 * MS, 7_000 * MS)
    assert "boom" in root.attributes["lesto.job.cause"]
    assert root.attributes["lesto.job.restarts"] == 1


def test_without_the_extra_it_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    config = Configuration.from_dict({"traces.otel.endpoint": "http://127.0.0.1:1/v1/traces"})
    with pytest.raises(TracingUnavailableError, match=r"lesto\[otel\]"):
        Tracing.of(config)
    assert Tracing.of(Configuration()) is None


def test_nothing_of_it_is_imported_while_it_is_off():
    code = (
        "import sys, lesto.jobmanager.server.service as s;"
        "from lesto.jobmanager.server.traces import Tracing;"
        "from lesto.common import Configuration;"
        "assert Tracing.of(Configuration()) is None;"
        "print([m for m in sys.modules if m.startswith('opentelemetry')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


class Receiver(HTTPServer):
    """Takes spans by OTLP over HTTP."""

    def __init__(self):
        self.names = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                request = ExportTraceServiceRequest.FromString(body)
                receiver.names += [
                    span.name
                    for resource in request.resource_spans
                    for scope in resource.scope_spans
                    for span in scope.spans
                ]
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_):
                pass

        super().__init__(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self.serve_forever, args=(0.05,))
        self._thread.start()

    def stop(self):
        self.shutdown()
        self.server_close()
        self._thread.join()


@pytest.mark.cluster
def test_a_cluster_sends_its_spans():
    receiver = Receiver()
    try:
        url = f"http://127.0.0.1:{receiver.server_port}/v1/traces"
        config = Configuration.from_dict({"traces.otel.endpoint": url})
        with MiniCluster(config, slots=1) as cluster:
            cluster.wait_ready()
            settings = Configuration.from_dict({"security.token": cluster.token})
            env = StreamExecutionEnvironment(settings, RunOptions(jobmanager=cluster.address))
            env.set_parallelism(1).enable_checkpointing(100)
            source = DataGenSource({"t": sequence()}, rows=2_000, rows_per_second=2_000)
            stream = env.from_source(source, WatermarkStrategy.no_watermarks(), "numbers")
            stream.sink_to(BlackholeSink())
            env.execute("traced")
    finally:
        receiver.stop()
    assert {"lesto.job.start", "lesto.checkpoint", "lesto.checkpoint.subtask"} <= set(
        receiver.names
    )
    assert receiver.names.count("lesto.job.start") == 1
