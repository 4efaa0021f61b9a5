"""Flink's JSON of a job's resource requirements: bounds of each vertex's parallelism."""

from __future__ import annotations

from typing import Any, Final

from lesto.jobmanager.core.graph_validation import PARALLELISM_MAX
from lesto.jobmanager.server.rest.errors import BadRequestError
from lesto.jobmanager.server.rest.json_schema import mapped, record
from lesto.jobmanager.server.rest.routing import Schema
from lesto.jobmanager.server.rest.validation import shown
from lesto.proto import client_pb2

_BOUND: Final[Schema] = {"type": "integer", "minimum": 1, "maximum": PARALLELISM_MAX}
#: Of the body; ``lowerBound`` is 1 if it is missing.
BOUNDS: Final[Schema] = {
    **mapped(
        record({"parallelism": record({"upperBound": _BOUND}, optional={"lowerBound": _BOUND})})
    ),
    "minProperties": 1,
    "maxProperties": 10_000,
}


def bounds_of_body(body: dict[str, Any]) -> dict[str, tuple[int, int]]:
    """Lower and upper bound by vertex id, of a body that fits ``BOUNDS``.

    >>> bounds_of_body({"v": {"parallelism": {"lowerBound": 1, "upperBound": 4}}})
    {'v': (1, 4)}

    Raises:
        BadRequestError: a lower bound is above its upper one.
    """
    bounds = {}
    for vertex, wanted in body.items():
        parallelism = wanted["parallelism"]
        # JSON schema takes 4.0 for an integer.
        lower, upper = int(parallelism.get("lowerBound", 1)), int(parallelism["upperBound"])
        if lower > upper:
            msg = f"the lowerBound of '{shown(vertex)}' is above its upperBound"
            raise BadRequestError(msg)
        bounds[vertex] = (lower, upper)
    return bounds


def requirements_of(details: client_pb2.JobDetails) -> dict[str, Any]:
    """What a job has, in the form that ``bounds_of_body`` takes."""
    return {
        vertex.id: {"parallelism": {"lowerBound": 1, "upperBound": vertex.parallelism}}
        for vertex in details.vertices
    }
