"""Every object of the durable job store: names are made here. Blocking: for I/O threads.

::

    <storage>/<cluster id>/
        leader/...                     the lease of the file system election
        jobs/<job id>/
            artifacts/<sha256>         the job graph with the user's pickled code, by content
            log/<number>               the job's log: its first entry makes the job exist
            bases/<number>             what the log says up to an entry, now and then
            details-<epoch>            last details of a job that has ended
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable

from google.protobuf.message import DecodeError

from lesto.common.clock import Clock
from lesto.jobmanager.errors import JobLogError
from lesto.jobmanager.server.ha.job_log import JobLog, entry_name
from lesto.proto import client_pb2, job_pb2
from lesto.state import paths
from lesto.state.errors import CheckpointExistsError, MissingFileError
from lesto.state.files import Files

_JOB_ID = re.compile(r"[0-9a-f]{32}")
_REMEDY = "bring the object back from a copy, or submit the job anew from its newest checkpoint"


class JobStore:
    """Jobs of one cluster.

    Args:
        root: URI of ``<storage>/<cluster id>``.
        clock: of the JobManager.
        may_write: whether this JobManager leads, as far as it knows.
    """

    def __init__(self, root: str, clock: Clock, may_write: Callable[[], bool]) -> None:
        self.root = root
        self._files = Files(root)
        self._clock = clock
        self._may_write = may_write

    def job_ids(self) -> list[str]:
        """Ids of all jobs that were submitted and not forgotten."""
        names = [name.rstrip("/").rpartition("/")[2] for name in self._files.list("jobs")]
        return [name for name in names if _JOB_ID.fullmatch(name)]

    def log(self, job_id: str) -> JobLog:
        """The log of a job, unread."""
        return JobLog(paths.join(self.root, "jobs", job_id), self._clock, self._may_write)

    def submit(self, graph: job_pb2.JobGraph) -> tuple[JobLog, bool]:
        """Make a job durable; its log, and whether this call was the first for its id.

        Raises:
            NotLeaderError: this JobManager does not lead any more.
            StorageError: the storage refused.
        """
        content = graph_content(graph)
        name = digest(content)
        log = self.log(graph.job_id)
        if log.read().submitted is not None:
            return log, False
        log.check_leading()
        try:
            self._files.create(f"jobs/{graph.job_id}/artifacts/{name}", content)
        except CheckpointExistsError:
            self._load(graph.job_id, name)  # by content: it must be what its name says
        return log, log.submit(name, graph.name)

    def graph(self, job_id: str, name: str) -> job_pb2.JobGraph:
        """A submitted graph, verified.

        Raises:
            JobLogError: it is missing or damaged.
            StorageError: the storage refused.
        """
        graph = job_pb2.JobGraph()
        try:
            graph.ParseFromString(self._load(job_id, name))
        except DecodeError as error:
            msg = f"the graph of job {job_id} cannot be decoded: {error}"
            raise JobLogError(msg, remedy=_REMEDY) from error
        return graph

    def _load(self, job_id: str, name: str) -> bytes:
        relative = f"jobs/{job_id}/artifacts/{name}"
        try:
            with self._files.open_input(relative) as source:
                content = bytes(source.read())
        except MissingFileError as error:
            msg = f"artifact {self.root}/{relative} is missing"
            raise JobLogError(msg, remedy=_REMEDY) from error
        if digest(content) != name:
            msg = f"artifact {self.root}/{relative} is damaged: its SHA-256 is {digest(content)}"
            raise JobLogError(msg, remedy=_REMEDY)
        return content

    def details(self, job_id: str, name: str) -> client_pb2.JobDetails:
        """The last details of an ended job.

        Raises:
            JobLogError: they are missing or damaged.
            StorageError: the storage refused.
        """
        found = client_pb2.JobDetails()
        try:
            with self._files.open_input(f"jobs/{job_id}/{name}") as source:
                found.ParseFromString(bytes(source.read()))
        except (MissingFileError, DecodeError) as error:
            msg = f"the details of job {job_id}, which has ended, cannot be read: {error}"
            raise JobLogError(
                msg, remedy="nothing: the job has ended, only its story is lost"
            ) from (error)
        return found

    def forget(self, job_id: str) -> None:
        """Delete a job that has ended.

        Its first entry goes first: without it the rest is no job, wherever the deletion stops.

        Raises:
            StorageError: the storage refused; calling it again goes on.
        """
        self._files.delete_directory(f"jobs/{job_id}/bases")
        self._files.delete(f"jobs/{job_id}/{entry_name(1)}")
        self._files.delete_directory(f"jobs/{job_id}")


def graph_content(graph: job_pb2.JobGraph) -> bytes:
    """A graph as bytes that are the same for the same graph."""
    return graph.SerializeToString(deterministic=True)


def digest(content: bytes) -> str:
    """SHA-256 in hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()
