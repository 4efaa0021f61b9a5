"""One TaskManager: details, logs, threads, where its time goes."""

from __future__ import annotations

import contextlib
import functools
import re
from collections.abc import Iterable, Iterator
from typing import Any, Final

from starlette.responses import StreamingResponse

from lesto.common.errors import LestoError, did_you_mean
from lesto.common.inspection import ProcessNotFoundError
from lesto.jobmanager.server.rest import log_streams, sampling, worker_shapes
from lesto.jobmanager.server.rest.api import JobManagerApi
from lesto.jobmanager.server.rest.context import Context
from lesto.jobmanager.server.rest.fleet import Shared
from lesto.jobmanager.server.rest.json_schema import TEXT, ref
from lesto.jobmanager.server.rest.metric_sources import MetricSources, taskmanager_processes
from lesto.jobmanager.server.rest.operations import now_ms
from lesto.jobmanager.server.rest.routing import Call, Endpoint, Parameter
from lesto.proto import client_pb2 as pb
from lesto.proto import runtime_pb2

TASKMANAGER: Final = "/taskmanagers/{taskmanagerid}"
FLAME_GRAPH_SECONDS: Final = 10.0
#: Jobs that are looked at for tasks of a TaskManager.
JOBS_MAX: Final = 1_000
MAIN_LOG: Final = "taskmanager.log"
_OUTPUT: Final = re.compile(r"slot-\d+\.out")

OFFSET = Parameter(
    "offset",
    {"type": "integer", "default": 0},
    "Byte to begin at; a negative one counts from the end. A Range header is understood too.",
)


def find_taskmanager(api: JobManagerApi, name: str) -> pb.TaskManagerInfo:
    """Return a TaskManager.

    Raises:
        ProcessNotFoundError: none of this id is connected.
    """
    known = api.cluster().taskmanagers
    for tm in known:
        if tm.taskmanager_id == name:
            return tm
    near = did_you_mean(name, [tm.taskmanager_id for tm in known])
    msg = f"no TaskManager '{name}' is connected{near}"
    raise ProcessNotFoundError(msg, remedy="GET /taskmanagers lists them.")


_get = functools.partial(Endpoint, "GET", tag="taskmanagers", patient=True)
_text = functools.partial(_get, response=TEXT, media_type="text/plain", also=(206,))


