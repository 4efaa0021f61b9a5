"""Uploaded programs: storing, listing, running, planning, deleting. Flink calls them jars."""

from __future__ import annotations

from typing import Any, Final

from lesto.common import options
from lesto.jobmanager.server.rest import shapes
from lesto.jobmanager.server.rest.context import Context
from lesto.jobmanager.server.rest.errors import SwitchedOffError
from lesto.jobmanager.server.rest.json_schema import (
    COUNT,
    FLAG,
    HEX_ID,
    MOMENT,
    OBJECT_ANSWER,
    TEXT,
    listed,
    record,
    ref,
)
from lesto.jobmanager.server.rest.routing import Access, Call, Endpoint, Parameter, Schema
from lesto.jobmanager.server.submission.multipart import MAX_OVERHEAD_BYTES, store_upload
from lesto.jobmanager.server.submission.requests import (
    MAX_ARGUMENTS,
    MAX_PY_FILES,
    RunRequest,
    run_request,
)
from lesto.jobmanager.server.submission.service import Submission
from lesto.jobmanager.server.submission.store import StoreLimits
from lesto.proto import client_pb2 as pb

_TAG: Final = "programs"
_NAME: Schema = {"type": ["string", "null"], "maxLength": 256}
_LOCATION: Schema = {"type": ["string", "null"], "maxLength": 4096}
_ARGUMENTS: Schema = {
    "type": ["array", "null"],
    "items": {"type": "string", "maxLength": 16_384},
    "maxItems": MAX_ARGUMENTS,
}
_PARALLELISM: Schema = {"type": ["integer", "null"], "minimum": 1, "maximum": 32_768}
_CLAIM: Schema = {"type": ["string", "null"], "enum": ["CLAIM", "NO_CLAIM", None]}
_RUN: Schema = {
    "type": "object",
    "properties": {
        "entryClass": {
            **_NAME,
            "description": "Entry point of a wheel, module, or module:function.",
        },
        "module": {**_NAME, "description": "Run as `python -m module`."},
        "programArgs": {"type": ["string", "null"], "maxLength": 16_384},
        "programArgsList": _ARGUMENTS,
        "parallelism": _PARALLELISM,
        "jobId": {"type": ["string", "null"], "pattern": "^[0-9a-f]{32}$"},
        "allowNonRestoredState": {"type": ["boolean", "null"]},
        "savepointPath": _LOCATION,
        "claimMode": _CLAIM,
        "restoreMode": _CLAIM,
        "flinkConfiguration": {
            "type": ["object", "null"],
            "additionalProperties": {"type": "string", "maxLength": 4096},
            "description": "Options for the job, over the cluster's.",
        },
        "pyFiles": {
            "type": ["array", "null"],
            "items": {"type": "string", "maxLength": 200},
            "maxItems": MAX_PY_FILES,
            "description": "Ids of uploaded files that the program imports from.",
        },
    },
}
_QUERY: Final = (
    Parameter("programArg", {"type": "array", "items": {"type": "string"}}, "Arguments."),
    Parameter("program-args", {"type": "string"}, "Arguments as one text; use programArg."),
    Parameter("entry-class", {"type": "string"}, "As entryClass in the body."),
    Parameter("parallelism", {"type": "integer", "minimum": 1, "maximum": 32_768}, "Default."),
    Parameter("savepointPath", {"type": "string", "maxLength": 4096}, "Where it starts from."),
    Parameter("allowNonRestoredState", {"type": "boolean"}, "Ignore state that nothing has."),
)
_UPLOADED: Final = record(
    {"filename": TEXT, "status": {"type": "string", "enum": ["success"]}}, optional={"id": TEXT}
)
_ENTRY: Final = record({"name": TEXT, "description": {"type": ["string", "null"]}})
_LISTED: Final = record(
    {
        "address": TEXT,
        "files": listed(
            record(
                {"id": TEXT, "name": TEXT, "uploaded": MOMENT, "entry": listed(_ENTRY)},
                optional={"size": COUNT},
            )
        ),
    }
)
_STARTED: Final = record(
    {"jobid": HEX_ID, "jobs": listed(HEX_ID)},
    optional={
        "ended": {
            **FLAG,
            "description": "Whether the program ended by itself; else it was ended a while after "
            "the last job that it submitted.",
        }
    },
)


