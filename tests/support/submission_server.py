"""A cluster with a REST server that runs what is uploaded or typed."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path

import httpx

from lesto.client.jobmanager_client import JobManagerClient
from lesto.client.minicluster import MiniCluster
from lesto.common.config import Configuration
from lesto.jobmanager.server.rest.server import RestServer
from lesto.jobmanager.server.submission.runs import Target


class Served:
    """The server, and a client of it."""

    def __init__(self, rest, http, jobmanager, folder):
        self.rest = rest
        self.http = http
        self.jobmanager = jobmanager
        self.folder = Path(folder)

    @property
    def submission(self):
        return self.rest._submission

    def upload(self, content, name="job.py"):
        content = content.encode() if isinstance(content, str) else content
        answer = self.http.post("/jars/upload", files={"jarfile": (name, content)})
        assert answer.status_code == 200, answer.text
        return answer.json()["id"]

    def run(self, content, name="job.py", **body):
        return self.http.post(f"/jars/{self.upload(content, name)}/run", json=body)

    def state(self, job_id):
        return self.http.get(f"/jobs/{job_id}/status").json()["status"]

    def wait_state(self, job_id, *wanted):
        eventually(lambda: self.state(job_id) in wanted)
        return self.state(job_id)


def eventually(condition, seconds=20.0):
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, "not in time"
        time.sleep(0.02)
    return found


@contextlib.contextmanager
def serve(tmp_path, slots=2, **options):
    """A cluster with slots and a REST server with options of it."""
    config = Configuration.from_dict(
        {"rest.port": 0, "io.tmp.dirs": str(tmp_path), **{k: str(v) for k, v in options.items()}}
    )
    with contextlib.ExitStack() as stack:
        cluster = stack.enter_context(MiniCluster(config, slots=slots))
        client = stack.enter_context(JobManagerClient(cluster.address, cluster.token))
        rest = RestServer(config)
        stack.callback(rest.stop)
        address = rest.start(client, Target(lambda: client.address, cluster.token, client.cancel))
        http = httpx.Client(base_url=f"http://{address}", timeout=60)
        stack.enter_context(http)
        cluster.wait_ready()
        yield Served(rest, http, client, tmp_path)
