"""A REST server over a JobManager that answers from memory, and a client that checks answers."""

import contextlib
import http.client
import json

from lesto.common.config import Configuration
from lesto.common.inspection import InspectionError, ProcessNotFoundError
from lesto.common.metrics import MetricRegistry
from lesto.jobmanager.errors import JobNotFoundError
from lesto.jobmanager.server.rest.server import RestServer
from lesto.proto import client_pb2 as pb
from lesto.proto import job_pb2, runtime_pb2
from tests.unit.rest.conformance import check_answer

JOB = "0123456789abcdef0123456789abcdef"
RUNNING = runtime_pb2.TASK_STATE_RUNNING
LOG = b"0123456789" * 100_000


def operator(uid, records_in, records_out, watermark=5_000):
    return runtime_pb2.OperatorReport(
        uid=uid,
        records_in=records_in,
        records_out=records_out,
        bytes_in=10 * records_in,
        bytes_out=10 * records_out,
        watermark=watermark,
        late_dropped=1,
    )


def subtask(number, slot, operators, busy=0.25, backpressured=0.5):
    report = runtime_pb2.TaskReport(
        operators=operators,
        busy_ratio=busy,
        idle_ratio=1 - busy - backpressured,
        backpressured_ratio=backpressured,
        busy_ms=2_500,
        idle_ms=2_500,
        backpressured_ms=5_000,
    )
    report.task.subtask = number
    return pb.SubtaskDetails(
        subtask=number,
        state=RUNNING,
        attempt=2,
        slot_id=slot,
        taskmanager_id="tm-1",
        start_time_ms=1_000,
        report=report,
        state_times_ms={"CREATED": 1_000, "DEPLOYING": 1_010, "RUNNING": 1_100},
    )


RESCALES = [
    pb.JobRescale(
        start_ms=1_000,
        end_ms=1_500,
        outcome="COMPLETED",
        pause_ms=200,
        vertices=[
            pb.VertexRescale(
                vertex_id="map", name="one -> two", before=1, after=2, lower=1, upper=2
            )
        ],
    ),
    pb.JobRescale(
        start_ms=2_000,
        end_ms=2_100,
        automatic=True,
        outcome="FAILED",
        reason="no slots came",
    ),
]
FAILURES = [
    pb.FailureInfo(
        timestamp_ms=960,
        task_name="one -> two (1/2)",
        location="s-a",
        taskmanager_id="tm-1",
        concurrent=True,
        failure=runtime_pb2.TaskFailure(code="LESTO-4105", message="channel broke"),
    ),
    pb.FailureInfo(
        timestamp_ms=955,
        task_name="Source: flights (1/1)",
        location="s-a",
        taskmanager_id="tm-1",
        failure=runtime_pb2.TaskFailure(
            code="LESTO-6001",
            message="division by zero",
            user_traceback="File job.py, line 3\nZeroDivisionError: division by zero",
            full_traceback="File engine.py, line 9\nFile job.py, line 3",
        ),
    ),
]


def details():
    """Source (1 subtask) -> map (2 subtasks, chain of two operators)."""
    graph = job_pb2.JobGraph(job_id=JOB, name="flights", python_version="3.11")
    graph.vertices.add(id="src", name="Source: flights", parallelism=1).operators.add(
        uid="read", name="Source: flights", kind=job_pb2.OPERATOR_KIND_SOURCE
    )
    chain = graph.vertices.add(id="map", name="one -> two", parallelism=2)
    chain.operators.add(uid="op1", name="one", kind=job_pb2.OPERATOR_KIND_TRANSFORM)
    chain.operators.add(uid="op2", name="two, 2.0", kind=job_pb2.OPERATOR_KIND_TRANSFORM)
    graph.edges.add(id="e", source_vertex="src", target_vertex="map")
    both = [operator("op1", 50, 40), operator("op2", 40, 20, 4_000)]
    vertices = [
        pb.VertexDetails(
            id="src",
            name="Source: flights",
            parallelism=1,
            max_parallelism=128,
            subtasks=[subtask(0, "s-a", [operator("read", 0, 100)])],
        ),
        pb.VertexDetails(
            id="map",
            name="one -> two",
            parallelism=2,
            max_parallelism=128,
            subtasks=[subtask(0, "s-a", both), subtask(1, "s-b", both, 0.9, 0.05)],
        ),
    ]
    return pb.JobDetails(
        summary=pb.JobSummary(
            job_id=JOB, name="flights", state=pb.JOB_STATE_RUNNING, start_time_ms=900, restarts=1
        ),
        vertices=vertices,
        graph=graph,
        transitions=[
            pb.StateTransition(timestamp_ms=900, state=pb.JOB_STATE_CREATED),
            pb.StateTransition(timestamp_ms=950, state=pb.JOB_STATE_RUNNING),
        ],
        config={"restart-strategy.type": "fixed-delay", "security.token": "******"},
        events=[
            pb.JobEvent(
                timestamp_ms=900,
                kind="job.state",
                subject="CREATED",
                cause="submitted",
                severity="info",
            )
        ],
        rescales=RESCALES,
        failures=FAILURES,
    )


