"""The OpenAPI 3.1 document, made of the endpoints."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

import lesto
from lesto.jobmanager.server.rest.problems import MEDIA_TYPE as PROBLEM
from lesto.jobmanager.server.rest.routing import (
    PATH_PARAMETERS,
    Access,
    Endpoint,
    Parameter,
)
from lesto.jobmanager.server.rest.schemas import COMPONENTS

OPENAPI_VERSION: Final = "3.1.0"
_PLACEHOLDER = re.compile(r"{([a-z_]+)}")
_TAGS: Final[Mapping[str, str]] = {
    "cluster": "The whole cluster.",
    "health": "For orchestrators and Prometheus.",
    "jobs": "Jobs: lists, details, plans, failures, cancelling, parallelism.",
    "vertices": "The tasks of a job.",
    "checkpoints": "Checkpoints of a job.",
    "savepoints": "Savepoints, and stopping with one.",
    "taskmanagers": "The processes that run tasks.",
    "jobmanager": "The process that answers.",
    "programs": "Uploading and running programs.",
    "sql": "SQL sessions.",
    "dashboard": "The files of the dashboard.",
}
_ACCESS: Final[Mapping[Access, str]] = {
    Access.READ: "",
    Access.CONTROL: "Changes the cluster.",
    Access.CODE: "Runs code as the cluster's operating-system user: on loopback without a token "
    "only that user may call it.",
}
_DESCRIPTION: Final = """\
Paths and JSON names are Apache Flink's where Flink has them; answers may have more members.
Every path is served with and without the prefix `/v1`, and answers HEAD where it answers GET.
Errors are RFC 9457 problems; a request without the header `Accept`, as Flink's own clients send
it, is answered with Flink's list of errors alone. On loopback no token is needed."""


def document(endpoints: Sequence[Endpoint]) -> dict[str, Any]:
    """Return the document.

    Raises:
        ValueError: an endpoint has a tag that is not in the table of tags.
    """
    paths: dict[str, dict[str, Any]] = {}
    for endpoint in endpoints:
        if endpoint.tag not in _TAGS:
            msg = f"{endpoint.path} has the unknown tag {endpoint.tag!r}"
            raise ValueError(msg)
        paths.setdefault(endpoint.path, {})[endpoint.method.lower()] = _operation(endpoint)
    used = {endpoint.tag for endpoint in endpoints}
    return {
        "openapi": OPENAPI_VERSION,
        "info": {
            "title": "Lesto REST API",
            "version": lesto.__version__,
            "description": _DESCRIPTION,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/", "description": "this server"}, {"url": "/v1"}],
        "security": [{}, {"token": []}],
        "tags": [{"name": tag, "description": text} for tag, text in _TAGS.items() if tag in used],
        "paths": paths,
        "components": {
            "schemas": dict(COMPONENTS),
            "responses": {"Problem": _PROBLEM, "Unauthenticated": _UNAUTHENTICATED},
            "securitySchemes": {
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "The cluster's `security.token`.",
                },
                "certificate": {
                    "type": "mutualTLS",
                    "description": "With `security.ssl.rest.authentication-enabled`.",
                },
            },
        },
    }


_PROBLEM_CONTENT = {
    PROBLEM: {"schema": {"$ref": "#/components/schemas/Problem"}},
    "application/json": {"schema": {"$ref": "#/components/schemas/Errors"}},
}
_PROBLEM: Final = {"description": "What is wrong, and what to do.", "content": _PROBLEM_CONTENT}
_UNAUTHENTICATED: Final = {
    "description": "The token is missing or wrong.",
    "headers": {"WWW-Authenticate": {"schema": {"type": "string"}}},
    "content": _PROBLEM_CONTENT,
}


def _operation(endpoint: Endpoint) -> dict[str, Any]:
    names = _PLACEHOLDER.findall(endpoint.path)
    parameters = [_parameter(PATH_PARAMETERS[name], "path") for name in names]
    parameters += [_parameter(parameter, "query") for parameter in endpoint.query]
    made: dict[str, Any] = {
        "operationId": _operation_id(endpoint),
        "summary": endpoint.summary,
        "tags": [endpoint.tag],
        "responses": {
            str(endpoint.status): {
                "description": "The answer.",
                "content": {endpoint.media_type: {"schema": dict(endpoint.response)}},
            },
            **{str(status): _also(endpoint, status) for status in endpoint.also},
            **({} if endpoint.open else {"401": _response("Unauthenticated")}),
            "4XX": _response("Problem"),
            "5XX": _response("Problem"),
        },
    }
    if _ACCESS[endpoint.access]:
        made["description"] = _ACCESS[endpoint.access]
    if parameters:
        made["parameters"] = parameters
    if endpoint.body is not None:
        made["requestBody"] = {
            "required": "required" in endpoint.body or "minProperties" in endpoint.body,
            "content": {endpoint.body_media_type: {"schema": dict(endpoint.body)}},
        }
    if endpoint.open:
        made["security"] = []
    return made


def _also(endpoint: Endpoint, status: int) -> dict[str, Any]:
    if status == 304:
        return {"description": "It is as the caller has it."}
    content = {endpoint.media_type: {"schema": dict(endpoint.response)}}
    return {"description": "The part that was asked for.", "content": content}


def _response(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/responses/{name}"}


def _parameter(parameter: Parameter, place: str) -> dict[str, Any]:
    made: dict[str, Any] = {
        "name": parameter.name,
        "in": place,
        "description": parameter.description,
        "required": parameter.required,
        "schema": dict(parameter.schema),
    }
    if parameter.schema.get("type") == "array":
        made |= {"style": "form", "explode": False}
    return made


def _operation_id(endpoint: Endpoint) -> str:
    """A name for generated clients.

    >>> _operation_id(Endpoint("GET", "/jobs/{jobid}/plan", print, ""))
    'getJobsByJobidPlan'
    """
    words = []
    for part in endpoint.path.strip("/").split("/"):
        name = _PLACEHOLDER.fullmatch(part)
        words += ["By", name[1]] if name else re.split(r"[^A-Za-z0-9]+", part)
    return endpoint.method.lower() + "".join(word[:1].upper() + word[1:] for word in words)
