"""Flink's SQL Gateway: its paths and JSON, below ``/sql/v1`` to ``/sql/v3``."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final

from starlette.responses import Response

import lesto
from lesto.common import options
from lesto.jobmanager.server.rest.context import Context
from lesto.jobmanager.server.rest.errors import BadRequestError, SwitchedOffError
from lesto.jobmanager.server.rest.json_schema import (
    FLAG,
    HEX_ID,
    OBJECT_ANSWER,
    TEXT,
    enum,
    listed,
    mapped,
    record,
)
from lesto.jobmanager.server.rest.routing import Access, Call, Endpoint, Parameter, Schema
from lesto.jobmanager.server.submission.sessions import SqlSession, SqlSessions

VERSIONS: Final = ("v1", "v2", "v3")
#: Characters of a statement, and bytes of the body around it.
MAX_STATEMENT: Final = 256 * 1024
MAX_BODY_BYTES: Final = 2 * 1024 * 1024
#: Options of a session or statement.
MAX_PROPERTIES: Final = 200
_TAG: Final = "sql"
_OPTIONS: Schema = {
    "type": ["object", "null"],
    "additionalProperties": {"type": "string", "maxLength": 4096},
    "maxProperties": MAX_PROPERTIES,
}
_TIMEOUT: Schema = {
    "type": ["integer", "null"],
    "minimum": 0,
    "maximum": 86_400_000,
    "description": "ms; 0: none",
}
_STATEMENT: Schema = {"type": "string", "minLength": 1, "maxLength": MAX_STATEMENT}
_NOTHING: Schema = {"type": "object"}
_OPEN: Schema = {
    "type": "object",
    "properties": {
        "sessionName": {"type": ["string", "null"], "maxLength": 256},
        "properties": _OPTIONS,
    },
}
_EXECUTE: Schema = {
    "type": "object",
    "properties": {
        "statement": _STATEMENT,
        "executionTimeout": _TIMEOUT,
        "executionConfig": _OPTIONS,
    },
    "required": ["statement"],
}
_CONFIGURE: Schema = {
    "type": "object",
    "properties": {"statement": _STATEMENT, "executionTimeout": _TIMEOUT},
    "required": ["statement"],
}
_COMPLETE: Schema = {
    "type": "object",
    "properties": {
        "statement": {"type": "string", "maxLength": MAX_STATEMENT},
        "position": {"type": "integer", "minimum": 0, "maximum": MAX_STATEMENT},
    },
    "required": ["statement", "position"],
}
_FORMAT: Final = Parameter(
    "rowFormat",
    {"type": "string", "enum": ["JSON", "PLAIN_TEXT"], "default": "JSON"},
    "How values are written: as JSON, or as SQL casts them to text.",
)
_STATUS: Final = record({"status": TEXT})
_COLUMN: Final = record(
    {"name": TEXT, "logicalType": record({"type": TEXT}, optional={"nullable": FLAG})},
    optional={"comment": {"type": ["string", "null"]}},
)
_ROW: Final = record(
    {
        "kind": enum("INSERT", "UPDATE_BEFORE", "UPDATE_AFTER", "DELETE"),
        "fields": {"type": "array"},
    }
)
_RESULT: Final = record(
    {"resultType": enum("NOT_READY", "PAYLOAD", "EOS")},
    optional={
        "isQueryResult": FLAG,
        "jobID": HEX_ID,
        "resultKind": enum("SUCCESS", "SUCCESS_WITH_CONTENT"),
        "results": record(
            {
                "columns": listed(_COLUMN),
                "rowFormat": enum("JSON", "PLAIN_TEXT"),
                "data": listed(_ROW),
            }
        ),
        "nextResultUri": TEXT,
    },
)


def _statement(call: Call) -> str:
    """The statement of a body.

    Raises:
        BadRequestError: it has halves of characters, which no text of SQL can have.
    """
    text: str = call.body["statement"]
    try:
        text.encode()
    except UnicodeEncodeError:
        msg = "the statement is no Unicode text: it has one half of a surrogate pair"
        raise BadRequestError(msg) from None
    return text


def _code(
    method: str,
    path: str,
    handler: Callable[[Call], Any],
    summary: str,
    response: Schema,
    body: Schema | None = None,
    query: tuple[Parameter, ...] = (),
) -> Endpoint:
    """An endpoint that has a session's process do something."""
    return Endpoint(
        method,
        path,
        handler,
        summary,
        query=query,
        body=body,
        response=response,
        access=Access.CODE,
        max_body_bytes=MAX_BODY_BYTES,
        tag=_TAG,
        patient=True,
    )


