"""Flink's own command line against a cluster of Lesto.

What it sends is kept in ``flink_cli_requests.json`` and sent again in each run. The command itself
runs with LESTO_TEST_FLINK_CLI=1; LESTO_TEST_FLINK_CLI=record writes the file anew.
"""

import http.client
import json
import os
import time
from pathlib import Path

import flink_cli
import pytest

from lesto.client.jobmanager_client import JobManagerClient
from lesto.client.minicluster import MiniCluster
from lesto.client.run_options import RunOptions
from lesto.common import WatermarkStrategy
from lesto.common.config import Configuration
from lesto.connectors.datagen import DataGenSource, sequence
from lesto.connectors.memory.blackhole import BlackholeSink
from lesto.datastream import StreamExecutionEnvironment
from lesto.jobmanager.server.rest.server import RestServer
from lesto.proto import client_pb2

pytestmark = pytest.mark.cluster

KEPT = Path(__file__).parent / "flink_cli_requests.json"
WANTED = os.environ.get("LESTO_TEST_FLINK_CLI", "")
WAIT_SECONDS = 30
JOBS = ("first", "second", "third")


class Scene:
    """A cluster with three endless jobs, and its REST server."""

    def __init__(self, cluster, client, address, savepoints):
        self.client = client
        self.address = address
        self.savepoints = savepoints
        self.jobs = {name: self._submit(cluster, name) for name in JOBS}
        for job in self.jobs.values():
            self.wait(job, client_pb2.JOB_STATE_RUNNING, tasks=1)

    def _submit(self, cluster, name):
        config = Configuration.from_dict({"security.token": cluster.token})
        env = StreamExecutionEnvironment(config, RunOptions(jobmanager=cluster.address))
        env.set_parallelism(1).enable_checkpointing(60_000)
        source = DataGenSource({"t": sequence()}, rows_per_second=50)
        stream = env.from_source(source, WatermarkStrategy.no_watermarks(), "numbers")
        stream.sink_to(BlackholeSink())
        return str(env.execute_async(name).get_job_id())

    def wait(self, job_id, state, tasks=0):
        deadline = time.monotonic() + WAIT_SECONDS
        while True:
            found = self.client.job(job_id).summary
            if found.state == state and found.tasks_running >= tasks:
                return found
            assert time.monotonic() < deadline, f"{found} does not become {state}"
            time.sleep(0.05)

    def newest_savepoint(self):
        """Path of the newest savepoint that is there."""
        found = sorted(self.savepoints.iterdir(), key=lambda path: path.stat().st_mtime)
        return str(found[-1])

    def names(self):
        """Placeholders by text."""
        found = {job: name for name, job in self.jobs.items()}
        if self.savepoints.exists():
            found |= {str(path): "savepoint" for path in self.savepoints.iterdir()}
        return found | {str(self.savepoints): "savepoints"}


@pytest.fixture
def scene(tmp_path):
    savepoints = tmp_path / "savepoints"
    with MiniCluster(Configuration(), slots=3) as cluster:
        cluster.wait_ready()
        key = "execution.checkpointing.savepoint-dir"
        rest = RestServer(Configuration.from_dict({"rest.port": 0, key: str(savepoints)}))
        with JobManagerClient(cluster.address, cluster.token) as client:
            address = rest.start(client)
            try:
                yield Scene(cluster, client, address, savepoints)
            finally:
                rest.stop()


class Step:
    """One command, what it has to print, and what it has to have done."""

    def __init__(self, name, arguments, prints, *, code=0, then=None):
        self.name = name
        self.arguments = arguments  # of the scene
        self.prints = prints
        self.code = code
        self.then = then


STEPS = (
    Step(
        "list",
        lambda _scene: ["list", "-a"],
        ["first (RUNNING)", "second (RUNNING)", "third (RUNNING)", "No scheduled jobs."],
    ),
    Step(
        "savepoint",
        lambda scene: ["savepoint", scene.jobs["first"], str(scene.savepoints)],
        ["Savepoint completed. Path: "],
        then=lambda scene: (Path(scene.newest_savepoint()) / "_metadata").exists(),
    ),
    Step(
        "checkpoint",
        lambda scene: ["checkpoint", scene.jobs["first"]],
        ["Checkpoint 2 for job", "completed."],
        then=lambda scene: scene.client.job(scene.jobs["first"]).checkpoints.completed == 2,
    ),
    Step(
        "dispose",
        lambda scene: ["savepoint", "-d", scene.newest_savepoint()],
        ["disposed."],
        then=lambda scene: not list(scene.savepoints.glob("*/_metadata")),
    ),
    Step(
        "dispose-missing",
        lambda scene: ["savepoint", "-d", str(scene.savepoints / "savepoint-none")],
        ["LESTO-5003"],
        code=1,
    ),
    Step(
        "stop",
        lambda scene: ["stop", "-p", str(scene.savepoints), scene.jobs["first"]],
        ["Savepoint completed. Path: "],
        then=lambda scene: scene.wait(scene.jobs["first"], client_pb2.JOB_STATE_FINISHED),
    ),
    Step(
        "cancel",
        lambda scene: ["cancel", scene.jobs["second"]],
        ["Cancelled job"],
        then=lambda scene: scene.wait(scene.jobs["second"], client_pb2.JOB_STATE_CANCELED),
    ),
    Step(
        "stop-draining",
        lambda scene: ["stop", "-d", "-p", str(scene.savepoints), scene.jobs["third"]],
        ["Savepoint completed. Path: "],
        then=lambda scene: scene.wait(scene.jobs["third"], client_pb2.JOB_STATE_FINISHED),
    ),
)


