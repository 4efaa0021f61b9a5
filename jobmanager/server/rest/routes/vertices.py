"""Vertices of a job: subtasks, times, watermarks, backpressure, accumulators, samples."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import Any, Final

from lesto.common.inspection import RECORDS_MAX
from lesto.jobmanager.server.rest import sampling, vertex_shapes
from lesto.jobmanager.server.rest.context import Context
from lesto.jobmanager.server.rest.errors import NotInJobError
from lesto.jobmanager.server.rest.fleet import Shared
from lesto.jobmanager.server.rest.found import find_subtask, find_vertex, places
from lesto.jobmanager.server.rest.json_schema import ref
from lesto.jobmanager.server.rest.metric_sources import MetricSources
from lesto.jobmanager.server.rest.operations import now_ms
from lesto.jobmanager.server.rest.routing import Call, Endpoint, Parameter

VERTEX: Final = "/jobs/{jobid}/vertices/{vertexid}"
#: For how long a flame graph is given to others who ask for the same.
FLAME_GRAPH_SECONDS: Final = 10.0
RECORD_TIMEOUT_MS_MAX: Final = 10_000

_SUBTASK = Parameter(
    "subtaskindex",
    {"type": "integer", "minimum": -1, "maximum": 99_999, "default": -1},
    "One subtask alone; -1: all.",
)
_RECORDS: Final = (
    Parameter(
        "operator",
        {"type": "string", "maxLength": 200, "default": ""},
        "Uid of the operator whose output is looked at; by default the last one of the vertex.",
    ),
    Parameter(
        "side",
        {"type": "string", "maxLength": 200, "default": ""},
        "Tag of a side output; by default the main output.",
    ),
    Parameter(
        "subtask",
        {"type": "integer", "minimum": -1, "maximum": 99_999, "default": -1},
        "One subtask alone; -1: all.",
    ),
    Parameter(
        "max",
        {"type": "integer", "minimum": 1, "maximum": RECORDS_MAX, "default": 20},
        "How many records.",
    ),
    Parameter(
        "timeout",
        {"type": "integer", "minimum": 1, "maximum": RECORD_TIMEOUT_MS_MAX, "default": 2_000},
        "Ms after which what has come is the answer.",
    ),
)
_get = functools.partial(Endpoint, "GET", tag="vertices")


class VerticesResource:
    """Answers about vertices."""

    def __init__(self, context: Context) -> None:
        self._api = context.api
        self._fleet = context.fleet
        self._sources = MetricSources(context.api, context.fleet)
        self._flames: Shared[dict[str, Any]] = Shared(FLAME_GRAPH_SECONDS)

    def endpoints(self) -> list[Endpoint]:
        """Return its endpoints."""
        return [*self._states(), *self._accumulated(), *self._samples()]

    def _states(self) -> Iterable[Endpoint]:
        one = f"{VERTEX}/subtasks/{{subtaskindex}}"
        yield _get(VERTEX, self.vertex, "A vertex and its subtasks.", response=ref("Vertex"))
        yield _get(
            f"{VERTEX}/subtasktimes",
            self.times,
            "When each subtask's current attempt entered each of its states.",
            response=ref("SubtaskTimes"),
        )
        yield _get(
            f"{VERTEX}/taskmanagers",
            self.taskmanagers,
            "A vertex's subtasks by TaskManager.",
            response=ref("VertexTaskManagers"),
        )
        yield _get(
            f"{VERTEX}/watermarks",
            self.watermarks,
            "Event time at each subtask's head operator, in ms.",
            response=ref("Metrics"),
            patient=True,
        )
        yield _get(
            f"{VERTEX}/backpressure",
            self.backpressure,
            "How much of its time each subtask waited for those behind it, over the last report.",
            response=ref("Backpressure"),
        )
        yield _get(one, self.subtask, "A subtask.", response=ref("Subtask"))
        yield _get(
            f"{one}/attempts/{{attempt}}",
            self.attempt,
            "An attempt of a subtask; only the newest is remembered.",
            response=ref("Subtask"),
        )

    def _accumulated(self) -> Iterable[Endpoint]:
        yield _get(
            f"{VERTEX}/accumulators",
            self.accumulators,
            "What the vertex's functions have counted, over all subtasks.",
            response=ref("VertexAccumulators"),
        )
        yield _get(
            f"{VERTEX}/subtasks/accumulators",
            self.subtask_accumulators,
            "What the vertex's functions have counted, by subtask.",
            response=ref("SubtaskAccumulators"),
        )

    def _samples(self) -> Iterable[Endpoint]:
        yield _get(
            f"{VERTEX}/flamegraph",
            self.flamegraph,
            "Where the vertex's subtasks spend their time: sampled Python stacks. Takes as long "
            "as it samples; who asks for the same within ten seconds gets the same.",
            query=(*sampling.PARAMETERS, _SUBTASK),
            response=ref("FlameGraph"),
            patient=True,
        )
        yield _get(
            f"{VERTEX}/records",
            self.records,
            "The next records that leave an operator, as text.",
            query=_RECORDS,
            response=ref("RecordSample"),
            patient=True,
        )

    # -------------------------------------------------------------------------------- handlers

    def vertex(self, call: Call) -> Any:
        """Show a vertex."""
        return vertex_shapes.vertex(self._found(call), places(self._api), now_ms())

    def times(self, call: Call) -> Any:
        """Show when states were entered."""
        return vertex_shapes.subtask_times(self._found(call), places(self._api), now_ms())

    def taskmanagers(self, call: Call) -> Any:
        """Show subtasks by TaskManager."""
        return vertex_shapes.taskmanagers(self._found(call), places(self._api), now_ms())

    def watermarks(self, call: Call) -> Any:
        """Show event times."""
        found = self._found(call)
        if vertex_shapes.knows_event_time(found):
            return vertex_shapes.watermarks(found, {})
        return vertex_shapes.watermarks(found, self._sources.of_subtasks(found))

    def backpressure(self, call: Call) -> Any:
        """Show backpressure."""
        return vertex_shapes.backpressure(self._found(call), now_ms())

    def subtask(self, call: Call) -> Any:
        """Show a subtask."""
        found = self._found(call)
        one = find_subtask(found, call.path("subtaskindex"))
        return vertex_shapes.subtask(one, found, places(self._api), now_ms())

    def attempt(self, call: Call) -> Any:
        """Show an attempt."""
        found = self._found(call)
        one = find_subtask(found, call.path("subtaskindex"))
        if one.attempt != int(call.path("attempt")):
            msg = f"of subtask {one.subtask} only attempt {one.attempt} is remembered"
            raise NotInJobError(msg, remedy="GET /jobs/{jobid}/events tells of earlier ones.")
        return vertex_shapes.subtask(one, found, places(self._api), now_ms())

    def accumulators(self, call: Call) -> Any:
        """Show accumulators of the vertex."""
        return vertex_shapes.accumulators(self._found(call))

    def subtask_accumulators(self, call: Call) -> Any:
        """Show accumulators by subtask."""
        return vertex_shapes.subtask_accumulators(self._found(call), places(self._api))

    def flamegraph(self, call: Call) -> Any:
        """Sample stacks, or show those of a moment ago."""
        found = self._found(call)
        subtask = call.query("subtaskindex")
        if subtask >= 0:
            find_subtask(found, str(subtask))
        asked = sampling.Asked(
            duration_ms=call.query("duration"),
            interval_ms=call.query("interval"),
            job_id=call.job_id,
            vertex_id=found.vertex.id,
            subtask=subtask,
        )
        processes = sampling.processes_of(found.vertex, subtask)
        return self._flames.get(
            (asked, processes), lambda: sampling.flame_graph(self._fleet, processes, asked)
        )

    def records(self, call: Call) -> Any:
        """Wait for records."""
        found = self._found(call)
        subtask = call.query("subtask")
        if subtask >= 0:
            find_subtask(found, str(subtask))
        return sampling.records(
            self._fleet,
            found,
            sampling.RecordsAsked(
                operator_uid=call.query("operator"),
                side_tag=call.query("side"),
                subtask=subtask,
                max_records=call.query("max"),
                timeout_ms=call.query("timeout"),
            ),
        )

    def _found(self, call: Call) -> Any:
        return find_vertex(self._api, call.job_id, call.path("vertexid"))
