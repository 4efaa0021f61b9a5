"""A real cluster for the benchmarks of REST: processes as people start them."""

import contextlib
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from lesto.client.jobmanager_client import JobManagerClient
from lesto.client.local_token import find_token
from lesto.common.config import Configuration

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
LESTO = Path(sys.executable).parent / "lesto"
START_SECONDS = 60


class BenchmarkCluster:
    """A JobManager and a TaskManager, in a folder that goes with them."""

    def __init__(self, slots, **options):
        self._options = [
            part for key, value in options.items() for part in ("-D", f"{key}={value}")
        ]
        self._slots = slots
        self._stack = contextlib.ExitStack()

    def __enter__(self):
        try:
            return self._start_all()
        except BaseException:
            self._stack.close()
            raise

    def _start_all(self):
        self.folder = Path(
            self._stack.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True))
        )
        common = ["-D", f"execution.checkpointing.dir={self.folder}/checkpoints"]
        line = self._start(
            "jobmanager",
            ["--port", "0", "--rest-port", "0", *common, *self._options],
            "JobManager on",
        )
        found = re.search(r"on ([0-9.:]+), REST on http://([0-9.:]+)", line)
        self.address, self.rest = found[1], found[2]
        self.token = find_token(Configuration(), self.address)
        self._start("taskmanager", ["-m", self.address, "--slots", str(self._slots)], "TaskManager")
        self.client = self._stack.enter_context(JobManagerClient(self.address, self.token))
        until = time.monotonic() + START_SECONDS + self._slots * 5
        while self.client.cluster().slots_available < self._slots:
            assert time.monotonic() < until, "slots did not come up"
            time.sleep(0.2)
        return self

    def __exit__(self, *exc):
        self._stack.close()

    def _start(self, role, arguments, announced):
        log = self.folder / f"{role}.log"
        with log.open("wb") as stream:
            process = subprocess.Popen(
                [LESTO, role, *arguments], stdout=stream, stderr=subprocess.STDOUT
            )
        self._stack.callback(process.wait)
        self._stack.callback(process.terminate)
        until = time.monotonic() + START_SECONDS
        while True:
            lines = [line for line in log.read_text().splitlines() if line.startswith(announced)]
            if lines:
                return lines[0]
            assert time.monotonic() < until, log.read_text()
            assert process.poll() is None, log.read_text()
            time.sleep(0.05)

    def submit(self, job, *arguments, parallelism=1, **options):
        """Start a job; return its id."""
        more = [part for key, value in options.items() for part in ("-D", f"{key}={value}")]
        before = {found.job_id for found in self.client.jobs()}
        subprocess.run(
            [LESTO, "run", "-d", "-m", self.address, "-p", str(parallelism), *more, HERE / job,
             *arguments],
            check=True, stdout=subprocess.DEVNULL,
        )  # fmt: skip
        (job_id,) = {found.job_id for found in self.client.jobs()} - before
        return job_id


def quantile(values, share):
    """The value at a share of the sorted values."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def record(benchmark, figures):
    """Append to benchmarks/results/rest.jsonl; print."""
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    ).stdout.strip()
    line = {
        "date": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "commit": commit,
        "cpus": os.cpu_count(),
        "python": platform.python_version(),
        "load": [round(value, 2) for value in os.getloadavg()],
        "benchmark": benchmark,
        **figures,
    }
    with (ROOT / "benchmarks" / "results" / "rest.jsonl").open("a") as stream:
        stream.write(json.dumps(line) + "\n")
    print(json.dumps(line), flush=True)
