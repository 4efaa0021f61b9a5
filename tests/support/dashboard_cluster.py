"""A cluster as ``lesto dev`` runs it, in a process of its own on free ports."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

START_SECONDS = 60.0
STOP_SECONDS = 30.0
WAIT_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class DevCluster:
    """A running cluster.

    Attributes:
        jobmanager: ``host:port`` for ``lesto run -m``.
        rest: ``host:port`` of REST and the dashboard.
        scratch: its folder for what is temporary, where it leaves its token for clients.
    """

    jobmanager: str
    rest: str
    scratch: Path

    def get(self, path: str) -> Any:
        """GET some JSON."""
        with urllib.request.urlopen(f"http://{self.rest}/{path}", timeout=30) as answer:
            return json.load(answer)

    def delete(self, path: str) -> None:
        """DELETE something."""
        request = urllib.request.Request(f"http://{self.rest}/{path}", method="DELETE")
        with urllib.request.urlopen(request, timeout=30) as answer:
            answer.read()

    def run(self, script: Path, *arguments: str, given: Sequence[str] = ()) -> str:
        """Submit a script; return its first job's id. ``given``: what the script itself is told."""
        command = ["run", "-m", self.jobmanager, "-d", *arguments, str(script), *given]
        done = subprocess.run(
            [sys.executable, "-P", "-m", "lesto.client.cli.main", *command],
            capture_output=True,
            text=True,
            timeout=START_SECONDS,
            env=_environment(self.scratch),
            check=False,
        )
        found = re.search(r"[0-9a-f]{32}", done.stdout)
        assert found, f"{done.stdout}\n{done.stderr}"
        return found.group()

    def wait_state(self, job_id: str, state: str) -> None:
        """Return once a job is in a state."""
        wait_until(lambda: self.get(f"jobs/{job_id}")["state"] == state, f"{job_id} is {state}")


def wait_until(true: Callable[[], bool], what: str) -> None:
    """Return once something is so.

    Raises:
        AssertionError: it is not, in time.
    """
    deadline = time.monotonic() + WAIT_SECONDS
    while not true():
        assert time.monotonic() < deadline, f"not in time: {what}"
        time.sleep(0.05)


@contextmanager
def dev_cluster(folder: Path, slots: int = 2, **options: str) -> Iterator[DevCluster]:
    """Run ``lesto dev``.

    Args:
        folder: for its logs and checkpoints.
        slots: that jobs can use.
        options: of the configuration, with ``__`` for dots and ``_`` for dashes.
    """
    given = {"env.log.dir": str(folder / "logs"), **_keys(options)}
    command = [sys.executable, "-P", "-m", "lesto.client.cli.main", "dev", "--slots", str(slots)]
    command += ["--port", "0", "--rest-port", "0"]
    command += [word for key, value in given.items() for word in ("-D", f"{key}={value}")]
    output = folder / "dev.txt"
    scratch = folder / "tmp"
    scratch.mkdir()
    with output.open("w") as file:
        environment = _environment(scratch)
        process = subprocess.Popen(
            command, stdout=file, stderr=subprocess.STDOUT, cwd=folder, env=environment
        )
        try:
            yield DevCluster(*_addresses(process, output), scratch)
        finally:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                raise


def _environment(scratch: Path) -> dict[str, str]:
    return {**os.environ, "NO_COLOR": "1", "TMPDIR": str(scratch)}


def _keys(options: dict[str, str]) -> dict[str, str]:
    return {key.replace("__", ".").replace("_", "-"): value for key, value in options.items()}


def _addresses(process: subprocess.Popen[bytes], output: Path) -> tuple[str, str]:
    found: list[re.Match[str]] = []

    def ready() -> bool:
        text = output.read_text()
        assert process.poll() is None, text
        match = re.search(r"JobManager +(\S+).*?REST +https?://(\S+)", text, re.DOTALL)
        found.extend([match] if match else [])
        return match is not None

    wait_until(ready, "lesto dev is up")
    jobmanager, rest = found[0].groups()
    return jobmanager, rest