class FakeCluster:
    """A JobManager with one TaskManager of two slots.

    Attributes:
        asked: kind of question and slot, in order.
        silent: slots that do not answer.
        metrics: more series of each slot: name, labels, value.
    """

    def __init__(self):
        self.asked = []
        self.silent = set()
        self.metrics = []
        self.details = details()

    def cluster(self):
        slots = [
            runtime_pb2.SlotInfo(
                slot_id=name,
                index=index,
                status=runtime_pb2.SLOT_STATUS_READY,
                flight_uri=f"grpc://h:{4_000 + index}",
            )
            for index, name in enumerate(("s-a", "s-b"))
        ]
        worker = pb.TaskManagerInfo(taskmanager_id="tm-1", host="h", slots=slots, cpus=2)
        return pb.ClusterInfo(lesto_version="0.1", taskmanagers=[worker])

    def jobs(self):
        return [self.details.summary]

    def job(self, job_id, *, include_graph=False):
        if job_id != JOB:
            msg = f"no job {job_id}"
            raise JobNotFoundError(msg)
        found = pb.JobDetails()
        found.CopyFrom(self.details)
        if not include_graph:
            found.ClearField("graph")
        return found

    def inspect(self, question, taskmanager_id="", slot_id=""):
        kind = question.WhichOneof("question")
        self.asked.append((kind, slot_id or taskmanager_id))
        if taskmanager_id not in {"", "tm-1"} or slot_id in self.silent:
            msg = "it is gone"
            raise ProcessNotFoundError(msg)
        return getattr(self, f"_{kind}")(getattr(question, kind), slot_id)

    def _sample_stacks(self, _question, slot_id):
        answer = runtime_pb2.Answer()
        answer.sample_stacks.samples = 100
        answer.sample_stacks.ended_ms = 9_000
        for frames, count in (
            (("main", "step", f"f ({slot_id}.py:1)"), 7),
            (("main", "step", "g"), 2),
        ):
            answer.sample_stacks.stacks.add(
                job_id=JOB, vertex_id="map", subtask=0, frames=frames, count=count
            )
        return answer

    def _sample_records(self, question, slot_id):
        answer = runtime_pb2.Answer()
        answer.sample_records.columns.append(question.operator_uid)
        answer.sample_records.types.append("int64")
        for number in range(3):
            answer.sample_records.records.add(
                values=[f"{slot_id} {number}"],
                timestamp_ms=number,
                has_timestamp=number > 0,
                kind="+I",
                subtask=0 if slot_id == "s-a" else 1,
            )
        return answer

    def _read_metrics(self, _question, slot_id):
        answer = runtime_pb2.Answer()
        own = "0" if slot_id == "s-a" else "1"
        labels = {"job_id": JOB, "task": "one -> two", "subtask": own}
        metrics = answer.read_metrics.metrics
        metrics.add(
            name="lesto_num_late_events_total", labels={**labels, "operator": "one"}, value=3
        )
        metrics.add(name="lesto_checkpoint_alignment_seconds", labels=labels, value=0.25)
        for name, more, value in self.metrics:
            metrics.add(name=name, labels={**labels, **more}, value=value)
        metrics.add(name="process_resident_memory_bytes", value=1_000)
        return answer

    def _list_logs(self, _question, _slot_id):
        answer = runtime_pb2.Answer()
        for name, size in (("taskmanager.log", len(LOG)), ("slot-0.out", len(LOG))):
            answer.list_logs.files.add(name=name, size_bytes=size, modified_ms=5)
        return answer

    def _read_log(self, question, _slot_id):
        if question.name not in {"taskmanager.log", "slot-0.out"}:
            msg = "there is no log file of that name"
            raise InspectionError(msg)
        end = question.offset + min(question.max_bytes, 1 << 20)
        return runtime_pb2.Answer(
            read_log=runtime_pb2.ReadLogAnswer(
                content=LOG[question.offset : end], offset=question.offset, size_bytes=len(LOG)
            )
        )

    def _thread_dump(self, _question, slot_id):
        answer = runtime_pb2.Answer()
        answer.thread_dump.threads.add(
            name="MainThread", stack="File a.py", doing="one -> two" if slot_id else ""
        )
        return answer


class Client:
    """Asks and holds each answer against the OpenAPI document."""

    def __init__(self, address):
        self._address = address

    def raw(self, path, headers=None):
        """Status, headers and bytes of a GET."""
        connection = http.client.HTTPConnection(self._address, timeout=30)
        try:
            connection.request("GET", path, headers={"Accept": "*/*", **(headers or {})})
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()
        finally:
            connection.close()

    def get(self, path):
        """JSON of a GET, which is as the document says."""
        status, headers, content = self.raw(path)
        text = content.decode()
        check_answer("GET", path, status, headers.get("content-type", ""), text)
        assert status == 200, (path, text)
        return json.loads(text)

    def refused(self, path):
        """Status and code of a problem."""
        status, headers, content = self.raw(path)
        text = content.decode()
        check_answer("GET", path, status, headers.get("content-type", ""), text)
        return status, json.loads(text)["code"]


@contextlib.contextmanager
def served(fake):
    """Serve it for a while; a client of it."""
    server = RestServer(Configuration.from_dict({"rest.port": 0}), MetricRegistry())
    try:
        yield Client(server.start(fake))
    finally:
        server.stop()
