"""What a route of the REST server is: method, path, parameters, schemas, handler.

An endpoint says everything about itself, so that the server checks requests, the OpenAPI document
describes them, and tests check answers, all from the same words.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import IO, Any, Final, Protocol

from starlette.requests import Request

#: A JSON schema of the draft that OpenAPI 3.1 uses.
Schema = Mapping[str, Any]

#: Longest request body, unless the endpoint says otherwise.
MAX_BODY_BYTES: Final = 64 * 1024
OBJECT: Final[Schema] = {"type": "object"}


class Access(Enum):
    """What a caller may do with an endpoint."""

    READ = "read"
    CONTROL = "control"  # changes jobs
    CODE = "code"  # runs the caller's code as the cluster's user


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter of a query or path.

    Attributes:
        schema: of its value: a string, integer, number or boolean, or an array of them, which is
            written with commas. ``default`` in it is what a missing one is.
    """

    name: str
    schema: Schema
    description: str
    required: bool = False


def _name(description: str) -> tuple[str, str]:
    return r"^[A-Za-z0-9_][A-Za-z0-9_.:-]{0,127}$", description


def _hex(description: str) -> tuple[str, str]:
    return r"^[0-9a-f]{32}$", description


def _number(description: str) -> tuple[str, str]:
    return r"^[0-9]{1,18}$", description


_PATH = {
    "jobid": _hex("The job: 32 hexadecimal digits."),
    "triggerid": _hex("The operation, as its start answered."),
    "vertexid": _name("The vertex, as GET /jobs/{jobid} lists it."),
    "checkpointid": _number("The checkpoint's number."),
    "subtaskindex": (r"^[0-9]{1,5}$", "The subtask, from 0."),
    "attempt": (r"^[0-9]{1,9}$", "The attempt, from 0."),
    "taskmanagerid": _name("The TaskManager, as GET /taskmanagers lists it."),
    "logname": _name("A log file, as listed; never a path."),
    "jarid": (
        r"^[A-Za-z0-9_][A-Za-z0-9_.+-]{0,199}$",
        "What was uploaded, as GET /jars lists it.",
    ),
    "sessionhandle": (r"^[0-9a-f-]{32,36}$", "The SQL session, as its opening answered."),
    "operationhandle": (r"^[0-9a-f-]{32,36}$", "The statement, as its start answered."),
    "token": _number("The part of the result, from 0."),
    "asset": (r"^[A-Za-z0-9_-][A-Za-z0-9_.-]{0,127}$", "A file of the dashboard."),
}
#: Every parameter that a path may have. A value that does not fit is refused before the handler.
PATH_PARAMETERS: Final[Mapping[str, Parameter]] = {
    name: Parameter(name, {"type": "string", "pattern": pattern}, description, required=True)
    for name, (pattern, description) in _PATH.items()
}


class Call:
    """One request, checked: parameters have the form that the endpoint declares.

    Args:
        request: as it came.
        path: values by name.
        query: values by name, parsed; those that are missing have their default.
        body: the JSON object; empty when there is none.
        content: of an endpoint with another kind of body.

    Attributes:
        request: as it came; its headers, not its body.
        body: the JSON object; empty when there is none.
        content: the whole body of an endpoint whose ``body_media_type`` is not JSON, as a file at
            its start, deleted behind the handler; None for others.
    """

    __slots__ = ("_path", "_query", "body", "content", "request")

    def __init__(
        self,
        request: Request,
        path: Mapping[str, str],
        query: Mapping[str, Any],
        body: dict[str, Any],
        content: IO[bytes] | None = None,
    ) -> None:
        self.request = request
        self.body = body
        self.content = content
        self._path = path
        self._query = query

    def path(self, name: str) -> str:
        """Return a parameter of the path."""
        return self._path[name]

    def query(self, name: str) -> Any:
        """Return a parameter of the query, its default, or None."""
        return self._query[name]

    @property
    def job_id(self) -> str:
        """The job in the path."""
        return self._path["jobid"]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One method of one path.

    Attributes:
        method: GET, POST, PUT, PATCH or DELETE; GET answers HEAD too.
        path: ``/jobs/{jobid}/plan``; served below ``/v1`` too.
        handler: blocking, called in a thread; returns what becomes JSON, or a Starlette response.
        summary: one line for the document.
        query: parameters; others are ignored.
        body: schema of the JSON body; None: there is none, or it is not JSON.
        response: schema of the answer.
        status: of the answer.
        also: other good statuses: 206, a part as a Range header asked; 304, nothing new.
        access: who may call it.
        max_body_bytes: a longer body is refused before it is read.
        tag: chapter of the document.
        media_type: of the answer.
        body_media_type: of the body; any but JSON comes to the handler as ``call.content``.
        patient: the handler waits on purpose (a sample, a savepoint): it runs apart from the quick
            ones, so that it does not take their threads.
        open: needs no token: static files, and what asks whether the process is well.
    """

    method: str
    path: str
    handler: Callable[[Call], Any]
    summary: str
    query: tuple[Parameter, ...] = ()
    body: Schema | None = None
    response: Schema = field(default_factory=lambda: OBJECT)
    status: int = 200
    also: tuple[int, ...] = ()
    access: Access = Access.READ
    max_body_bytes: int = MAX_BODY_BYTES
    tag: str = "jobs"
    media_type: str = "application/json"
    body_media_type: str = "application/json"
    patient: bool = False
    open: bool = False


class Resource(Protocol):
    """A part of the server."""

    def endpoints(self) -> list[Endpoint]:
        """Return its endpoints."""
        ...
