"""A JobManager that is asked once when many ask the same.

Dashboards poll, and a flood of requests is mostly one request. Equal questions that come while one
is under way, or just after, share its answer, so that the JobManager's event loop answers each
question ten times a second at most, however many clients ask.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import Any, Final, TypeVar

from lesto.jobmanager.server.rest.api import JobManagerApi
from lesto.proto import client_pb2 as pb
from lesto.proto import runtime_pb2

T = TypeVar("T")

#: How old an answer may be.
FRESH_SECONDS: Final = 0.1
#: Answers kept; a job's may be some hundred KiB.
KEPT_MAX: Final = 128
#: Questions that the JobManager works on at once for us, samples and changes aside.
QUESTIONS_AT_ONCE: Final = 3


class SharedApi:
    """A ``JobManagerApi``. What changes something goes through, and makes all answers stale.

    Answers are shared: nobody changes them.
    """

    def __init__(self, api: JobManagerApi) -> None:
        self._api = api
        self._lock = threading.Lock()
        self._answers: dict[Any, tuple[float, Future[Any]]] = {}
        self._turns = threading.BoundedSemaphore(QUESTIONS_AT_ONCE)

    def cluster(self) -> pb.ClusterInfo:
        """Return counts, versions and TaskManagers."""
        return self._shared("cluster", self._api.cluster)

    def jobs(self) -> list[pb.JobSummary]:
        """Return all jobs the JobManager remembers."""
        return self._shared("jobs", self._api.jobs)

    def job(self, job_id: str, *, include_graph: bool = False) -> pb.JobDetails:
        """Return everything known about one job."""
        return self._shared(
            (job_id, include_graph), lambda: self._api.job(job_id, include_graph=include_graph)
        )

    def _shared(self, key: Any, ask: Callable[[], T]) -> T:
        now = time.monotonic()
        with self._lock:
            until, future = self._answers.get(key, (0.0, None))
            mine = future is None or (future.done() and now > until)
            if mine:
                future = Future()
                self._forget(now)
                self._answers[key] = (now, future)
        assert future is not None
        if mine:
            self._ask(key, future, ask)
        found: T = future.result()
        return found

    def _ask(self, key: Any, future: Future[Any], ask: Callable[[], Any]) -> None:
        try:
            with self._turns:
                answer = ask()
        except BaseException as error:  # noqa: BLE001 - told to all who wait
            with self._lock:
                if self._answers.get(key, (0.0, None))[1] is future:
                    del self._answers[key]  # who asks from now on asks anew
            future.set_exception(error)
        else:
            with self._lock:
                if self._answers.get(key, (0.0, None))[1] is future:  # not made stale meanwhile
                    self._answers[key] = (time.monotonic() + FRESH_SECONDS, future)
            future.set_result(answer)

    def _forget(self, now: float) -> None:
        if len(self._answers) < KEPT_MAX:
            return
        for key, (until, future) in list(self._answers.items()):
            if future.done() and now > until:
                del self._answers[key]

    def _changed(self) -> None:
        with self._lock:
            self._answers.clear()

    def submit(self, request: pb.SubmitJobRequest) -> str:
        """Take a job graph; return the job's id."""
        job_id = self._api.submit(request)
        self._changed()
        return job_id

    def cancel(self, job_id: str) -> None:
        """Ask for a job's cancellation."""
        self._api.cancel(job_id)
        self._changed()

    def savepoint(self, job_id: str, target: str = "") -> str:
        """Take a savepoint; return its path once it is complete."""
        path = self._api.savepoint(job_id, target)
        self._changed()
        return path

    def checkpoint(self, job_id: str, *, full: bool = False) -> tuple[int, str]:
        """Take a checkpoint now; return its number and path once it is complete."""
        taken = self._api.checkpoint(job_id, full=full)
        self._changed()
        return taken

    def dispose(self, path: str) -> int:
        """Delete a savepoint; return the number of its files."""
        return self._api.dispose(path)

    def rescale(
        self,
        job_id: str,
        parallelism: int = 0,
        vertices: Mapping[str, tuple[int, int]] | None = None,
    ) -> pb.RescaleJobResponse:
        """Change the parallelism in place; returns once all tasks run with it."""
        answer = self._api.rescale(job_id, parallelism, vertices)
        self._changed()
        return answer

    def stop(self, job_id: str, target: str = "", *, drain: bool = False) -> str:
        """Stop with a savepoint; return its path once the job has finished."""
        path = self._api.stop(job_id, target, drain=drain)
        self._changed()
        return path

    def inspect(
        self, question: runtime_pb2.Question, taskmanager_id: str = "", slot_id: str = ""
    ) -> runtime_pb2.Answer:
        """Ask a running process."""
        return self._api.inspect(question, taskmanager_id, slot_id)
