"""The cluster: counts, versions, TaskManagers, health."""

from __future__ import annotations

import time
from typing import Any

from starlette.responses import PlainTextResponse

from lesto.common import options
from lesto.common.metrics_server import CONTENT_TYPE as METRICS_CONTENT_TYPE
from lesto.jobmanager.server.rest import shapes
from lesto.jobmanager.server.rest.context import Context
from lesto.jobmanager.server.rest.errors import NotReadyError
from lesto.jobmanager.server.rest.json_schema import TEXT, ref
from lesto.jobmanager.server.rest.operations import now_ms
from lesto.jobmanager.server.rest.routing import Call, Endpoint


class ClusterResource:
    """Answers for the whole cluster."""

    def __init__(self, context: Context) -> None:
        self._api = context.api
        self._metrics = context.metrics
        self._config = context.config
        self._submits = context.submission is not None

    def endpoints(self) -> list[Endpoint]:
        """Return its endpoints."""
        return [
            Endpoint(
                "GET",
                "/overview",
                self.overview,
                "Counts of TaskManagers, slots and jobs; versions; who leads.",
                response=ref("ClusterOverview"),
                tag="cluster",
            ),
            Endpoint(
                "GET",
                "/config",
                self.config,
                "What the dashboard needs to know of the server.",
                response=ref("DashboardConfig"),
                tag="cluster",
            ),
            Endpoint(
                "GET",
                "/taskmanagers",
                self.taskmanagers,
                "The TaskManagers and their slots.",
                response=ref("TaskManagers"),
                tag="taskmanagers",
            ),
            Endpoint(
                "GET",
                "/metrics",
                self.metrics,
                "The JobManager's metrics, for Prometheus.",
                response=TEXT,
                media_type="text/plain",
                tag="health",
            ),
            Endpoint(
                "GET",
                "/healthz",
                self.health,
                "Whether the JobManager answers; a standby does.",
                response=ref("Health"),
                tag="health",
                open=True,  # who asks whether a process is well has no token
            ),
            Endpoint(
                "GET",
                "/readyz",
                self.ready,
                "Whether requests can be served: a JobManager leads, this or another one.",
                response=ref("Health"),
                tag="health",
                open=True,
            ),
        ]

    def overview(self, _call: Call) -> Any:
        """Count."""
        return shapes.overview(self._api.cluster())

    def config(self, _call: Call) -> Any:
        """Tell the dashboard about the server."""
        offset = time.localtime().tm_gmtoff
        return shapes.dashboard_config(
            self._api.cluster(),
            time.tzname[0],
            offset * 1000,
            submit=self._submits and self._config.get(options.WEB_SUBMIT),
            cancel=self._config.get(options.WEB_CANCEL),
        )

    def taskmanagers(self, _call: Call) -> Any:
        """List TaskManagers."""
        return shapes.taskmanagers(self._api.cluster(), now_ms())

    def metrics(self, _call: Call) -> Any:
        """Show metrics in Prometheus' text."""
        return PlainTextResponse(self._metrics.text(), media_type=METRICS_CONTENT_TYPE)

    def health(self, _call: Call) -> Any:
        """Answer if the JobManager does."""
        self._api.cluster()
        return {"status": "ok"}

    def ready(self, _call: Call) -> Any:
        """Answer if there is a leader to ask.

        Raises:
            NotReadyError: nobody leads.
        """
        found = self._api.cluster()
        if found.high_availability not in {"", "NONE"} and not (
            found.leading or found.leader_address
        ):
            msg = "no JobManager leads at the moment"
            raise NotReadyError(msg, remedy="One will when the lease has ended; try again.")
        return {"status": "ok"}
