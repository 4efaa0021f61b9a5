"""What the JobManager says about itself."""

import pytest

from lesto.common.config import Configuration
from lesto.common.inspection import InspectionError, ProcessNotFoundError
from lesto.common.metrics import MetricRegistry
from lesto.jobmanager.server.rest.server import RestServer
from lesto.proto import runtime_pb2
from tests.unit.rest.test_rest import Client, FakeJobManager

LOG = b"".join(b"line %d\n" % number for number in range(100))


class Answering(FakeJobManager):
    """Answers questions as a JobManager of its own."""

    def inspect(self, question, taskmanager_id="", slot_id=""):
        if taskmanager_id:
            msg = f"no TaskManager {taskmanager_id[:20]}"
            raise ProcessNotFoundError(msg)
        match question.WhichOneof("question"):
            case "list_logs":
                file = runtime_pb2.LogFile(name="jobmanager.log", size_bytes=len(LOG))
                return runtime_pb2.Answer(list_logs=runtime_pb2.ListLogsAnswer(files=[file]))
            case "read_log":
                if question.read_log.name != "jobmanager.log":
                    msg = "there is no log file of that name"
                    raise InspectionError(msg)
                start = question.read_log.offset
                piece = LOG[start : start + question.read_log.max_bytes]
                return runtime_pb2.Answer(
                    read_log=runtime_pb2.ReadLogAnswer(
                        content=piece, offset=start, size_bytes=len(LOG)
                    )
                )
            case "thread_dump":
                thread = runtime_pb2.ThreadStack(name="MainThread", stack="File x\n")
                return runtime_pb2.Answer(
                    thread_dump=runtime_pb2.ThreadDumpAnswer(threads=[thread])
                )
        metrics = [
            runtime_pb2.MetricValue(name="lesto_jobmanager_slots_available", value=3),
            runtime_pb2.MetricValue(name="lesto_x", labels={"job_id": "j"}, value=1),
        ]
        return runtime_pb2.Answer(read_metrics=runtime_pb2.ReadMetricsAnswer(metrics=metrics))


@pytest.fixture
def client():
    values = {
        "rest.port": 0,
        "security.token": "hunter2",
        "execution.checkpointing.dir": "s3://user:hunter2@bucket/x",
        "web.cancel.enable": False,
    }
    made = RestServer(Configuration.from_dict(values), MetricRegistry())
    yield Client(made.start(Answering()))
    made.stop()


def test_its_options_without_secrets(client):
    answer = client.get("/jobmanager/config")
    options = {entry["key"]: entry["value"] for entry in answer.json()}
    assert options["rest.port"] == "0"
    assert options["security.token"] == "******"
    assert "hunter2" not in answer.text
    features = client.get("/config").json()["features"]
    assert (features["web-cancel"], features["web-submit"]) == (False, False)


def test_its_environment(client):
    found = client.get("/jobmanager/environment").json()
    assert "Python" in found["jvm"]["version"]
    assert found["packages"]["pyarrow"][0].isdigit()


def test_its_log(client):
    (file,) = client.get("/jobmanager/logs").json()["logs"]
    assert (file["name"], file["size"]) == ("jobmanager.log", len(LOG))
    assert client.get("/jobmanager/log").text == LOG.decode()
    assert client.get("/jobmanager/logs/jobmanager.log?offset=-7").text == "ine 99\n"
    part = client.get("/jobmanager/log", headers={"Range": "bytes=0-5"})
    assert part.text == "line 0"
    assert client.get("/jobmanager/logs/other.log").status_code in {404, 409}
    assert client.get("/jobmanager/stdout").status_code in {404, 409}
    for path in ("..%2f..%2fetc%2fpasswd", "..", "%2e%2e", "x%00", "a%5c..%5cb", "x" * 300):
        assert client.get(f"/jobmanager/logs/{path}").status_code in {400, 404}


def test_its_threads_and_metrics(client):
    (thread,) = client.get("/jobmanager/thread-dump").json()["threadInfos"]
    assert thread["threadName"] == "MainThread"
    ids = [entry["id"] for entry in client.get("/jobmanager/metrics").json()]
    assert len(ids) == 1
    (value,) = client.get(f"/jobmanager/metrics?get={ids[0]}").json()
    assert value["value"].startswith("3")
