"""Runs scripts and commands as a user does, and judges what they see when they are wrong."""

import json
import os
import re
import signal
import subprocess
import sys
import textwrap
import threading
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from rooms import ROOMS

from lesto.client.jobmanager_client import ENDED_STATES, JobManagerClient
from lesto.client.minicluster import MiniCluster
from lesto.common.config import Configuration

REPOSITORY = Path(__file__).resolve().parents[2]
#: Longest a command may take on a busy machine; every mistake is told at once.
TIMEOUT_SECONDS = 90
#: A line of a script that ends with this is the one an error must name.
HERE = "# HERE"
HEADER = """\
import lesto.common.expressions as x
from lesto.common import Duration, Row, Time, Types, WatermarkStrategy, col, lit
from lesto.connectors.files import CsvFormat, FileSink, FileSource, JsonLinesFormat, ParquetFormat
from lesto.datastream import *
from lesto.datastream.state import ListStateDescriptor, ValueStateDescriptor
from lesto.datastream.window import TumblingEventTimeWindows

env = StreamExecutionEnvironment.get_execution_environment()
env.set_parallelism(1)
flights = env.from_collection(
    [Row("UA", 3), Row("AA", 30)],
    Types.ROW_NAMED(["carrier", "dep_delay"], [Types.STRING(), Types.LONG()]),
)
"""
#: What progress says about a job; the error follows.
_PROGRESS = re.compile(r"(CREATED|RUNNING|RESTARTING|FAILED|FAILING|CANCELED|FINISHED|CANCELLING) ")


@dataclass
class Outcome:
    """What a user sees of a command that has ended."""

    code: int
    out: str
    err: str
    script: Path | None = None
    marked: list[str] = field(default_factory=list)

    @property
    def told(self):
        """Standard error without the job's progress."""
        lines = self.err.splitlines()
        return "\n".join(line for line in lines if not _PROGRESS.match(line))

    def is_clear(self, exit_code, code, *said, remedy, at="", traceback=""):
        """The exit code, the error's code, its cause in words, the remedy, the user's line.

        Args:
            exit_code: of the command.
            code: such as ``LESTO-2104``; empty for an exception of the user's own.
            said: what the message must contain.
            remedy: what "what to do" must contain; empty where the cause says all.
            at: ``file:line`` that must be named; by default the marked line of the script.
            traceback: last line of the user's traceback, which must come first; empty: none at all.
        """
        seen = f"exit code {self.code}\n{self.err}"
        assert self.code == exit_code, seen
        assert code in self.told, seen
        for part in said:
            assert part in self.told, f"{part!r} is not in:\n{seen}"
        if remedy:
            todo = self.told.partition("what to do:")[2]
            assert remedy in todo, f"{remedy!r} is no advice in:\n{seen}"
        for place in [at] if at else self.marked:
            file, _, line = place.rpartition(":")
            alternatives = (place, f'File "{file}", line {line}')
            assert any(a in self.told for a in alternatives), f"{place} is not in:\n{seen}"
        if traceback:
            assert self.told.startswith("Traceback (most recent call last):\n"), seen
            first = self.told.split("\nLESTO-")[0]
            assert first.splitlines()[-1].startswith(traceback), seen
        else:
            assert "Traceback" not in self.told, seen
        self.shows_no_internals()
        return self

    def shows_no_internals(self):
        """No frame of Lesto, and none of the libraries below it."""
        for file in re.findall(r'File "([^"]+)", line', self.err):
            assert not is_internal(file), f"{file} in:\n{self.err}"


def is_internal(file):
    """Whether a traceback's file is Lesto's, or an importer's on the way to the script."""
    path = os.path.realpath(file)
    ours = any(path.startswith(f"{REPOSITORY / room}{os.sep}") for room in (*ROOMS, "lesto"))
    return ours or "site-packages" in path or "<frozen" in file or "runpy" in path


