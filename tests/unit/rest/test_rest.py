"""The REST server: Flink's paths and fields, guards, asynchronous operations, errors."""

import time

import pytest

from lesto.common.config import Configuration
from lesto.common.metrics import MetricRegistry
from lesto.jobmanager.server.rest.errors import InsecureRestError, RestPortError
from lesto.jobmanager.server.rest.guard import Guard, TargetPolicy
from lesto.jobmanager.server.rest.operations import MAX_IN_PROGRESS
from lesto.jobmanager.server.rest.server import RestServer
from lesto.jobmanager.server.rest.shared_api import FRESH_SECONDS
from lesto.proto import client_pb2 as pb
from lesto.proto import job_pb2
from tests.unit.rest.fakes import JOB, OTHER, Client, FakeJobManager


@pytest.fixture
def jobmanager():
    fake = FakeJobManager()
    yield fake
    fake.release.set()


@pytest.fixture
def server():
    metrics = MetricRegistry()
    metrics.group(job_id="j").counter("restarts").inc()
    values = {"rest.port": 0, "execution.checkpointing.savepoint-dir": "/sp"}
    made = RestServer(Configuration.from_dict(values), metrics)
    yield made
    made.stop()


@pytest.fixture
def client(server, jobmanager):
    return Client(server.start(jobmanager))


def wait_completed(client, path):
    deadline = time.monotonic() + 60
    while (answer := client.get(path).json())["status"]["id"] != "COMPLETED":
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return answer["operation"]


@pytest.mark.parametrize("prefix", ["", "/v1"])
def test_overview(client, prefix):
    answer = client.get(f"{prefix}/overview").json()
    expected = {
        "taskmanagers": 1,
        "slots-total": 4,
        "slots-available": 1,
        "jobs-running": 1,
        "jobs-finished": 0,
        "jobs-cancelled": 0,
        "jobs-failed": 0,
    }
    assert expected.items() <= answer.items()
    assert {"flink-version", "flink-commit"} <= answer.keys()


def test_config_and_health(client):
    answer = client.get("/config").json()
    assert answer["refresh-interval"] == 3000
    assert answer["features"]["web-cancel"] is True
    assert client.get("/healthz").json() == {"status": "ok"}


def test_ready_means_that_somebody_leads(client, jobmanager):
    assert client.get("/readyz").json() == {"status": "ok"}
    info = pb.ClusterInfo(high_availability="kubernetes", leading=False)
    jobmanager.cluster = lambda: info
    time.sleep(2 * FRESH_SECONDS)
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert "LESTO-4318" in answer.text
    assert client.get("/healthz").status_code == 200
    info.leader_address = "10.0.0.7:6123"  # a standby hands requests on
    time.sleep(2 * FRESH_SECONDS)
    assert client.get("/readyz").status_code == 200


def test_jobs(client):
    assert client.get("/jobs").json() == {"jobs": [{"id": JOB, "status": "RUNNING"}]}
    (job,) = client.get("/jobs/overview").json()["jobs"]
    assert (job["jid"], job["name"], job["state"], job["end-time"]) == (
        JOB,
        "flights",
        "RUNNING",
        -1,
    )
    assert job["duration"] > 0
    assert job["last-modification"] == 1_100
    tasks = job["tasks"]
    assert (tasks["total"], tasks["running"], tasks["deploying"], tasks["failed"]) == (4, 3, 1, 0)
    assert client.get(f"/jobs/{JOB}/status").json() == {"status": "RUNNING"}


def test_job_details_and_plan(client):
    answer = client.get(f"/jobs/{JOB}").json()
    assert (answer["jid"], answer["isStoppable"], answer["maxParallelism"]) == (JOB, True, 128)
    assert answer["timestamps"]["RUNNING"] == 1_100
    assert answer["timestamps"]["FINISHED"] == 0
    source, window = answer["vertices"]
    assert (source["status"], window["status"]) == ("RUNNING", "DEPLOYING")
    assert window["tasks"]["RUNNING"] == 1
    assert source["metrics"]["write-records"] == window["metrics"]["read-records"] == 900
    assert answer["status-counts"]["RUNNING"] == 1
    nodes = client.get(f"/jobs/{JOB}/plan").json()["plan"]["nodes"]
    assert nodes == answer["plan"]["nodes"]
    assert "inputs" not in nodes[0]
    flinks = {"num": 0, "id": "a", "ship_strategy": "HASH", "exchange": "pipelined_bounded"}
    ours = {"source_operator": 0, "side_tag": "", "key_columns": []}
    assert nodes[1]["inputs"] == [flinks | ours]


