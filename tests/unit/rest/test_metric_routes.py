"""Metrics over REST: Flink's ids, values and aggregates."""

import pytest

from lesto.jobmanager.server.rest.flink_metrics import metric_id
from lesto.jobmanager.server.rest.rates import TASKS_MAX, WINDOW_MS, Rates
from lesto.proto import runtime_pb2
from tests.unit.rest.served import JOB, FakeCluster, served

MAP = f"/jobs/{JOB}/vertices/map"


@pytest.fixture
def cluster():
    return FakeCluster()


@pytest.fixture
def client(cluster):
    with served(cluster) as made:
        yield made


def values(answer):
    return {entry["id"]: entry["value"] for entry in answer}


def test_what_reports_say_is_answered_without_asking_processes(client, cluster):
    names = "0.numRecordsIn,1.busyTimeMsPerSecond,0.two__2_0.numRecordsOut,0.numRecordsOutPerSecond"
    assert values(client.get(f"{MAP}/metrics?get={names}")) == {
        "0.numRecordsIn": "50",
        "1.busyTimeMsPerSecond": "900",
        "0.two__2_0.numRecordsOut": "20",
        "0.numRecordsOutPerSecond": "2",
    }
    assert not cluster.asked


def test_users_metrics_come_from_the_slots_under_flinks_names(client, cluster):
    listed = {entry["id"] for entry in client.get(f"{MAP}/metrics")}
    assert {"0.one.numLateEvents", "1.checkpointAlignmentTime", "1.numRecordsOut"} <= listed
    found = client.get(f"{MAP}/subtasks/1/metrics?get=one.numLateEvents,checkpointAlignmentTime")
    assert values(found)["one.numLateEvents"] == "3"
    assert {slot for _, slot in cluster.asked} == {"s-a", "s-b"}
    assert len(cluster.asked) == 2, "an answer is shared for a second"


def test_unknown_names_are_left_out(client):
    assert client.get(f"{MAP}/subtasks/0/metrics?get=none,numBytesIn") == [
        {"id": "numBytesIn", "value": "500"}
    ]


def test_aggregates_over_subtasks(client):
    found = client.get(f"{MAP}/subtasks/metrics?get=busyTimeMsPerSecond")
    assert found == [{"id": "busyTimeMsPerSecond", "min": 250, "max": 900, "avg": 575, "sum": 1150}]
    (one,) = client.get(f"{MAP}/subtasks/metrics?get=busyTimeMsPerSecond&agg=max&subtasks=0-0")
    assert one == {"id": "busyTimeMsPerSecond", "max": 250}
    assert client.refused(f"{MAP}/subtasks/metrics?agg=median")[0] == 400
    assert client.refused(f"{MAP}/subtasks/metrics?subtasks=a-b")[0] == 400


def test_a_jobs_metrics(client):
    found = client.get(f"/jobs/{JOB}/metrics?get=numRestarts,numRescales,numberOfFailedCheckpoints")
    assert values(found) == {
        "numRestarts": "1",
        "numRescales": "1",
        "numberOfFailedCheckpoints": "0",
    }
    (restarts,) = client.get(f"/jobs/metrics?get=numRestarts&jobs={JOB}&agg=sum")
    assert restarts == {"id": "numRestarts", "sum": 1}
    assert {"id": "uptime"} in client.get("/jobs/metrics")
    assert client.refused("/jobs/metrics?jobs=x")[0] == 400


def test_a_taskmanagers_metrics_are_those_of_all_its_processes(client):
    name = "Status.JVM.Memory.Heap.Used"
    found = client.get(f"/taskmanagers/tm-1/metrics?get={name},slot.1.{name}")
    assert values(found) == {name: "3000", f"slot.1.{name}": "1000"}
    (memory,) = client.get(f"/taskmanagers/metrics?get={name}&agg=max")
    assert memory == {"id": name, "max": 3000}
    assert client.refused("/taskmanagers/tm-9/metrics")[0] == 404


def metric(name, value=1.0, **labels):
    return metric_id(runtime_pb2.MetricValue(name=name, value=value, labels=labels))


def test_ids_of_series():
    task = {"job_id": JOB, "task": "t", "subtask": "0"}
    for found, wanted in (
        (metric("lesto_records_in_total", **task, operator="a b"), ("a_b.numRecordsIn", 1)),
        (metric("lesto_job_uptime_seconds", 2.5), ("uptime", 2_500)),
        (metric("lesto_job_state_seconds_total", state="RUNNING"), ("runningTime", 1_000)),
        (metric("process_cpu_seconds_total", 2), ("Status.JVM.CPU.Time", 2e9)),
        (metric("lesto_hits_total", **task, operator="f", kind="cold"), ("f.cold.hits", 1)),
        (
            metric("lesto_slot_mailbox_latency_seconds", quantile="0.95"),
            ("mailboxLatencyMs_p95", 1_000),
        ),
        (metric("lesto_slot_mailbox_latency_seconds_count", 7), ("mailboxLatencyMs_count", 7)),
        (metric("lesto_slot_mailbox_latency_seconds_sum"), None),
        (metric("python_gc_collections_total"), None),
    ):
        assert found == wanted


def test_a_rate_is_that_of_the_last_seconds():
    rates = Rates()
    assert rates.per_second("t", 10_000, {"n": 100}) == {"n": 10.0}, "the mean at first"
    assert rates.per_second("t", 10_000, {"n": 100}) == {"n": 10.0}
    assert rates.per_second("t", 11_000, {"n": 400}) == {"n": 300.0}
    later = 11_000 + WINDOW_MS
    assert rates.per_second("t", later, {"n": 400}) == {"n": pytest.approx(300 / 6)}
    assert rates.per_second("t", later + 1_000, {"n": 400}) == {"n": 0.0}
    for number in range(2 * TASKS_MAX):
        rates.per_second(number, 1, {"n": 1})
    assert len(rates._looks) == TASKS_MAX
