"""A cluster with jobs, its REST server, and a real Prometheus that scrapes both."""

import json
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

import pytest

from lesto.client.jobmanager_client import JobManagerClient
from lesto.client.minicluster import MiniCluster
from lesto.common import Configuration, options
from lesto.jobmanager.server.rest.server import RestServer
from tests.metrics.expressions import ALERTS, CONFIG
from tests.metrics.jobs import measured_job, sql_job

WAIT_SECONDS = 60


@dataclass
class World:
    """What runs."""

    client: JobManagerClient
    rest: str
    job_id: str
    folder: Path
    prometheus: "Prometheus | None" = None

    def get(self, path):
        """What REST answers."""
        with urllib.request.urlopen(f"http://{self.rest}{path}", timeout=20) as answer:
            return json.load(answer)


@pytest.fixture(scope="package")
def world(tmp_path_factory):
    """A cluster whose job has failed once, gone on, and taken checkpoints since."""
    folder = tmp_path_factory.mktemp("measured")
    with MiniCluster(Configuration(), slots=4) as cluster:
        cluster.wait_ready()
        rest = RestServer(Configuration.from_dict({options.REST_PORT.key: 0}))
        with JobManagerClient(cluster.address, cluster.token) as client:
            address = rest.start(client)
            try:
                job = measured_job(cluster, folder)
                result = sql_job(cluster)
                with job, result.get_job_client() as other:
                    wait_until_restarted(client, job.job_id)
                    made = World(client, address, job.job_id, folder)
                    try:
                        yield made
                    finally:
                        if made.prometheus is not None:
                            made.prometheus.stop()
                    job.cancel_and_wait()
                    other.cancel_and_wait()
            finally:
                rest.stop()


def wait_until_restarted(client, job_id):
    deadline = time.monotonic() + WAIT_SECONDS
    while True:
        details = client.job(job_id)
        latest, restored = details.checkpoints.latest_completed, details.checkpoints.latest_restored
        if details.summary.restarts and latest.checkpoint_id > restored.checkpoint_id > 0:
            return
        assert time.monotonic() < deadline, details.summary
        time.sleep(0.2)


class Prometheus:
    """A server of Debian's package, on a free port of loopback."""

    def __init__(self, rest, folder):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.address = f"127.0.0.1:{free.getsockname()[1]}"
        shutil.copy(ALERTS, folder)
        text = CONFIG.read_text(encoding="utf-8")
        assert text.count("127.0.0.1:8081") == 3, "twice, and once in a comment"
        text = text.replace("127.0.0.1:8081", rest).replace("15s", "1s")
        (folder / "prometheus.yml").write_text(text, encoding="utf-8")
        self._log = (folder / "log").open("w", encoding="utf-8")
        command = [
            "prometheus",
            f"--config.file={folder}/prometheus.yml",
            f"--storage.tsdb.path={folder}/data",
            f"--web.listen-address={self.address}",
            "--log.level=warn",
        ]
        self._process = subprocess.Popen(command, stdout=self._log, stderr=self._log)

    def query(self, expression):
        """Series of an instant query; an error fails the test."""
        answer = self._get(f"/api/v1/query?{urllib.parse.urlencode({'query': expression})}")
        assert answer["status"] == "success", (expression, answer)
        assert not answer.get("warnings"), (expression, answer)
        return answer["data"]["result"]

    def rules(self):
        """The alerts with their health."""
        groups = self._get("/api/v1/rules")["data"]["groups"]
        return [rule for group in groups for rule in group["rules"]]

    def targets(self):
        """What is scraped."""
        return self._get("/api/v1/targets")["data"]["activeTargets"]

    def _get(self, path):
        try:
            with urllib.request.urlopen(f"http://{self.address}{path}", timeout=20) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                if error.code == HTTPStatus.SERVICE_UNAVAILABLE:  # it starts: ``wait`` goes on
                    raise
                return json.load(error)

    def wait(self, done):
        """Until ``done(self)`` is true."""
        deadline = time.monotonic() + WAIT_SECONDS
        while True:
            try:
                if done(self):
                    return
            except OSError:  # it is not up yet
                assert self._process.poll() is None, "prometheus has ended: see its log"
            assert time.monotonic() < deadline, "prometheus does not see what it should"
            time.sleep(0.3)

    def stop(self):
        """End it."""
        self._process.terminate()
        self._process.wait(30)
        self._log.close()


@pytest.fixture
def prometheus(world):
    """Prometheus, once it has scraped everything for some seconds; it ends with the cluster."""
    if shutil.which("prometheus") is None:
        pytest.skip("needs prometheus: apt-get install --no-install-recommends prometheus")
    if world.prometheus is None:
        world.prometheus = Prometheus(world.rest, world.folder)
    server = world.prometheus
    server.wait(lambda p: len(p.targets()) == 6)  # JobManager, TaskManager, four slots
    server.wait(lambda p: len(p.query("count_over_time(up[20s]) > 8")) == 6)
    return server
