"""Vertices, subtasks, samples, events and rescales over REST, in Flink's forms."""

import threading

import pytest

from lesto.jobmanager.server.rest import story_shapes
from lesto.jobmanager.server.rest.flame_graphs import NODES_MAX, Stack, tree
from lesto.jobmanager.server.rest.fleet import Shared
from lesto.jobmanager.server.rest.vertex_shapes import level
from lesto.proto import client_pb2 as pb
from lesto.proto import job_pb2
from tests.unit.rest.served import JOB, FakeCluster, served

MAP = f"/jobs/{JOB}/vertices/map"


@pytest.fixture
def cluster():
    """For tests that change it, before they ask."""
    return FakeCluster()


@pytest.fixture
def client(cluster):
    with served(cluster) as made:
        yield made


def test_a_vertex_and_its_subtasks(client):
    found = client.get(MAP)
    assert (found["name"], found["parallelism"]) == ("one -> two", 2)
    first, second = found["subtasks"]
    assert first["endpoint"] == "h:4000"
    assert second["endpoint"] == "h:4001"
    assert (first["status"], first["attempt"], first["end-time"]) == ("RUNNING", 2, -1)
    assert first["status-duration"]["DEPLOYING"] == 90
    assert first["status-duration"]["FINISHED"] == -1
    assert first["watermark"] == 4_000
    read = found["aggregated"]["metrics"]["read-records"]
    assert (read["min"], read["sum"]) == (50, 100)
    assert first["metrics"]["accumulated-backpressured-time"] == 5_000
    moving = {"duration", "status-duration"}
    alone = client.get(f"{MAP}/subtasks/1")
    assert all(alone[key] == second[key] for key in second.keys() - moving)


def test_what_a_source_reads_is_what_came_from_outside(client):
    (subtask,) = client.get(f"/jobs/{JOB}/vertices/src")["subtasks"]
    assert subtask["metrics"]["read-records"] == subtask["metrics"]["write-records"] == 100


def test_times_taskmanagers_and_watermarks(client):
    times = client.get(f"{MAP}/subtasktimes")["subtasks"][0]
    assert (times["timestamps"]["RUNNING"], times["timestamps"]["FAILED"]) == (1_100, 0)
    (worker,) = client.get(f"{MAP}/taskmanagers")["taskmanagers"]
    assert (worker["taskmanager-id"], worker["endpoint"]) == ("tm-1", "h")
    assert worker["status-counts"]["RUNNING"] == 2
    assert client.get(f"{MAP}/watermarks") == [
        {"id": "0.currentInputWatermark", "value": "5000"},
        {"id": "1.currentInputWatermark", "value": "5000"},
    ]


def test_a_sinks_event_time_comes_from_its_inputs(client, cluster):
    cluster.details.graph.vertices[1].operators[0].kind = job_pb2.OPERATOR_KIND_SINK
    cluster.metrics = [
        ("lesto_input_watermark_seconds", {"input": "0"}, 7.5),
        ("lesto_input_watermark_seconds", {"input": "1"}, 6.0),
    ]
    assert client.get(f"{MAP}/watermarks") == [
        {"id": "0.currentInputWatermark", "value": "6000"},
        {"id": "1.currentInputWatermark", "value": "6000"},
    ]
    listed = {entry["id"] for entry in client.get(f"{MAP}/metrics")}
    assert "0.currentInputWatermark" not in listed


def test_backpressure_is_told_by_the_worst_subtask(client, cluster):
    found = client.get(f"{MAP}/backpressure")
    assert (found["status"], found["backpressureLevel"]) == ("ok", "low")
    first, second = found["subtasks"]
    assert (first["ratio"], first["busyRatio"], first["idleRatio"]) == (0.5, 0.25, 0.25)
    assert second["backpressureLevel"] == "ok"


def test_before_the_first_report_there_is_no_backpressure(client, cluster):
    for subtask in cluster.details.vertices[1].subtasks:
        subtask.ClearField("report")
    assert client.get(f"{MAP}/backpressure") == {"status": "deprecated", "subtasks": []}
    assert client.get(f"{MAP}/watermarks") == []
    assert client.get(MAP)["subtasks"][0]["activity"] is None


