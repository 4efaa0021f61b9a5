"""Savepoints: taking them, stopping with one, disposing of them."""

from __future__ import annotations

from typing import Any

from lesto.jobmanager.server.rest.context import Context
from lesto.jobmanager.server.rest.errors import BadRequestError
from lesto.jobmanager.server.rest.json_schema import ref
from lesto.jobmanager.server.rest.operations import TRIGGER_ID, Outcome, start
from lesto.jobmanager.server.rest.routing import Access, Call, Endpoint, Schema

#: Characters of a path or URI.
_LOCATION: Schema = {"type": ["string", "null"], "maxLength": 4096}
_FLAG: Schema = {"type": ["boolean", "null"]}
_FORMAT: Schema = {"type": ["string", "null"], "enum": ["CANONICAL", "NATIVE", None]}

_SAVEPOINT: Schema = {
    "type": "object",
    "properties": {
        "target-directory": _LOCATION,
        "cancel-job": {
            "type": ["boolean", "null"],
            "enum": [False, None],
            "description": "To cancel too, POST to /jobs/{jobid}/stop.",
        },
        "formatType": _FORMAT,
        "triggerId": TRIGGER_ID,
    },
}
_STOP: Schema = {
    "type": "object",
    "properties": {
        "targetDirectory": _LOCATION,
        "drain": _FLAG,
        "formatType": _FORMAT,
        "triggerId": TRIGGER_ID,
    },
}
_DISPOSAL: Schema = {
    "type": "object",
    "properties": {
        "savepoint-path": {"type": "string", "minLength": 1, "maxLength": 4096},
        "triggerId": TRIGGER_ID,
    },
    "required": ["savepoint-path"],
}


class SavepointsResource:
    """Starts what writes and deletes savepoints, and tells how far it is."""

    def __init__(self, context: Context) -> None:
        self._api = context.api
        self._operations = context.operations
        self._targets = context.targets

    def endpoints(self) -> list[Endpoint]:
        """Return its endpoints."""
        tag = "savepoints"
        return [
            Endpoint(
                "POST",
                "/jobs/{jobid}/savepoints",
                self.savepoint,
                "Take a savepoint; ask for the outcome with the request-id.",
                body=_SAVEPOINT,
                response=ref("Started"),
                status=202,
                access=Access.CONTROL,
                tag=tag,
            ),
            Endpoint(
                "GET",
                "/jobs/{jobid}/savepoints/{triggerid}",
                self.operation,
                "The outcome of a savepoint, or of stopping with one.",
                response=ref("Operation"),
                tag=tag,
            ),
            Endpoint(
                "POST",
                "/jobs/{jobid}/stop",
                self.stop,
                "Stop a job with a savepoint; ask for the outcome with the request-id.",
                body=_STOP,
                response=ref("Started"),
                status=202,
                access=Access.CONTROL,
                tag=tag,
            ),
            Endpoint(
                "POST",
                "/savepoint-disposal",
                self.dispose,
                "Delete a savepoint; ask for the outcome with the request-id.",
                body=_DISPOSAL,
                response=ref("Started"),
                status=202,
                access=Access.CONTROL,
                tag=tag,
            ),
            Endpoint(
                "GET",
                "/savepoint-disposal/{triggerid}",
                self.disposal,
                "The outcome of deleting a savepoint.",
                response=ref("Operation"),
                tag=tag,
            ),
        ]

    def savepoint(self, call: Call) -> Any:
        """Take a savepoint."""
        job_id, target = call.job_id, call.body.get("target-directory") or ""
        self._targets.check(target)
        return start(
            self._operations,
            self._api,
            call,
            lambda: {"location": self._api.savepoint(job_id, target)},
        )

    def stop(self, call: Call) -> Any:
        """Stop with a savepoint."""
        job_id, target = call.job_id, call.body.get("targetDirectory") or ""
        drain = bool(call.body.get("drain"))
        self._targets.check(target)
        return start(
            self._operations,
            self._api,
            call,
            lambda: {"location": self._api.stop(job_id, target, drain=drain)},
        )

    def dispose(self, call: Call) -> Any:
        """Delete a savepoint."""
        path = call.body["savepoint-path"]
        if "\0" in path:
            msg = "savepoint-path is no path"
            raise BadRequestError(msg)
        self._targets.check(path)

        def work() -> Outcome:
            self._api.dispose(path)
            return {}

        return {"request-id": self._operations.start("", work, call.body.get("triggerId"))}

    def operation(self, call: Call) -> Any:
        """Tell how far it is."""
        return self._operations.status(call.job_id, call.path("triggerid"))

    def disposal(self, call: Call) -> Any:
        """Tell how far it is."""
        return self._operations.status("", call.path("triggerid"))
