"""A job on real processes, as REST tells of it: its tasks, what it does, what happened to it."""

import http.client
import json
import os
import signal
import time

import pytest

from lesto.client.jobmanager_client import JobManagerClient
from lesto.client.minicluster import MiniCluster
from lesto.client.run_options import RunOptions
from lesto.common import RestartStrategies, WatermarkStrategy
from lesto.common.config import Configuration
from lesto.connectors.datagen import DataGenSource, sequence
from lesto.connectors.memory.blackhole import BlackholeSink
from lesto.datastream import MapFunction, StreamExecutionEnvironment
from lesto.jobmanager.server.rest.server import RestServer

pytestmark = pytest.mark.cluster

WAIT_SECONDS = 40


class Slow(MapFunction):
    def open(self, runtime_context):
        self.seen = runtime_context.get_metrics_group().counter("numSeen")

    def map(self, value):
        self.seen.inc()
        time.sleep(0.002)
        return value.t % 7


class Watched:
    """The job behind a REST server."""

    def __init__(self, address, client):
        self.address = address
        self.client = client
        (job,) = self.get("/jobs")["jobs"]
        self.job = f"/jobs/{job['id']}"
        self.wait(lambda: self.details()["vertices"][0]["metrics"]["write-records"] > 50)
        vertices = self.details()["vertices"]
        self.source, self.sink = (f"{self.job}/vertices/{one['id']}" for one in vertices)

    def get(self, path):
        connection = http.client.HTTPConnection(self.address, timeout=30)
        try:
            connection.request("GET", path, headers={"Accept": "*/*"})
            answer = connection.getresponse()
            text = answer.read().decode()
            assert answer.status == 200, (path, text)
            return json.loads(text) if "json" in answer.headers["content-type"] else text
        finally:
            connection.close()

    def details(self):
        return self.get(self.job)

    def events(self, *kinds):
        found = self.get(f"{self.job}/events")["events"]
        return [event for event in found if event["kind"] in kinds]

    @staticmethod
    def wait(holds):
        deadline = time.monotonic() + WAIT_SECONDS
        while not holds():
            assert time.monotonic() < deadline
            time.sleep(0.1)


@pytest.fixture
def watched():
    with MiniCluster(Configuration(), slots=2) as cluster:
        cluster.wait_ready()
        config = Configuration.from_dict({"security.token": cluster.token})
        env = StreamExecutionEnvironment(config, RunOptions(jobmanager=cluster.address))
        env.set_parallelism(2).enable_checkpointing(200)
        env.set_restart_strategy(RestartStrategies.fixed_delay_restart(3, 100))
        source = DataGenSource({"t": sequence()}, rows_per_second=400)
        stream = env.from_source(source, WatermarkStrategy.no_watermarks(), "numbers")
        keyed = stream.map(Slow()).name("slow, one").key_by(lambda value: value)
        keyed.map(lambda value: value + 1).sink_to(BlackholeSink())
        env.execute_async("watched")
        rest = RestServer(Configuration.from_dict({"rest.port": 0}))
        with JobManagerClient(cluster.address, cluster.token) as client:
            try:
                yield Watched(rest.start(client), client)
            finally:
                rest.stop()


def test_a_job_is_told_from_its_numbers_to_its_end(watched):
    _its_numbers(watched)
    _its_samples(watched)
    _its_processes(watched)
    _a_lost_process(watched)
    _a_rescale(watched)
    _its_end(watched)


def _its_numbers(watched):
    watched.wait(lambda: watched.get(f"{watched.source}/backpressure")["status"] == "ok")
    busy = "accumulated-busy-time"
    watched.wait(lambda: watched.get(watched.source)["subtasks"][0]["metrics"][busy] > 0)
    first = watched.get(watched.source)["subtasks"][0]
    assert first["status"] == "RUNNING"
    assert first["metrics"]["write-records"] > 0
    assert 0 <= first["activity"]["busy"] <= 1
    times = watched.get(f"{watched.source}/subtasktimes")["subtasks"][0]["timestamps"]
    assert 0 < times["DEPLOYING"] <= times["RUNNING"]
    listed = {entry["id"] for entry in watched.get(f"{watched.source}/metrics")}
    assert {"0.numRecordsOut", "1.slow__one.numSeen", "0.Source__numbers.numRecordsOut"} <= listed
    (rate,) = watched.get(f"{watched.source}/subtasks/metrics?get=numRecordsOutPerSecond&agg=sum")
    assert 0 < rate["sum"] < 1_000, "no more than the source was told to make"
    (seen,) = watched.get(f"{watched.source}/subtasks/0/metrics?get=slow__one.numSeen")
    assert float(seen["value"]) > 0


