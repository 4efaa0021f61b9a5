"""Where the cluster's processes serve their metrics, as Prometheus' HTTP service discovery asks."""

from __future__ import annotations

from typing import Any, Final

from lesto.jobmanager.server.rest.context import Context
from lesto.jobmanager.server.rest.json_schema import TEXT, listed, mapped, record
from lesto.jobmanager.server.rest.routing import Call, Endpoint
from lesto.proto import client_pb2

#: Addresses that mean every interface: nobody can connect to them.
WILDCARDS: Final = frozenset({"0.0.0.0", "::", ""})

TARGETS: Final = listed(record({"targets": listed(TEXT), "labels": mapped(TEXT)}))


class PrometheusResource:
    """Service discovery: slots take free ports, and come and go."""

    def __init__(self, context: Context) -> None:
        self._api = context.api

    def endpoints(self) -> list[Endpoint]:
        """Return its endpoints."""
        return [
            Endpoint(
                "GET",
                "/prometheus/targets",
                self.targets,
                "Metrics addresses of TaskManagers and slots, for Prometheus' http_sd_configs.",
                response=TARGETS,
                tag="health",
            )
        ]

    def targets(self, _call: Call) -> Any:
        """List the processes that serve metrics, but for the JobManager."""
        return targets_of(self._api.cluster())


def targets_of(info: client_pb2.ClusterInfo) -> list[dict[str, Any]]:
    """Return each process that serves metrics, with labels that say which it is."""
    found = []
    for worker in info.taskmanagers:
        labels = {"process": "taskmanager", "taskmanager": worker.taskmanager_id}
        if worker.metrics_address:
            found.append(_target(worker.metrics_address, worker.host, labels))
        for slot in worker.slots:
            if slot.metrics_address:
                own = {**labels, "process": "slot", "slot": slot.slot_id}
                found.append(_target(slot.metrics_address, worker.host, own))
    return found


def _target(address: str, host: str, labels: dict[str, str]) -> dict[str, Any]:
    bound, _, port = address.rpartition(":")
    if bound.strip("[]") in WILDCARDS:
        bound = f"[{host}]" if ":" in host else host
    return {"targets": [f"{bound}:{port}"], "labels": labels}