def test_flinks_levels_of_backpressure():
    assert [level(r) for r in (0.0, 0.1, 0.11, 0.5, 0.51)] == ["ok", "ok", "low", "low", "high"]


def test_what_is_not_there_is_refused_by_name(client):
    for path, status in (
        ("/jobs/" + "f" * 32 + "/vertices/map", 404),
        (f"/jobs/{JOB}/vertices/mop", 404),
        (f"{MAP}/subtasks/2", 404),
        (f"{MAP}/subtasks/x", 400),
        (f"{MAP}/records?operator=none", 404),
        (f"{MAP}/records?max=1000", 400),
        (f"{MAP}/records?subtask=7", 404),
        (f"{MAP}/flamegraph?type=on_cpu", 400),
        (f"{MAP}/flamegraph?duration=60000", 400),
        (f"{MAP}/flamegraph?subtaskindex=5", 404),
    ):
        assert client.refused(path)[0] == status, path


def test_only_the_newest_attempt_is_remembered(client):
    assert client.get(f"{MAP}/subtasks/0/attempts/2")["attempt"] == 2
    assert client.refused(f"{MAP}/subtasks/0/attempts/1") == (404, "LESTO-4314")


# ---------------------------------------------------------------------------------------- samples


def test_a_flame_graph_joins_all_slots_and_is_shared_by_pollers(client, cluster):
    found = client.get(f"{MAP}/flamegraph?duration=100")
    assert found["data"]["value"] == 18
    assert found["trimmed"] == ["main", "step"]
    assert [child["name"] for child in found["data"]["children"]] == [
        "f (s-a.py:1)",
        "f (s-b.py:1)",
        "g",
    ]
    assert (found["processes"], found["samples"], found["endTimestamp"]) == (2, 100, 9_000)
    assert client.get(f"{MAP}/flamegraph?duration=100") == found
    assert len(cluster.asked) == 2
    client.get(f"{MAP}/flamegraph?duration=100&subtaskindex=1")
    assert [slot for _, slot in cluster.asked[2:]] == ["s-b"]


def test_a_slot_that_does_not_answer_is_named(client, cluster):
    cluster.silent.add("s-b")
    found = client.get(f"{MAP}/flamegraph?duration=100")
    assert (found["processes"], found["unanswered"]) == (1, ["s-b: it is gone"])
    cluster.silent.add("s-a")
    assert client.refused(f"{MAP}/flamegraph?duration=200")[0] == 404


def test_nothing_is_sampled_of_a_vertex_that_does_not_run(client, cluster):
    for subtask in cluster.details.vertices[1].subtasks:
        subtask.end_time_ms = 2_000
    assert client.refused(f"{MAP}/flamegraph")[0] == 404
    assert not cluster.asked


def test_records_come_from_all_slots_in_turn(client):
    found = client.get(f"{MAP}/records?max=5")
    assert found["operator"] == found["columns"][0] == "op2", "the last of the chain"
    assert [record["values"][0] for record in found["records"]] == [
        "s-a 0",
        "s-b 0",
        "s-a 1",
        "s-b 1",
        "s-a 2",
    ]
    assert [record["timestamp"] for record in found["records"]] == [None, None, 1, 1, 2]
    one = client.get(f"{MAP}/records?operator=op1&subtask=1")
    assert {record["subtask"] for record in one["records"]} == {1}


def test_a_flame_graph_is_bounded():
    stacks = [Stack((f"a{n}", f"b{n}"), 1) for n in range(NODES_MAX)]
    root = tree(stacks)
    assert root["value"] == NODES_MAX, "nothing that was seen is lost from the sum"
    assert sum(1 + len(child["children"]) for child in root["children"]) < NODES_MAX


