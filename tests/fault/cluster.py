"""A cluster of processes for fault tests: a JobManager, TaskManagers that a watchdog replaces."""

import contextlib
import os
import secrets
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import grpc

from lesto.common.rpc import call_metadata
from lesto.proto import client_pb2 as pb
from lesto.proto import client_pb2_grpc

LESTO = [sys.executable, "-m", "lesto.client.cli.main"]
START_SECONDS_MAX = 90
STOP_SECONDS_MAX = 15
#: A JobManager that comes back is found at once.
QUICK_RECONNECT = (
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.min_reconnect_backoff_ms", 50),
    ("grpc.max_reconnect_backoff_ms", 200),
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.enable_http_proxy", 0),
)


def free_port():
    """A port of loopback nobody listens on at the moment."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


@dataclass(frozen=True, slots=True)
class Place:
    """Where and how one process of a cluster runs; the default is here, on loopback.

    Attributes:
        prefix: what its command line begins with (``ip netns exec ...``).
        env: added to its environment.
        options: its own ``-D`` options.
        host: address under which others reach it.
        jobmanager: address of the JobManager as seen from it, by default the cluster's.
        log: file of its output, by default the cluster's.
    """

    prefix: tuple[str, ...] = ()
    env: dict[str, str] = field(default_factory=dict)
    options: dict[str, str] = field(default_factory=dict)
    host: str = ""
    jobmanager: str = ""
    log: Path | None = None


class Cluster:
    """Context manager. ``options`` are passed to every process as ``-D``.

    Args:
        folder: where logs and checkpoints go.
        taskmanagers: how many, each kept alive by a watchdog.
        slots: of each TaskManager.
        options: for every process.
        place: role (``jobmanager`` or ``taskmanager``) and index to where it runs.
        keep_jobmanager: start the JobManager again, at its address, when it has died.
    """

    def __init__(
        self,
        folder: Path,
        *,
        taskmanagers=2,
        slots=1,
        options=None,
        place: Callable[[str, int], Place] = lambda _role, _index: Place(),
        keep_jobmanager=False,
    ):
        self.folder = folder
        self.place = place
        self.keep_jobmanager = keep_jobmanager
        self.checkpoints = folder / "checkpoints"
        self.taskmanagers = taskmanagers
        self.slots = slots
        self.port = free_port()
        self.rest_port = free_port()
        self.host = place("jobmanager", 0).host or "127.0.0.1"
        self.address = f"{self.host}:{self.port}"
        self.token = secrets.token_hex(16)
        self.options = {
            "security.token": self.token,
            "execution.checkpointing.dir": str(self.checkpoints),
            **(options or {}),
        }
        self.processes: list[subprocess.Popen] = []
        self.watchdogs: list[threading.Thread] = []
        self.stopping = threading.Event()
        self._channel = None

    def _start(self, place, *command):
        both = {**self.options, **place.options}
        options = [x for k, v in both.items() for x in ("-D", f"{k}={v}")]
        with (place.log or self.folder / "cluster.log").open("ab") as log:
            process = subprocess.Popen(
                [*place.prefix, *LESTO, *command, *options],
                stdout=log, stderr=log, stdin=subprocess.DEVNULL, env={**os.environ, **place.env},
            )  # fmt: skip
        self.processes.append(process)
        return process

    def _start_jobmanager(self):
        place = self.place("jobmanager", 0)
        host = ("--host", place.host) if place.host else ()
        ports = ("--port", str(self.port), "--rest-port", str(self.rest_port))
        self.jobmanager = self._start(place, "jobmanager", *host, *ports)

    def _keep_taskmanager(self, index=0):
        while not self.stopping.is_set():
            place = self.place("taskmanager", index)
            host = ("--host", place.host) if place.host else ()
            address = place.jobmanager or self.address
            process = self._start(
                place, "taskmanager", "--jobmanager", address, "--slots", str(self.slots), *host
            )
            while process.poll() is None and not self.stopping.is_set():
                time.sleep(0.02)
            if self.stopping.is_set():
                _end(process)

    def start_taskmanager(self):
        """One more, which nobody replaces when it ends; its process."""
        slots = str(self.slots)
        return self._start(Place(), "taskmanager", "--jobmanager", self.address, "--slots", slots)

    def _keep_jobmanager(self):
        while not self.stopping.is_set():
            if self.jobmanager.poll() is not None:
                # One that ended by itself cannot start: trying without a pause burns the machine.
                self.stopping.wait(0 if self.jobmanager.returncode < 0 else 1)
                self._start_jobmanager()
            time.sleep(0.02)

    def __enter__(self):
        self.folder.mkdir(parents=True, exist_ok=True)
        self._start_jobmanager()
        watched = [(self._keep_taskmanager, (n,)) for n in range(self.taskmanagers)]
        if self.keep_jobmanager:
            watched.append((self._keep_jobmanager, ()))
        for keep, arguments in watched:
            thread = threading.Thread(target=keep, args=arguments)
            thread.start()
            self.watchdogs.append(thread)
        self._channel = grpc.insecure_channel(self.address, options=QUICK_RECONNECT)
        self.stub = client_pb2_grpc.JobManagerServiceStub(self._channel)
        try:
            self.wait_for_slots(self.taskmanagers * self.slots)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        self.stopping.set()
        for thread in self.watchdogs:
            thread.join(STOP_SECONDS_MAX + 5)
        if self._channel is not None:
            self._channel.close()
        for process in self.processes:
            _end(process)

    def metadata(self):
        """What a call needs to be let in."""
        return call_metadata(self.token)

    def info(self):
        """The cluster as the JobManager sees it."""
        return self.stub.GetCluster(pb.GetClusterRequest(), metadata=self.metadata(), timeout=30)

    def wait_for_slots(self, n):
        """Until ``n`` slots are registered."""
        deadline = time.monotonic() + START_SECONDS_MAX
        while time.monotonic() < deadline:
            if self.jobmanager.poll() is not None and not self.keep_jobmanager:
                break
            with contextlib.suppress(grpc.RpcError):
                if self.info().slots_total >= n:
                    return
            time.sleep(0.05)
        raise AssertionError(f"no {n} slots:\n{(self.folder / 'cluster.log').read_text()[-4000:]}")

    def submit(self, script, *arguments, parallelism, options=None, savepoint=None):
        """Run a script detached; the job's id."""
        more = [x for k, v in (options or {}).items() for x in ("-D", f"{k}={v}")]
        if savepoint:
            more += ["-s", savepoint]
        before = {j.job_id for j in self.jobs()}
        command = [*LESTO, "run", "-d", "-m", self.address, "-p", str(parallelism)]
        command += ["-D", f"security.token={self.token}", *more, str(script), *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        (job,) = {j.job_id for j in self.jobs()} - before
        return job

    def jobs(self):
        """Summaries of all jobs."""
        return self.stub.ListJobs(pb.ListJobsRequest(), metadata=self.metadata(), timeout=30).jobs

    def job(self, job_id):
        """Details of one job."""
        request = pb.GetJobRequest(job_id=job_id)
        return self.stub.GetJob(request, metadata=self.metadata(), timeout=30)

    def wait_for(self, job_id, state, seconds):
        """Until the job is in ``state``."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                job = self.job(job_id)
            except grpc.RpcError as error:
                if not self.keep_jobmanager or time.monotonic() > deadline:
                    raise AssertionError(f"no answer about the job: {error.details()}") from error
                time.sleep(0.05)
                continue
            if job.summary.state == state:
                return job
            if job.summary.state == pb.JOB_STATE_FAILED or time.monotonic() > deadline:
                log = (self.folder / "cluster.log").read_text()[-6000:]
                raise AssertionError(
                    f"job is {pb.JobState.Name(job.summary.state)}, "
                    f"wanted {pb.JobState.Name(state)}\n"
                    f"{[f.failure.message + f.failure.full_traceback for f in job.failures]}\n{log}"
                )
            time.sleep(0.05)

    def victims(self):
        """(kind, pid) of everything that may be killed: slot processes and TaskManagers."""
        found = []
        for taskmanager in self.info().taskmanagers:
            found.append(("taskmanager", taskmanager.pid))
            found += [("slot", slot.pid) for slot in taskmanager.slots if slot.pid]
        return found


def kill(pid):
    """kill -9; False when it was gone already."""
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True


def _end(process):
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(STOP_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            process.kill()
    process.wait()
