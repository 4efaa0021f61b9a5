"""What the resources of the REST server are made over."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from lesto.common.config import Configuration
from lesto.jobmanager.server.rest.api import JobManagerApi
from lesto.jobmanager.server.rest.fleet import Fleet
from lesto.jobmanager.server.rest.guard import TargetPolicy
from lesto.jobmanager.server.rest.operations import Operations
from lesto.jobmanager.server.submission.service import Submission


class MetricsText(Protocol):
    """Metrics of a process; a ``MetricRegistry`` is some."""

    def text(self) -> str:
        """Return them in Prometheus' text."""
        ...


@dataclass(frozen=True, slots=True)
class Context:
    """One server's.

    Attributes:
        api: the JobManager.
        fleet: asks TaskManagers and slots through it.
        config: the process's.
        metrics: what ``/metrics`` shows.
        targets: where requests may send savepoints.
        operations: what has been started and not been asked about yet.
        submission: runs what is uploaded or typed; None: nothing is.
    """

    api: JobManagerApi
    fleet: Fleet
    config: Configuration
    metrics: MetricsText
    targets: TargetPolicy
    operations: Operations = field(default_factory=Operations)
    submission: Submission | None = None
