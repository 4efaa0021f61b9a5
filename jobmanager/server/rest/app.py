"""The REST application: routes, guards and problem+json errors.

Every path is served with and without Flink's ``/v1`` prefix.
"""

from __future__ import annotations

import json
import logging
import re
import time
from collections.abc import Callable
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from lesto.common.errors import LestoError
from lesto.common.metrics import MetricRegistry
from lesto.common.metrics_server import CONTENT_TYPE as METRICS_CONTENT_TYPE
from lesto.jobmanager.server.rest import checkpoint_shapes, shapes
from lesto.jobmanager.server.rest.api import JobManagerApi
from lesto.jobmanager.server.rest.errors import (
    BadRequestError,
    UnknownOperationError,
    http_status,
)
from lesto.jobmanager.server.rest.guard import Guard, TargetPolicy
from lesto.jobmanager.server.rest.operations import Operations, Outcome
from lesto.jobmanager.server.rest.requirements import bounds_of_body, requirements_of
from lesto.proto.client_pb2 import CheckpointStats

MAX_BODY_BYTES = 64 * 1024
DEFAULT_EXCEPTIONS = 20
MAX_NUMBER_DIGITS = 18
_JOB_ID = re.compile(r"[0-9a-f]{32}")
_TRIGGER_ID = re.compile(r"[0-9a-f]{32}")
logger = logging.getLogger("lesto.rest")

Body = dict[str, Any]


