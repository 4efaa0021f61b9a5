"""`lesto dev`, `jobmanager`, `taskmanager`, `run` as real processes: nothing is left behind."""

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request

import psutil
import pytest

from lesto.client.cli.exit_codes import ExitCode

pytestmark = pytest.mark.cluster
LESTO = [sys.executable, "-m", "lesto.client.cli.main"]
START_SECONDS = 120.0
STOP_SECONDS = 60.0


@pytest.fixture
def environment(tmp_path):
    """Variables of a user whose temporary and runtime folders are the test's own."""
    for name in ("tmp", "run"):
        (tmp_path / name).mkdir(mode=0o700)
    kept = {k: v for k, v in os.environ.items() if "__" not in k and k != "LESTO_JOBMANAGER"}
    return {
        **kept,
        "TMPDIR": str(tmp_path / "tmp"),
        "XDG_RUNTIME_DIR": str(tmp_path / "run"),
        "PYTHONUNBUFFERED": "1",
    }


@contextlib.contextmanager
def started(environment, *arguments, ready, stream="stdout"):
    """Run a server process of the command; yield it and its output so far."""
    process = subprocess.Popen(
        [*LESTO, *arguments],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        yield process, read_until(process, getattr(process, stream), ready)
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def read_until(process, stream, text):
    """Return the lines of a process's output up to the one with the text."""
    lines = []
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        line = stream.readline()
        if not line:
            break
        lines.append(line)
        if text in line:
            return "".join(lines)
    process.kill()
    pytest.fail(f"no {text!r} in {lines}; stderr: {process.communicate()[1]}")


def stop(process, signal_number):
    """Send a signal; return exit code, output and what was left of its processes."""
    family = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(signal_number)
    out, err = process.communicate(timeout=STOP_SECONDS)
    left = [child for child in family if child.is_running()]
    return process.returncode, out, err, left


def run(environment, *arguments):
    return subprocess.run(
        [*LESTO, *arguments],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def is_free(port):
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def files(folder):
    return [str(path) for path in folder.rglob("*")]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_dev_is_ready_soon_and_leaves_nothing(environment, tmp_path, number):
    arguments = ("dev", "--slots", "2", "--port", "0", "--rest-port", "0")
    with started(environment, *arguments, ready="Ctrl-C") as (process, output):
        seconds = float(re.search(r"ready after ([\d.]+) s", output)[1])
        address = re.search(r"JobManager\s+(\S+)", output)[1]
        rest = re.search(r"REST\s+(\S+)", output)[1]
        with urllib.request.urlopen(f"{rest}/overview", timeout=60) as answer:
            assert json.load(answer)["slots-available"] == 2
        listed = run(environment, "list", "-m", address, "-o", "json")
        assert (listed.returncode, json.loads(listed.stdout)) == (0, [])
        unknown = run(environment, "cancel", "-m", address, "abc")
        assert unknown.returncode == ExitCode.NOT_FOUND
        stranger = {**environment, "XDG_RUNTIME_DIR": str(tmp_path)}
        refused = run(stranger, "list", "-m", address)
        assert refused.returncode == ExitCode.UNREACHABLE
        assert "token" in refused.stderr
        code, _, errors, left = stop(process, number)
    assert code == 0, errors
    assert left == []
    assert "Traceback" not in errors
    assert is_free(int(address.rpartition(":")[2]))
    assert is_free(int(rest.rpartition(":")[2]))
    assert files(tmp_path / "tmp") == []
    assert files(tmp_path / "run") == []
    assert seconds < 10, "3 s is the aim on an idle machine; 0.9 s measured"


@pytest.mark.parametrize("option", ["--port", "--rest-port"])
def test_dev_names_an_occupied_port(environment, option, tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        others = {"--port": "0", "--rest-port": "0", option: port}
        done = run(environment, "dev", *(word for pair in others.items() for word in pair))
    assert done.returncode == ExitCode.REFUSED
    assert port in done.stderr
    assert "what to do:" in done.stderr
    assert "Traceback" not in done.stderr
    assert files(tmp_path / "tmp") == []


def test_a_cluster_of_separate_processes(environment, tmp_path):
    jobmanager = ("jobmanager", "--port", "0", "--rest-port", "0")
    with started(environment, *jobmanager, ready="JobManager on") as (coordinator, output):
        address = re.search(r"JobManager on (\S+),", output)[1]
        rest = re.search(r"REST on (\S+)", output)[1]
        worker_command = ("taskmanager", "--jobmanager", address, "--slots", "1")
        with started(environment, *worker_command, ready="registered") as (worker, _):
            deadline = time.monotonic() + START_SECONDS
            while True:
                with urllib.request.urlopen(f"{rest}/overview", timeout=60) as answer:
                    if json.load(answer)["slots-available"] == 1:
                        break
                assert time.monotonic() < deadline
                time.sleep(0.05)
            code, _, errors, left = stop(worker, signal.SIGTERM)
            assert (code, left) == (0, []), errors
        code, _, errors, left = stop(coordinator, signal.SIGTERM)
        assert (code, left) == (0, []), errors
    assert files(tmp_path / "tmp") == []
    assert files(tmp_path / "run") == []


def test_a_wide_jobmanager_without_token_is_refused(environment):
    done = run(environment, "jobmanager", "--host", "0.0.0.0", "--port", "0", "--rest-port", "0")
    assert done.returncode == ExitCode.REFUSED
    assert "token" in done.stderr
    assert "Traceback" not in done.stderr


JOB = """
from lesto.datastream import StreamExecutionEnvironment
env = StreamExecutionEnvironment.get_execution_environment()
env.from_collection([1, 2, 3]).map(lambda x: 6 // x).print()
env.execute("small")
"""


def test_run_executes_on_an_embedded_cluster_and_sums_up(environment, tmp_path):
    script = tmp_path / "job.py"
    script.write_text(JOB)
    done = run(environment, "run", str(script))
    assert done.returncode == 0, done.stderr
    assert sorted(done.stdout.split()) == ["2", "3", "6"]
    assert done.stderr.splitlines()[-1].startswith("FINISHED small")
    assert files(tmp_path / "tmp") == []


def test_a_functions_exception_shows_its_line_first(environment, tmp_path):
    script = tmp_path / "job.py"
    script.write_text(JOB.replace("6 // x", "6 // (x - 2)"))
    done = run(environment, "run", "-q", "-D", "restart-strategy.type=none", str(script))
    assert done.returncode == ExitCode.JOB_FAILED
    assert done.stderr.startswith("Traceback (most recent call last):")
    assert f'File "{script}", line 4, in <lambda>' in done.stderr
    assert "ZeroDivisionError" in done.stderr
    assert not any(f"/{room}/" in done.stderr for room in ("client", "jobmanager", "taskmanager"))
    assert files(tmp_path / "tmp") == []


def test_the_plan_is_shown_without_running(environment, tmp_path):
    script = tmp_path / "job.py"
    script.write_text(JOB)
    tree = run(environment, "info", str(script))
    assert tree.returncode == 0, tree.stderr
    assert tree.stdout.splitlines()[-1].endswith("Source: Collection Source (1)")
    plan = run(environment, "info", "-o", "json", str(script))
    assert len(json.loads(plan.stdout)["nodes"]) == 3


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_leaves_nothing(environment, tmp_path, number):
    script = tmp_path / "job.py"
    source = "NumberSequenceSource(0, 10**12)"
    script.write_text(
        "from lesto.common import WatermarkStrategy\n"
        "from lesto.connectors.datagen import NumberSequenceSource\n"
        + JOB.replace(
            "env.from_collection([1, 2, 3])",
            f"env.from_source({source}, WatermarkStrategy.no_watermarks(), 'n')",
        )
        .replace("6 // x", "x")
        .replace(".print()", ".filter(lambda x: x == 0).print()")
    )
    with started(environment, "run", str(script), ready="RUNNING", stream="stderr") as (process, _):
        code, _, errors, left = stop(process, number)
    assert code == 128 + number, errors
    assert left == []
    assert "Traceback" not in errors
    assert files(tmp_path / "tmp") == []
