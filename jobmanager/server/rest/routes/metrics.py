"""Metrics by Flink's ids, in Flink's forms: what there is, values, aggregates."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from lesto.jobmanager.server.rest import flink_metrics
from lesto.jobmanager.server.rest.context import Context
from lesto.jobmanager.server.rest.found import find_subtask, find_vertex
from lesto.jobmanager.server.rest.json_schema import ref
from lesto.jobmanager.server.rest.metric_sources import MetricSources
from lesto.jobmanager.server.rest.routes.taskmanagers import find_taskmanager
from lesto.jobmanager.server.rest.routes.vertices import VERTEX
from lesto.jobmanager.server.rest.routing import Call, Endpoint, Parameter

#: Names that one request asks for.
NAMES_MAX: Final = 500
#: Jobs, TaskManagers or subtasks that one request aggregates.
ENTITIES_MAX: Final = 1_000
AGGREGATIONS: Final = ("min", "max", "avg", "sum")

GET = Parameter(
    "get",
    {"type": "array", "items": {"type": "string", "maxLength": 300}, "maxItems": NAMES_MAX},
    "Ids of which the values are wanted; without it, the ids that there are. Unknown ones are "
    "left out.",
)
_AGG = Parameter(
    "agg",
    {"type": "array", "items": {"type": "string", "enum": list(AGGREGATIONS)}, "maxItems": 4},
    "Which aggregates; by default all.",
)


def _chosen(name: str, what: str, pattern: str) -> Parameter:
    items = {"type": "string", "pattern": pattern}
    schema = {"type": "array", "items": items, "maxItems": ENTITIES_MAX}
    return Parameter(name, schema, what)


Json = dict[str, Any]
Values = Mapping[str, float | str]


class MetricsResource:
    """Answers about metrics."""

    def __init__(self, context: Context) -> None:
        self._api = context.api
        self._sources = MetricSources(context.api, context.fleet)

    def endpoints(self) -> list[Endpoint]:
        """Return its endpoints."""
        return [*self._single(), *self._aggregated()]

    def _single(self) -> Iterable[Endpoint]:
        for path, handler, what, tag in (
            ("/jobs/{jobid}/metrics", self.job, "a job", "jobs"),
            (f"{VERTEX}/metrics", self.vertex, "a vertex, ids beginning with subtasks", "vertices"),
            (
                f"{VERTEX}/subtasks/{{subtaskindex}}/metrics",
                self.subtask,
                "a subtask",
                "vertices",
            ),
            (
                "/taskmanagers/{taskmanagerid}/metrics",
                self.taskmanager,
                "a TaskManager with its slots",
                "taskmanagers",
            ),
        ):
            yield Endpoint(
                "GET",
                path,
                handler,
                f"Metrics of {what}: ids, or with get= their values.",
                query=(GET,),
                response=ref("Metrics"),
                tag=tag,
                patient=True,
            )

    def _aggregated(self) -> Iterable[Endpoint]:
        for path, handler, what, chosen, tag in (
            (
                "/jobs/metrics",
                self.jobs,
                "jobs",
                _chosen("jobs", "Ids of the jobs; by default all.", "^[0-9a-f]{32}$"),
                "jobs",
            ),
            (
                "/taskmanagers/metrics",
                self.taskmanagers,
                "TaskManagers",
                _chosen("taskmanagers", "Their ids; by default all.", "^[A-Za-z0-9_.:-]{1,128}$"),
                "taskmanagers",
            ),
            (
                f"{VERTEX}/subtasks/metrics",
                self.subtasks,
                "subtasks",
                _chosen(
                    "subtasks",
                    "Numbers and ranges such as 0-3; by default all.",
                    "^[0-9]{1,5}(-[0-9]{1,5})?$",
                ),
                "vertices",
            ),
        ):
            yield Endpoint(
                "GET",
                path,
                handler,
                f"Metrics aggregated over {what}: ids, or with get= aggregates.",
                query=(GET, _AGG, chosen),
                response=ref("AggregatedMetrics"),
                tag=tag,
                patient=True,
            )

    # -------------------------------------------------------------------------------- handlers

    def job(self, call: Call) -> Any:
        """Show a job's metrics."""
        job = self._api.job(call.job_id, include_graph=True)
        return listed_values(self._sources.of_job(job), call.query("get"))

    def vertex(self, call: Call) -> Any:
        """Show metrics of all subtasks."""
        found = find_vertex(self._api, call.job_id, call.path("vertexid"))
        wanted = call.query("get")
        bare = None if wanted is None else {name.partition(".")[2] for name in wanted}
        values = {
            f"{subtask}.{name}": value
            for subtask, named in self._sources.of_subtasks(found, bare).items()
            for name, value in named.items()
        }
        return listed_values(values, wanted)

    def subtask(self, call: Call) -> Any:
        """Show a subtask's metrics."""
        found = find_vertex(self._api, call.job_id, call.path("vertexid"))
        one = find_subtask(found, call.path("subtaskindex"))
        wanted = call.query("get")
        return listed_values(self._sources.of_subtasks(found, wanted)[one.subtask], wanted)

    def taskmanager(self, call: Call) -> Any:
        """Show a TaskManager's metrics."""
        tm = find_taskmanager(self._api, call.path("taskmanagerid"))
        return listed_values(self._sources.of_taskmanager(tm), call.query("get"))

    def jobs(self, call: Call) -> Any:
        """Aggregate over jobs."""
        chosen = call.query("jobs")
        ids = chosen or [job.job_id for job in self._api.jobs()][:ENTITIES_MAX]
        jobs = [self._api.job(job_id, include_graph=True) for job_id in dict.fromkeys(ids)]
        return _aggregates([self._sources.of_job(job) for job in jobs], call)

    def taskmanagers(self, call: Call) -> Any:
        """Aggregate over TaskManagers."""
        chosen = call.query("taskmanagers")
        known = list(self._api.cluster().taskmanagers)[:ENTITIES_MAX]
        if chosen:
            known = [find_taskmanager(self._api, name) for name in dict.fromkeys(chosen)]
        return _aggregates([self._sources.of_taskmanager(tm) for tm in known], call)

    def subtasks(self, call: Call) -> Any:
        """Aggregate over subtasks."""
        found = find_vertex(self._api, call.job_id, call.path("vertexid"))
        values = self._sources.of_subtasks(found, call.query("get"))
        chosen = call.query("subtasks")
        if chosen:
            values = {i: v for i, v in values.items() if any(_within(i, text) for text in chosen)}
        return _aggregates(list(values.values()), call)