def test_checkpoints(client):
    answer = client.get(f"/jobs/{JOB}/checkpoints").json()
    assert answer["counts"] == {
        "restored": 0,
        "total": 2,
        "in_progress": 0,
        "completed": 1,
        "failed": 1,
    }
    latest = answer["latest"]
    assert latest["completed"]["external_path"] == "/chk/2"
    assert latest["completed"]["latest_ack_timestamp"] == 2_020
    assert latest["completed"]["persisted_data"] == 7
    assert latest["failed"]["failure_message"] == "declined"
    assert latest["savepoint"] is None
    assert latest["restored"] is None
    assert answer["summary"]["state_size"]["max"] == 500
    assert answer["summary"]["checkpointed_size"]["avg"] == 100
    assert [entry["id"] for entry in answer["history"]] == [2, 1]


def test_a_checkpoint_in_detail(client):
    entry = client.get(f"/jobs/{JOB}/checkpoints/details/2").json()
    assert (entry["className"], entry["checkpoint_type"]) == ("completed", "CHECKPOINT")
    assert entry["tasks"]["b"] == {
        "id": 2,
        "status": "COMPLETED",
        "latest_ack_timestamp": 2_020,
        "checkpointed_size": 50,
        "state_size": 250,
        "end_to_end_duration": 20,
        "alignment_buffered": 0,
        "processed_data": 0,
        "persisted_data": 7,
        "num_subtasks": 2,
        "num_acknowledged_subtasks": 2,
    }
    for wrong, status in (("9", 404), ("x", 400), ("9" * 30, 400)):
        path = f"/jobs/{JOB}/checkpoints/details/{wrong}"
        assert client.get(path).status_code == status


def test_each_subtasks_part_in_a_checkpoint(client):
    found = client.get(f"/jobs/{JOB}/checkpoints/details/2/subtasks/b").json()
    duration = found["summary"]["checkpoint_duration"]
    assert (duration["sync"]["avg"], duration["async"]["min"], duration["async"]["max"]) == (
        3,
        4,
        6,
    )
    assert set(duration["sync"]) == {"min", "max", "avg", "p50", "p90", "p95", "p99", "p999"}
    assert duration["async"]["p50"] == 5
    assert found["summary"]["alignment"]["duration"]["max"] == 2
    assert found["summary"]["start_delay"]["min"] == 1
    first, second = found["subtasks"]
    assert second == {
        "className": "completed",
        "index": 1,
        "status": "completed",
        "ack_timestamp": 2_020,
        "end_to_end_duration": 20,
        "checkpointed_size": 25,
        "state_size": 150,
        "checkpoint": {"sync": 3, "async": 6},
        "alignment": {"buffered": 0, "processed": 0, "persisted": 7, "duration": 2},
        "start_delay": 1,
        "unaligned_checkpoint": True,
        "aborted": False,
    }
    assert not first["unaligned_checkpoint"]
    failed = client.get(f"/jobs/{JOB}/checkpoints/details/1/subtasks/a").json()
    assert failed["subtasks"] == [
        {"className": "pending", "index": 0, "status": "pending_or_failed"}
    ]
    assert client.get(f"/jobs/{JOB}/checkpoints/details/2/subtasks/zz").status_code == 404


def test_the_settings_of_checkpoints(client):
    found = client.get(f"/jobs/{JOB}/checkpoints/config").json()
    assert (found["mode"], found["interval"], found["timeout"]) == ("exactly_once", 10_000, 600_000)
    assert found["externalization"] == {"enabled": True, "delete_on_cancellation": True}
    assert (found["max_concurrent"], found["state_backend"]) == (1, "rocksdb")


@pytest.mark.parametrize(("kind", "full"), [("FULL", True), ("CONFIGURED", False), (None, False)])
def test_a_checkpoint_by_hand(client, jobmanager, kind, full):
    body = {} if kind is None else {"checkpointType": kind}
    started = client.post(f"/jobs/{JOB}/checkpoints", json=body)
    assert started.status_code == 202
    path = f"/jobs/{JOB}/checkpoints/{started.json()['request-id']}"
    assert wait_completed(client, path) == {"checkpointId": 7}
    assert ("checkpoint", JOB, full) in jobmanager.calls
    wrong = client.post(f"/jobs/{JOB}/checkpoints", json={"checkpointType": "BIG"})
    assert wrong.status_code == 400


def test_a_savepoint_is_disposed_of(client, jobmanager):
    started = client.post("/savepoint-disposal", json={"savepoint-path": "/sp/savepoint-1"})
    assert started.status_code == 202
    assert wait_completed(client, f"/savepoint-disposal/{started.json()['request-id']}") == {}
    assert jobmanager.calls == [("dispose", "/sp/savepoint-1")]
    for path in ("/etc/passwd", "/sp/../etc", "/spx/a"):
        body = {"savepoint-path": path}
        assert client.post("/savepoint-disposal", json=body).status_code == 403
    assert client.post("/savepoint-disposal", json={}).status_code == 400


