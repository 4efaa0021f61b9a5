"""Changes of a job's parallelism, made and refused."""

from __future__ import annotations

from typing import Any

from lesto.jobmanager.server.rest import story_shapes
from lesto.jobmanager.server.rest.context import Context
from lesto.jobmanager.server.rest.json_schema import ref
from lesto.jobmanager.server.rest.routing import Call, Endpoint


class RescalesResource:
    """Answers about rescales."""

    def __init__(self, context: Context) -> None:
        self._api = context.api

    def endpoints(self) -> list[Endpoint]:
        """Return its endpoints."""
        return [
            Endpoint(
                "GET",
                "/jobs/{jobid}/rescales/overview",
                self.overview,
                "How many rescales there were, and the newest of each outcome.",
                response=ref("RescalesOverview"),
            ),
            Endpoint(
                "GET",
                "/jobs/{jobid}/rescales/history",
                self.history,
                "The newest rescales, newest first.",
                response=ref("Rescales"),
            ),
        ]

    def overview(self, call: Call) -> Any:
        """Count rescales."""
        return story_shapes.rescales_overview(self._api.job(call.job_id, include_graph=True))

    def history(self, call: Call) -> Any:
        """List rescales."""
        return story_shapes.rescales(self._api.job(call.job_id, include_graph=True))