class RestApi:
    """The handlers, over one JobManager."""

    def __init__(self, api: JobManagerApi, metrics: MetricRegistry, targets: TargetPolicy) -> None:
        self._api = api
        self._targets = targets
        self._metrics = metrics
        self._operations = Operations()

    # -------------------------------------------------------------------------------- cluster

    def overview(self, _request: Request, _body: Body) -> Any:
        """GET /overview."""
        return shapes.overview(self._api.cluster())

    def config(self, _request: Request, _body: Body) -> Any:
        """GET /config."""
        offset = time.localtime().tm_gmtoff
        return shapes.dashboard_config(self._api.cluster(), time.tzname[0], offset * 1000)

    def taskmanagers(self, _request: Request, _body: Body) -> Any:
        """GET /taskmanagers."""
        return shapes.taskmanagers(self._api.cluster(), _now_ms())

    def metrics(self, _request: Request, _body: Body) -> Any:
        """GET /metrics: the JobManager's, for Prometheus."""
        return PlainTextResponse(self._metrics.text(), media_type=METRICS_CONTENT_TYPE)

    def health(self, _request: Request, _body: Body) -> Any:
        """GET /healthz: the JobManager answers."""
        self._api.cluster()
        return {"status": "ok"}

    # ----------------------------------------------------------------------------------- jobs

    def jobs(self, _request: Request, _body: Body) -> Any:
        """GET /jobs."""
        return shapes.job_ids(self._api.jobs())

    def jobs_overview(self, _request: Request, _body: Body) -> Any:
        """GET /jobs/overview."""
        now = _now_ms()
        jobs = [self._api.job(job.job_id) for job in self._api.jobs()]
        return {"jobs": [shapes.job_overview(job, now) for job in jobs]}

    def job(self, request: Request, _body: Body) -> Any:
        """GET /jobs/:jobid."""
        details = self._api.job(_job_id(request), include_graph=True)
        return shapes.job_details(details, _now_ms())

    def status(self, request: Request, _body: Body) -> Any:
        """GET /jobs/:jobid/status."""
        return {"status": shapes.job_state(self._api.job(_job_id(request)).summary.state)}

    def accumulators(self, request: Request, _body: Body) -> Any:
        """GET /jobs/:jobid/accumulators."""
        return shapes.accumulators(self._api.job(_job_id(request)))

    def plan(self, request: Request, _body: Body) -> Any:
        """GET /jobs/:jobid/plan."""
        details = self._api.job(_job_id(request), include_graph=True)
        return shapes.plan(details.graph, details.summary)

    def checkpoints(self, request: Request, _body: Body) -> Any:
        """GET /jobs/:jobid/checkpoints."""
        return checkpoint_shapes.checkpoints(self._api.job(_job_id(request)).checkpoints)

    def checkpoint_config(self, request: Request, _body: Body) -> Any:
        """GET /jobs/:jobid/checkpoints/config."""
        return checkpoint_shapes.config(self._api.job(_job_id(request)).checkpoints.config)

    def checkpoint_details(self, request: Request, _body: Body) -> Any:
        """GET /jobs/:jobid/checkpoints/details/:checkpointid."""
        return checkpoint_shapes.checkpoint(self._checkpoint(request))

    def checkpoint_subtasks(self, request: Request, _body: Body) -> Any:
        """GET /jobs/:jobid/checkpoints/details/:checkpointid/subtasks/:vertexid."""
        vertex_id = request.path_params["vertexid"]
        found = checkpoint_shapes.subtasks(self._checkpoint(request), vertex_id)
        if found is None:
            msg = "the checkpoint has no subtasks of that vertex, or is too old to have them kept"
            raise UnknownOperationError(msg, remedy="GET /jobs/:jobid lists the vertices.")
        return found

    def _checkpoint(self, request: Request) -> CheckpointStats:
        text = request.path_params["checkpointid"]
        if not text.isdecimal() or len(text) > MAX_NUMBER_DIGITS:
            msg = "the checkpoint id is not a number"
            raise BadRequestError(msg, remedy="GET /jobs/:jobid/checkpoints lists them.")
        for stats in self._api.job(_job_id(request)).checkpoints.history:
            if stats.checkpoint_id == int(text):
                return stats
        msg = f"checkpoint {int(text)} is not in the history"
        raise UnknownOperationError(msg, remedy="GET /jobs/:jobid/checkpoints lists them.")

    def trigger_checkpoint(self, request: Request, body: Body) -> Any:
        """POST /jobs/:jobid/checkpoints."""
        job_id = _job_id(request)
        kind = _text(body, "checkpointType") or "CONFIGURED"
        if kind not in {"CONFIGURED", "FULL", "INCREMENTAL"}:
            msg = f"checkpointType '{kind[:20]}' is not CONFIGURED, FULL or INCREMENTAL"
            raise BadRequestError(msg)
        full = kind == "FULL"

        def work() -> Outcome:
            return {"checkpointId": self._api.checkpoint(job_id, full=full)[0]}

        return self._start(job_id, body, work)

    def dispose(self, _request: Request, body: Body) -> Any:
        """POST /savepoint-disposal."""
        path = _text(body, "savepoint-path")
        if not path:
            msg = "savepoint-path is missing"
            raise BadRequestError(msg)
        self._targets.check(path)
        started = self._operations.start("", lambda: self._dispose(path), _trigger_id(body))
        return JSONResponse({"request-id": started}, status_code=202)

    def _dispose(self, path: str) -> Outcome:
        self._api.dispose(path)
        return {}

    def disposal(self, request: Request, _body: Body) -> Any:
        """GET /savepoint-disposal/:triggerid."""
        return self._operations.status("", _checked_trigger_id(request))

    def exceptions(self, request: Request, _body: Body) -> Any:
        """GET /jobs/:jobid/exceptions?maxExceptions=N."""
        text = request.query_params.get("maxExceptions", str(DEFAULT_EXCEPTIONS))
        if not text.isdecimal():
            msg = "maxExceptions is not a number"
            raise BadRequestError(msg, remedy="Give a number from 0.")
        return shapes.exceptions(self._api.job(_job_id(request)), int(text))

    def cancel(self, request: Request, _body: Body) -> Any:
        """PATCH /jobs/:jobid?mode=cancel."""
        mode = request.query_params.get("mode", "cancel")
        if mode != "cancel":
            msg = f"mode '{mode[:20]}' is not supported"
            raise BadRequestError(msg, remedy="Use mode=cancel, or POST to /jobs/:jobid/stop.")
        self._api.cancel(_job_id(request))
        return JSONResponse({}, status_code=202)

    def savepoint(self, request: Request, body: Body) -> Any:
        """POST /jobs/:jobid/savepoints."""
        job_id = _job_id(request)
        target = _text(body, "target-directory")
        self._targets.check(target)
        if body.get("cancel-job"):
            msg = "cancel-job is not supported"
            raise BadRequestError(msg, remedy="POST to /jobs/:jobid/stop instead.")
        return self._start(job_id, body, lambda: {"location": self._api.savepoint(job_id, target)})

    def stop(self, request: Request, body: Body) -> Any:
        """POST /jobs/:jobid/stop."""
        job_id = _job_id(request)
        target = _text(body, "targetDirectory")
        self._targets.check(target)
        drain = body.get("drain") or False
        if not isinstance(drain, bool):
            msg = "drain is not true or false"
            raise BadRequestError(msg)
        return self._start(
            job_id, body, lambda: {"location": self._api.stop(job_id, target, drain=drain)}
        )

    def requirements(self, request: Request, _body: Body) -> Any:
        """GET /jobs/:jobid/resource-requirements."""
        return requirements_of(self._api.job(_job_id(request)))

    def rescale(self, request: Request, body: Body) -> Any:
        """PUT /jobs/:jobid/resource-requirements; answers when the job runs with them."""
        job_id = _job_id(request)
        self._api.job(job_id)  # an unknown job comes before a wrong body
        self._api.rescale(job_id, 0, bounds_of_body(body))
        return {}

    def _start(self, job_id: str, body: Body, work: Callable[[], Outcome]) -> Any:
        trigger_id = _trigger_id(body)
        self._api.job(job_id)  # an unknown job is an error now, not in the operation's outcome
        started = self._operations.start(job_id, work, trigger_id)
        return JSONResponse({"request-id": started}, status_code=202)

    def operation(self, request: Request, _body: Body) -> Any:
        """GET /jobs/:jobid/savepoints/:triggerid and /jobs/:jobid/checkpoints/:triggerid."""
        return self._operations.status(_job_id(request), _checked_trigger_id(request))

    def routes(self) -> list[tuple[str, str, Callable[[Request, Body], Any]]]:
        """Return method, path and handler of each route."""
        return [
            ("GET", "/overview", self.overview),
            ("GET", "/config", self.config),
            ("GET", "/taskmanagers", self.taskmanagers),
            ("GET", "/metrics", self.metrics),
            ("GET", "/healthz", self.health),
            ("GET", "/jobs", self.jobs),
            ("GET", "/jobs/overview", self.jobs_overview),
            ("GET", "/jobs/{jobid}", self.job),
            ("PATCH", "/jobs/{jobid}", self.cancel),
            ("GET", "/jobs/{jobid}/status", self.status),
            ("GET", "/jobs/{jobid}/plan", self.plan),
            ("GET", "/jobs/{jobid}/accumulators", self.accumulators),
            ("GET", "/jobs/{jobid}/checkpoints", self.checkpoints),
            ("GET", "/jobs/{jobid}/checkpoints/config", self.checkpoint_config),
            (
                "GET",
                "/jobs/{jobid}/checkpoints/details/{checkpointid}",
                self.checkpoint_details,
            ),
            (
                "GET",
                "/jobs/{jobid}/checkpoints/details/{checkpointid}/subtasks/{vertexid}",
                self.checkpoint_subtasks,
            ),
            ("POST", "/jobs/{jobid}/checkpoints", self.trigger_checkpoint),
            ("GET", "/jobs/{jobid}/checkpoints/{triggerid}", self.operation),
            ("POST", "/savepoint-disposal", self.dispose),
            ("GET", "/savepoint-disposal/{triggerid}", self.disposal),
            ("GET", "/jobs/{jobid}/exceptions", self.exceptions),
            ("POST", "/jobs/{jobid}/savepoints", self.savepoint),
            ("GET", "/jobs/{jobid}/savepoints/{triggerid}", self.operation),
            ("POST", "/jobs/{jobid}/stop", self.stop),
            ("GET", "/jobs/{jobid}/resource-requirements", self.requirements),
            ("PUT", "/jobs/{jobid}/resource-requirements", self.rescale),
        ]