def test_exceptions(client):
    history = client.get(f"/jobs/{JOB}/exceptions").json()["exceptionHistory"]
    assert history["truncated"] is False
    first = history["entries"][0]
    assert first["exceptionName"] == "LESTO-6001: division by zero"
    assert first["stacktrace"].startswith("Traceback")
    assert (first["taskName"], first["endpoint"]) == ("window (1/2)", "tm-1")
    limited = client.get(f"/jobs/{JOB}/exceptions?maxExceptions=1").json()["exceptionHistory"]
    assert (len(limited["entries"]), limited["truncated"]) == (1, True)
    assert client.get(f"/jobs/{JOB}/exceptions?maxExceptions=x").status_code == 400


def test_taskmanagers_and_metrics(client):
    (worker,) = client.get("/taskmanagers").json()["taskmanagers"]
    assert (worker["id"], worker["slotsNumber"], worker["freeSlots"]) == ("tm-1", 1, 1)
    assert worker["slots"][0]["status"] == "READY"
    metrics = client.get("/metrics")
    assert 'lesto_restarts_total{job_id="j"} 1.0' in metrics.text
    assert metrics.headers["content-type"].startswith("text/plain")


def test_a_job_graph_is_submitted(client, jobmanager):
    graph = job_pb2.JobGraph(job_id=OTHER, name="by hand")
    graph.vertices.add(id="a", name="a", parallelism=1)
    answer = client.post("/jobs", content=graph.SerializeToString())
    assert answer.status_code == 202
    assert answer.json() == {"jobUrl": f"/jobs/{OTHER}", "jobid": OTHER}
    assert jobmanager.calls == [("submit", "by hand")]
    for wrong in (b"", b"\xff" * 100, b"{}", job_pb2.JobGraph(job_id="../x").SerializeToString()):
        refused = client.post("/jobs", content=wrong)
        assert refused.status_code == 400, wrong
        assert refused.json()["code"] == "LESTO-4303"
    assert len(jobmanager.calls) == 1


def test_cancel(client, jobmanager):
    assert client.patch(f"/jobs/{JOB}").status_code == 202
    assert client.patch(f"/v1/jobs/{JOB}?mode=cancel").status_code == 202
    assert jobmanager.calls == [("cancel", JOB)] * 2
    assert client.patch(f"/jobs/{JOB}?mode=stop").status_code == 400


def test_savepoint_is_asynchronous(client, jobmanager):
    jobmanager.release.clear()
    started = client.post(f"/jobs/{JOB}/savepoints", json={"target-directory": "/sp/mine"})
    assert started.status_code == 202
    path = f"/jobs/{JOB}/savepoints/{started.json()['request-id']}"
    assert client.get(path).json() == {"status": {"id": "IN_PROGRESS"}, "operation": None}
    jobmanager.release.set()
    assert wait_completed(client, path) == {"location": "/sp/mine/savepoint-1"}
    assert client.get(path.replace(JOB, OTHER)).status_code == 404


def test_the_same_trigger_starts_once(client, jobmanager):
    body = {"triggerId": "a" * 32}
    for _ in range(2):
        answer = client.post(f"/jobs/{JOB}/savepoints", json=body)
        assert answer.json() == {"request-id": "a" * 32}
    wait_completed(client, f"/jobs/{JOB}/savepoints/{'a' * 32}")
    assert len(jobmanager.calls) == 1


def test_the_same_trigger_of_another_job_is_another_operation(client, jobmanager):
    trigger = "b" * 32
    other = "c" * 32
    jobmanager.known.add(other)
    for job in (JOB, other):
        answer = client.post(f"/jobs/{job}/savepoints", json={"triggerId": trigger})
        assert answer.status_code == 202
        assert wait_completed(client, f"/jobs/{job}/savepoints/{trigger}")["location"]
    assert sum(call[0] == "savepoint" for call in jobmanager.calls) == 2
    # Asked again when its job has been forgotten, the answer is that of the first time.
    jobmanager.known.discard(other)
    again = client.post(f"/jobs/{other}/savepoints", json={"triggerId": trigger})
    assert again.json() == {"request-id": trigger}


def test_a_failed_stop_tells_its_cause(client, jobmanager):
    started = client.post(f"/jobs/{JOB}/stop", json={"drain": True, "targetDirectory": None})
    operation = wait_completed(client, f"/jobs/{JOB}/savepoints/{started.json()['request-id']}")
    assert operation["failure-cause"]["class"] == "LESTO-4107"
    assert "not running" in operation["failure-cause"]["stack-trace"]
    assert jobmanager.calls == [("stop", JOB, "", True)]


