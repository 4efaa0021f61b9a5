"""The JobManager itself: configuration, environment, metrics, logs, threads."""

from __future__ import annotations

import functools
import importlib.metadata
import platform
import sys
from collections.abc import Iterable
from typing import Any, Final

from starlette.responses import StreamingResponse

import lesto
from lesto.common.logs import redact_secrets
from lesto.jobmanager.server.rest import log_streams, worker_shapes
from lesto.jobmanager.server.rest.context import Context
from lesto.jobmanager.server.rest.fleet import Process
from lesto.jobmanager.server.rest.json_schema import TEXT, listed, record, ref
from lesto.jobmanager.server.rest.metric_sources import MetricSources
from lesto.jobmanager.server.rest.routes.metrics import GET, listed_values
from lesto.jobmanager.server.rest.routes.taskmanagers import OFFSET
from lesto.jobmanager.server.rest.routing import Call, Endpoint
from lesto.proto import runtime_pb2

MAIN_LOG: Final = "jobmanager.log"
OUTPUT: Final = "jobmanager.out"
_SELF: Final = Process("")
_CONFIG: Final = listed(record({"key": TEXT, "value": TEXT}))
_ENVIRONMENT: Final = record(
    {
        "version": TEXT,
        "jvm": record({"version": TEXT, "arch": TEXT, "options": listed(TEXT)}),
        "classpath": listed(TEXT),
        "packages": {"type": "object", "additionalProperties": TEXT},
        "operating-system": TEXT,
    }
)
#: Packages whose versions matter to who looks for a cause.
_PACKAGES: Final = (
    "grpcio",
    "numba",
    "numpy",
    "protobuf",
    "pyarrow",
    "rocksdict",
    "starlette",
    "uvicorn",
)


class JobManagerResource:
    """Answers about the JobManager."""

    def __init__(self, context: Context) -> None:
        self._api = context.api
        self._config = context.config
        self._fleet = context.fleet
        self._sources = MetricSources(context.api, self._fleet)

    def endpoints(self) -> list[Endpoint]:
        """Return its endpoints."""
        return list(self._endpoints())

    def _endpoints(self) -> Iterable[Endpoint]:
        get = functools.partial(Endpoint, "GET", tag="jobmanager", patient=True)
        text = functools.partial(get, response=TEXT, media_type="text/plain", also=(206,))
        yield get(
            "/jobmanager/config",
            self.config,
            "The options that are set; secrets are not shown.",
            response=_CONFIG,
        )
        yield get(
            "/jobmanager/environment",
            self.environment,
            "Versions, and where modules are looked for; `jvm` tells of Python.",
            response=_ENVIRONMENT,
        )
        yield get(
            "/jobmanager/metrics",
            self.metrics,
            "Metrics of the JobManager: ids, or with get= their values.",
            query=(GET,),
            response=ref("Metrics"),
        )
        yield get("/jobmanager/logs", self.logs, "Its log files.", response=ref("Logs"))
        yield text("/jobmanager/logs/{logname}", self.log, "A log file.", query=(OFFSET,))
        yield text("/jobmanager/log", self.main_log, "Its own log.", query=(OFFSET,))
        yield text(
            "/jobmanager/stdout",
            self.stdout,
            "What it has printed; it runs no user code, and keeps none of its few lines.",
            query=(OFFSET,),
        )
        yield get(
            "/jobmanager/thread-dump",
            self.threads,
            "Its threads, and where each is.",
            response=ref("ThreadDump"),
        )

    # -------------------------------------------------------------------------------- handlers

    def config(self, _call: Call) -> Any:
        """List options."""
        values = redact_secrets(None, "", dict(self._config.to_dict(redact=True)))
        return [{"key": key, "value": value} for key, value in sorted(values.items())]

    def environment(self, _call: Call) -> Any:
        """Tell versions. The REST server runs on the JobManager's machine and interpreter."""
        implementation = f"{platform.python_implementation()} {platform.python_version()}"
        return {
            "version": lesto.__version__,
            "jvm": {
                "version": f"{implementation} ({sys.executable})",
                "arch": platform.machine(),
                "options": [f"-X {name}" for name in sys._xoptions],
            },
            "classpath": [path for path in sys.path if path],
            "packages": _packages(),
            "operating-system": platform.platform(),
        }

    def metrics(self, call: Call) -> Any:
        """Show metrics."""
        return listed_values(self._sources.of_jobmanager(), call.query("get"))

    def logs(self, _call: Call) -> Any:
        """List log files."""
        question = runtime_pb2.Question(list_logs=runtime_pb2.ListLogsQuestion())
        return worker_shapes.logs(self._api.inspect(question).list_logs)

    def log(self, call: Call) -> Any:
        """Stream a log file."""
        return self._stream(call, call.path("logname"))

    def main_log(self, call: Call) -> Any:
        """Stream the log."""
        return self._stream(call, MAIN_LOG)

    def stdout(self, call: Call) -> Any:
        """Stream what was printed."""
        return self._stream(call, OUTPUT)

    def _stream(self, call: Call, name: str) -> StreamingResponse:
        def read(offset: int, count: int) -> runtime_pb2.ReadLogAnswer:
            wanted = runtime_pb2.ReadLogQuestion(name=name, offset=offset, max_bytes=count)
            return self._api.inspect(runtime_pb2.Question(read_log=wanted)).read_log

        size = read(0, 1).size_bytes
        asked = log_streams.part_of(call.request.headers.get("range", ""), size)
        part = asked or log_streams.tail(call.query("offset"), size)
        return log_streams.response(
            log_streams.pieces(read, part), part, size, partial=asked is not None
        )

    def threads(self, _call: Call) -> Any:
        """Dump threads."""
        question = runtime_pb2.Question(thread_dump=runtime_pb2.ThreadDumpQuestion())
        return worker_shapes.thread_dump(self._fleet.ask((_SELF,), question))


@functools.cache
def _packages() -> dict[str, str]:
    found = {}
    for name in _PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found