def build_app(
    api: JobManagerApi, metrics: MetricRegistry, guard: Guard, targets: TargetPolicy
) -> Starlette:
    """Return the ASGI application."""
    routes = []
    for method, path, handler in RestApi(api, metrics, targets).routes():
        endpoint = _endpoint(handler, guard)
        routes += [Route(prefix + path, endpoint, methods=[method]) for prefix in ("", "/v1")]
    return Starlette(routes=routes, exception_handlers={HTTPException: _http_error})


def _endpoint(handler: Callable[[Request, Body], Any], guard: Guard) -> Any:
    async def endpoint(request: Request) -> Response:
        try:
            guard.check(request.method, request.headers)
            body = await _read_body(request)
            result = await run_in_threadpool(handler, request, body)
        except LestoError as error:
            return _problem(http_status(error), error)
        except Exception:
            logger.exception("rest.request_failed")
            msg = "the request failed inside the server"
            return _problem(500, LestoError(msg, remedy="Look at the JobManager's log."))
        return result if isinstance(result, Response) else JSONResponse(result)

    return endpoint


async def _read_body(request: Request) -> Body:
    """Return the JSON object of a request; empty when there is none."""
    if request.method not in {"POST", "PATCH", "PUT"}:
        return {}
    content = b""
    async for chunk in request.stream():
        content += chunk
        if len(content) > MAX_BODY_BYTES:
            msg = f"the body is longer than {MAX_BODY_BYTES} bytes"
            raise BadRequestError(msg)
    if not content.strip():
        return {}
    try:
        body = json.loads(content)
    except ValueError:
        body = None
    if not isinstance(body, dict):
        msg = "the body is not a JSON object"
        raise BadRequestError(msg)
    return body