def clean_environment(extra=None):
    """The environment of a user who has set nothing of Lesto's."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("LESTO_") or "TEST" in k}
    return {**kept, **(extra or {})}


@pytest.fixture(scope="package")
def warm_process():
    """See warm_process.py."""
    with subprocess.Popen(
        [sys.executable, Path(__file__).with_name("warm_process.py")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=clean_environment(),
    ) as process:
        yield process
        process.stdin.close()


@pytest.fixture(scope="package")
def launch(warm_process):
    """Run `lesto ...` in a process of its own; return the Outcome."""

    def run(folder, arguments, *, env=None, cwd=None):
        out, err = folder / "stdout.txt", folder / "stderr.txt"
        request = {
            "arguments": [str(argument) for argument in arguments],
            "env": clean_environment(env),
            "cwd": str(cwd or folder),
            "out": str(out),
            "err": str(err),
        }
        warm_process.stdin.write(json.dumps(request) + "\n")
        warm_process.stdin.flush()
        child = int(warm_process.stdout.readline())
        guard = threading.Timer(TIMEOUT_SECONDS, os.kill, (child, signal.SIGKILL))
        guard.start()
        code = int(warm_process.stdout.readline())
        guard.cancel()
        guard.join()
        seen = Outcome(code, out.read_text(), err.read_text())
        assert code != -signal.SIGKILL, f"no end within {TIMEOUT_SECONDS} s:\n{seen.err}"
        return seen

    return run


@pytest.fixture
def command(launch, tmp_path):
    """Run `lesto ...`, in the test's folder."""

    def run(*arguments, env=None, cwd=None):
        return launch(tmp_path, arguments, env=env, cwd=cwd)

    return run


def save_script(script, text):
    """Write a script; return its path and the marked ``file:line``."""
    script.write_text(text)
    lines = text.splitlines()
    return script, [f"{script}:{i}" for i, line in enumerate(lines, 1) if line.endswith(HERE)]


@pytest.fixture(scope="package")
def header():
    """What each script begins with."""
    return HEADER


@pytest.fixture
def write_script(tmp_path):
    """Write a job script below the header; return its path and the marked ``file:line``."""

    def write(text, *, name="job.py", header=HEADER):
        return save_script(tmp_path / name, header + textwrap.dedent(text))

    return write


@pytest.fixture
def run(command, write_script):
    """Run a script with `lesto run`, on an embedded cluster if it gets that far."""

    def start(text, *arguments, header=HEADER, env=None, options=()):
        script, marked = write_script(text, header=header)
        outcome = command("run", *options, script, *arguments, env=env)
        outcome.script, outcome.marked = script, marked
        return outcome

    return start


@pytest.fixture(scope="package")
def cluster(tmp_path_factory):
    """One cluster for all jobs that fail at run time."""
    folder = tmp_path_factory.mktemp("cluster")
    config = Configuration.from_dict(
        {
            "restart-strategy.restart-on-user-errors": "false",
            "slot.request.timeout": "5 s",
            "execution.checkpointing.dir": str(folder / "checkpoints"),
        }
    )
    with MiniCluster(config, slots=3) as running:
        running.wait_ready()
        yield running


@pytest.fixture(scope="package")
def access(cluster):
    """The environment of a user of the shared cluster."""
    return {"LESTO_SECURITY__TOKEN": cluster.token, "LESTO_JOBMANAGER": cluster.address}


@pytest.fixture
def submit(run, access, cluster):
    """Run a script with `lesto run -m` on the shared cluster; what still runs then is cancelled."""

    def start(text, *arguments, **more):
        return run(text, *arguments, env=access, **more)

    yield start
    with JobManagerClient(cluster.address, cluster.token) as client:
        for job in client.jobs():
            if job.state not in ENDED_STATES:
                client.cancel(job.job_id)


@pytest.fixture
def nothing_published(tmp_path):
    """An output directory; after the test no reader may see a file in it."""
    output = tmp_path / "out"
    yield output
    visible = [
        path
        for path in output.rglob("*")
        if path.is_file()
        and not any(part.startswith((".", "_")) for part in path.relative_to(output).parts)
    ]
    assert visible == []