def test_operations_in_progress_are_bounded(client, jobmanager):
    jobmanager.release.clear()
    codes = [client.post(f"/jobs/{JOB}/savepoints").status_code for _ in range(MAX_IN_PROGRESS + 1)]
    assert codes == [202] * MAX_IN_PROGRESS + [429]


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", f"/jobs/{OTHER}", None, 404),
        ("GET", "/jobs/..%2f..%2fetc%2fpasswd", None, 404),
        ("GET", "/jobs/xyz", None, 400),
        ("GET", f"/jobs/{JOB.upper()}", None, 400),
        ("POST", f"/jobs/{OTHER}/savepoints", {}, 404),
        ("POST", f"/jobs/{JOB}/savepoints", {"target-directory": 7}, 400),
        ("POST", f"/jobs/{JOB}/savepoints", {"target-directory": "/etc"}, 403),
        ("POST", f"/jobs/{JOB}/savepoints", {"target-directory": "/sp/../etc"}, 403),
        ("POST", f"/jobs/{JOB}/stop", {"targetDirectory": "/spoof"}, 403),
        ("POST", f"/jobs/{JOB}/savepoints", {"cancel-job": True}, 400),
        ("POST", f"/jobs/{JOB}/stop", {"drain": "yes"}, 400),
        ("POST", f"/jobs/{JOB}/stop", ["x"], 400),
        ("POST", f"/jobs/{JOB}/savepoints", {"triggerId": "../x"}, 400),
        ("GET", f"/jobs/{JOB}/savepoints/xyz", None, 400),
        ("GET", f"/jobs/{JOB}/savepoints/{OTHER}", None, 404),
        ("POST", f"/jobs/{JOB}/savepoints", {"x": "y" * 70_000}, 413),
        ("GET", "/nowhere", None, 404),
        ("DELETE", "/jobs", None, 405),
    ],
)
def test_errors_are_problems_that_flinks_clients_read_too(client, method, path, body, status):
    answer = client.request(method, path, json=body)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["status"] == status
    assert problem["code"].startswith("LESTO-")
    assert problem["errors"] == [f"{problem['code']}: {problem['detail']}"]


def test_a_defect_of_the_server_is_no_traceback_for_the_caller(client, jobmanager):
    jobmanager.cluster = lambda: 1 / 0
    answer = client.get("/overview")
    assert answer.status_code == 500
    assert "ZeroDivision" not in answer.text


# ------------------------------------------------------------------------------------------ guards


def test_another_sites_pages_cannot_steer_the_cluster(client, jobmanager):
    evil = {"Origin": "http://evil.example"}
    assert client.patch(f"/jobs/{JOB}", headers=evil).status_code == 403
    rebound = {"Host": "evil.example:8081"}
    assert client.get("/jobs", headers=rebound).status_code == 403
    assert jobmanager.calls == []
    own = {"Origin": f"http://{client.address}"}
    assert client.patch(f"/jobs/{JOB}", headers=own).status_code == 202
    for host in ("localhost:8081", "[::1]:8081", "127.0.0.1"):
        assert client.get("/jobs", headers={"Host": host}).status_code == 200


def test_with_a_token_every_request_shows_it(server, jobmanager, monkeypatch):
    # As on a wider address, which a test does not open.
    monkeypatch.setattr(server, "_guard", Guard(token="secret", loopback=False))
    monkeypatch.setattr(server, "_targets", TargetPolicy(trusted=True, root=None))
    client = Client(server.start(jobmanager))
    assert client.get("/jobs").status_code == 401
    assert client.get("/metrics").status_code == 401
    assert client.get("/healthz").status_code == 200  # probes have no token
    assert client.get("/readyz").status_code == 200
    for wrong in ("secret", "Bearer", "Bearer other", "Basic secret"):
        assert client.get("/jobs", headers={"Authorization": wrong}).status_code == 401
    good = {"Authorization": "Bearer secret"}
    assert client.get("/jobs", headers=good).status_code == 200
    body = {"target-directory": "/anywhere"}
    assert client.post(f"/jobs/{JOB}/savepoints", headers=good, json=body).status_code == 202


def test_a_wider_address_needs_a_token_or_insistence():
    wide = {"rest.bind-address": "0.0.0.0", "rest.port": 0}
    with pytest.raises(InsecureRestError, match="token"):
        RestServer(Configuration.from_dict(wide))
    RestServer(Configuration.from_dict({**wide, "security.token": "t"}))
    RestServer(Configuration.from_dict({**wide, "security.insecure": True}))


def test_the_server_serves_stops_and_names_a_taken_port(server, jobmanager):
    address = server.start(jobmanager)
    port = address.rpartition(":")[2]
    assert Client(address).get("/v1/jobs").json()["jobs"][0]["id"] == JOB
    with pytest.raises(RestPortError, match=port):
        RestServer(Configuration.from_dict({"rest.port": int(port)})).bind()
    server.stop()
    server.stop()
    again = RestServer(Configuration.from_dict({"rest.port": int(port)}))
    again.bind()
    again.stop()
