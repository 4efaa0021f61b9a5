"""`lesto status`, `taskmanagers`, `logs` and progress, on a real cluster."""

import argparse
import io
import json
import os
import re
import subprocess
import sys
import time

import pytest

from lesto.client.cli import progress as progress_module
from lesto.client.cli.commands.logs import LogSource
from lesto.client.cli.exit_codes import ExitCode
from lesto.client.cli.main import main
from lesto.client.cli.target import connect

pytestmark = pytest.mark.cluster

SCRIPT = """\
import time
from lesto.common import WatermarkStrategy
from lesto.connectors.datagen import DataGenSource, sequence
from lesto.connectors.memory.blackhole import BlackholeSink
from lesto.datastream import StreamExecutionEnvironment

def told(row):
    if row.t % 100 == 0:
        print("hundred", row.t, flush=True)
    return row.t

env = StreamExecutionEnvironment.get_execution_environment()
env.set_parallelism(1).enable_checkpointing(200)
source = DataGenSource({"t": sequence()}, rows_per_second=500)
stream = env.from_source(source, WatermarkStrategy.no_watermarks(), "numbers")
stream.map(told).name("told").sink_to(BlackholeSink())
env.execute("logged")
"""
LESTO = [sys.executable, "-m", "lesto.client.cli.main"]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """A cluster of its own process, which logs to files, and a job on it; address and job."""
    folder = tmp_path_factory.mktemp("cluster")
    for name in ("tmp", "run"):
        (folder / name).mkdir(mode=0o700)
    (folder / "job.py").write_text(SCRIPT)
    kept = {k: v for k, v in os.environ.items() if "__" not in k and k != "LESTO_JOBMANAGER"}
    environment = {
        **kept,
        "TMPDIR": str(folder / "tmp"),
        "XDG_RUNTIME_DIR": str(folder / "run"),
        "PYTHONUNBUFFERED": "1",
    }
    command = [*LESTO, "dev", "--slots", "2", "--port", "0", "--rest-port", "0"]
    process = subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    try:
        seen = ""
        for line in process.stdout:
            seen += line
            if "Ctrl-C" in line:
                break
        address = re.search(r"JobManager\s+(\S+)", seen)[1]
        patch = pytest.MonkeyPatch()
        patch.setenv("XDG_RUNTIME_DIR", environment["XDG_RUNTIME_DIR"])
        empty = main(["list", "-m", address])
        run = [*LESTO, "run", "-m", address, "-d", str(folder / "job.py")]
        done = subprocess.run(run, env=environment, capture_output=True, text=True, check=True)
        job = re.search(r"Job ([0-9a-f]{32})", done.stdout)[1]
        assert empty == 0
        yield address, job
        patch.undo()
    finally:
        process.terminate()
        process.wait(60)
        process.stdout.close()


def out_of(capsys, *arguments):
    assert main(list(arguments)) == 0
    return capsys.readouterr().out


def wait_for(capsys, words, *arguments):
    """The output of a command, once it has the words."""
    deadline = time.monotonic() + 60
    while True:
        found = out_of(capsys, *arguments)
        if all(word in found for word in words):
            return found
        assert time.monotonic() < deadline, found
        time.sleep(0.2)


def test_an_empty_list_says_how_to_start_a_job(cluster, capsys):
    text = out_of(capsys, "list", "-m", cluster[0], "-s")
    assert "No waiting jobs (1 others: `lesto list -a`)." in text
    assert "lesto run -d job.py" in text


def test_status_of_the_cluster_and_of_a_job(cluster, capsys):
    address, job = cluster
    text = wait_for(capsys, ["1 of 2 free"], "status", "-m", address)
    assert "Jobs          1 running" in text
    text = wait_for(capsys, ["Checkpoint "], "status", "-m", address, job[:8])
    assert f"logged ({job}): RUNNING for" in text
    assert "told" in text
    (vertex,) = json.loads(out_of(capsys, "status", "-m", address, job, "-o", "json"))
    assert vertex["running"] == 1
    assert main(["status", "-m", address, "ffff"]) == ExitCode.NOT_FOUND


def test_taskmanagers(cluster, capsys):
    text = out_of(capsys, "taskmanagers", "-m", cluster[0])
    assert text.splitlines()[0].split()[:4] == ["TASKMANAGER", "HOST", "SLOTS", "FREE"]
    (worker,) = json.loads(out_of(capsys, "taskmanagers", "-m", cluster[0], "-o", "json"))
    assert (worker["slots"], worker["free"]) == (2, 1)


def test_logs_have_what_processes_say_of_the_job_and_what_it_prints(cluster, capsys):
    address, job = cluster
    text = wait_for(capsys, ["hundred 100", "task.deployed"], "logs", "-m", address, job[:6])
    assert any(line.startswith("jobmanager") and "job.state" in line for line in text.splitlines())
    assert not [line for line in text.splitlines() if "job=" in line and job not in line]
    tail = out_of(capsys, "logs", "-m", address, job, "--tail", "2").splitlines()
    assert len(tail) == 2
    one = out_of(capsys, "logs", "-m", address, job, "--task", "told")
    assert "jobmanager  " not in one
    assert "hundred" in one
    assert main(["logs", "-m", address, job, "--task", "tolt"]) == ExitCode.USAGE
    error = capsys.readouterr().err
    assert "has no task 'tolt'" in error
    assert "told" in error


def test_following_shows_what_comes(cluster):
    address, job = cluster
    command = [*LESTO, "logs", "-m", address, job, "-f", "--tail", "1", "--task", "told"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        seen = [process.stdout.readline() for _ in range(4)]
    finally:
        process.terminate()
        process.wait(30)
        process.stdout.close()
    numbers = [int(line.split()[-1]) for line in seen if "hundred" in line]
    assert len(numbers) >= 3
    assert numbers == sorted(set(numbers)), "each line once, in order"


def test_progress_is_for_terminals(cluster, capsys, monkeypatch):
    address, job = cluster
    main(["checkpoint", "-m", address, job])
    assert capsys.readouterr().err == ""

    class Terminal(io.StringIO):
        def isatty(self):
            return True

    monkeypatch.setattr(sys, "stderr", Terminal())
    monkeypatch.setattr(progress_module, "PROGRESS_SECONDS", 0.01)
    arguments = argparse.Namespace(jobmanager=address, config=None, properties=[])
    with connect(arguments) as client:
        with progress_module.progress(client, job, progress_module.tasks):
            time.sleep(0.5)
        assert sys.stderr.getvalue() == "  RUNNING, 1/1 tasks\n"


def test_lines_without_a_time_belong_to_the_one_before():
    source = LogSource("jm", "", "jobmanager.log", only_job=True)
    ours, other = "a" * 32, "b" * 32
    text = (
        f"2026-01-01T00:00:00Z job.state job={other}\nits traceback\n"
        f"2026-01-01T00:00:01Z job.state job={ours}\nour traceback\n"
        "2026-01-01T00:00:02Z taskmanager.lost\n2026-01-01T00:00:03Z job.sta"
    )
    found = source.lines(text.encode(), ours, cut=False)
    assert [line for _, _, line in found] == [
        f"2026-01-01T00:00:01Z job.state job={ours}",
        "our traceback",
    ]
    rest = source.lines(f"te job={ours}\n".encode(), ours, cut=False)
    assert rest == [("2026-01-01T00:00:03Z", "jm", f"2026-01-01T00:00:03Z job.state job={ours}")]