class SqlResource:
    """SQL sessions."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def endpoints(self) -> list[Endpoint]:
        """Return its endpoints."""
        return [endpoint for version in VERSIONS for endpoint in self._of(version)]

    def _of(self, version: str) -> list[Endpoint]:
        base = f"/sql/{version}"
        session = f"{base}/sessions/{{sessionhandle}}"
        return [
            *self._about(base),
            *self._of_sessions(base, session),
            *self._of_statements(version, session),
        ]

    def _about(self, base: str) -> list[Endpoint]:
        return [
            Endpoint(
                "GET",
                f"{base}/info",
                self.info,
                "What serves.",
                response=record({"productName": TEXT, "version": TEXT}),
                tag=_TAG,
            ),
            Endpoint(
                "GET",
                f"{base}/api_versions",
                self.versions,
                "The versions of these paths.",
                response=record({"versions": listed(TEXT)}),
                tag=_TAG,
            ),
        ]

    def _of_sessions(self, base: str, session: str) -> list[Endpoint]:
        return [
            _code(
                "POST",
                f"{base}/sessions",
                self.open,
                "Open a session: a process with catalogs and options of its own.",
                record({"sessionHandle": TEXT}),
                _OPEN,
            ),
            _code(
                "GET",
                session,
                self.config,
                "A session's options.",
                record({"properties": mapped(TEXT)}),
            ),
            _code("DELETE", session, self.close, "Close a session and its queries.", _STATUS),
            _code(
                "POST",
                f"{session}/heartbeat",
                self.heartbeat,
                "Keep a session from being closed as idle.",
                OBJECT_ANSWER,
                _NOTHING,
            ),
            _code(
                "POST",
                f"{session}/configure-session",
                self.configure,
                "Carry out a statement that runs no job, and wait for it.",
                OBJECT_ANSWER,
                _CONFIGURE,
            ),
            *[
                _code(
                    method,
                    f"{session}/complete-statement",
                    self.complete,
                    "What may stand at a place of a statement that is being written.",
                    record({"candidates": listed(TEXT)}),
                    _COMPLETE,
                )
                for method in ("POST", "GET")  # Flink's client sends GET with a body
            ],
        ]

    def _of_statements(self, version: str, session: str) -> list[Endpoint]:
        one = f"{session}/operations/{{operationhandle}}"
        return [
            _code(
                "POST",
                f"{session}/statements",
                self.execute,
                "Start a statement; its result is fetched page by page.",
                record({"operationHandle": TEXT}),
                _EXECUTE,
            ),
            _code("GET", f"{one}/status", self.status, "State of a statement.", _STATUS),
            _code(
                "GET",
                f"{one}/result/{{token}}",
                partial(self.fetch, version),
                "A page of a statement's result; the next one is at nextResultUri.",
                _RESULT,
                query=(_FORMAT,),
            ),
            _code(
                "POST",
                f"{one}/cancel",
                self.cancel,
                "Cancel a statement; a query's job ends.",
                _STATUS,
                _NOTHING,
            ),
            _code(
                "DELETE",
                f"{one}/close",
                self.close_operation,
                "Forget a statement and its result; a query's job ends.",
                _STATUS,
            ),
        ]

    @property
    def _sessions(self) -> SqlSessions:
        found = self._context.submission
        if found is None or not self._context.config.get(options.WEB_SUBMIT):
            msg = "SQL sessions cannot be opened over REST here"
            raise SwitchedOffError(msg, remedy="Set web.submit.enable, or use `lesto sql`.")
        return found.sessions

    def _session(self, call: Call) -> SqlSession:
        return self._sessions.get(call.path("sessionhandle"))

    # ------------------------------------------------------------------------------------ handlers

    def info(self, _call: Call) -> Any:
        """Say what serves."""
        return {"productName": "Lesto", "version": lesto.__version__}

    def versions(self, _call: Call) -> Any:
        """Say which versions there are."""
        return {"versions": [version.upper() for version in VERSIONS]}

    def open(self, call: Call) -> Any:
        """Open a session."""
        return {"sessionHandle": self._sessions.open(call.body.get("properties") or {})}

    def config(self, call: Call) -> Any:
        """Return a session's options."""
        return {"properties": self._session(call).call("config")[0]["properties"]}

    def close(self, call: Call) -> Any:
        """Close a session."""
        self._sessions.close(call.path("sessionhandle"))
        return {"status": "CLOSED"}

    def heartbeat(self, call: Call) -> Any:
        """Keep a session."""
        self._session(call).touch()
        return {}

    def configure(self, call: Call) -> Any:
        """Configure a session by a statement."""
        self._session(call).call(
            "configure",
            statement=_statement(call),
            timeout_ms=call.body.get("executionTimeout") or 0,
        )
        return {}

    def complete(self, call: Call) -> Any:
        """Complete a statement."""
        header, _ = self._session(call).call(
            "complete", statement=_statement(call), position=call.body["position"]
        )
        return {"candidates": header["candidates"]}

    def execute(self, call: Call) -> Any:
        """Start a statement."""
        header, _ = self._session(call).call(
            "execute",
            statement=_statement(call),
            timeout_ms=call.body.get("executionTimeout") or 0,
            config=call.body.get("executionConfig") or {},
        )
        return {"operationHandle": header["operation"]}

    def status(self, call: Call) -> Any:
        """Return a statement's state."""
        return self._of_operation(call, "status")

    def cancel(self, call: Call) -> Any:
        """Cancel a statement."""
        return self._of_operation(call, "cancel")

    def close_operation(self, call: Call) -> Any:
        """Forget a statement."""
        return self._of_operation(call, "close_operation")

    def _of_operation(self, call: Call, name: str) -> Any:
        header, _ = self._session(call).call(name, operation=call.path("operationhandle"))
        return {"status": header["status"]}

    def fetch(self, version: str, call: Call) -> Any:
        """Return a page of a statement's result, as the session's process has written it."""
        session, operation = call.path("sessionhandle"), call.path("operationhandle")
        row_format = call.query("rowFormat")
        _, page = self._session(call).call(
            "fetch",
            operation=operation,
            token=int(call.path("token")),
            row_format=row_format,
            uri=f"/sql/{version}/sessions/{session}/operations/{operation}/result/"
            f"{{token}}?rowFormat={row_format}",
        )
        return Response(page, media_type="application/json", headers={"Cache-Control": "no-store"})