def _within(subtask: int, text: str) -> bool:
    first, _, last = text.partition("-")
    return int(first) <= subtask <= int(last or first)


def listed_values(values: Values, wanted: Sequence[str] | None) -> list[Json]:
    """Return ids, or values of the ids that are wanted."""
    if wanted is None:
        return [{"id": name} for name in sorted(values)]
    return [
        {"id": name, "value": flink_metrics.text(values[name])}
        for name in dict.fromkeys(wanted)
        if name in values
    ]


def _aggregates(entities: Sequence[Values], call: Call) -> list[Json]:
    wanted, modes = call.query("get"), call.query("agg") or AGGREGATIONS
    if wanted is None:
        names = {
            name
            for values in entities
            for name, value in values.items()
            if not isinstance(value, str)
        }
        return [{"id": name} for name in sorted(names)]
    found: list[Json] = []
    for name in dict.fromkeys(wanted):
        numbers = [
            float(values[name])
            for values in entities
            if name in values and not isinstance(values[name], str)
        ]
        if numbers:
            total = sum(numbers)
            all_modes = {
                "min": min(numbers),
                "max": max(numbers),
                "avg": total / len(numbers),
                "sum": total,
            }
            found.append({"id": name, **{mode: all_modes[mode] for mode in modes}})
    return found
