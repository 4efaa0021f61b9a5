"""Watches a job and its output from outside, and measures what each fault cost.

Polls the JobManager through a connection of its own and lists the sink's directory. A figure is
therefore late by at most a poll (about 20 ms, more on a busy machine), never early.
"""

import contextlib
import re
import threading
import time
from dataclasses import asdict, dataclass

import grpc

from lesto.proto import client_pb2 as pb
from lesto.proto import client_pb2_grpc
from tests.fault.cluster import QUICK_RECONNECT

POLL_SECONDS = 0.02
_PART = re.compile(r"part-\w+-\w+-\d+-(\d+)-\d+\.\w+$")


@dataclass(slots=True)
class Strike:
    """One fault; times are seconds since it, None when it did not come to that.

    Attributes:
        what: for people.
        detected: the JobManager says that the job does not run any more, or is itself away.
        running: the job is RUNNING again.
        output: first published file of a checkpoint that completed after that.
        healed: the cause is gone (a partition, a full disk); None for a kill.
        resumed: seconds from ``healed`` to the first newly published file.
    """

    what: str
    at: float
    restarts: int
    newest: int
    detected: float | None = None
    running: float | None = None
    output: float | None = None
    healed: float | None = None
    resumed: float | None = None

    def figures(self):
        """As plain values."""
        return {
            name: round(value, 3) if isinstance(value, float) else value
            for name, value in asdict(self).items()
            if name in {"what", "detected", "running", "output", "resumed"}
        }


class Observer:
    """Context manager; ``strike`` notes a fault at the moment it is done.

    Args:
        cluster: whose JobManager is asked.
        job: the job's id.
        output: directories of published part files, or an object whose ``newest`` gives the
            highest checkpoint that was published.
    """

    def __init__(self, cluster, job, output):
        self.cluster, self.job, self.output = cluster, job, output
        self.strikes = []
        self.details = cluster.job(job)  # the last answer
        self.reachable = True
        self.silent_seconds_max = 0.0
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="fault-observer")

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._ended.set()
        self._thread.join()

    def strike(self, what):
        """A fault happens now. Call it right before the deed: what is measured includes the deed.

        A fault before the last one is overcome leaves the last one's open figures open.
        """
        with self._lock:
            restarts = self.details.summary.restarts
            self.strikes.append(Strike(what, time.monotonic(), restarts, self._newest_part()))
            return self.strikes[-1]

    def heal(self):
        """The cause of the last strike is gone; what comes to light from now on is new."""
        with self._lock:
            last = self.strikes[-1]
            last.healed = time.monotonic() - last.at
            last.newest = max(last.newest, self._newest_part())

    def until(self, condition, seconds):
        """Poll quickly; whether it came true."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if condition():
                return True
            time.sleep(0.005)
        return False

    def overcome(self, seconds):
        """Wait until the job runs and publishes again after the last fault; whether it does."""
        last = self.strikes[-1]
        return self.until(
            lambda: last.output is not None or (last.detected is None and last.resumed is not None),
            seconds,
        )

    def finished(self):
        """Whether the job has ended well."""
        return self.details.summary.state == pb.JOB_STATE_FINISHED

    def _watch(self):
        with grpc.insecure_channel(self.cluster.address, options=QUICK_RECONNECT) as channel:
            stub = client_pb2_grpc.JobManagerServiceStub(channel)
            heard = time.monotonic()
            while not self._ended.wait(POLL_SECONDS):
                details = None
                with contextlib.suppress(grpc.RpcError):
                    details = stub.GetJob(
                        pb.GetJobRequest(job_id=self.job),
                        metadata=self.cluster.metadata(), timeout=1.0,
                    )  # fmt: skip
                now = time.monotonic()
                if details is not None:
                    heard = now
                self.silent_seconds_max = max(self.silent_seconds_max, now - heard)
                with self._lock:
                    self._note(details, now)

    def _note(self, details, now):
        self.reachable = details is not None
        if details is not None:
            self.details = details
        if not self.strikes:
            return
        last = self.strikes[-1]
        since = now - last.at
        calm = {pb.JOB_STATE_RUNNING, pb.JOB_STATE_FINISHED}
        away = details is None or details.summary.state not in calm
        again = details is not None and details.summary.restarts != last.restarts
        if last.detected is None and (away or again):
            last.detected = since
        if details is None:
            return
        state = details.summary.state
        done = state == pb.JOB_STATE_FINISHED
        waits = last.healed is not None and last.resumed is None
        if waits and (done or self._newest_part() > last.newest):
            last.resumed = since - last.healed
        if last.detected is None:
            return
        if last.running is None and state in {pb.JOB_STATE_RUNNING, pb.JOB_STATE_FINISHED}:
            last.running = since
            last.newest = max(last.newest, self._newest_part())
        elif last.running is not None and last.output is None:
            if self._newest_part() > last.newest or state == pb.JOB_STATE_FINISHED:
                last.output = since

    def _newest_part(self):
        """The highest checkpoint that was published."""
        if hasattr(self.output, "newest"):
            return self.output.newest()
        found = 0
        for folder in self.output:
            with contextlib.suppress(FileNotFoundError):
                for path in folder.iterdir():
                    if name := _PART.match(path.name):
                        found = max(found, int(name[1]))
        return found
