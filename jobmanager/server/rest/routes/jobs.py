"""Jobs: lists, details, plans, failures, cancelling, parallelism."""

from __future__ import annotations

import re
from typing import Any, Final

from google.protobuf.message import DecodeError

from lesto.jobmanager.server.rest import shapes
from lesto.jobmanager.server.rest.context import Context
from lesto.jobmanager.server.rest.errors import BadRequestError
from lesto.jobmanager.server.rest.json_schema import HEX_ID, OBJECT_ANSWER, TEXT, record, ref
from lesto.jobmanager.server.rest.operations import now_ms
from lesto.jobmanager.server.rest.requirements import BOUNDS, bounds_of_body, requirements_of
from lesto.jobmanager.server.rest.routing import Access, Call, Endpoint, Parameter
from lesto.proto import client_pb2 as pb
from lesto.proto import job_pb2

DEFAULT_EXCEPTIONS: Final = 20
PROTOBUF: Final = "application/x-protobuf"
#: Of a job graph with its pickled code: what the JobManager's own port takes.
MAX_GRAPH_BYTES: Final = 63 << 20
HEX_JOB_ID: Final = re.compile(r"[0-9a-f]{32}")
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
                "POST",
                "/jobs",
                self.submit,
                "Submit a job graph: the bytes of a lesto.v1.JobGraph, as Lesto's clients make it. "
                "To submit a program, POST it to /jars/upload.",
                response=record({"jobUrl": TEXT, "jobid": HEX_ID}),
                status=202,
                access=Access.CODE,
                max_body_bytes=MAX_GRAPH_BYTES,
                body_media_type=PROTOBUF,
                patient=True,
            ),
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

    def submit(self, call: Call) -> Any:
        """Take a job graph.

        Raises:
            BadRequestError: the body is none.
            LestoError: the JobManager refuses it.
        """
        assert call.content is not None, "the endpoint's body is no JSON"
        graph = job_pb2.JobGraph()
        try:
            graph.ParseFromString(call.content.read())
        except DecodeError:
            graph.Clear()
        if not HEX_JOB_ID.fullmatch(graph.job_id) or not graph.vertices:
            msg = "the body is not the bytes of a lesto.v1.JobGraph with a job id and vertices"
            raise BadRequestError(
                msg, remedy="Submit programs by /jars/upload, or use `lesto run`."
            )
        job_id = self._api.submit(pb.SubmitJobRequest(graph=graph))
        return {"jobUrl": f"/jobs/{job_id}", "jobid": job_id}

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