def _its_samples(watched):
    graph = watched.get(f"{watched.source}/flamegraph?duration=500&interval=5")
    assert "Slow.map (" in json.dumps(graph["data"])
    assert graph["unanswered"] == []
    sample = watched.get(f"{watched.source}/records?max=4&timeout=4000")
    assert len(sample["records"]) == 4
    assert all(record["values"][0] in set("0123456") for record in sample["records"])


def _its_processes(watched):
    (worker,) = watched.get("/taskmanagers")["taskmanagers"]
    tm = f"/taskmanagers/{worker['id']}"
    first, second = watched.get(tm)["slots"]
    assert len({task["subtask"] for task in first["tasks"]}) == 1, "one of each vertex"
    assert len(first["tasks"]) == 2
    assert min(first["memoryBytes"], second["memoryBytes"]) > 1_000_000
    dump = watched.get(f"{tm}/thread-dump")["threadInfos"]
    assert any(first["id"] in thread["threadName"] for thread in dump)
    logs = {log["name"]: log["size"] for log in watched.get(f"{tm}/logs")["logs"]}
    assert logs["slot-0.log"] == len(watched.get(f"{tm}/logs/slot-0.log").encode()) > 0


def _a_lost_process(watched):
    (worker,) = watched.get("/taskmanagers")["taskmanagers"]
    os.kill(worker["slots"][0]["pid"], signal.SIGKILL)
    watched.wait(lambda: len(watched.events("task.restarted")) == 2)
    (lost,) = watched.events("slot.lost")
    assert lost["cause"].startswith("killed by signal 9")
    assert worker["id"] in lost["subject"]
    (restart,) = watched.events("region.restarting")
    assert restart["subject"] == "all 4 tasks"
    assert "killed by signal 9 (SIGKILL) → 4 tasks restart from checkpoint " in restart["cause"]
    assert restart["cause"].endswith(" s; restart 1 of 3 (fixed-delay)")
    (restored,) = watched.events("job.restored")
    assert restored["subject"] in restart["cause"]
    # A neighbour's broken channel may be told too, and first.
    entries = watched.get(f"{watched.job}/exceptions")["exceptionHistory"]["entries"]
    assert {failure["taskManagerId"] for failure in entries} == {worker["id"]}
    assert any(
        "SlotLost" in failure["exceptionName"] or "4105" in str(failure) for failure in entries
    )
    assert watched.get(f"{watched.source}/subtasks/0")["attempt"] == 2


def _a_rescale(watched):
    watched.client.rescale(watched.job.rpartition("/")[2], 1)
    watched.wait(lambda: watched.get(f"{watched.job}/rescales/history"))
    (made,) = watched.get(f"{watched.job}/rescales/history")
    assert made["terminalState"] == "COMPLETED"
    assert {v["postRescaleParallelism"] for v in made["vertices"].values()} == {1}
    assert made["pauseInMillis"] > 0
    (rescaled,) = watched.events("job.rescaled")
    assert "2 -> 1" in rescaled["subject"]


def _its_end(watched):
    watched.client.cancel(watched.job.rpartition("/")[2])
    watched.wait(lambda: watched.details()["state"] == "CANCELED")
    states = [event["subject"] for event in watched.events("job.state")]
    assert states[:3] == ["CREATED", "RUNNING", "RESTARTING"]
    assert states[-2:] == ["CANCELLING", "CANCELED"], "the archive keeps the story"
    assert watched.events("slot.lost")
    result = watched.get(f"{watched.job}/execution-result")["job-execution-result"]
    assert result["application-status"] == "CANCELED"
    assert (
        watched.get(f"{watched.job}/config")["execution-config"]["user-config"][
            "restart-strategy.fixed-delay.attempts"
        ]
        == "3"
    )
