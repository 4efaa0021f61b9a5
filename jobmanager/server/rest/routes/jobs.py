"""Jobs: lists, details, plans, failures, cancelling, parallelism."""

from __future__ import annotations

from typing import Any, Final

from lesto.jobmanager.server.rest import shapes
from lesto.jobmanager.server.rest.context import Context
from lesto.jobmanager.server.rest.json_schema import OBJECT_ANSWER, ref
from lesto.jobmanager.server.rest.operations import now_ms
from lesto.jobmanager.server.rest.requirements import BOUNDS, bounds_of_body, requirements_of
from lesto.jobmanager.server.rest.routing import Access, Call, Endpoint, Parameter

DEFAULT_EXCEPTIONS: Final = 20
MAX_EXCEPTIONS: Final = 1_000


class JobsResource:
    """Answers about jobs."""

    def __init__(self, context: Context) -> None:
        self._api = context.api

    def endpoints(self) -> list[Endpoint]:
        """Return its endpoints."""
        return [*self._lists(), *self._single(), *self._changes()]

    def _lists(self) -> list[Endpoint]:
        return [
            Endpoint(
                "GET",
                "/jobs",
                self.jobs,
                "Ids and states of all jobs that the JobManager remembers.",
                response=ref("JobIds"),
            ),
            Endpoint(
                "GET",
                "/jobs/overview",
                self.overview,
                "A line about each job that the JobManager remembers.",
                response=ref("JobsOverview"),
            ),
        ]

    def _single(self) -> list[Endpoint]:
        return [
            Endpoint(
                "GET",
                "/jobs/{jobid}",
                self.job,
                "A job: states, vertices, counts, plan.",
                response=ref("JobDetails"),
            ),
            Endpoint(
                "GET",
                "/jobs/{jobid}/status",
                self.status,
                "A job's state.",
                response=ref("JobStatus"),
            ),
            Endpoint(
                "GET",
                "/jobs/{jobid}/plan",
                self.plan,
                "A job's graph.",
                response=ref("JobPlan"),
            ),
            Endpoint(
                "GET",
                "/jobs/{jobid}/accumulators",
                self.accumulators,
                "What functions have counted, over all subtasks.",
                query=(
                    Parameter(
                        "includeSerializedValue",
                        {"type": "boolean", "default": False},
                        "Of Flink's clients; Java objects, of which there are none here.",
                    ),
                ),
                response=ref("Accumulators"),
            ),
            Endpoint(
                "GET",
                "/jobs/{jobid}/exceptions",
                self.exceptions,
                "What has failed, newest first.",
                query=(
                    Parameter(
                        "maxExceptions",
                        {
                            "type": "integer",
                            "minimum": 0,
                            "maximum": MAX_EXCEPTIONS,
                            "default": DEFAULT_EXCEPTIONS,
                        },
                        "How many.",
                    ),
                ),
                response=ref("JobExceptions"),
            ),
        ]

    def _changes(self) -> list[Endpoint]:
        return [
            Endpoint(
                "PATCH",
                "/jobs/{jobid}",
                self.cancel,
                "Cancel a job; does not wait for its end.",
                query=(
                    Parameter(
                        "mode",
                        {"type": "string", "enum": ["cancel"], "default": "cancel"},
                        "What to do; to stop with a savepoint, POST to /jobs/{jobid}/stop.",
                    ),
                ),
                response=OBJECT_ANSWER,
                status=202,
                access=Access.CONTROL,
            ),
            Endpoint(
                "GET",
                "/jobs/{jobid}/resource-requirements",
                self.requirements,
                "Bounds of each vertex's parallelism.",
                response=ref("Requirements"),
            ),
            Endpoint(
                "PUT",
                "/jobs/{jobid}/resource-requirements",
                self.rescale,
                "Change the parallelism in place; answers when the job runs with it.",
                body=BOUNDS,
                response=OBJECT_ANSWER,
                access=Access.CONTROL,
                patient=True,
            ),
        ]

    def jobs(self, _call: Call) -> Any:
        """List ids and states."""
        return shapes.job_ids(self._api.jobs())

    def overview(self, _call: Call) -> Any:
        """List jobs."""
        now = now_ms()
        return {"jobs": [shapes.job_overview(job, now) for job in self._api.jobs()]}

    def job(self, call: Call) -> Any:
        """Show a job."""
        return shapes.job_details(self._api.job(call.job_id, include_graph=True), now_ms())

    def status(self, call: Call) -> Any:
        """Show a job's state."""
        return {"status": shapes.job_state(self._api.job(call.job_id).summary.state)}

    def accumulators(self, call: Call) -> Any:
        """Show what functions have counted."""
        return shapes.accumulators(self._api.job(call.job_id))

    def plan(self, call: Call) -> Any:
        """Show a job's graph."""
        details = self._api.job(call.job_id, include_graph=True)
        return shapes.plan(details.graph, details.summary)

    def exceptions(self, call: Call) -> Any:
        """Show what has failed."""
        return shapes.exceptions(self._api.job(call.job_id), call.query("maxExceptions"))

    def cancel(self, call: Call) -> Any:
        """Cancel a job."""
        self._api.cancel(call.job_id)
        return {}

    def requirements(self, call: Call) -> Any:
        """Show bounds of parallelism."""
        return requirements_of(self._api.job(call.job_id))

    def rescale(self, call: Call) -> Any:
        """Change the parallelism."""
        self._api.job(call.job_id)  # an unknown job comes before a wrong body
        self._api.rescale(call.job_id, 0, bounds_of_body(call.body))
        return {}
