"""Two clusters behind one interface: Flink's distribution as `pip install apache-flink` brings it,
and Lesto. Both run as processes on loopback and are asked through the same REST paths.
"""

import contextlib
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

BENCHMARKS = Path(__file__).resolve().parent.parent
PEERS = BENCHMARKS.parent / "build" / "peers"
START_SECONDS_MAX = 90
SUBMIT_SECONDS_MAX = 120
POLL_SECONDS = 0.01
#: Both engines are told; all else is each one's default.
COMMON_OPTIONS = {
    "execution.checkpointing.incremental": "true",
    "execution.checkpointing.mode": "EXACTLY_ONCE",
    "state.backend.type": "rocksdb",
}


def free_port():
    """A port of loopback that nobody listens on."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Engine:
    """A cluster. Context manager: everything it started ends with it.

    Args:
        folder: an empty directory.
        taskmanagers: how many.
        slots: of each.
        options: Flink's names; for the cluster and all jobs.
    """

    name = ""

    def __init__(self, folder, *, taskmanagers, slots, options):
        self.folder = folder
        self.taskmanagers = taskmanagers
        self.slots = slots
        self.checkpoints = folder / "checkpoints"
        self.options = {
            **COMMON_OPTIONS,
            "execution.checkpointing.dir": f"file://{self.checkpoints}",
            **options,
        }
        self.rpc_port, self.rest_port = free_port(), free_port()
        self.processes = []

    def __enter__(self):
        try:
            self.start_jobmanager()
            for _ in range(self.taskmanagers):
                self.start_taskmanager()
            self.until(
                lambda: self.slots_total() >= self.taskmanagers * self.slots,
                START_SECONDS_MAX,
                "slots",
            )
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for process in self.processes:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
        for process in self.processes:
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()

    def spawn(self, command, environment=None):
        """Start a process of the cluster in a session of its own."""
        with (self.folder / "cluster.log").open("ab") as log:
            process = subprocess.Popen(
                command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True,
                env={**os.environ, **(environment or {})},
            )  # fmt: skip
        self.processes.append(process)
        return process

    def rest(self, path, body=None, method=None):
        """JSON of a REST path; None while nobody answers."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.rest_port}{path}", data=data, method=method,
            headers=self.headers(),
        )  # fmt: skip
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return json.loads(answer.read() or "{}")
        except (urllib.error.HTTPError, ConnectionError, TimeoutError, urllib.error.URLError):
            return None

    def headers(self):
        """Of each request."""
        return {"Content-Type": "application/json"}

    def slots_total(self):
        """Slots registered."""
        return (self.rest("/overview") or {}).get("slots-total", 0)

    def until(self, condition, seconds, what):
        """The condition's first true value."""
        deadline = time.monotonic() + seconds
        while not (value := condition()):
            if time.monotonic() > deadline:
                log = (self.folder / "cluster.log").read_text(errors="replace")[-3000:]
                msg = f"{self.name}: no {what} within {seconds} s\n{log}"
                raise RuntimeError(msg)
            time.sleep(POLL_SECONDS)
        return value

    def tasks(self, job):
        """(state of the job, states of all its subtasks counted)."""
        details = self.rest(f"/jobs/{job}")
        if details is None:
            return None
        counts = {}
        for vertex in details["vertices"]:
            for state, n in vertex["tasks"].items():
                if n:
                    counts[state] = counts.get(state, 0) + n
        return details["state"], counts

    def running(self, job):
        """Whether the job and all its subtasks are RUNNING."""
        found = self.tasks(job)
        return found is not None and found[0] == "RUNNING" and set(found[1]) == {"RUNNING"}

    def completed(self, job):
        """Completed checkpoints, newest first, as REST tells them."""
        found = self.rest(f"/jobs/{job}/checkpoints")
        if found is None:
            return []
        return [c for c in found["history"] if c["status"] == "COMPLETED"]

    def submit(self, *arguments, parallelism, options=None):
        """Start a job; its id once all its tasks are RUNNING."""
        before = {j["jid"] for j in self.rest("/jobs/overview")["jobs"]}
        done = subprocess.run(
            self.submit_command([str(a) for a in arguments], parallelism, options or {}),
            capture_output=True, text=True, timeout=SUBMIT_SECONDS_MAX, check=False,
            env={**os.environ, **self.environment()},
        )  # fmt: skip
        if done.returncode:
            raise RuntimeError(f"{self.name}: {done.stdout}{done.stderr}")
        (job,) = {j["jid"] for j in self.rest("/jobs/overview")["jobs"]} - before
        self.until(lambda: self.running(job), START_SECONDS_MAX, "running tasks")
        return job

    def environment(self):
        """For commands."""
        return {}


