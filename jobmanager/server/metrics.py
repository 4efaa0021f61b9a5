"""Metrics of the JobManager and its jobs, under Flink's names by Prometheus' conventions."""

from __future__ import annotations

from collections.abc import Callable

from lesto.common.metrics import process_registry
from lesto.jobmanager.core.checkpoint_stats import COMPLETED, FAILED
from lesto.jobmanager.core.job_master import JobMaster
from lesto.jobmanager.core.states import JobState
from lesto.proto import client_pb2


class ClusterMetrics:
    """Gauges of the whole cluster, until they are closed."""

    def __init__(self, info: Callable[[], client_pb2.ClusterInfo]) -> None:
        self._info: Callable[[], client_pb2.ClusterInfo] | None = info
        group = process_registry().group()
        group.gauge("jobmanager_num_running_jobs", self._read("jobs_running"), "Jobs not ended.")
        group.gauge(
            "jobmanager_num_registered_taskmanagers",
            lambda: len(self._info().taskmanagers) if self._info else None,
            "TaskManagers that are connected.",
        )
        group.gauge("jobmanager_task_slots", self._read("slots_total"), "Slots that are ready.")
        group.gauge(
            "jobmanager_task_slots_available", self._read("slots_available"), "Slots that are free."
        )

    def _read(self, name: str) -> Callable[[], float | None]:
        return lambda: float(getattr(self._info(), name)) if self._info else None

    def close(self) -> None:
        """The JobManager has stopped: no values any more."""
        self._info = None


class JobMetrics:
    """Metrics of one job, brought up to date after each event."""

    def __init__(self, master: JobMaster) -> None:
        self._master = master
        job_id, name = master.graph.job_id, master.graph.name
        self.group = process_registry().group(job=job_id, job_name=name)
        group = self.group
        self._completed = group.counter("job_checkpoints_completed", "Checkpoints completed.")
        self._failed = group.counter("job_checkpoints_failed", "Checkpoints that failed.")
        self._restarts = group.counter("job_restarts", "Restarts after failures.")
        self._duration = group.distribution(
            "job_checkpoint_duration_seconds", "From trigger to completion."
        )
        self.discard_failures = group.counter(
            "job_checkpoint_discard_failures", "Old checkpoints that could not be deleted."
        )
        gauges: dict[str, tuple[Callable[[], float | None], str]] = {
            "job_last_checkpoint_duration_seconds": (
                self._last_duration,
                "From trigger to completion of the latest checkpoint.",
            ),
            "job_last_checkpoint_size_bytes": (
                self._last_size,
                "All state that the latest checkpoint holds, old files included.",
            ),
            "job_last_checkpoint_uploaded_bytes": (
                self._last_uploaded,
                "What was written for the latest checkpoint.",
            ),
            "job_last_completed_checkpoint_id": (self._last_id, "Number of the latest checkpoint."),
            "job_in_progress_checkpoints": (self._in_progress, "Checkpoints under way."),
            "job_running": (
                lambda: float(master.state is JobState.RUNNING),
                "1 while the job runs, 0 while it starts, restarts or ends.",
            ),
            "job_stale_events": (
                lambda: float(master.stale_events),
                "Messages of an older epoch or attempt, refused.",
            ),
        }
        for metric, (read, text) in gauges.items():
            group.gauge(metric, read, text)

    def update(self) -> None:
        """Take over the master's counts."""
        statistics = self._master.coordinator.statistics
        if statistics.completed > self._completed.value:
            self._completed.inc(statistics.completed - self._completed.value)
            if statistics.latest_completed is not None:
                self._duration.update(statistics.latest_completed.duration_ms / 1000)
        if statistics.failed > self._failed.value:
            self._failed.inc(statistics.failed - self._failed.value)
        if self._master.restarts > self._restarts.value:
            self._restarts.inc(self._master.restarts - self._restarts.value)

    def _latest(self) -> client_pb2.CheckpointStats | None:
        return self._master.coordinator.statistics.latest_completed

    def _last_duration(self) -> float | None:
        latest = self._latest()
        return latest.duration_ms / 1000 if latest else None

    def _last_size(self) -> float | None:
        latest = self._latest()
        return float(latest.state_bytes) if latest else None

    def _last_uploaded(self) -> float | None:
        latest = self._latest()
        return float(latest.uploaded_bytes) if latest else None

    def _last_id(self) -> float | None:
        latest = self._latest()
        return float(latest.checkpoint_id) if latest else None

    def _in_progress(self) -> float:
        history = self._master.coordinator.statistics.history
        return float(sum(entry.status not in {COMPLETED, FAILED} for entry in history))
