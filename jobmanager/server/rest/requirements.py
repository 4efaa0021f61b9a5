"""Flink's JSON of a job's resource requirements: bounds of each vertex's parallelism."""

from __future__ import annotations

from typing import Any

from lesto.jobmanager.core.graph_validation import PARALLELISM_MAX
from lesto.jobmanager.server.rest.errors import BadRequestError
from lesto.proto import client_pb2

#: Characters of a wrong key that an error repeats.
SHOWN_MAX = 40


def bounds_of_body(body: dict[str, Any]) -> dict[str, tuple[int, int]]:
    """Lower and upper bound by vertex id.

    >>> bounds_of_body({"v": {"parallelism": {"lowerBound": 1, "upperBound": 4}}})
    {'v': (1, 4)}

    Raises:
        BadRequestError: the body is something else.
    """
    bounds = {}
    for vertex, wanted in body.items():
        shown = vertex[:SHOWN_MAX]
        parallelism = wanted.get("parallelism") if isinstance(wanted, dict) else None
        if not isinstance(parallelism, dict):
            msg = f"'{shown}' has no parallelism with lowerBound and upperBound"
            raise BadRequestError(msg, remedy="Send what GET answers, with other numbers.")
        lower = _number(parallelism.get("lowerBound", 1), shown)
        upper = _number(parallelism.get("upperBound"), shown)
        if lower > upper:
            msg = f"the lowerBound of '{shown}' is above its upperBound"
            raise BadRequestError(msg)
        bounds[vertex] = (lower, upper)
    if not bounds:
        msg = "the body names no vertex"
        raise BadRequestError(msg, remedy="Send what GET answers, with other numbers.")
    return bounds


def _number(value: Any, vertex: str) -> int:
    if type(value) is not int or not 1 <= value <= PARALLELISM_MAX:
        msg = f"a bound of '{vertex}' is no number from 1 to {PARALLELISM_MAX}"
        raise BadRequestError(msg)
    return value


def requirements_of(details: client_pb2.JobDetails) -> dict[str, Any]:
    """What a job has, in the form that ``bounds_of_body`` takes."""
    return {
        vertex.id: {"parallelism": {"lowerBound": 1, "upperBound": vertex.parallelism}}
        for vertex in details.vertices
    }