class ArtifactsResource:
    """Uploaded programs."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def endpoints(self) -> list[Endpoint]:
        """Return its endpoints."""
        return [
            Endpoint(
                "POST",
                "/jars/upload",
                self.upload,
                "Upload a program: a .py script, or a .zip, .whl or .pyz, in the field jarfile.",
                response=_UPLOADED,
                access=Access.CODE,
                max_body_bytes=StoreLimits().file_bytes_max + MAX_OVERHEAD_BYTES,
                body_media_type="multipart/form-data",
                tag=_TAG,
                patient=True,
            ),
            Endpoint(
                "GET",
                "/jars",
                self.list,
                "The uploaded programs.",
                response=_LISTED,
                access=Access.CODE,
                tag=_TAG,
            ),
            Endpoint(
                "DELETE",
                "/jars/{jarid}",
                self.delete,
                "Delete an uploaded program; jobs that it has submitted go on.",
                response=OBJECT_ANSWER,
                access=Access.CODE,
                tag=_TAG,
            ),
            Endpoint(
                "POST",
                "/jars/{jarid}/run",
                self.run,
                "Run an uploaded program in a process of its own until it has submitted its jobs.",
                query=_QUERY,
                body=_RUN,
                response=_STARTED,
                access=Access.CODE,
                tag=_TAG,
                patient=True,
            ),
            self._plan("POST", _RUN),
            self._plan("GET", None),
        ]

    def _plan(self, method: str, body: Schema | None) -> Endpoint:
        return Endpoint(
            method,
            "/jars/{jarid}/plan",
            self.plan,
            "The plan of the first job that an uploaded program would submit.",
            query=_QUERY,
            body=body,
            response=ref("JobPlan"),
            access=Access.CODE,
            tag=_TAG,
            patient=True,
        )

    @property
    def _submission(self) -> Submission:
        found = self._context.submission
        if found is None or not self._context.config.get(options.WEB_SUBMIT):
            msg = "programs cannot be run over REST here"
            raise SwitchedOffError(msg, remedy="Set web.submit.enable, or use `lesto run`.")
        return found

    def upload(self, call: Call) -> Any:
        """Store an upload."""
        assert call.content is not None
        store = self._submission.store()
        artifact = store_upload(call.content, call.request.headers.get("content-type", ""), store)
        # Flink's clients take what is behind the last slash as the id.
        return {"filename": f"/jars/{artifact.id}", "status": "success", "id": artifact.id}

    def list(self, call: Call) -> Any:
        """List what was uploaded."""
        files = [
            {
                "id": artifact.id,
                "name": artifact.label,
                "uploaded": artifact.uploaded_ms,
                "entry": [],  # archives are opened by the process that runs them alone
                "size": artifact.size,
            }
            for artifact in self._submission.store().list()
        ]
        base = call.request.base_url
        return {"address": f"{base.scheme}://{base.netloc}", "files": files}

    def delete(self, call: Call) -> Any:
        """Delete an upload."""
        self._submission.store().delete(call.path("jarid"))
        return {}

    def run(self, call: Call) -> Any:
        """Run an upload."""
        found = self._submission.scripts.run(self._request(call))
        return {"jobid": found.jobs[0], "jobs": list(found.jobs), "ended": found.ended}

    def plan(self, call: Call) -> Any:
        """Plan an upload."""
        graph = self._submission.scripts.plan(self._request(call))
        return shapes.plan(graph, pb.JobSummary(job_id=graph.job_id, name=graph.name))

    def _request(self, call: Call) -> RunRequest:
        return run_request(call.path("jarid"), call.body, call.query)