def _job_id(request: Request) -> str:
    job_id: str = request.path_params["jobid"]
    if not _JOB_ID.fullmatch(job_id):
        msg = "the job id is not 32 hexadecimal digits"
        raise BadRequestError(msg, remedy="Take it from GET /jobs.")
    return job_id


def _trigger_id(body: Body) -> str | None:
    trigger_id = _text(body, "triggerId") or None
    if trigger_id and not _TRIGGER_ID.fullmatch(trigger_id):
        msg = "triggerId is not 32 hexadecimal digits"
        raise BadRequestError(msg)
    return trigger_id


def _checked_trigger_id(request: Request) -> str:
    trigger_id: str = request.path_params["triggerid"]
    if not _TRIGGER_ID.fullmatch(trigger_id):
        msg = "the trigger id is not 32 hexadecimal digits"
        raise BadRequestError(msg)
    return trigger_id


def _text(body: Body, name: str) -> str:
    value = body.get(name)
    if value is not None and not isinstance(value, str):
        msg = f"{name} is not text"
        raise BadRequestError(msg)
    return value or ""


def _problem(status: int, error: LestoError) -> Response:
    """RFC 9457, plus the ``errors`` list that Flink's clients read."""
    return JSONResponse(
        {
            "type": f"https://lesto.dev/errors#{error.code.lower()}",
            "title": type(error).__name__,
            "status": status,
            "detail": error.message,
            "code": error.code,
            "remedy": error.remedy,
            "errors": [f"{error.code}: {error.message}"],
        },
        status_code=status,
        media_type="application/problem+json",
    )


def _http_error(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    problem = _problem(error.status_code, BadRequestError(str(error.detail)))
    problem.headers.update(error.headers or {})
    return problem


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
