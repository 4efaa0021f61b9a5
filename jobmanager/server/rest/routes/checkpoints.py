"""Checkpoints of a job: history, details, settings, taking one by hand."""

from __future__ import annotations

from typing import Any

from lesto.jobmanager.server.rest import checkpoint_shapes
from lesto.jobmanager.server.rest.context import Context
from lesto.jobmanager.server.rest.errors import UnknownOperationError
from lesto.jobmanager.server.rest.json_schema import ref
from lesto.jobmanager.server.rest.operations import TRIGGER_ID, Outcome, start
from lesto.jobmanager.server.rest.routing import Access, Call, Endpoint, Schema
from lesto.proto.client_pb2 import CheckpointStats

_TRIGGER: Schema = {
    "type": "object",
    "properties": {
        "checkpointType": {
            "type": ["string", "null"],
            "enum": ["CONFIGURED", "FULL", "INCREMENTAL", None],
        },
        "triggerId": TRIGGER_ID,
    },
}
_BASE = "/jobs/{jobid}/checkpoints"


class CheckpointsResource:
    """Answers about checkpoints."""

    def __init__(self, context: Context) -> None:
        self._api = context.api
        self._operations = context.operations

    def endpoints(self) -> list[Endpoint]:
        """Return its endpoints."""
        tag = "checkpoints"
        return [
            Endpoint(
                "GET",
                _BASE,
                self.checkpoints,
                "Counts, the newest of each kind, and the history, newest first and bounded.",
                response=ref("Checkpoints"),
                tag=tag,
            ),
            Endpoint(
                "POST",
                _BASE,
                self.trigger,
                "Take a checkpoint now; ask for the outcome with the request-id.",
                body=_TRIGGER,
                response=ref("Started"),
                status=202,
                access=Access.CONTROL,
                tag=tag,
            ),
            Endpoint(
                "GET",
                f"{_BASE}/config",
                self.config,
                "The settings of checkpoints.",
                response=ref("CheckpointConfig"),
                tag=tag,
            ),
            Endpoint(
                "GET",
                f"{_BASE}/details/{{checkpointid}}",
                self.details,
                "A checkpoint of the history.",
                response=ref("Checkpoint"),
                tag=tag,
            ),
            Endpoint(
                "GET",
                f"{_BASE}/details/{{checkpointid}}/subtasks/{{vertexid}}",
                self.subtasks,
                "Each subtask's part in a checkpoint: which was slow, and in which phase.",
                response=ref("CheckpointSubtasks"),
                tag=tag,
            ),
            Endpoint(
                "GET",
                f"{_BASE}/{{triggerid}}",
                self.operation,
                "The outcome of a checkpoint taken by hand.",
                response=ref("Operation"),
                tag=tag,
            ),
        ]

    def checkpoints(self, call: Call) -> Any:
        """List checkpoints."""
        return checkpoint_shapes.checkpoints(self._api.job(call.job_id).checkpoints)

    def config(self, call: Call) -> Any:
        """Show the settings."""
        return checkpoint_shapes.config(self._api.job(call.job_id).checkpoints.config)

    def details(self, call: Call) -> Any:
        """Show a checkpoint."""
        return checkpoint_shapes.checkpoint(self._checkpoint(call))

    def subtasks(self, call: Call) -> Any:
        """Show each subtask's part."""
        found = checkpoint_shapes.subtasks(self._checkpoint(call), call.path("vertexid"))
        if found is None:
            msg = "the checkpoint has no subtasks of that vertex, or is too old to have them kept"
            raise UnknownOperationError(msg, remedy="GET /jobs/:jobid lists the vertices.")
        return found

    def _checkpoint(self, call: Call) -> CheckpointStats:
        number = int(call.path("checkpointid"))
        for stats in self._api.job(call.job_id).checkpoints.history:
            if stats.checkpoint_id == number:
                return stats
        msg = f"checkpoint {number} is not in the history"
        raise UnknownOperationError(msg, remedy="GET /jobs/:jobid/checkpoints lists them.")

    def trigger(self, call: Call) -> Any:
        """Take a checkpoint."""
        job_id = call.job_id
        full = call.body.get("checkpointType") == "FULL"

        def work() -> Outcome:
            return {"checkpointId": self._api.checkpoint(job_id, full=full)[0]}

        return start(self._operations, self._api, call, work)

    def operation(self, call: Call) -> Any:
        """Tell how far it is."""
        return self._operations.status(call.job_id, call.path("triggerid"))