class FlinkEngine(Engine):
    """A standalone session cluster with the distribution's own start scripts."""

    name = "flink"
    TASKMANAGER_MEMORY = "4g"

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        (self.home,) = (PEERS / "pyflink" / "lib").glob("python3.*/site-packages/pyflink")
        self.conf = self.folder / "conf"
        self.conf.mkdir()
        for file in (self.home / "conf").iterdir():
            if file.name != "config.yaml":
                (self.conf / file.name).write_text(file.read_text())
        java_options = next(
            line.split(":", 1)[1].strip()
            for line in (self.home / "conf" / "config.yaml").read_text().splitlines()
            if line.strip().startswith("all: --add-exports")
        )
        options = {
            "env.java.opts.all": java_options,
            "jobmanager.rpc.address": "127.0.0.1",
            "jobmanager.rpc.port": self.rpc_port,
            "jobmanager.bind-host": "127.0.0.1",
            "jobmanager.memory.process.size": "1600m",
            "taskmanager.bind-host": "127.0.0.1",
            "taskmanager.host": "127.0.0.1",
            "taskmanager.memory.process.size": self.TASKMANAGER_MEMORY,
            "taskmanager.numberOfTaskSlots": self.slots,
            "rest.address": "127.0.0.1",
            "rest.port": self.rest_port,
            "rest.bind-address": "127.0.0.1",
            "web.refresh-interval": "100",  # ms that a job's details are cached
            **self.options,
        }
        text = "".join(f"{key}: {value}\n" for key, value in options.items())
        (self.conf / "config.yaml").write_text(text)

    def environment(self):
        """Where its scripts look."""
        return {
            "FLINK_CONF_DIR": str(self.conf),
            "FLINK_LOG_DIR": str(self.folder),
            "FLINK_HOME": str(self.home),
        }

    def start_jobmanager(self):
        """As a process."""
        script = str(self.home / "bin" / "jobmanager.sh")
        self.spawn(["bash", script, "start-foreground"], self.environment())

    def start_taskmanager(self):
        """As a process; the script ends in an exec, so the process is the JVM."""
        script = str(self.home / "bin" / "taskmanager.sh")
        return self.spawn(["bash", script, "start-foreground"], self.environment())

    def submit_command(self, arguments, parallelism, options):
        """Of the distribution's command line."""
        more = [f"-D{key}={value}" for key, value in options.items()]
        return [
            "bash", str(self.home / "bin" / "flink"), "run", "-d", "-m",
            f"127.0.0.1:{self.rest_port}", *more, "-p", str(parallelism), "-c", "ReliabilityJobs",
            str(PEERS / "java" / "peers.jar"), *arguments,
        ]  # fmt: skip

    def busy_taskmanager(self, job):
        """Process id of a TaskManager that runs tasks of the job."""
        details = self.rest(f"/jobs/{job}")
        vertex = self.rest(f"/jobs/{job}/vertices/{details['vertices'][0]['id']}")
        name = vertex["subtasks"][0]["taskmanager-id"]
        # A standalone TaskManager's id begins with its address and RPC port.
        port = int(name.split(":")[1].split("-")[0])
        return pid_listening(port)


class LestoEngine(Engine):
    """The same by `lesto jobmanager` and `lesto taskmanager`."""

    name = "lesto"
    LESTO = (sys.executable, "-m", "lesto.client.cli.main")

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.token = secrets.token_hex(16)
        self.options["security.token"] = self.token

    def _options(self, options):
        return [x for key, value in options.items() for x in ("-D", f"{key}={value}")]

    def start_jobmanager(self):
        """As a process."""
        ports = ["--port", str(self.rpc_port), "--rest-port", str(self.rest_port)]
        self.spawn([*self.LESTO, "jobmanager", *ports, *self._options(self.options)])

    def start_taskmanager(self):
        """As a process with a slot process for each slot."""
        where = ["--jobmanager", f"127.0.0.1:{self.rpc_port}", "--slots", str(self.slots)]
        return self.spawn([*self.LESTO, "taskmanager", *where, *self._options(self.options)])

    def submit_command(self, arguments, parallelism, options):
        """Of the command line."""
        script = str(BENCHMARKS / "versus_jobs.py")
        settings = self._options({**options, "security.token": self.token})
        address = f"127.0.0.1:{self.rpc_port}"
        return [
            *self.LESTO, "run", "-d", "-m", address, "-p", str(parallelism), *settings,
            script, *arguments,
        ]  # fmt: skip

    def headers(self):
        """The cluster has a token, so a request carries it."""
        return {**super().headers(), "Authorization": f"Bearer {self.token}"}

    def busy_taskmanager(self, job):
        """Process id of a TaskManager that runs tasks of the job."""
        details = self.rest(f"/jobs/{job}")
        vertex = self.rest(f"/jobs/{job}/vertices/{details['vertices'][0]['id']}")
        if vertex is not None and vertex.get("subtasks"):
            name = vertex["subtasks"][0]["taskmanager-id"]
        else:
            name = next(
                t["id"]
                for t in self.rest("/taskmanagers")["taskmanagers"]
                if t["freeSlots"] < t["slotsNumber"]
            )
        return next(
            p.pid
            for p in self.processes[1:]
            if p.poll() is None and taskmanager_id_of(self, p.pid) == name
        )


def taskmanager_id_of(engine, pid):
    """Lesto's TaskManager ids tell no process id; its gRPC details do."""
    import grpc

    from lesto.common.rpc import call_metadata
    from lesto.proto import client_pb2, client_pb2_grpc

    with grpc.insecure_channel(f"127.0.0.1:{engine.rpc_port}") as channel:
        stub = client_pb2_grpc.JobManagerServiceStub(channel)
        info = stub.GetCluster(
            client_pb2.GetClusterRequest(), metadata=call_metadata(engine.token), timeout=10
        )
    return next((t.taskmanager_id for t in info.taskmanagers if t.pid == pid), None)


def pid_listening(port):
    """Process that listens on a TCP port of this machine."""
    out = subprocess.run(["ss", "-ltnpH"], capture_output=True, text=True, check=True).stdout
    for line in out.splitlines():
        if line.split()[3].endswith(f":{port}") and "pid=" in line:
            return int(line.split("pid=")[1].split(",")[0])
    msg = f"nobody listens on port {port}"
    raise RuntimeError(msg)


ENGINES = {engine.name: engine for engine in (FlinkEngine, LestoEngine)}