def test_those_who_ask_the_same_wait_for_one_answer():
    now = [0.0]
    shared = Shared(10, clock=lambda: now[0])
    begun, go, made = threading.Event(), threading.Event(), []

    def make():
        begun.set()
        assert go.wait(10)
        made.append(1)
        return len(made)

    results = []
    threads = [
        threading.Thread(target=lambda: results.append(shared.get("k", make))) for _ in range(5)
    ]
    for thread in threads:
        thread.start()
    assert begun.wait(10)
    go.set()
    for thread in threads:
        thread.join(10)
    assert results == [1] * 5
    now[0] = 9.9
    assert shared.get("k", make) == 1
    now[0] = 10.1
    assert shared.get("k", make) == 2


def test_an_error_is_not_shared_with_those_who_ask_later():
    shared = Shared(10)

    def fails():
        msg = "no"
        raise ValueError(msg)

    with pytest.raises(ValueError, match="no"):
        shared.get("k", fails)
    assert shared.get("k", lambda: 3) == 3


# ----------------------------------------------------------------------------------- a job's past


def test_events_config_and_surroundings(client):
    assert client.get(f"/jobs/{JOB}/events")["events"] == [
        {
            "timestamp": 900,
            "kind": "job.state",
            "subject": "CREATED",
            "cause": "submitted",
            "severity": "info",
        }
    ]
    config = client.get(f"/jobs/{JOB}/config")["execution-config"]
    assert config["restart-strategy"] == "fixed-delay (restart-strategy.type=fixed-delay)"
    assert config["user-config"]["security.token"] == "******"
    entries = client.get(f"/jobs/{JOB}/jobmanager/config")
    assert {"key": "restart-strategy.type", "value": "fixed-delay"} in entries
    environment = client.get(f"/jobs/{JOB}/jobmanager/environment")
    assert environment["jvm"]["version"] == "Python 3.11"
    assert client.get("/datasets") == {"dataSets": []}


def test_a_rescale_that_was_made_and_one_that_was_not(client):
    overview = client.get(f"/jobs/{JOB}/rescales/overview")
    assert overview["rescalesCounts"] == {
        "ignored": 0,
        "inProgress": 0,
        "completed": 1,
        "failed": 1,
    }
    failed, made = client.get(f"/jobs/{JOB}/rescales/history")
    assert overview["latest"]["completed"] == made
    assert made["vertices"]["map"]["preRescaleParallelism"] == 1
    assert made["vertices"]["map"]["postRescaleParallelism"] == 2
    assert (made["pauseInMillis"], made["triggerCause"]) == (200, "UPDATE_REQUIREMENT")
    assert (failed["terminalState"], failed["terminatedReason"]) == ("FAILED", "no slots came")
    assert failed["triggerCause"] == "NEW_RESOURCES"


def test_the_result_of_a_job(client, cluster):
    going_on = story_shapes.execution_result(cluster.details, 5_000)
    assert going_on == {"status": {"id": "IN_PROGRESS"}}
    cluster.details.summary.state = pb.JOB_STATE_FAILED
    cluster.details.summary.end_time_ms = 1_900
    result = client.get(f"/jobs/{JOB}/execution-result")["job-execution-result"]
    assert (result["application-status"], result["net-runtime"]) == ("FAILED", 1_000)
    assert result["failure-cause"]["class"] == "LESTO-4105"


def test_exceptions_show_the_users_code_first_and_what_broke_because_of_it(client):
    answer = client.get(f"/jobs/{JOB}/exceptions")
    (entry,) = answer["exceptionHistory"]["entries"]
    assert entry["exceptionName"] == "LESTO-6001: division by zero"
    first, _, rest = entry["stacktrace"].partition("\n\n")
    assert first == "File job.py, line 3\nZeroDivisionError: division by zero"
    assert "engine.py" in rest
    assert (entry["taskManagerId"], entry["endpoint"]) == ("tm-1", "s-a")
    (concurrent,) = entry["concurrentExceptions"]
    assert concurrent["exceptionName"] == "LESTO-4105: channel broke"
    assert answer["root-exception"].startswith("File job.py, line 3")
    assert answer["timestamp"] == 955
    assert client.get(f"/jobs/{JOB}/exceptions?maxExceptions=0")["exceptionHistory"] == {
        "entries": [],
        "truncated": True,
    }
