"""A JobManager of made-up jobs, and plain HTTP to ask the REST server about it."""

import http.client
import json
import threading
from json import dumps

from lesto.jobmanager.errors import JobNotFoundError, JobStateError
from lesto.proto import checkpoint_pb2, job_pb2, runtime_pb2
from lesto.proto import client_pb2 as pb
from tests.unit.rest.conformance import check_answer

JOB = "0123456789abcdef0123456789abcdef"
OTHER = "f" * 32


def vertices():
    def subtask(number, state):
        return pb.SubtaskDetails(subtask=number, state=state, start_time_ms=1_500 + number)

    running, deploying = runtime_pb2.TASK_STATE_RUNNING, runtime_pb2.TASK_STATE_DEPLOYING
    return [
        pb.VertexDetails(
            id="a",
            name="Source: flights",
            parallelism=2,
            max_parallelism=128,
            subtasks=[subtask(0, running), subtask(1, running)],
            records_out=900,
            bytes_out=9_000,
        ),
        pb.VertexDetails(
            id="b",
            name="window -> Sink",
            parallelism=2,
            max_parallelism=128,
            subtasks=[subtask(0, running), subtask(1, deploying)],
            records_in=900,
            bytes_in=9_000,
        ),
    ]


def checkpoints():
    completed = pb.CheckpointStats(
        checkpoint_id=2,
        type=checkpoint_pb2.CHECKPOINT_TYPE_CHECKPOINT,
        status="COMPLETED",
        trigger_timestamp_ms=2_000,
        duration_ms=30,
        state_bytes=500,
        uploaded_bytes=100,
        path="/chk/2",
        acknowledged=4,
        expected=4,
        in_flight_bytes=7,
        subtasks=[
            pb.SubtaskCheckpointStats(
                vertex_id=vertex,
                subtask=subtask,
                status="ACKNOWLEDGED",
                ack_timestamp_ms=2_010 + 10 * subtask,
                end_to_end_us=10_000 + 10_000 * subtask,
                start_delay_us=1_000,
                alignment_us=2_000,
                sync_us=3_000,
                async_us=4_000 + 2_000 * subtask,
                state_bytes=100 + 50 * subtask,
                uploaded_bytes=25,
                in_flight_bytes=7 if (vertex, subtask) == ("b", 1) else 0,
                unaligned=(vertex, subtask) == ("b", 1),
            )
            for vertex in "ab"
            for subtask in range(2)
        ],
    )
    return pb.CheckpointSummary(
        completed=1,
        failed=1,
        config={
            "execution.checkpointing.interval": "10 s",
            "execution.checkpointing.externalized-checkpoint-retention": "DELETE_ON_CANCELLATION",
        },
        history=[
            completed,
            pb.CheckpointStats(
                checkpoint_id=1,
                status="FAILED",
                trigger_timestamp_ms=1_700,
                duration_ms=5,
                failure="declined",
                subtasks=[pb.SubtaskCheckpointStats(vertex_id="a", status="PENDING")],
            ),
        ],
        latest_completed=completed,
    )


def details():
    """A running job: source (2 subtasks) -> hash -> window (2 subtasks, one deploying)."""
    graph = job_pb2.JobGraph(
        job_id=JOB,
        vertices=[
            job_pb2.JobVertex(id="a", name="Source: flights", parallelism=2, max_parallelism=128),
            job_pb2.JobVertex(id="b", name="window -> Sink", parallelism=2, max_parallelism=128),
        ],
        edges=[
            job_pb2.JobEdge(
                source_vertex="a",
                target_vertex="b",
                partitioner=job_pb2.Partitioner(kind=job_pb2.PARTITION_KIND_HASH),
            )
        ],
    )

    return pb.JobDetails(
        summary=pb.JobSummary(
            job_id=JOB,
            name="flights",
            state=pb.JOB_STATE_RUNNING,
            start_time_ms=1_000,
            tasks_total=4,
            tasks_running=3,
            tasks_by_state={"RUNNING": 3, "DEPLOYING": 1},
            last_modified_ms=1_100,
        ),
        vertices=vertices(),
        failures=[
            pb.FailureInfo(
                timestamp_ms=1_900,
                task_name="window (1/2)",
                location="tm-1",
                failure=runtime_pb2.TaskFailure(
                    code="LESTO-6001",
                    message="division by zero",
                    user_traceback="Traceback ...\nZeroDivisionError",
                    retryable=True,
                ),
            ),
            pb.FailureInfo(timestamp_ms=1_800),
        ],
        checkpoints=checkpoints(),
        transitions=[
            pb.StateTransition(timestamp_ms=1_000, state=pb.JOB_STATE_CREATED),
            pb.StateTransition(timestamp_ms=1_100, state=pb.JOB_STATE_RUNNING),
        ],
        graph=graph,
    )


class FakeJobManager:
    """Answers from memory."""

    def __init__(self):
        self.calls = []
        self.known = {JOB}
        self.release = threading.Event()
        self.release.set()

    def cluster(self):
        slot = runtime_pb2.SlotInfo(
            slot_id="s1", status=runtime_pb2.SLOT_STATUS_READY, pid=7, metrics_address="127.0.0.1:9"
        )
        worker = pb.TaskManagerInfo(
            taskmanager_id="tm-1", host="h", slots=[slot], free_slots=1, cpus=2, memory_bytes=8
        )
        return pb.ClusterInfo(
            lesto_version="0.1",
            slots_total=4,
            slots_available=1,
            jobs_running=1,
            taskmanagers=[worker],
        )

    def jobs(self):
        return [details().summary]

    def job(self, job_id, *, include_graph=False):
        if job_id not in self.known:
            msg = f"no job {job_id}"
            raise JobNotFoundError(msg, remedy="see GET /jobs")
        found = details()
        if not include_graph:
            found.ClearField("graph")
        return found

    def submit(self, request):
        self.calls.append(("submit", request.graph.name))
        return request.graph.job_id

    def cancel(self, job_id):
        self.job(job_id)
        self.calls.append(("cancel", job_id))

    def checkpoint(self, job_id, *, full=False):
        self.calls.append(("checkpoint", job_id, full))
        return 7, "/chk/7"

    def dispose(self, path):
        self.calls.append(("dispose", path))
        return 3

    def savepoint(self, job_id, target=""):
        self.calls.append(("savepoint", job_id, target))
        assert self.release.wait(10)
        return f"{target or '/sp'}/savepoint-1"

    def stop(self, job_id, target="", *, drain=False):
        self.calls.append(("stop", job_id, target, drain))
        msg = "the job is not running"
        raise JobStateError(msg)


class Answer:
    """One response, read."""

    def __init__(self, response):
        self.status_code = response.status
        self.headers = response.headers
        self.text = response.read().decode()

    def json(self):
        return json.loads(self.text)


class Client:
    """Plain HTTP, so that every header is the test's own."""

    def __init__(self, address):
        self.address = address

    def request(self, method, path, json=None, headers=None, content=None):
        connection = http.client.HTTPConnection(self.address, timeout=60)
        try:
            body = content if json is None else dumps(json)
            connection.request(
                method, path, body=body, headers={"Accept": "*/*", **(headers or {})}
            )
            answer = Answer(connection.getresponse())
            kind = answer.headers.get("content-type", "")
            check_answer(method, path, answer.status_code, kind, answer.text)
            return answer
        finally:
            connection.close()

    def get(self, path, **more):
        return self.request("GET", path, **more)

    def post(self, path, **more):
        return self.request("POST", path, **more)

    def patch(self, path, **more):
        return self.request("PATCH", path, **more)