class TaskManagersResource:
    """Answers about one TaskManager."""

    def __init__(self, context: Context) -> None:
        self._api = context.api
        self._fleet = context.fleet
        self._sources = MetricSources(context.api, self._fleet)
        self._flames: Shared[dict[str, Any]] = Shared(FLAME_GRAPH_SECONDS)

    def endpoints(self) -> list[Endpoint]:
        """Return its endpoints."""
        return list(self._endpoints())

    def _endpoints(self) -> Iterable[Endpoint]:
        yield _get(
            TASKMANAGER,
            self.details,
            "A TaskManager, its slots, and the tasks in them.",
            response=ref("TaskManagerDetails"),
        )
        yield _get(
            f"{TASKMANAGER}/logs",
            self.logs,
            "Its log files and those of its slots: slot-0.log, and slot-0.out for what user code "
            "has printed.",
            response=ref("Logs"),
        )
        yield _text(f"{TASKMANAGER}/logs/{{logname}}", self.log, "A log file.", query=(OFFSET,))
        yield _text(
            f"{TASKMANAGER}/log", self.main_log, "The TaskManager's own log.", query=(OFFSET,)
        )
        yield _text(
            f"{TASKMANAGER}/stdout",
            self.stdout,
            "What user code has printed in its slots, one slot after another.",
        )
        yield _get(
            f"{TASKMANAGER}/thread-dump",
            self.threads,
            "The threads of the TaskManager and its slots.",
            response=ref("ThreadDump"),
        )
        yield _get(
            f"{TASKMANAGER}/flamegraph",
            self.flamegraph,
            "Where its slots spend their time: sampled Python stacks, by slot and task.",
            query=sampling.PARAMETERS,
            response=ref("FlameGraph"),
        )

    # -------------------------------------------------------------------------------- handlers

    def details(self, call: Call) -> Any:
        """Show a TaskManager."""
        tm = find_taskmanager(self._api, call.path("taskmanagerid"))
        metrics: dict[str, float] = {}
        with contextlib.suppress(LestoError):  # it is told all the same: as not known
            metrics = self._sources.of_taskmanager(tm)
        return worker_shapes.taskmanager(tm, self._running_jobs(), metrics, now_ms())

    def _running_jobs(self) -> Iterator[pb.JobDetails]:
        running = [job for job in self._api.jobs() if not job.end_time_ms]
        for job in running[:JOBS_MAX]:
            yield self._api.job(job.job_id)

    def logs(self, call: Call) -> Any:
        """List log files."""
        return worker_shapes.logs(self._listed(call))

    def _listed(self, call: Call) -> runtime_pb2.ListLogsAnswer:
        question = runtime_pb2.Question(list_logs=runtime_pb2.ListLogsQuestion())
        return self._api.inspect(question, call.path("taskmanagerid")).list_logs

    def log(self, call: Call) -> Any:
        """Stream a log file."""
        return self._stream(call, call.path("logname"))

    def main_log(self, call: Call) -> Any:
        """Stream the TaskManager's log."""
        return self._stream(call, MAIN_LOG)

    def _stream(self, call: Call, name: str) -> StreamingResponse:
        read = functools.partial(self._piece, call.path("taskmanagerid"), name)
        size = read(0, 1).size_bytes
        asked = log_streams.part_of(call.request.headers.get("range", ""), size)
        part = asked or log_streams.tail(call.query("offset"), size)
        return log_streams.response(
            log_streams.pieces(read, part), part, size, partial=asked is not None
        )

    def _piece(
        self, taskmanager_id: str, name: str, offset: int, count: int
    ) -> runtime_pb2.ReadLogAnswer:
        question = runtime_pb2.Question(
            read_log=runtime_pb2.ReadLogQuestion(name=name, offset=offset, max_bytes=count)
        )
        return self._api.inspect(question, taskmanager_id).read_log

    def stdout(self, call: Call) -> Any:
        """Stream what was printed."""
        files = [file for file in self._listed(call).files if _OUTPUT.fullmatch(file.name)]
        files.sort(key=lambda file: file.name)
        size = sum(file.size_bytes for file in files)
        return log_streams.response(
            self._printed(call.path("taskmanagerid"), files),
            log_streams.Part(0, size),
            size,
            partial=False,
        )

    def _printed(self, taskmanager_id: str, files: list[runtime_pb2.LogFile]) -> Iterator[bytes]:
        for file in files:
            yield f"==> {file.name} <==\n".encode()
            read = functools.partial(self._piece, taskmanager_id, file.name)
            yield from log_streams.pieces(read, log_streams.Part(0, file.size_bytes))

    def threads(self, call: Call) -> Any:
        """Dump threads."""
        tm = find_taskmanager(self._api, call.path("taskmanagerid"))
        question = runtime_pb2.Question(thread_dump=runtime_pb2.ThreadDumpQuestion())
        return worker_shapes.thread_dump(self._fleet.ask(taskmanager_processes(tm), question))

    def flamegraph(self, call: Call) -> Any:
        """Sample stacks, or show those of a moment ago."""
        tm = find_taskmanager(self._api, call.path("taskmanagerid"))
        asked = sampling.Asked(call.query("duration"), call.query("interval"))
        key = (tm.taskmanager_id, tuple(slot.slot_id for slot in tm.slots), asked)
        return self._flames.get(key, lambda: self._sampled(tm, asked))

    def _sampled(self, tm: pb.TaskManagerInfo, asked: sampling.Asked) -> dict[str, Any]:
        slots = [process for process in taskmanager_processes(tm) if process.slot_id]
        answers = self._fleet.ask(slots, asked.question())
        names = {
            (job.summary.job_id, vertex.id): vertex.name
            for job in self._running_jobs()
            for vertex in job.vertices
        }
        stacks = sampling.named_stacks(answers, names)
        return sampling.drawn(stacks, answers, asked.duration_ms)
