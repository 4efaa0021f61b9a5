"""A cluster of several JobManagers, one of which leads, and what its durable storage says."""

import contextlib
import json
import os
import signal
import threading
import time

import grpc

from lesto.client.jobmanager_client import JobManagerClient
from lesto.common.errors import LestoError
from lesto.proto import client_pb2 as pb
from lesto.proto import client_pb2_grpc
from tests.fault.cluster import QUICK_RECONNECT, START_SECONDS_MAX, Cluster, Place, free_port

#: A JobManager that was killed starts again after this, as a standby.
REVIVE_SECONDS = 0.5


class HaCluster(Cluster):
    """``jobmanagers`` of them; TaskManagers and clients know all addresses.

    Args:
        folder: where logs and checkpoints go.
        jobmanagers: how many.
        more: as for ``Cluster``.
    """

    def __init__(self, folder, *, jobmanagers=2, **more):
        super().__init__(folder, **more)
        self.ports = [free_port() for _ in range(jobmanagers)]
        self.rest_ports = [free_port() for _ in range(jobmanagers)]
        self.addresses = [f"127.0.0.1:{port}" for port in self.ports]
        self.address = ",".join(self.addresses)
        self.members = [None] * jobmanagers
        self.stubs = [
            client_pb2_grpc.JobManagerServiceStub(
                grpc.insecure_channel(address, options=QUICK_RECONNECT)
            )
            for address in self.addresses
        ]
        self.client = JobManagerClient(self.address, self.token)
        self.paused = set()
        self.submitting = threading.Lock()

    def _start_jobmanager(self):
        for index in range(len(self.ports)):
            self._start_member(index)
            if index == 0:  # so that it is known who leads at first
                self._wait_until(lambda: self.leader() == 0, "the first JobManager to lead", 30)
        self.jobmanager = self.members[0]

    def _start_member(self, index):
        ports = ("--port", str(self.ports[index]), "--rest-port", str(self.rest_ports[index]))
        self.members[index] = self._start(Place(), "jobmanager", *ports)

    def _keep_jobmanager(self):
        died = {}
        while not self.stopping.is_set():
            for index, process in enumerate(self.members):
                if process is None or process.poll() is None:
                    continue
                since = died.setdefault(process.pid, time.monotonic())
                if time.monotonic() - since > (REVIVE_SECONDS if len(self.ports) > 1 else 0):
                    self._start_member(index)
            self.jobmanager = self.members[0]
            time.sleep(0.01)

    def __exit__(self, *_):
        for pid in list(self.paused):
            self.resume(pid)
        super().__exit__()
        self.client.close()

    # ------------------------------------------------------------------------------- questions

    def info(self):
        """The cluster as its leader sees it."""
        return self.client.cluster()

    def jobs(self):
        """Summaries of all jobs."""
        return self.client.jobs()

    def job(self, job_id):
        """Details of one job."""
        return self.client.job(job_id)

    def ask(self, index, job_id):
        """What one JobManager says of a job."""
        request = pb.GetJobRequest(job_id=job_id)
        return self.stubs[index].GetJob(request, metadata=self.metadata(), timeout=2)

    def told_by(self, index):
        """What one JobManager says of the cluster; None: nothing."""
        with contextlib.suppress(grpc.RpcError):
            return self.stubs[index].GetCluster(
                pb.GetClusterRequest(), metadata=self.metadata(), timeout=0.5
            )
        return None

    def leader(self):
        """Index of the JobManager that leads and says so; None: none."""
        for index in range(len(self.ports)):
            told = self.told_by(index)
            if told is not None and told.leading:
                return index
        return None

    def wait_for_leader(self, *others, seconds=20):
        """Index of the leader once it is none of ``others``."""
        found = []

        def one():
            found[:] = [i for i in range(len(self.ports)) if i not in others and self._leads(i)]
            return bool(found)

        self._wait_until(one, f"a leader but {others}", seconds)
        return found[0]

    def _leads(self, index):
        told = self.told_by(index)
        return told is not None and told.leading

    def wait_for_standby(self, seconds=20):
        """Until every JobManager answers, and one leads."""

        def all_there():
            told = [self.told_by(index) for index in range(len(self.ports))]
            return all(t is not None for t in told) and sum(t.leading for t in told) == 1

        self._wait_until(all_there, "all JobManagers", seconds)

    def _wait_until(self, condition, what, seconds=START_SECONDS_MAX):
        deadline = time.monotonic() + seconds
        while not condition():
            gone = not self.keep_jobmanager and any(
                m and m.poll() is not None for m in self.members
            )
            if time.monotonic() > deadline or gone:
                log = (self.folder / "cluster.log").read_text()[-6000:]
                raise AssertionError(f"waited {seconds} s for {what}:\n{log}")
            time.sleep(0.02)

    # ------------------------------------------------------------------------------------- faults

    def kill_leader(self):
        """kill -9; its index."""
        index = self.leader()
        assert index is not None, "nobody leads"
        self.members[index].kill()
        return index

    def pause(self, pid):
        """SIGSTOP."""
        self.paused.add(pid)
        os.kill(pid, signal.SIGSTOP)

    def resume(self, pid):
        """SIGCONT."""
        self.paused.discard(pid)
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)

    # ------------------------------------------------------------------------------------ storage

    @property
    def ha(self):
        """Folder of the job store."""
        return self.checkpoints / "_ha" / "default"

    def log(self, job_id):
        """Entries of a job's log, in order, as they lie in storage."""
        folder = self.ha / "jobs" / job_id / "log"
        entries = [p for p in sorted(folder.iterdir()) if p.name.isdecimal()]  # others are halves
        return [json.loads(p.read_text().partition(" ")[2]) for p in entries]

    def written_by(self, job_id, epoch, term):
        """Everything in storage that a leader wrote or had written: name, size and time.

        Not its beats: one that had been decided when the process was stopped lands when it goes on,
        and means nothing, because only the beats of the newest term are read.
        """
        found = {}
        for path in self.checkpoints.rglob("*"):
            with contextlib.suppress(FileNotFoundError):
                stat = path.stat()
                own = f"-e{epoch}-" in path.name or path.name in {
                    f"term-{term}", f"end-{term}", f"details-{epoch}"
                }  # fmt: skip
                if path.is_file() and own:
                    found[str(path)] = (stat.st_size, stat.st_mtime_ns)
        for number, entry in enumerate(self.log(job_id), 1):
            if entry["epoch"] == epoch:
                found[f"log/{number}"] = json.dumps(entry)
        return found


def published(output):
    """Names of the files that a sink has published."""
    with contextlib.suppress(FileNotFoundError):
        return {p.name for p in (output / "running").iterdir() if p.name.startswith("part-")}
    return set()


def quietly(work):
    """The result; None when the cluster does not answer now."""
    try:
        return work()
    except (grpc.RpcError, LestoError):
        return None