def connected(arguments, address):
    """The command's arguments with the cluster's address."""
    return [arguments[0], "-m", address, *arguments[1:]]


@pytest.mark.timeout(300)
@pytest.mark.skipif(not WANTED, reason="set LESTO_TEST_FLINK_CLI=1: it starts eight JVMs")
def test_the_command_line_of_flink(scene, tmp_path):
    if problem := flink_cli.missing():
        pytest.skip(problem)
    sent = {}
    with flink_cli.Recorder(scene.address) as recorder:
        for step in STEPS:
            recorder.exchanges.clear()
            arguments = connected(step.arguments(scene), recorder.address)
            names = scene.names() | {recorder.address.partition(":")[2]: "port"}
            code, out, error = flink_cli.flink(tmp_path, *arguments)
            assert code == step.code, (step.name, out, error)
            for text in step.prints:
                assert text in out + error, (step.name, out, error)
            assert step.then is None or step.then(scene), step.name
            sent[step.name] = once(flink_cli.named(e, names) for e in recorder.exchanges)
    if WANTED == "record":
        KEPT.write_text(json.dumps(sent, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    assert sent == json.loads(KEPT.read_text(encoding="utf-8")), "run with =record and look"


def once(exchanges):
    """Asking again until an operation is complete is one exchange: the last."""
    found = {}
    for exchange in exchanges:
        key = (exchange["method"], exchange["path"])
        found.pop(key, None)
        found[key] = exchange
    return list(found.values())


def test_what_it_sends_is_answered_in_the_form_that_it_reads(scene):
    kept = json.loads(KEPT.read_text(encoding="utf-8"))
    assert kept.keys() == {step.name for step in STEPS}
    for step in STEPS:
        arguments = step.arguments(scene)
        values = {name: text for text, name in scene.names().items()}
        values["savepoint"] = arguments[-1]
        for exchange in kept[step.name]:
            answer = replay(scene, exchange, values)
            assert agrees(flink_cli.form(answer), exchange["answer"]), (step.name, answer)
            values["trigger"] = (answer or {}).get("request-id", values.get("trigger"))
        if step.code:
            assert step.prints[0] in answer["operation"]["failure-cause"]["stack-trace"]
        assert step.then is None or step.then(scene), step.name


def replay(scene, exchange, values):
    """Send a request as Flink did; again while its operation goes on."""
    path, body = exchange["path"], exchange["body"]
    if body is not None and body.get("triggerId") == "<trigger>":
        body = {key: text for key, text in body.items() if key != "triggerId"}
    for name, text in values.items():
        path = path.replace(f"<{name}>", str(text))
        body = json.loads(json.dumps(body).replace(f"<{name}>", str(text)))
    deadline = time.monotonic() + WAIT_SECONDS
    while True:
        connection = http.client.HTTPConnection(scene.address, timeout=30)
        try:
            content = None if body is None else json.dumps(body)
            connection.request(exchange["method"], path, content, exchange["headers"])
            response = connection.getresponse()
            text = response.read()
        finally:
            connection.close()
        assert response.status == exchange["status"], (path, text)
        answer = json.loads(text) if text else None
        status = answer.get("status") if isinstance(answer, dict) else None
        if not isinstance(status, dict) or status["id"] == "COMPLETED":
            return answer
        assert time.monotonic() < deadline, (path, answer)
        time.sleep(0.05)


def agrees(found, wanted):
    """Whether an answer has all that the recorded one had, of the same kinds."""
    if isinstance(wanted, dict):
        return isinstance(found, dict) and all(
            name in found and agrees(found[name], form) for name, form in wanted.items()
        )
    if isinstance(wanted, list):
        return isinstance(found, list) and (not wanted or not found or agrees(found[0], wanted[0]))
    return found == wanted
