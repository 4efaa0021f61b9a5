"""Processes that know each other by certificates: strangers and eavesdroppers are left out."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path

import pytest

from lesto.client.certificates import make_certificates
from lesto.client.errors import JobManagerUnreachableError
from lesto.client.jobmanager_client import JobManagerClient
from lesto.client.run_options import RunOptions
from lesto.common import WatermarkStrategy
from lesto.common.config import Configuration
from lesto.common.tls import internal_tls
from lesto.datastream import StreamExecutionEnvironment
from lesto.datastream.connectors.number_seq import NumberSequenceSource
from tests.fault.cluster import free_port

pytestmark = pytest.mark.cluster

LESTO = [sys.executable, "-m", "lesto.client.cli.main"]
WAIT_SECONDS = 40


def options(folder: Path, who: str) -> dict[str, str]:
    return {
        "security.ssl.internal.enabled": "true",
        "security.ssl.internal.ca": str(folder / "ca.pem"),
        "security.ssl.internal.cert-chain": str(folder / f"{who}.pem"),
        "security.ssl.internal.key": str(folder / f"{who}.key"),
    }


class Processes(contextlib.AbstractContextManager):
    """A JobManager and what connects to it, each process with certificates of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.address = f"127.0.0.1:{self.port}"
        self._running: list[subprocess.Popen] = []

    def start(self, name: str, command: list[str], given: dict[str, str]) -> Path:
        log = self.folder / f"{name}.log"
        settings = [word for key, value in given.items() for word in ("-D", f"{key}={value}")]
        with log.open("w") as stream:
            process = subprocess.Popen(
                [*LESTO, *command, *settings],
                stdout=stream,
                stderr=stream,
                stdin=subprocess.DEVNULL,
                cwd=self.folder,
                env={**os.environ, "NO_PROXY": "*"},
            )
        self._running.append(process)
        return log

    def taskmanager(self, name: str, given: dict[str, str]) -> Path:
        return self.start(name, ["taskmanager", "-m", self.address, "--slots", "1"], given)

    def __exit__(self, *_: object) -> None:
        for process in reversed(self._running):
            process.terminate()
        for process in self._running:
            process.wait(WAIT_SECONDS)


def until(true, what: str) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while not true():
        assert time.monotonic() < deadline, what
        time.sleep(0.1)


def answers(client: JobManagerClient) -> bool:
    try:
        client.cluster()
    except JobManagerUnreachableError:
        return False
    return True


def test_a_cluster_of_certificates(tmp_path) -> None:
    certificates, strangers = tmp_path / "certs", tmp_path / "strangers"
    make_certificates(certificates, ())
    make_certificates(strangers, ())
    node = {**options(certificates, "node"), "execution.checkpointing.dir": str(tmp_path / "ck")}
    with Processes(tmp_path) as processes:
        processes.start(
            "jobmanager", ["jobmanager", "--port", str(processes.port), "--rest-port", "0"], node
        )
        for index in range(2):
            processes.taskmanager(f"taskmanager-{index}", node)
        as_client = processes.taskmanager("a-client", options(certificates, "client"))
        stranger = processes.taskmanager("a-stranger", options(strangers, "node"))
        plain = processes.taskmanager("plain", {})

        config = Configuration.from_dict(options(certificates, "client"))
        with JobManagerClient(processes.address, tls=internal_tls(config)) as client:
            until(lambda: answers(client), "the JobManager starts")
            until(lambda: client.cluster().slots_available == 2, "two TaskManagers register")
            assert _sum_of_a_shuffle(processes.address, config) == sum(range(20_000))
            uris = {slot.flight_uri for tm in client.cluster().taskmanagers for slot in tm.slots}
            assert len(uris) == 2
            assert all(uri.startswith("grpc+tls://") for uri in uris)
        assert "not of a process of the cluster" in as_client.read_text()
        for log in (stranger, plain):
            assert "jobmanager.unreachable" in log.read_text()
        impatient = timedelta(seconds=3)
        with (
            JobManagerClient(processes.address, timeout=impatient) as client,
            pytest.raises(JobManagerUnreachableError),
        ):
            client.jobs()
        other = internal_tls(Configuration.from_dict(options(strangers, "client")))
        with (
            JobManagerClient(processes.address, timeout=impatient, tls=other) as client,
            pytest.raises(JobManagerUnreachableError),
        ):
            client.jobs()


def _sum_of_a_shuffle(address: str, config: Configuration) -> int:
    """Every record crosses from a slot to another or may: two slots, one each TaskManager."""
    env = StreamExecutionEnvironment(config, RunOptions(jobmanager=address))
    env.set_parallelism(2)
    source = NumberSequenceSource(0, 19_999)
    numbers = env.from_source(source, WatermarkStrategy.no_watermarks(), "numbers")
    shuffled = numbers.rebalance().map(lambda number: number)
    with shuffled.execute_and_collect() as results:
        return sum(results)
