"""The REST application: joins the resources, and answers what no route does.

Every path is served with and without Flink's ``/v1`` prefix.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import cast

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from lesto.common.config import Configuration
from lesto.common.errors import LestoError
from lesto.common.metrics import MetricRegistry
from lesto.jobmanager.server.rest.api import JobManagerApi
from lesto.jobmanager.server.rest.context import Context
from lesto.jobmanager.server.rest.dispatch import Dispatcher
from lesto.jobmanager.server.rest.errors import (
    BadRequestError,
    MethodNotAllowedError,
    RouteNotFoundError,
)
from lesto.jobmanager.server.rest.fleet import Fleet
from lesto.jobmanager.server.rest.guard import TargetPolicy
from lesto.jobmanager.server.rest.problems import problem, wants_plain
from lesto.jobmanager.server.rest.routes.artifacts import ArtifactsResource
from lesto.jobmanager.server.rest.routes.checkpoints import CheckpointsResource
from lesto.jobmanager.server.rest.routes.cluster import ClusterResource
from lesto.jobmanager.server.rest.routes.document import DocumentResource
from lesto.jobmanager.server.rest.routes.events import EventsResource
from lesto.jobmanager.server.rest.routes.jobmanager import JobManagerResource
from lesto.jobmanager.server.rest.routes.jobs import JobsResource
from lesto.jobmanager.server.rest.routes.metrics import MetricsResource
from lesto.jobmanager.server.rest.routes.prometheus import PrometheusResource
from lesto.jobmanager.server.rest.routes.rescales import RescalesResource
from lesto.jobmanager.server.rest.routes.savepoints import SavepointsResource
from lesto.jobmanager.server.rest.routes.sql import SqlResource
from lesto.jobmanager.server.rest.routes.static import StaticResource
from lesto.jobmanager.server.rest.routes.taskmanagers import TaskManagersResource
from lesto.jobmanager.server.rest.routes.vertices import VerticesResource
from lesto.jobmanager.server.rest.routing import Endpoint, Resource

PREFIXES = ("", "/v1")


def resources(context: Context) -> list[Resource]:
    """Return all parts of the server."""
    parts: list[Resource] = [
        ClusterResource(context),
        JobsResource(context),
        CheckpointsResource(context),
        SavepointsResource(context),
        VerticesResource(context),
        EventsResource(context),
        RescalesResource(context),
        MetricsResource(context),
        TaskManagersResource(context),
        ArtifactsResource(context),
        SqlResource(context),
        PrometheusResource(context),
        JobManagerResource(context),
        StaticResource(),
    ]
    parts.append(DocumentResource(lambda: endpoints(parts)))
    return parts


def endpoints(parts: Iterable[Resource]) -> list[Endpoint]:
    """Return the endpoints of all parts, in an order in which the first that fits is the right one.

    ``/jobs/overview`` comes before ``/jobs/{jobid}``.

    Raises:
        ValueError: two have the same method and path.
    """
    found = [endpoint for part in parts for endpoint in part.endpoints()]
    names = [(endpoint.method, endpoint.path) for endpoint in found]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        msg = f"two endpoints are {twice}"
        raise ValueError(msg)
    return sorted(found, key=lambda endpoint: _order(endpoint.path))


class _Nobody:
    """A JobManager that cannot be asked: the document needs none."""


def described() -> list[Endpoint]:
    """Return the endpoints for their description alone: their handlers do not work."""
    api = cast(JobManagerApi, _Nobody())
    context = Context(
        api=api,
        fleet=Fleet(api),
        config=Configuration(),
        metrics=MetricRegistry(),
        targets=TargetPolicy(trusted=False, root=None),
    )
    return endpoints(resources(context))


def _order(path: str) -> list[tuple[bool, str]]:
    return [(part.startswith("{"), part) for part in path.split("/")]


def build_app(found: Sequence[Endpoint], dispatcher: Dispatcher) -> Starlette:
    """Return the ASGI application.

    Args:
        found: as ``endpoints`` orders them.
        dispatcher: runs them.
    """
    by_path: dict[str, list[Endpoint]] = {}
    for endpoint in found:
        by_path.setdefault(endpoint.path, []).append(endpoint)
    routes = [
        Route(
            prefix + path,
            dispatcher.endpoint(same),
            methods=[endpoint.method for endpoint in same],
        )
        for path, same in by_path.items()
        for prefix in PREFIXES
    ]
    app = Starlette(routes=routes, exception_handlers={HTTPException: _unrouted})
    app.router.redirect_slashes = False  # it would repeat whatever host the request names
    return app


def _unrouted(request: Request, error: Exception) -> Response:
    """Answer what no route does."""
    assert isinstance(error, HTTPException)
    path = request.scope["path"]
    named: LestoError
    match error.status_code:
        case 404:
            named = RouteNotFoundError(
                "there is no such path", remedy="GET /openapi.json lists them."
            )
        case 405:
            named = MethodNotAllowedError(
                "the path does not take this method", remedy="GET /openapi.json lists them."
            )
        case _:
            named = BadRequestError(str(error.detail))
    plain = wants_plain(request.headers)
    return problem(named, path, error.status_code, error.headers, plain=plain)
