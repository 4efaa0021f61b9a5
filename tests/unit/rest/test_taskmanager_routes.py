"""One TaskManager over REST: details, logs, threads."""

import pytest

from lesto.jobmanager.server.rest.errors import RangeError
from lesto.jobmanager.server.rest.log_streams import Part, part_of, pieces
from lesto.proto import runtime_pb2
from tests.unit.rest.served import JOB, LOG, FakeCluster, served

TM = "/taskmanagers/tm-1"


@pytest.fixture
def cluster():
    return FakeCluster()


@pytest.fixture
def client(cluster):
    with served(cluster) as made:
        yield made


def test_a_taskmanager_shows_its_slots_and_their_tasks(client, cluster):
    cluster.silent.add("s-b")
    found = client.get(TM)
    first, second = found["slots"]
    assert [(task["name"], task["subtask"]) for task in first["tasks"]] == [
        ("Source: flights", 0),
        ("one -> two", 0),
    ]
    assert (first["memoryBytes"], second["memoryBytes"]) == (1_000, -1)
    assert found["allocatedSlots"][0] == {"jobId": JOB, "resource": {}, "assignedTasks": 2}
    assert found["metrics"]["heapUsed"] == 2_000
    assert client.refused("/taskmanagers/tm-2") == (404, "LESTO-4131")


def test_threads_of_slots_are_told_from_those_of_the_taskmanager(client):
    threads = client.get(f"{TM}/thread-dump")["threadInfos"]
    assert [thread["threadName"] for thread in threads] == [
        "MainThread",
        "s-a: MainThread",
        "s-b: MainThread",
    ]
    assert "running one -> two" in threads[1]["stringifiedThreadInfo"]


def test_a_flame_graph_by_slot_and_task(client):
    data = client.get(f"{TM}/flamegraph?duration=100")["data"]
    assert [slot["name"] for slot in data["children"]] == ["s-a", "s-b"]
    (task,) = data["children"][0]["children"]
    assert (task["name"], task["value"]) == ("one -> two [0]", 9)
    assert [frame["name"] for frame in task["children"]] == ["f (s-a.py:1)", "g"]


def test_logs_are_listed_and_streamed_whole(client, cluster):
    names = [log["name"] for log in client.get(f"{TM}/logs")["logs"]]
    assert names == ["slot-0.out", "taskmanager.log"]
    status, headers, content = client.raw(f"{TM}/logs/taskmanager.log")
    assert (status, content) == (200, LOG)
    assert headers["content-type"] == "text/plain; charset=utf-8"
    assert headers["x-content-type-options"] == "nosniff"
    assert client.raw(f"{TM}/log")[2] == LOG
    assert client.raw(f"{TM}/stdout")[2] == b"==> slot-0.out <==\n" + LOG
    assert sum(kind == "read_log" for kind, _ in cluster.asked) > 3, "in pieces"


def test_the_end_of_a_log_and_ranges_of_it(client):
    log = f"{TM}/logs/taskmanager.log"
    assert client.raw(f"{log}?offset=-7")[2] == LOG[-7:]
    assert client.raw(f"{log}?offset=999990")[2] == LOG[999_990:]
    assert client.raw(f"{log}?offset=5000000")[2] == b""
    status, headers, content = client.raw(log, {"Range": "bytes=5-14"})
    assert (status, content) == (206, LOG[5:15])
    assert headers["content-range"] == f"bytes 5-14/{len(LOG)}"
    status, _, content = client.raw(log, {"Range": "bytes=9999999-"})
    assert status == 416
    assert b"LESTO-4315" in content


def test_no_path_of_a_request_reaches_files(client, cluster):
    for name in ("..%2f..%2fetc%2fpasswd", "%2e%2e", "a%2fb", "a%00b", ".hidden", "x" * 300):
        status, _, _ = client.raw(f"{TM}/logs/{name}")
        assert status in {400, 404}, name
    assert not [kind for kind, _ in cluster.asked if kind == "read_log"]
    assert client.refused(f"{TM}/logs/other.log") == (404, "LESTO-4130")


@pytest.mark.parametrize(
    ("header", "part"),
    [
        ("", None),
        ("bytes=0-0", Part(0, 1)),
        ("bytes=90-200", Part(90, 100)),
        ("bytes=10-", Part(10, 100)),
        ("bytes=-200", Part(0, 100)),
        ("bytes=-", None),
        ("bytes=1-2,5-6", None),
        ("bytes=a-b", None),
    ],
)
def test_ranges(header, part):
    assert part_of(header, 100) == part


@pytest.mark.parametrize("header", ["bytes=100-", "bytes=9-3", "bytes=-0"])
def test_ranges_that_the_file_does_not_have(header):
    with pytest.raises(RangeError, match="100 bytes"):
        part_of(header, 100)


def test_a_file_that_was_rotated_meanwhile_ends_there():
    answers = [
        runtime_pb2.ReadLogAnswer(content=b"abc", offset=0, size_bytes=9),
        runtime_pb2.ReadLogAnswer(content=b"", offset=3, size_bytes=2),
    ]
    assert list(pieces(lambda _offset, _count: answers.pop(0), Part(0, 9))) == [b"abc"]
