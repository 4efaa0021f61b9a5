"""The REST server in a process of its own: handed the port, replaced when it dies, ends with us."""

import json
import logging
import os
import signal
import socket
import subprocess
import sys
import time

import pytest

from lesto.common.config import Configuration
from lesto.common.metrics import MetricRegistry
from lesto.jobmanager.server.rest import control, process
from lesto.jobmanager.server.rest.control import LOG_LINES_PER_SECOND_MAX, LogHandler
from lesto.jobmanager.server.rest.errors import InsecureRestError
from lesto.jobmanager.server.rest.process import RestProcess
from tests.unit.rest.test_rest import Client

NO_JOBMANAGER = "127.0.0.1:1"


@pytest.fixture
def rest(caplog):
    caplog.set_level(logging.INFO)
    metrics = MetricRegistry()
    metrics.group(job_id="j").counter("restarts").inc()
    made = RestProcess(Configuration.from_dict({"rest.port": 0}), metrics)
    yield made
    made.stop()


def test_it_serves_our_metrics_and_logs_into_our_log(rest, caplog):
    client = Client(rest.start(NO_JOBMANAGER))
    assert 'lesto_restarts_total{job_id="j"} 1.0' in client.get("/metrics").text
    answer = client.get("/jobs")
    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "1"
    deadline = time.monotonic() + 5
    while answer.json()["error_id"] not in caplog.text:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_one_that_dies_is_replaced_and_no_connection_refused(rest, caplog):
    client = Client(rest.start(NO_JOBMANAGER))
    assert client.get("/openapi.json").status_code == 200
    first = rest.process.pid
    os.kill(first, signal.SIGKILL)
    assert client.get("/openapi.json").status_code == 200
    assert rest.process.pid != first
    assert "rest.process_ended code=-9" in caplog.text


def test_a_machine_without_room_for_a_process_gets_one_later(rest, caplog, monkeypatch):
    start, failed = subprocess.Popen, []

    def once(*arguments, **more):
        if not failed:
            failed.append(True)
            raise BlockingIOError(11, "Resource temporarily unavailable")
        return start(*arguments, **more)

    monkeypatch.setattr(process.subprocess, "Popen", once)
    assert Client(rest.start(NO_JOBMANAGER)).get("/openapi.json").status_code == 200
    assert "rest.process_not_started" in caplog.text


def test_a_metric_that_raises_costs_that_answer_alone(rest, caplog, monkeypatch):
    client = Client(rest.start(NO_JOBMANAGER))
    with monkeypatch.context() as patch:
        patch.setattr(rest._metrics, "text", lambda: 1 / 0)
        ours, theirs = socket.socketpair()
        with theirs:
            line = control.Line(ours)
            rest._take(line, {"metrics": 1})
            line.close()
            assert theirs.recv(1) == b""  # no answer rather than a wrong one
    assert "rest.metrics_failed" in caplog.text
    assert client.get("/metrics").status_code == 200


def test_it_stops_at_once_and_frees_the_port(rest):
    address = rest.start(NO_JOBMANAGER)
    Client(address).get("/openapi.json")
    process = rest.process
    began = time.monotonic()
    rest.stop()
    rest.stop()
    assert process.poll() == 0
    assert time.monotonic() - began < 4
    with pytest.raises(OSError):  # noqa: PT011
        Client(address).get("/openapi.json")


def test_it_ends_with_its_jobmanager():
    program = (
        "import sys, time\n"
        "from lesto.common.config import Configuration\n"
        "from lesto.jobmanager.server.rest.process import RestProcess\n"
        "rest = RestProcess(Configuration.from_dict({'rest.port': 0}))\n"
        f"address = rest.start({NO_JOBMANAGER!r})\n"
        "while rest.process is None: time.sleep(0.01)\n"
        "print(address, rest.process.pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    with parent:
        address, pid = parent.stdout.readline().split()
        assert Client(address).get("/openapi.json").status_code == 200
        parent.kill()
    deadline = time.monotonic() + 10
    while os.path.exists(f"/proc/{pid}"):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_what_cannot_be_served_is_refused_before_anything_starts():
    with pytest.raises(InsecureRestError):
        RestProcess(Configuration.from_dict({"rest.bind-address": "0.0.0.0"}))


def test_a_flood_of_log_lines_is_counted_not_told(monkeypatch):
    sent = []

    class Line:
        def send(self, message):
            sent.append(json.dumps(message))

    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    handler = LogHandler(Line())
    record = logging.LogRecord("x", logging.ERROR, "", 0, "text", (), None)
    for _ in range(LOG_LINES_PER_SECOND_MAX + 30):
        handler.emit(record)
    assert len(sent) == LOG_LINES_PER_SECOND_MAX
    now[0] += 1
    handler.emit(record)
    assert "count=30" in sent[-2]
