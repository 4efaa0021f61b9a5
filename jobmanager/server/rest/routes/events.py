"""What happened to a job, how it is configured, how it ended."""

from __future__ import annotations

import platform
from collections.abc import Iterable
from typing import Any, Final

from lesto.jobmanager.server.rest import story_shapes
from lesto.jobmanager.server.rest.context import Context
from lesto.jobmanager.server.rest.json_schema import ref
from lesto.jobmanager.server.rest.operations import now_ms
from lesto.jobmanager.server.rest.routing import Call, Endpoint

JOB: Final = "/jobs/{jobid}"


class EventsResource:
    """Answers about a job's past and surroundings."""

    def __init__(self, context: Context) -> None:
        self._api = context.api
        self._config = context.config

    def endpoints(self) -> list[Endpoint]:
        """Return its endpoints."""
        return list(self._endpoints())

    def _endpoints(self) -> Iterable[Endpoint]:
        yield Endpoint(
            "GET",
            f"{JOB}/events",
            self.events,
            "What happened to the job and why, oldest first, bounded.",
            response=ref("JobEvents"),
        )
        yield Endpoint(
            "GET",
            f"{JOB}/config",
            self.config,
            "What is set for the job otherwise than by default; secrets replaced.",
            response=ref("JobConfig"),
        )
        yield Endpoint(
            "GET",
            f"{JOB}/execution-result",
            self.result,
            "How the job ended, once it has.",
            response=ref("ExecutionResult"),
        )
        yield Endpoint(
            "GET",
            f"{JOB}/jobmanager/config",
            self.jobmanager_config,
            "The JobManager's configuration with the job's on top; secrets replaced.",
            response=ref("KeysAndValues"),
        )
        yield Endpoint(
            "GET",
            f"{JOB}/jobmanager/environment",
            self.jobmanager_environment,
            "The Python that the job was made by, and where its modules are looked for.",
            response=ref("JobEnvironment"),
        )
        yield Endpoint(
            "GET",
            "/datasets",
            self.datasets,
            "Results that are kept for other jobs: none, as jobs share nothing here.",
            response=ref("DataSets"),
            tag="cluster",
        )

    def events(self, call: Call) -> Any:
        """Show events."""
        return story_shapes.events(self._api.job(call.job_id, include_graph=True))

    def config(self, call: Call) -> Any:
        """Show configuration."""
        return story_shapes.config(self._api.job(call.job_id, include_graph=True))

    def result(self, call: Call) -> Any:
        """Show the end."""
        return story_shapes.execution_result(self._api.job(call.job_id), now_ms())

    def jobmanager_config(self, call: Call) -> Any:
        """Show the JobManager's configuration, the job's on top."""
        details = self._api.job(call.job_id, include_graph=True)
        merged = {**self._config.to_dict(redact=True), **details.config}
        return [{"key": key, "value": text} for key, text in sorted(merged.items())]

    def jobmanager_environment(self, call: Call) -> Any:
        """Show the job's Python."""
        details = self._api.job(call.job_id, include_graph=True)
        return story_shapes.environment(details, platform.machine())

    def datasets(self, _call: Call) -> Any:
        """List nothing."""
        return {"dataSets": []}
